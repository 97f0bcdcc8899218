"""What the probe's train says of a rate, when the processor was away for a moment and when it was not."""

from __future__ import annotations

import pytest

from testbed.link.probe import FRAME_S, _rate_ratio


def train(*gaps_s: float) -> list[tuple[int, float]]:
    """Arrivals with these gaps between them."""
    return [(number, sum(gaps_s[:number])) for number in range(len(gaps_s) + 1)]


def test_a_moment_without_the_processor_makes_no_link_slow() -> None:
    assert _rate_ratio(train(*[FRAME_S] * 20, 0.010, *[FRAME_S] * 20)) == pytest.approx(1.0)


def test_a_link_that_is_slow_in_every_gap_is_told() -> None:
    assert _rate_ratio(train(*[1.1 * FRAME_S] * 40)) == pytest.approx(1 / 1.1)


def test_credit_beyond_the_burst_is_told_though_most_gaps_are_right() -> None:
    assert _rate_ratio(train(*[0.0] * 10, *[FRAME_S] * 30)) == pytest.approx(40 / 30)


def test_frames_that_all_came_at_once_tell_no_rate() -> None:
    assert _rate_ratio(train(*[0.0] * 10)) is None
