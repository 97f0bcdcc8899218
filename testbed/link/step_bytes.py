"""What each step of a link log passed, against what the trace carries between its two readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.link.bucket import bucket_bytes
from testbed.link.log import LinkRow
from testbed.link.tbf import FRAME_BYTES

STEP_TOLERANCE = 0.03
"""A chunk's time on end may pass this share more (or, backlogged, less) than it carries, and …"""
STEP_FRAMES = 3
"""… this many frames and a burst besides (a refill, a frame cut by the reading, a kick)."""


def begins_s(row: LinkRow) -> float:
    """When the counters were read at a step's begin, s since t0."""
    return row.start_s + row.late_ms / 1000 if row.read_s is None else row.read_s


def carried_bytes(rows: Sequence[LinkRow], index: int) -> float:
    """What the trace carries between the two counter readings of a row.

    Both readings may be late, by more than a step even: what the trace holds between them counts.
    """
    begin = begins_s(rows[index])
    end = begin + rows[index].measured_s
    megabits = 0.0
    for later in range(index, len(rows)):
        row = rows[later]
        last = later + 1 == len(rows)
        until = end if last else min(end, row.start_s + row.duration_s)
        megabits += row.rate_mbps * max(until - max(begin, row.start_s), 0.0)
        if row.start_s + row.duration_s >= end:
            break
    return megabits * 1e6 / 8


def _late_change_bytes(rows: Sequence[LinkRow], index: int) -> float:
    """What the end of a step adds (negative: takes) because the next rate came late: the deadlines' fault."""
    if index + 1 == len(rows):
        return 0.0
    following = rows[index + 1]
    return (rows[index].rate_mbps - following.rate_mbps) * following.late_ms / 1000 * 1e6 / 8


OFTEN_LOOKED_AT_S = 0.1
"""A step this long is looked at five times and more (`testbed/link/shaper.py`). A shorter one may be a moment
of a high rate that empties the queue between two looks, at both of which frames are waiting."""


def waited_throughout(row: LinkRow, carried: float) -> bool:
    """Whether frames were waiting all the time: at every look, and in a step with few looks as many from its
    begin on as it carries."""
    if row.backlog_min_bytes < FRAME_BYTES:
        return False
    return row.duration_s >= OFTEN_LOOKED_AT_S or row.backlog_start_bytes >= carried


@dataclass(frozen=True)
class StepBytes:
    """What one step passed, against what it should have."""

    start_s: float
    end_s: float
    carried: float
    sent: int
    moved: float
    """Bytes that a late change of rate at its end gave (negative: took)."""
    burst: int
    backlogged: bool
    """Frames were waiting throughout, so that less than carried is the link's fault."""

    @property
    def error(self) -> float:
        """Of a backlogged step, as a share of what was carried; of a frame, where that is more: both readings
        may have come so late that only a dark step lies between them."""
        return abs(self.sent - self.carried) / max(self.carried, FRAME_BYTES)


def step_bytes(rows: Sequence[LinkRow]) -> list[StepBytes]:
    """A log's rows as bytes."""
    return [
        StepBytes(
            start_s=row.start_s,
            end_s=row.start_s + row.duration_s,
            carried=(carried := carried_bytes(rows, index)),
            sent=row.sent_bytes,
            moved=_late_change_bytes(rows, index),
            burst=bucket_bytes(row.rate_mbps) if row.bucket_bytes is None else row.bucket_bytes,
            backlogged=row.rate_mbps > 0 and waited_throughout(row, carried),
        )
        for index, row in enumerate(rows)
    ]
