"""Was the link what it was asked to be? The verdict on a link log.

Held against the kernel's own counters: deadlines were kept; the kernel had in force what was set; no
step and no session passed more than the trace carries and a burst; and while frames were waiting, not
less. A player that idles takes less than the link carries: that is no fault. What the delay stage did
is judged beside it (`testbed/delay_stage.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.link_log import LinkRow
from testbed.shaper import burst_bytes
from testbed.tbf import FRAME_BYTES

LATE_MS = 20.0
LATE_SHARE = 0.01
"""At most this share of the steps may begin more than `LATE_MS` late …"""
LATE_MAX_MS = 250.0
"""… and none this much."""

STEP_TOLERANCE = 0.03
"""A single step may pass this share more (or, backlogged, less) than it carries, and …"""
STEP_FRAMES = 3
"""… this many frames and a burst besides (a refill, a frame cut by the reading, a kick)."""
STEP_SHARE = 0.01
"""At most this share of the steps may be beyond that (a stolen core for a moment) …"""
FORGIVEN_STEPS = 1
"""… but one step may be late, and one beyond tolerance, in a session of few steps too …"""
FORGIVEN_SHARE = 0.25
"""… if it is beyond by no more than this share of what it carries."""
TOTAL_TOLERANCE = 0.02
"""Over all steps no more than this share may be too much, and over the backlogged ones missing."""


@dataclass(frozen=True)
class Verdict:
    """What the self-check found."""

    valid: bool
    reasons: tuple[str, ...]
    """In words, what was out of bounds; empty when valid."""
    steps: int
    backlogged_steps: int
    """Steps in whose every sample frames were waiting: those that can show too little."""
    late_p99_ms: float
    late_max_ms: float
    over_ratio: float
    """Passed over carried, minus 1, in the worst step beyond tolerance (0 when none is)."""
    short_ratio: float
    """Missing over carried in the worst backlogged step beyond tolerance (0 when none is)."""
    error_median: float
    error_p95: float
    """Error of the bytes of backlogged steps, as a share; 0 where no step was backlogged."""
    sent_bytes: int
    drops: int


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
    """What the end of a step may add or take because the next rate came late: the deadlines' fault."""
    if index + 1 == len(rows):
        return 0.0
    following = rows[index + 1]
    return abs(rows[index].rate_mbps - following.rate_mbps) * following.late_ms / 1000 * 1e6 / 8


def _too_many(beyond: Sequence[float], steps: int) -> bool:
    """Whether steps beyond tolerance are too many, or one is too far beyond."""
    return len(beyond) > max(STEP_SHARE * steps, FORGIVEN_STEPS) or max(beyond, default=0.0) > FORGIVEN_SHARE


def judge(rows: Sequence[LinkRow]) -> Verdict:
    """The verdict on the steps of one session."""
    if not rows:
        return Verdict(False, ("the link log is empty",), 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0)
    reasons = []
    late_ms = sorted(row.late_ms for row in rows)
    if sum(ms > LATE_MS for ms in late_ms) > max(LATE_SHARE * len(rows), FORGIVEN_STEPS):
        share = sum(ms > LATE_MS for ms in late_ms) / len(rows)
        reasons.append(f"{share:.1%} of the rate changes came more than {LATE_MS:g} ms late")
    if late_ms[-1] > LATE_MAX_MS:
        reasons.append(f"a rate change came {late_ms[-1]:.0f} ms late")
    wrong = [row for row in rows if row.kernel_bytes_per_s != row.applied_bytes_per_s]
    if wrong:
        row = wrong[0]
        reasons.append(
            f"step {row.step}: the kernel had {row.kernel_bytes_per_s} bytes/s in force"
            f" where {row.applied_bytes_per_s} were set ({len(wrong)} steps)"
        )
    over: list[float] = []
    short: list[float] = []
    errors: list[float] = []
    all_carried = all_sent = all_slack = full_carried = full_sent = full_slack = 0.0
    for index, row in enumerate(rows):
        carried = carried_bytes(rows, index)
        excess = row.sent_bytes - carried
        late = _late_change_bytes(rows, index)
        slack = late + STEP_TOLERANCE * carried + STEP_FRAMES * FRAME_BYTES + burst_bytes(row.rate_mbps)
        all_carried, all_sent, all_slack = all_carried + carried, all_sent + row.sent_bytes, all_slack + late
        if excess > slack:
            over.append((excess - late) / max(carried, FRAME_BYTES))
        if row.backlog_min_bytes >= FRAME_BYTES and row.rate_mbps > 0:
            errors.append(abs(excess) / carried)
            full_carried, full_sent = full_carried + carried, full_sent + row.sent_bytes
            full_slack += late
            if -excess > slack:
                short.append((-excess - late) / carried)
    if _too_many(over, len(rows)):
        reasons.append(
            f"{len(over)} of {len(rows)} steps passed more than the trace carries (worst +{max(over):.1%})"
        )
    if _too_many(short, len(rows)):
        reasons.append(
            f"{len(short)} of {len(errors)} backlogged steps passed less than the trace carries"
            f" (worst -{max(short):.1%})"
        )
    frames = STEP_FRAMES * FRAME_BYTES + max(burst_bytes(row.rate_mbps) for row in rows)
    if all_sent - all_carried > TOTAL_TOLERANCE * all_carried + frames + all_slack:
        reasons.append(f"the session passed {all_sent / max(all_carried, 1.0):.3f} of what the trace carries")
    if full_carried - full_sent > TOTAL_TOLERANCE * full_carried + frames + full_slack:
        reasons.append(f"backlogged steps passed {full_sent / full_carried:.3f} of what the trace carries")
    errors.sort()
    return Verdict(
        valid=not reasons,
        reasons=tuple(reasons),
        steps=len(rows),
        backlogged_steps=len(errors),
        late_p99_ms=late_ms[min(int(0.99 * len(late_ms)), len(late_ms) - 1)],
        late_max_ms=late_ms[-1],
        over_ratio=max(over, default=0.0),
        short_ratio=max(short, default=0.0),
        error_median=errors[len(errors) // 2] if errors else 0.0,
        error_p95=errors[min(int(0.95 * len(errors)), len(errors) - 1)] if errors else 0.0,
        sent_bytes=sum(row.sent_bytes for row in rows),
        drops=sum(row.drops for row in rows),
    )
