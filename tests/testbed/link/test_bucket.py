"""The bucket that a late machine needs: a quiet one's is the least, and a few late moments count."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.link.bucket import LEAST_S, LOOKED_AT_EVERY, MOST_S, REMEMBERED, Wakes


def after(*late_s: float) -> float:
    wakes = Wakes()
    for one in late_s:
        wakes.add(one)
    return wakes.bucket_s


def test_a_quiet_machine_has_the_least() -> None:
    assert after() == after(*[0.0001] * 1000) == LEAST_S


def test_one_moment_in_a_hundred_is_left_to_the_loop_and_four_are_not() -> None:
    assert after(*[0.0001] * 198, 0.02, 0.02) == LEAST_S
    assert after(*[0.0001] * 192, *[0.002] * 8) == 0.002


def test_what_is_long_ago_is_forgotten() -> None:
    assert after(*[0.002] * REMEMBERED, *[0.0001] * REMEMBERED) == LEAST_S


@given(st.lists(st.floats(-1e-4, 10.0), max_size=600))
def test_it_is_always_within_its_bounds(late_s: list[float]) -> None:
    assert LEAST_S <= after(*late_s) <= MOST_S


def test_it_is_looked_at_now_and_then_only() -> None:
    assert after(*[0.01] * (LOOKED_AT_EVERY - 1)) == LEAST_S
    assert after(*[0.01] * LOOKED_AT_EVERY) == MOST_S
