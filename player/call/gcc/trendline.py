"""Does the queue grow: the slope of delay over arrival time, against a threshold that adapts.

As WebRTC's `trendline_estimator.cc`, which differs from the draft (draft-ietf-rmcat-gcc-02: a Kalman filter,
K_u 0.01, K_d 0.00018). The slope estimates (sending rate - capacity) / capacity.
"""

from __future__ import annotations

import math

from player.call.gcc.filled import fill
from player.call.gcc.state import TREND_WINDOW, Floats
from player.compiled.compiled import compiled

SMOOTHING = 0.9
"""WebRTC `kDefaultTrendlineSmoothingCoeff`."""
GAIN = 4.0
"""WebRTC `kDefaultTrendlineThresholdGain`."""
MOST_DELTAS_IN_TREND = 60
"""WebRTC `kMinNumDeltas`: the slope counts for less until so many groups have been seen."""
DELTAS_COUNTED = 1000
"""WebRTC `kDeltaCounterMax`."""
OVERUSE_TIME_MS = 10.0
"""WebRTC `kOverUsingTimeThreshold`; the draft's is the same."""
FIRST_THRESHOLD = 12.5
"""WebRTC, ms; the draft's del_var_th(0) is the same."""
ADAPTING_UP, ADAPTING_DOWN = 0.0087, 0.039
"""WebRTC `k_up_`, `k_down_`, per ms."""
LARGEST_STEP_MS = 100.0
"""WebRTC `kMaxTimeDeltaMs`."""
LARGEST_EXCESS = 15.0
"""WebRTC `kMaxAdaptOffsetMs`: a larger one is a spike that the threshold does not follow; draft too."""
LEAST_THRESHOLD, MOST_THRESHOLD = 6.0, 600.0
"""WebRTC and draft, ms."""

NORMAL, OVERUSE, UNDERUSE = 0.0, 1.0, 2.0
"""What the detector says."""

(
    DELTAS,
    FIRST_ARRIVED_MS,
    ACCUMULATED_MS,
    SMOOTHED_MS,
    KEPT,
    NEXT,
    SLOPE,
    THRESHOLD,
    UPDATED_MS,
    OVER_MS,
    OVER_COUNT,
    USAGE,
    TREND,
) = range(13)
"""Places in a row of `GccState.trend`; NEXT is where in the window the next group goes, OVER_MS is NaN when
the trend is not over the threshold, TREND is the slope as it was compared."""


@compiled
def forget_trend(trend: Floats) -> None:
    """No group has been seen."""
    fill(trend, 0.0)
    trend[FIRST_ARRIVED_MS] = math.nan
    trend[UPDATED_MS] = math.nan
    trend[OVER_MS] = math.nan
    trend[THRESHOLD] = FIRST_THRESHOLD
    trend[USAGE] = NORMAL


@compiled
def slope_of(window: Floats) -> float:
    """Least squares over the window's rows (x, y); NaN when all x are the same."""
    count = window.shape[0]
    mean_x, mean_y = 0.0, 0.0
    for row in range(count):
        mean_x += window[row, 0]
        mean_y += window[row, 1]
    mean_x /= count
    mean_y /= count
    above, below = 0.0, 0.0
    for row in range(count):
        x = window[row, 0] - mean_x
        above += x * (window[row, 1] - mean_y)
        below += x * x
    return above / below if below > 0.0 else math.nan


@compiled
def add_group(trend: Floats, window: Floats, sent_ms: float, arrived_ms: float, at_ms: float) -> None:
    """A group ended: `sent_ms` and `arrived_ms` after the one before; it arrived at `at_ms`."""
    trend[DELTAS] = min(trend[DELTAS] + 1.0, DELTAS_COUNTED)
    if math.isnan(trend[FIRST_ARRIVED_MS]):
        trend[FIRST_ARRIVED_MS] = at_ms
    trend[ACCUMULATED_MS] += arrived_ms - sent_ms
    trend[SMOOTHED_MS] = SMOOTHING * trend[SMOOTHED_MS] + (1.0 - SMOOTHING) * trend[ACCUMULATED_MS]
    place = int(trend[NEXT])
    window[place, 0] = at_ms - trend[FIRST_ARRIVED_MS]
    window[place, 1] = trend[SMOOTHED_MS]
    trend[NEXT] = (place + 1) % TREND_WINDOW
    trend[KEPT] = min(trend[KEPT] + 1.0, TREND_WINDOW)
    slope = trend[SLOPE]
    if trend[KEPT] == TREND_WINDOW:
        fitted = slope_of(window)
        slope = slope if math.isnan(fitted) else fitted
    _detect(trend, slope, sent_ms, at_ms)


@compiled
def _detect(trend: Floats, slope: float, sent_ms: float, at_ms: float) -> None:
    if trend[DELTAS] < 2.0:
        trend[USAGE] = NORMAL
        return
    compared = min(trend[DELTAS], MOST_DELTAS_IN_TREND) * slope * GAIN
    trend[TREND] = compared
    if compared > trend[THRESHOLD]:
        _count_overuse(trend, slope, sent_ms)
    else:
        trend[OVER_MS] = math.nan
        trend[OVER_COUNT] = 0.0
        trend[USAGE] = UNDERUSE if compared < -trend[THRESHOLD] else NORMAL
    trend[SLOPE] = slope
    _adapt(trend, abs(compared), at_ms)


@compiled
def _count_overuse(trend: Floats, slope: float, sent_ms: float) -> None:
    """Overuse once the trend was over the threshold for long enough, and the slope does not fall."""
    if math.isnan(trend[OVER_MS]):
        trend[OVER_MS] = sent_ms / 2.0  # over for half of the time since the group before
    else:
        trend[OVER_MS] += sent_ms
    trend[OVER_COUNT] += 1.0
    if trend[OVER_MS] > OVERUSE_TIME_MS and trend[OVER_COUNT] > 1.0 and slope >= trend[SLOPE]:
        trend[OVER_MS] = 0.0
        trend[OVER_COUNT] = 0.0
        trend[USAGE] = OVERUSE


@compiled
def _adapt(trend: Floats, size: float, at_ms: float) -> None:
    """Move the threshold towards the size of the trend."""
    if math.isnan(trend[UPDATED_MS]):
        trend[UPDATED_MS] = at_ms
    if size <= trend[THRESHOLD] + LARGEST_EXCESS:
        speed = ADAPTING_DOWN if size < trend[THRESHOLD] else ADAPTING_UP
        step_ms = min(at_ms - trend[UPDATED_MS], LARGEST_STEP_MS)
        moved = trend[THRESHOLD] + speed * (size - trend[THRESHOLD]) * step_ms
        trend[THRESHOLD] = min(max(moved, LEAST_THRESHOLD), MOST_THRESHOLD)
    trend[UPDATED_MS] = at_ms
