"""Freezes and stalls of moments that one can compute by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.call.media.freezes import freezes, stalled_s


def moments(gaps_ms: list[int]) -> np.ndarray:
    """Moments with these gaps, the first at 0; half a millisecond in, so that no float falls below its
    own."""
    return np.cumsum([0, *gaps_ms]) / 1000.0 + 0.0005


@pytest.mark.parametrize(("last_ms", "frozen"), [(203, 0), (204, 1), (260, 1)])
def test_a_freeze_is_a_gap_of_150_ms_more_than_the_mean_with_it(last_ms: int, frozen: int) -> None:
    """The mean of ten gaps of 40 ms and one of 203 or 204 is 603 // 11 = 604 // 11 = 54; 204 freezes."""
    assert freezes(moments([40] * 10 + [last_ms]), 0.0, 10.0) == (frozen, frozen * last_ms / 1000)


def test_of_slow_frames_a_freeze_is_three_times_the_mean() -> None:
    """Gaps of 100 ms: mean with one of 350 is 350 // 30 * ...: (29 * 100 + 350) // 30 = 108; 3 * 108 =
    324."""
    assert freezes(moments([100] * 40 + [350]), 0.0, 10.0) == (1, 0.35)
    assert freezes(moments([100] * 40 + [320]), 0.0, 10.0) == (0, 0.0)  # (2900 + 320) // 30 = 107; 321


def test_before_five_gaps_nothing_freezes() -> None:
    assert freezes(moments([40, 40, 40, 900]), 0.0, 10.0) == (0, 0.0)
    # (160 + 900) // 5 = 212: 900 is over 636
    assert freezes(moments([40, 40, 40, 40, 900]), 0.0, 10.0) == (1, 0.9)


def test_only_the_last_thirty_gaps_count() -> None:
    """Of 60 gaps of 300 ms, then 30 of 40 ms, the mean of the last 30 with one of 210 is (29 * 40 + 210) //
    30."""
    assert (29 * 40 + 210) // 30 + 150 == 195
    assert freezes(moments([300] * 60 + [40] * 29 + [210]), 0.0, 100.0) == (1, 0.21)


def test_a_freeze_counts_where_it_ends() -> None:
    at_s = moments([40] * 10 + [500, 40])
    assert freezes(at_s, 0.9, 10.0) == (1, 0.5)
    assert freezes(at_s, 0.91, 10.0) == (0, 0.0)
    assert freezes(at_s, 0.0, 0.9) == (0, 0.0)


def test_stalls_are_gaps_over_200_ms_with_the_first_and_the_last() -> None:
    at_s = np.array([0.15, 0.35, 0.75, 0.85])
    total_s, excess_s = stalled_s(at_s, 0.0, 1.0)
    assert (total_s, excess_s) == (pytest.approx(0.4), pytest.approx(0.2))
    total_s, excess_s = stalled_s(at_s, 0.0, 2.0)  # and 1.15 s at the end
    assert (total_s, excess_s) == (pytest.approx(1.55), pytest.approx(1.15))
    assert stalled_s(np.array([]), 5.0, 20.0) == (15.0, 15.0)  # its first 0.2 s were before


def test_a_stall_over_an_edge_counts_with_what_lies_within() -> None:
    at_s = np.array([0.1, 2.1])
    assert stalled_s(at_s, 1.0, 2.2) == (pytest.approx(1.1), pytest.approx(1.1))
    assert stalled_s(at_s, 0.0, 1.0) == (pytest.approx(0.9), pytest.approx(0.7))


@given(st.lists(st.integers(1, 2000), max_size=60), st.floats(0.0, 5.0), st.floats(5.1, 60.0))
def test_stalls_are_no_longer_than_what_is_looked_at(
    gaps_ms: list[int], begin_s: float, end_s: float
) -> None:
    at_s = moments(gaps_ms)
    total_s, excess_s = stalled_s(at_s[at_s <= end_s], begin_s, end_s)
    assert 0 <= excess_s <= total_s <= end_s - begin_s + 1e-9
