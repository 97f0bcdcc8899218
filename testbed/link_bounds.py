"""Bounds on the link log: what the bottleneck did, held against the trace.

Each bound is a function of the evidence and says in words what is out of it. Its docstring says what a
session could have noticed; a bound is on that, not on a share that thins with a session's length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from testbed.evidence import Evidence
from testbed.link_log import LinkRow
from testbed.shaper import burst_bytes
from testbed.tbf import FRAME_BYTES

NOTICE_S = 4.0
"""A chunk of the usual videos: what a controller sees is a mean over about this long."""
LATE_MAX_MS = 250.0
"""No rate change may come so late: a chunk at the top of the buffer's cushion would feel it alone."""
MISPLACED_SHARE = 0.01
"""Late changes may give or take this share of what `NOTICE_S` carry: below a controller's own noise."""
STEP_TOLERANCE = 0.03
"""`NOTICE_S` on end may pass this share more (or, backlogged, less) than they carry, and …"""
STEP_FRAMES = 3
"""… this many frames and a burst besides (a refill, a frame cut by the reading, a kick)."""
ONE_STEP_SHARE = 0.25
"""A single step may be beyond that by no more than this share of what it carries."""
TOTAL_TOLERANCE = 0.02
"""Over all steps no more than this share may be too much, and over the backlogged ones missing."""
UNLOGGED_S = 2.5
"""The log may end so long before the session: two steps, the last of which is cut."""


def carried_bytes(rows: Sequence[LinkRow], index: int) -> float:
    """What the trace carries between the two counter readings of a row.

    Both readings may be late, by more than a step even: what the trace holds between them counts.
    """
    begin = rows[index].start_s + rows[index].late_ms / 1000
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


@dataclass(frozen=True)
class StepBytes:
    """What one step passed, against what it should have."""

    start_s: float
    end_s: float
    carried: float
    sent: int
    late: float
    """Bytes that a late change of rate explains."""
    burst: int
    backlogged: bool
    """Frames were waiting at every look, so that less than carried is the link's fault."""

    @property
    def slack(self) -> float:
        """Bytes of difference that mean nothing."""
        return self.late + STEP_TOLERANCE * self.carried + STEP_FRAMES * FRAME_BYTES + self.burst

    @property
    def over(self) -> float:
        """Passed too much, as a share of what was carried; 0 within tolerance."""
        excess = self.sent - self.carried
        return (excess - self.late) / max(self.carried, FRAME_BYTES) if excess > self.slack else 0.0

    @property
    def short(self) -> float:
        """Missing while frames waited, as a share of what was carried; 0 within tolerance."""
        lack = self.carried - self.sent
        return (lack - self.late) / self.carried if self.backlogged and lack > self.slack else 0.0

    @property
    def error(self) -> float:
        """Of a backlogged step, as a share."""
        return abs(self.sent - self.carried) / self.carried


def step_bytes(rows: Sequence[LinkRow]) -> list[StepBytes]:
    """A log's rows as bytes."""
    return [
        StepBytes(
            start_s=row.start_s,
            end_s=row.start_s + row.duration_s,
            carried=carried_bytes(rows, index),
            sent=row.sent_bytes,
            late=_late_change_bytes(rows, index),
            burst=burst_bytes(row.rate_mbps),
            backlogged=row.backlog_min_bytes >= FRAME_BYTES and row.rate_mbps > 0,
        )
        for index, row in enumerate(rows)
    ]


def windows(steps: Sequence[StepBytes]) -> Iterator[Sequence[StepBytes]]:
    """Every run of steps that lasts `NOTICE_S`, or all of them where they are fewer."""
    begin = 0
    for end in range(len(steps)):
        while begin < end and steps[end].end_s - steps[begin + 1].start_s >= NOTICE_S:
            begin += 1
        if steps[end].end_s - steps[begin].start_s >= NOTICE_S or end + 1 == len(steps):
            yield steps[begin : end + 1]


def an_empty_log(evidence: Evidence) -> list[str]:
    """Without a log nobody knows what the session had."""
    return [] if evidence.rows else ["the link log is empty"]


def a_log_that_ends(evidence: Evidence) -> list[str]:
    """What came after the log's end was over a link that nobody watched."""
    rows, elapsed_s = evidence.rows, evidence.elapsed_s
    if not rows or elapsed_s is None:
        return []
    end_s = rows[-1].start_s + rows[-1].duration_s
    if elapsed_s - end_s <= UNLOGGED_S:
        return []
    return [f"the link log ends at {end_s:.1f} s and the session at {elapsed_s:.1f} s"]


def late_changes(evidence: Evidence) -> list[str]:
    """A chunk that is on its way comes too early or too late by the bytes of the wrong rate."""
    rows = evidence.rows
    latest = max((row.late_ms for row in rows), default=0.0)
    found = [f"a rate change came {latest:.0f} ms late"] if latest > LATE_MAX_MS else []
    worst, where = 0.0, 0.0
    for window in windows(step_bytes(rows)):
        misplaced = sum(step.late for step in window)
        allowed = MISPLACED_SHARE * sum(step.carried for step in window) + STEP_FRAMES * FRAME_BYTES
        if misplaced / allowed > max(worst, 1.0):
            worst, where = misplaced / allowed, window[0].start_s
    if worst:
        found.append(
            f"late rate changes misplaced {worst * MISPLACED_SHARE:.1%} of what {NOTICE_S:g} s from"
            f" {where:.1f} s on carry"
        )
    return found


def another_rate(evidence: Evidence) -> list[str]:
    """All that passes while the kernel has another rate takes another time."""
    wrong = [row for row in evidence.rows if row.kernel_bytes_per_s != row.applied_bytes_per_s]
    if not wrong:
        return []
    row = wrong[0]
    return [
        f"step {row.step}: the kernel had {row.kernel_bytes_per_s} bytes/s in force"
        f" where {row.applied_bytes_per_s} were set ({len(wrong)} steps)"
    ]


def foreign_hands(evidence: Evidence) -> list[str]:
    """Another queue or burst loses or lets through what the asked one would not."""
    found = [row for row in evidence.rows if row.foreign]
    return [f"step {found[0].step}: {found[0].foreign} ({len(found)} steps)"] if found else []


def counters_that_run_backwards(evidence: Evidence) -> list[str]:
    """A queue that was taken away lost what was waiting in it, and its figures prove nothing."""
    found = [row for row in evidence.rows if row.sent_bytes < 0 or row.drops < 0 or row.sent_packets < 0]
    if not found:
        return []
    return [f"step {found[0].step}: the bottleneck's counters ran backwards: its queue was replaced"]


def _beyond(steps: Sequence[StepBytes], kind: str) -> tuple[float, float]:
    """(share, start) of the worst window: `over` in all of its steps, `short` in the backlogged ones."""
    worst, where = 0.0, 0.0
    for window in windows(steps):
        seen = [step for step in window if kind == "over" or step.backlogged]
        carried, late = sum(step.carried for step in seen), sum(step.late for step in seen)
        excess = sum(step.sent for step in seen) - carried
        beyond = (excess if kind == "over" else -excess) - late
        burst = max((step.burst for step in seen), default=0)
        slack = STEP_TOLERANCE * carried + STEP_FRAMES * FRAME_BYTES + burst
        if beyond > slack and beyond / max(carried, FRAME_BYTES) > worst:
            worst, where = beyond / max(carried, FRAME_BYTES), window[0].start_s
    return worst, where


def more_than_carried(evidence: Evidence) -> list[str]:
    """A chunk comes sooner than any link of this trace could bring it."""
    steps = step_bytes(evidence.rows)
    share, where = _beyond(steps, "over")
    found = (
        [f"{NOTICE_S:g} s from {where:.1f} s on passed {share:.1%} more than the trace carries"]
        if share
        else []
    )
    most = max((step.over for step in steps), default=0.0)
    if most > ONE_STEP_SHARE:
        found.append(f"a step passed more than the trace carries (+{most:.1%})")
    return found


def less_than_carried(evidence: Evidence) -> list[str]:
    """A chunk that is waiting in the bottleneck's queue comes later than the trace would bring it."""
    steps = step_bytes(evidence.rows)
    share, where = _beyond(steps, "short")
    found = []
    if share:
        found.append(
            f"backlogged steps of {NOTICE_S:g} s from {where:.1f} s on passed {share:.1%} less"
            " than the trace carries"
        )
    most = max((step.short for step in steps), default=0.0)
    if most > ONE_STEP_SHARE:
        found.append(f"a backlogged step passed less than the trace carries (-{most:.1%})")
    return found


def the_whole_session(evidence: Evidence) -> list[str]:
    """A bias too small for any chunk moves the mean over the session, and with it a comparison."""
    steps = step_bytes(evidence.rows)
    if not steps:
        return []
    frames = STEP_FRAMES * FRAME_BYTES + max(step.burst for step in steps)
    carried, sent = sum(step.carried for step in steps), sum(step.sent for step in steps)
    found = []
    if sent - carried > TOTAL_TOLERANCE * carried + frames + sum(step.late for step in steps):
        found.append(f"the session passed {sent / max(carried, 1.0):.3f} of what the trace carries")
    full = [step for step in steps if step.backlogged]
    carried, sent = sum(step.carried for step in full), sum(step.sent for step in full)
    if carried - sent > TOTAL_TOLERANCE * carried + frames + sum(step.late for step in full):
        found.append(f"backlogged steps passed {sent / carried:.3f} of what the trace carries")
    return found


LINK_BOUNDS = (
    an_empty_log,
    a_log_that_ends,
    late_changes,
    another_rate,
    foreign_hands,
    counters_that_run_backwards,
    more_than_carried,
    less_than_carried,
    the_whole_session,
)
