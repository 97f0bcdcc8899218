"""What a link is to carry, as a page draws it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.watch.trace_steps import MOST_STEPS, steps_of


def test_steps_begin_at_the_session_and_wrap() -> None:
    assert steps_of([0.0, 10.0, 30.0], [9.0, 2.0, 4.0], 5.0, 40.0) == [
        [5.0, 2.0],
        [25.0, 4.0],
        [35.0, 2.0],
        [40.0, 4.0],
    ]


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.floats(0.01, 5.0), min_size=1, max_size=50),
    start_s=st.floats(0.0, 1e4),
    length_s=st.floats(0.5, 1e4),
)
def test_as_much_is_drawn_as_the_trace_carries(lengths: list[float], start_s: float, length_s: float) -> None:
    times = [sum(lengths[: index + 1]) for index in range(len(lengths))]
    steps = steps_of(times, [2.0] * len(times), start_s, length_s)
    assert 0 < len(steps) <= MOST_STEPS
    assert steps[-1][0] == pytest.approx(length_s, abs=1e-3)
    assert [rate for _, rate in steps] == pytest.approx([2.0] * len(steps), rel=0.02)


def test_many_short_steps_become_means() -> None:
    times = [0.01 * (index + 1) for index in range(6000)]
    steps = steps_of(times, [1.0, 3.0] * 3000, 0.0, 60.0)
    assert len(steps) == MOST_STEPS
    assert {rate for _, rate in steps} == {2.0}


@pytest.mark.parametrize(
    ("times", "rates"),
    [
        ([], []),
        ([1.0], []),
        ([0.0], [1.0]),
        ([2.0, 1.0], [1.0, 1.0]),
        ([1.0], [-1.0]),
        ([float("inf")], [1.0]),
        ([-1.0, 1.0], [1.0, 1.0]),
    ],
)
def test_what_is_no_trace_is_not_drawn(times: list[float], rates: list[float]) -> None:
    assert steps_of(times, rates, 0.0, 10.0) == []


@pytest.mark.parametrize(
    ("time_s", "rate_mbps", "start_s", "length_s"),
    [
        ([0.0, 1e10], [1.0, 1e308], 0.0, 10.0),
        ([0.001], [1.0], 1e308, 10.0),
        ([1.0], [1.0], 0.0, 1e300),
        ([1.0], [float("nan")], 0.0, 10.0),
    ],
)
def test_a_trace_beyond_all_there_is_is_not_drawn(
    time_s: list[float], rate_mbps: list[float], start_s: float, length_s: float
) -> None:
    assert steps_of(time_s, rate_mbps, start_s, length_s) == []
