"""What a machine holds, by its timers and processors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.lanes.capacity import (
    LATE_ALONE_MS,
    WINDOW_S,
    WITHIN,
    covered_s,
    highest_true_mbps,
    in_turns,
    is_true,
    lanes_held,
)
from testbed.link.settings import KERNEL_MAX_MBPS

FIVE = 5
"""Policies that `make run` streams side by side."""


def test_good_timers_are_no_limit_to_a_links_rate() -> None:
    assert highest_true_mbps(0.0003, 0.0) == KERNEL_MAX_MBPS
    assert highest_true_mbps(WITHIN * WINDOW_S, 0.05) == KERNEL_MAX_MBPS


def test_an_absence_beyond_a_percent_of_a_second_has_to_be_covered_by_the_bucket() -> None:
    rate = highest_true_mbps(0.012, 0.05)
    assert 0 < rate < KERNEL_MAX_MBPS
    assert covered_s(rate) == pytest.approx(0.002, rel=0.01)


@given(st.floats(0, 1), st.floats(0, 0.3))
def test_the_highest_rate_is_true_and_the_next_is_not(worst_late_s: float, stolen: float) -> None:
    rate = highest_true_mbps(worst_late_s, stolen)
    if rate:
        assert is_true(rate, worst_late_s, stolen)
    if rate < KERNEL_MAX_MBPS:
        assert not is_true(rate + 0.2, worst_late_s, stolen)


def test_a_machine_that_is_away_for_more_than_the_loop_repays_holds_nothing() -> None:
    assert highest_true_mbps(0.0, 0.3) > 0
    assert highest_true_mbps(0.0, 0.4) == 0
    assert highest_true_mbps(0.0, 1.0) == 0


def test_five_lanes_go_at_once_on_two_quiet_processors_and_on_one() -> None:
    assert lanes_held(2, 0.0, 0.0, 0.1) >= FIVE
    assert lanes_held(2, 0.5, 0.05, 2.0) >= FIVE
    assert lanes_held(1, 0.0, 0.0, 0.1) >= FIVE


def test_a_machine_that_others_use_holds_fewer() -> None:
    assert lanes_held(2, 8.0, 0.0, 0.1) < FIVE
    assert lanes_held(1, 2.0, 0.1, 0.1) < FIVE
    assert lanes_held(2, 0.0, 0.8, 0.1) < FIVE


def test_late_timers_leave_one_lane() -> None:
    assert lanes_held(64, 0.0, 0.0, LATE_ALONE_MS) == 1


@given(st.integers(1, 128), st.floats(0, 1000), st.floats(0, 1), st.floats(0, 100))
def test_one_lane_is_always_tried_and_more_work_never_means_more_lanes(
    cpus: int, others: float, stolen: float, late_ms: float
) -> None:
    lanes = lanes_held(cpus, others, stolen, late_ms)
    assert lanes >= 1
    assert lanes_held(cpus, others + 1, stolen, late_ms) <= lanes
    assert lanes_held(cpus, others, min(stolen + 0.1, 1.0), late_ms) <= lanes
    assert lanes_held(cpus + 1, others, stolen, late_ms) >= lanes


@given(st.integers(1, 60), st.integers(1, 80))
def test_turns_hold_all_evenly_and_are_as_few_as_can_be(count: int, at_once: int) -> None:
    turns = in_turns(count, at_once)
    assert sum(turns) == count
    assert max(turns) <= at_once and max(turns) - min(turns) <= 1
    assert len(turns) == -(-count // at_once)
