"""The detector, against steps computed by hand: slope, threshold, the group at which overuse is called."""

from __future__ import annotations

import math

import numpy as np
import pytest

from player.call.gcc import trendline
from player.call.gcc.state import new_state
from player.call.gcc.trendline import (
    OVERUSE,
    THRESHOLD,
    TREND,
    UNDERUSE,
    USAGE,
    add_group,
    forget_trend,
    slope_of,
)


def test_constants_are_those_of_webrtc() -> None:
    named = {
        "SMOOTHING": 0.9,
        "GAIN": 4.0,
        "MOST_DELTAS_IN_TREND": 60,
        "DELTAS_COUNTED": 1000,
        "OVERUSE_TIME_MS": 10.0,
        "FIRST_THRESHOLD": 12.5,
        "ADAPTING_UP": 0.0087,
        "ADAPTING_DOWN": 0.039,
        "LARGEST_STEP_MS": 100.0,
        "LARGEST_EXCESS": 15.0,
        "LEAST_THRESHOLD": 6.0,
        "MOST_THRESHOLD": 600.0,
        "TREND_WINDOW": 20,
    }
    assert {name: getattr(trendline, name) for name in named} == named


def usages(delta_ms: float, groups: int, sent_ms: float = 40.0) -> tuple[list[float], list[float]]:
    """What the detector says after each group whose delay grew by so much, and the trend it compared."""
    state = new_state(1)
    trend, window = state.trend[0], state.window[0]
    forget_trend(trend)
    said, trends, at_ms = [], [], 1000.0
    for _ in range(groups):
        at_ms += sent_ms + delta_ms
        add_group(trend, window, sent_ms, sent_ms + delta_ms, at_ms)
        said.append(trend[USAGE])
        trends.append(trend[TREND])
    return said, trends


def by_hand(delta_ms: float, groups: int, sent_ms: float = 40.0) -> list[float]:
    """Trends of the same, from the formulas: the sum of delays, smoothed, has the closed form
    d (n - 9 (1 - 0.9^n)); its slope over the last 20 groups, a window of evenly spaced arrivals."""
    n = np.arange(1, groups + 1)
    smoothed = delta_ms * (n - 9 * (1 - 0.9**n))
    arrived = (sent_ms + delta_ms) * n
    trends = []
    for last in range(groups):
        slope = 0.0
        if last >= 19:
            slope = np.polyfit(arrived[last - 19 : last + 1], smoothed[last - 19 : last + 1], 1)[0]
        trends.append(min(last + 1, 60) * slope * 4)
    return trends


@pytest.mark.parametrize("delta_ms", [1.0, 2.0, -1.5])
def test_the_trend_is_the_slope_of_the_smoothed_sum(delta_ms: float) -> None:
    _, trends = usages(delta_ms, 80)
    assert trends == pytest.approx(by_hand(delta_ms, 80), abs=1e-9)


def test_twenty_groups_of_one_ms_each_forty_are_no_overuse_yet_and_never_become_it() -> None:
    """The slope tends to 1/41, so the trend to 60 x 4 / 41 = 5.85, below the least threshold of 6."""
    said, trends = usages(1.0, 300)
    assert said == [trendline.NORMAL] * 300
    assert trends[19] == pytest.approx(by_hand(1.0, 20)[19]) and trends[18] == 0.0
    assert trends[-1] == pytest.approx(60 * 4 / 41, rel=1e-6) and trends[-1] < trendline.LEAST_THRESHOLD


def test_overuse_is_called_at_the_computed_group() -> None:
    """With 2 ms each 40 the threshold has fallen to 6 before the slope is known: |T| is 0 for 19 groups, and
    12.5 + 0.039 x (0 - 12.5) x 42 is below 0. It then follows T up a little while T is over it. The first
    group over it counts 20 ms, which is over 10, but one group alone is no overuse: the next one is."""
    trends = by_hand(2.0, 80)
    threshold, over_ms, count, expected = 12.5, math.nan, 0, None
    for index, trend in enumerate(trends[1:], 1):
        if trend > threshold:
            over_ms, count = (20.0 if math.isnan(over_ms) else over_ms + 40.0), count + 1
            if over_ms > 10 and count > 1 and expected is None:
                expected = index
        speed = 0.039 if abs(trend) < threshold else 0.0087
        step_ms = 0.0 if index == 1 else 42.0
        threshold = min(max(threshold + speed * (abs(trend) - threshold) * step_ms, 6.0), 600.0)
    said, _ = usages(2.0, 80)
    assert expected is not None and 20 <= expected < 60
    assert said.index(OVERUSE) == expected
    assert [each for each in said if each == UNDERUSE] == []


def test_a_queue_that_empties_is_underuse() -> None:
    said, _ = usages(-3.0, 60)
    below = [trend < -trendline.LEAST_THRESHOLD for trend in by_hand(-3.0, 60)]
    assert said.index(UNDERUSE) == below.index(True) > 19


def test_the_threshold_moves_as_computed_and_not_for_a_spike() -> None:
    state = new_state(1)
    trend, window = state.trend[0], state.window[0]
    forget_trend(trend)
    add_group(trend, window, 40.0, 40.0, 100.0)  # the first alone has no say
    assert trend[THRESHOLD] == 12.5
    add_group(trend, window, 1.0, 1.0, 101.0)  # the clock begins
    add_group(trend, window, 1.0, 1.0, 102.0)  # 1 ms later, T = 0
    assert trend[THRESHOLD] == pytest.approx(12.5 + 0.039 * (0 - 12.5) * 1.0)
    before = trend[THRESHOLD]
    for _ in range(17):
        add_group(trend, window, 1.0, 200.0, trend[trendline.UPDATED_MS])
    assert trend[TREND] > before + trendline.LARGEST_EXCESS
    assert trend[THRESHOLD] == before


def test_the_slope_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(3)
    points = np.column_stack([np.sort(rng.uniform(0, 900, 20)), rng.normal(0, 5, 20)])
    assert slope_of(points) == pytest.approx(np.polyfit(points[:, 0], points[:, 1], 1)[0])
    assert math.isnan(slope_of(np.ones((20, 2))))
