"""What a controller sees of an interval, from the feedback that ended it: a row of `Interval`'s fields."""

from __future__ import annotations

from typing import Any

import numpy as np

from player.call.feedback_batch import FeedbackBatch
from player.call.media.pacer import wait_s
from player.call.media.sender_state import Record
from player.call.observation import Interval
from player.compiled.compiled import compiled

ACKED_S = 0.5
LEAST_S = 10.0
FRAMES_S = 1.0
"""How far back the acked rate, the least delay and the frame rate look."""
_KEPT = 1024
"""Intervals: more than 10 s of the shortest."""

FACTS = np.dtype(
    [(name, np.float64) for name in ("queue_s", "rtt_s", "rtt_min_s", "before_s")]
    + [("intervals", np.int64)]
    + [("at_s", np.float64, (_KEPT,)), ("least_s", np.float64, (_KEPT,))]
    + [("bytes", np.int64, (_KEPT,)), ("frames", np.int64, (_KEPT,))]
)
"""What of the past a row needs; all zeros at the beginning."""

FIELDS = len(Interval._fields)
(
    INTERVAL, ELAPSED_S, INTERVAL_S, RECEIVE_MBPS, ACKED_MBPS, SENT_MBPS, TARGET_MBPS, LOSS_RATIO,
    LOST_PACKETS, QUEUE_MS, QUEUE_MIN_MS, GRADIENT_MS_PER_S, RTT_MS, RTT_MIN_MS, HEARD, PACER_MS, FRAME_RATE,
    FRAMES_DROPPED,
) = range(FIELDS)  # fmt: skip
"""Columns of a row, in the order of `Interval`."""


@compiled
def note(f: Record, s: Record, batch: FeedbackBatch, row: int, out: Any) -> None:
    """Write the interval that this feedback ends.

    Args:
        f, s: of FACTS and SENDER; what `s` counts since the last feedback begins again.
        batch, row: the feedback.
        out: (FIELDS,) float64.
    """
    now_s = batch.now_s[row]
    length_s = max(now_s - f.before_s, 1e-6)
    place = f.intervals & (_KEPT - 1)
    came, lost, bytes_in, sum_s, least_s, slope = read_reported(batch, row)
    f.at_s[place], f.bytes[place], f.frames[place] = now_s, bytes_in, s.frames
    f.least_s[place] = least_s
    f.intervals += 1
    f.before_s = now_s
    base_s = least_delay_s(f, now_s)
    if came > 0:
        f.queue_s = sum_s / came - base_s
    if batch.rtt_s[row] == batch.rtt_s[row]:
        f.rtt_s = batch.rtt_s[row]
        f.rtt_min_s = min(f.rtt_min_s, f.rtt_s) if f.rtt_min_s > 0 else f.rtt_s
    out[INTERVAL], out[ELAPSED_S], out[INTERVAL_S] = batch.interval[row], now_s, length_s
    out[RECEIVE_MBPS] = bytes_in * 8.0 / 1e6 / length_s
    out[ACKED_MBPS] = _acked_mbps(f, now_s)
    out[SENT_MBPS] = batch.sent_bytes[row] * 8.0 / 1e6 / length_s
    out[TARGET_MBPS] = batch.target_kbps[row] / 1000.0
    out[LOSS_RATIO] = lost / (came + lost) if came + lost > 0 else 0.0
    out[LOST_PACKETS] = lost
    out[QUEUE_MS] = f.queue_s * 1000.0
    out[QUEUE_MIN_MS] = (least_s - base_s) * 1000.0 if came > 0 else f.queue_s * 1000.0
    out[GRADIENT_MS_PER_S] = slope * 1000.0
    out[RTT_MS], out[RTT_MIN_MS] = f.rtt_s * 1000.0, f.rtt_min_s * 1000.0
    out[HEARD] = 1.0 if batch.heard[row] else 0.0
    out[PACER_MS] = wait_s(s, now_s) * 1000.0
    out[FRAME_RATE] = _frame_rate(f, s, now_s)
    out[FRAMES_DROPPED] = s.dropped_since
    s.dropped_since = 0


@compiled
def read_reported(batch: FeedbackBatch, row: int) -> tuple[int, int, int, float, float, float]:
    """Of the reported packets: came, lost, bytes, sum and least of one-way delays, slope of these over
    arrival."""
    came, lost, size, sum_s, least_s = 0, 0, 0, 0.0, np.inf
    sum_at = 0.0
    for place in range(batch.packets[row]):
        arrived_s = batch.arrived_s[row, place]
        if arrived_s != arrived_s:
            lost += 1
            continue
        came += 1
        size += batch.size_bytes[row, place]
        delay_s = arrived_s - batch.sent_s[row, place]
        sum_s += delay_s
        sum_at += arrived_s
        least_s = min(least_s, delay_s)
    over, under = 0.0, 0.0
    if came > 1:
        mean_s, mean_at = sum_s / came, sum_at / came
        for place in range(batch.packets[row]):
            arrived_s = batch.arrived_s[row, place]
            if arrived_s == arrived_s:
                over += (arrived_s - mean_at) * (arrived_s - batch.sent_s[row, place] - mean_s)
                under += (arrived_s - mean_at) * (arrived_s - mean_at)
    return came, lost, size, sum_s, least_s, over / under if under > 0 else 0.0


@compiled
def least_delay_s(f: Record, now_s: float) -> float:
    """The least one-way delay of the last `LEAST_S`; 0 if none is known."""
    least_s = np.inf
    for back in range(1, min(f.intervals, _KEPT) + 1):
        place = (f.intervals - back) & (_KEPT - 1)
        if now_s - f.at_s[place] > LEAST_S:
            break
        least_s = min(least_s, f.least_s[place])
    return least_s if least_s < np.inf else 0.0


@compiled
def _acked_mbps(f: Record, now_s: float) -> float:
    """Of the intervals that ended within the last `ACKED_S`; at the beginning since it."""
    size = 0
    for back in range(1, min(f.intervals, _KEPT) + 1):
        place = (f.intervals - back) & (_KEPT - 1)
        if now_s - f.at_s[place] >= ACKED_S:
            break
        size += f.bytes[place]
    return size * 8.0 / 1e6 / max(min(now_s, ACKED_S), 1e-6)


@compiled
def _frame_rate(f: Record, s: Record, now_s: float) -> float:
    """Frames encoded within the last `FRAMES_S`, to a feedback's interval."""
    before, since_s = 0, 0.0
    for back in range(1, min(f.intervals, _KEPT) + 1):
        place = (f.intervals - back) & (_KEPT - 1)
        if now_s - f.at_s[place] >= FRAMES_S:
            before, since_s = f.frames[place], f.at_s[place]
            break
    return (s.frames - before) / max(now_s - since_s, 1e-6)
