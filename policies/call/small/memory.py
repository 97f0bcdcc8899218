"""What the net remembers beyond the last second: figures of the last 3, 10 and 30 s, from feedback alone.

A link that had holes will have them again, and whoever fell into them is told so long after the last one has
left the rows of `inputs.py`. All figures are of the order of 1. At a call's beginning they are of as much as
there is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from player.call.media.sender_state import Record
from player.compiled.compiled import compiled

HORIZONS_S = (3.0, 10.0, 30.0)
OF_HORIZON = 10
(RATE, LEAST, MOST, SPREAD, TARGET, QUEUE, HIGHEST, LOST, QUIET, LONGEST) = range(OF_HORIZON)
"""Logarithms of the mean receive rate, of the least and the most over a second (Mbit/s); deviation of the
logarithm of an interval's; logarithm of the mean target; mean and highest queueing delay (0.1 s); share of
packets lost; share of time in intervals in which nothing came; the longest such time (0.5 s)."""
SINCE_OUTAGE, ELAPSED = (OF_HORIZON * len(HORIZONS_S) + place for place in range(2))
"""In 30 s and at most 1: since nothing had come for `OUTAGE_S`, 1 too where it never happened; since the call
began."""
MEMORIES = OF_HORIZON * len(HORIZONS_S) + 2

LEAST_MBPS = 0.01
"""Added to rates whose logarithm is taken."""
SECOND_S = 1.0
OUTAGE_S = 0.2
"""As long as a gap between frames that counts as a stall."""
QUIET_UNIT_S, MOST_QUIET = 0.5, 6.0
FARTHEST_S = HORIZONS_S[-1]
EVERY = 4
"""Intervals from one look back to the next: what is that old needs not be of this moment."""
_KEPT = 1024
"""Intervals: more than 30 s at 50 ms; of shorter ones as many as fit."""
_FIGURES = 10
(_AT_S, _LENGTH_S, _MBIT, _LOG, _SECOND, _TARGET, _QUEUE, _CAME, _LOST, _QUIET_S) = range(_FIGURES)
"""Of an interval: its end, its length, what it brought, the logarithm of that as a rate, the rate of the
second that it ends, target, queueing delay, packets that came and were lost, how long nothing had come."""

MEMORY = np.dtype(
    [("intervals", np.int64)]
    + [(name, np.float64) for name in ("silent_s", "outage_s")]
    + [("past", np.float64, (_KEPT, _FIGURES))]
)
"""Of one call; all zeros at the beginning."""


@compiled
def forget(m: Record) -> None:
    """A call begins."""
    m.intervals = 0
    m.silent_s = 0.0
    m.outage_s = -FARTHEST_S


@compiled
def remember(
    m: Record, now_s: float, length_s: float, size: int, came: int, lost: int, queue: float, target: float
) -> None:
    """An interval is over.

    Args:
        m: of `MEMORY`.
        now_s, length_s: its end, and how long it was.
        size, came, lost: bytes and packets that it brought, and packets known lost.
        queue: queueing delay in tenths of a second.
        target: Mbit/s.
    """
    newest = m.past[m.intervals & (_KEPT - 1)]
    newest[_AT_S], newest[_LENGTH_S], newest[_MBIT] = now_s, length_s, size * 8e-6
    newest[_LOG] = math.log(newest[_MBIT] / length_s + LEAST_MBPS)
    newest[_TARGET], newest[_QUEUE] = target, queue
    newest[_CAME], newest[_LOST] = came, lost
    m.silent_s = 0.0 if came > 0 else m.silent_s + length_s
    newest[_QUIET_S] = m.silent_s
    if m.silent_s >= OUTAGE_S - 1e-9:
        m.outage_s = now_s
    m.intervals += 1
    newest[_SECOND] = _second_mbps(m, now_s)


@compiled
def _second_mbps(m: Record, now_s: float) -> float:
    """Of the intervals that ended within the last second."""
    mbit, length_s = 0.0, 0.0
    for back in range(1, min(m.intervals, _KEPT) + 1):
        then = m.past[(m.intervals - back) & (_KEPT - 1)]
        if now_s - then[_AT_S] >= SECOND_S - 1e-9:
            break
        mbit += then[_MBIT]
        length_s += then[_LENGTH_S]
    return mbit / length_s


@compiled
def recall(m: Record, out: Any) -> None:
    """Write the figures.

    Args:
        m: of `MEMORY`, of one interval or more.
        out: (MEMORIES,) float32.
    """
    newest = (m.intervals - 1) & (_KEPT - 1)
    now_s = m.past[newest, _AT_S]
    horizon, count = 0, 0
    length_s = mbit = logs = squares = target = queue = highest = came = lost = quiet_s = longest = 0.0
    least, most = np.inf, 0.0
    for back in range(min(m.intervals, _KEPT)):
        then = m.past[(newest - back) & (_KEPT - 1)]
        while horizon < len(HORIZONS_S) and now_s - then[_AT_S] >= HORIZONS_S[horizon] - 1e-9:
            sums = (length_s, mbit, logs, squares, target, queue, highest, came, lost, quiet_s, longest)
            _write(out, horizon, count, sums, least, most)
            horizon += 1
        if horizon == len(HORIZONS_S):
            break
        count += 1
        length_s += then[_LENGTH_S]
        mbit += then[_MBIT]
        logs += then[_LOG]
        squares += then[_LOG] * then[_LOG]
        least, most = min(least, then[_SECOND]), max(most, then[_SECOND])
        target += then[_TARGET]
        queue += then[_QUEUE]
        highest = max(highest, then[_QUEUE])
        came += then[_CAME]
        lost += then[_LOST]
        quiet_s += then[_LENGTH_S] if then[_CAME] == 0.0 else 0.0
        longest = max(longest, then[_QUIET_S])
    while horizon < len(HORIZONS_S):
        sums = (length_s, mbit, logs, squares, target, queue, highest, came, lost, quiet_s, longest)
        _write(out, horizon, count, sums, least, most)
        horizon += 1
    out[SINCE_OUTAGE] = min((now_s - m.outage_s) / FARTHEST_S, 1.0)
    out[ELAPSED] = min(now_s / FARTHEST_S, 1.0)


@compiled
def _write(out: Any, horizon: int, count: int, sums: Any, least: float, most: float) -> None:
    """One horizon's figures of sums over `count` intervals."""
    length_s, mbit, logs, squares, target, queue, highest, came, lost, quiet_s, longest = sums
    first = horizon * OF_HORIZON
    out[first + RATE] = math.log(mbit / length_s + LEAST_MBPS)
    out[first + LEAST] = math.log(least + LEAST_MBPS)
    out[first + MOST] = math.log(most + LEAST_MBPS)
    out[first + SPREAD] = math.sqrt(max(squares / count - (logs / count) ** 2, 0.0))
    out[first + TARGET] = math.log(target / count)
    out[first + QUEUE] = queue / count
    out[first + HIGHEST] = highest
    out[first + LOST] = lost / (came + lost) if came + lost > 0.0 else 0.0
    out[first + QUIET] = quiet_s / length_s
    out[first + LONGEST] = min(longest / QUIET_UNIT_S, MOST_QUIET)
