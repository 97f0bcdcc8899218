"""Freezes and stalls, from the moments at which frames were seen.

A *freeze* is WebRTC's (video_quality_observer2.cc): in whole milliseconds, a gap between two frames that are
seen of at least three times the mean of the last 30 gaps, and of at least 150 ms more than it, once there are
5; the gap itself is one of the 30, and the whole gap counts. A *stall* is a gap over 200 ms
(w3c/webrtc-stats, issue 771). The wait from the last frame to the end of what is looked at is a gap too: a
picture that never comes back stalls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from player.compiled.compiled import compiled

WINDOW, AT_LEAST = 30, 5
TIMES_MEAN, OVER_MEAN_MS = 3, 150
STALL_S = 0.2


@compiled
def freezes(at_s: NDArray[np.float64], begin_s: float, end_s: float) -> tuple[int, float]:
    """WebRTC's freezes that end within `begin_s` … `end_s`: how many, and their length in s.

    Args:
        at_s: (frames,) moments, rising, of all frames since the call began.
    """
    gaps_ms = np.zeros(WINDOW, np.int64)
    count, total_ms, known, sum_ms = 0, np.int64(0), 0, np.int64(0)
    last_ms = np.int64(0)
    for place in range(len(at_s)):
        now_ms = np.int64(at_s[place] * 1000.0)
        if place > 0:
            gap_ms = now_ms - last_ms
            sum_ms += gap_ms - gaps_ms[known % WINDOW]
            gaps_ms[known % WINDOW] = gap_ms
            known += 1
            mean_ms = sum_ms // min(known, WINDOW)
            long = gap_ms >= max(TIMES_MEAN * mean_ms, mean_ms + OVER_MEAN_MS)
            if known >= AT_LEAST and long and begin_s <= at_s[place] < end_s:
                count += 1
                total_ms += gap_ms
        last_ms = now_ms
    return count, total_ms / 1000.0


@compiled
def stalled_s(at_s: NDArray[np.float64], begin_s: float, end_s: float) -> tuple[float, float]:
    """The time in gaps over `STALL_S` within `begin_s` … `end_s`, and the part of it beyond `STALL_S` of
    each.

    A gap that reaches over an edge counts if it is long as a whole, with what of it lies within. Before the
    first frame there is a gap from the call's beginning."""
    total_s, excess_s, last_s = 0.0, 0.0, 0.0
    for place in range(len(at_s) + 1):
        next_s = at_s[place] if place < len(at_s) else end_s
        if next_s - last_s > STALL_S:
            total_s += max(min(next_s, end_s) - max(last_s, begin_s), 0.0)
            excess_s += max(min(next_s, end_s) - max(last_s + STALL_S, begin_s), 0.0)
        last_s = next_s
    return total_s, excess_s
