"""Bounds on the link log: what the bottleneck did, held against the trace.

Each bound is a function of the evidence and says in words what is out of it. Its docstring says what a
session could have noticed; a bound is on that, not on a share that thins with a session's length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from testbed.link.correction import KEPT_FRAMES
from testbed.link.step_bytes import STEP_FRAMES, STEP_TOLERANCE, StepBytes
from testbed.link.tbf import FRAME_BYTES
from testbed.verdict.evidence import Evidence

NOTICE_S = 4.0
"""A chunk of the usual videos: what a controller sees is a mean over about this long."""
LATE_MAX_MS = 250.0
"""No rate change may come so late: a chunk at the top of the buffer's cushion would feel it alone."""
MISPLACED_SHARE = 0.01
"""Late changes may give or take this share of what `NOTICE_S` carry: below a controller's own noise."""
MOMENT_S = 0.1
"""Two reports of a call, and half of the usual queue: who hears in such intervals notices no shorter one. A
processor that was away for 15 ms moves most of what a step of 20 ms carries to the next, and no more."""
MOMENT_SHARE = 0.25
"""A single step, or a moment of shorter ones, may be beyond that by no more than this share."""
TOTAL_TOLERANCE = 0.02
"""Over all steps no more than this share may be too much, and over the backlogged ones missing."""
ROUNDING_S = 1e-6
"""Of times in the log."""
UNLOGGED_S = 2.5
"""The log may end so long before the session: two steps, the last of which is cut."""


def windows(steps: Sequence[StepBytes], least_s: float = NOTICE_S) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of the shortest run of steps from each step on that lasts so long; then the
    last such run, or all steps where they are fewer. Every step is in one."""

    def lasts(begin: int, end: int) -> bool:
        return end > begin and steps[end - 1].end_s - steps[begin].start_s >= least_s - ROUNDING_S

    end = 0
    for begin in range(len(steps)):
        while end < len(steps) and not lasts(begin, end):
            end += 1
        if not lasts(begin, end):
            while begin > 0 and not lasts(begin, end):
                begin -= 1
            yield begin, end
            return
        yield begin, end


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


def _misplaced(moved: Sequence[float], begin: int, end: int) -> float:
    """The most by which the bytes of any run of the steps from `begin` to `end` were moved by late changes:
    what one gives too long and the next takes back counts once, not twice.

    Args:
        moved: (steps + 1,) running sum of what late changes gave.
    """
    part = moved[begin : end + 1]
    return max(part) - min(part)


def late_changes(evidence: Evidence) -> list[str]:
    """A chunk that is on its way comes too early or too late by the bytes of the wrong rate."""
    rows = evidence.rows
    latest = max((row.late_ms for row in rows), default=0.0)
    found = [f"a rate change came {latest:.0f} ms late"] if latest > LATE_MAX_MS else []
    moved = [0.0, *accumulate(step.moved for step in evidence.steps)]
    carried = [0.0, *accumulate(step.carried for step in evidence.steps)]
    worst, words = 1.0, []
    for begin, end in windows(evidence.steps):
        misplaced, due = _misplaced(moved, begin, end), carried[end] - carried[begin]
        times = misplaced / (MISPLACED_SHARE * due + STEP_FRAMES * FRAME_BYTES)
        if times > worst:
            worst = times
            words = [
                f"late rate changes misplaced {misplaced:.0f} of the {due:.0f} bytes that {NOTICE_S:g} s from"
                f" {evidence.steps[begin].start_s:.1f} s on carry"
            ]
    return found + words


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


def repaid_bytes(steps: Sequence[StepBytes]) -> list[float]:
    """What each step gives back: before frames began to wait in it the link had passed more than its trace
    carries (the refill of a change lets a whole frame out, which a step of 20 ms may not be due), and as long
    as they wait it takes that much less. The kernel has counted both."""
    ahead, found = 0.0, []
    for step in steps:
        found.append(ahead if step.backlogged else 0.0)
        rest = 0.0 if step.backlogged else ahead + step.sent - step.carried
        ahead = min(max(rest, 0.0), KEPT_FRAMES * FRAME_BYTES)
    return found


def worst_moment(steps: Sequence[StepBytes], sign: int) -> float:
    """Of all steps, and of moments of shorter ones: what passed too much (sign 1), or too little where frames
    waited (-1), as a share of what was carried; 0 within tolerance."""
    return _beyond(steps, sign, MOMENT_S)[0]


def _beyond(steps: Sequence[StepBytes], sign: int, least_s: float = NOTICE_S) -> tuple[float, float]:
    """(share, start) of the worst window: too much in all of its steps, or (sign -1) too little in the
    backlogged ones."""
    seen = [sign > 0 or step.backlogged for step in steps]
    repaid = repaid_bytes(steps) if sign < 0 else [0.0] * len(steps)
    passed = [step.sent * took + more for step, took, more in zip(steps, seen, repaid, strict=True)]
    carried = [0.0, *accumulate(step.carried * took for step, took in zip(steps, seen, strict=True))]
    sent = [0.0, *accumulate(passed)]
    moved = [0.0, *accumulate(step.moved * took for step, took in zip(steps, seen, strict=True))]
    frames = STEP_FRAMES * FRAME_BYTES + max((step.burst for step in steps), default=0)
    worst, where = 0.0, 0.0
    for begin, end in windows(steps, least_s):
        due = carried[end] - carried[begin]
        beyond = sign * (sent[end] - sent[begin] - due) - _misplaced(moved, begin, end)
        share = beyond / max(due, FRAME_BYTES)
        if beyond > STEP_TOLERANCE * due + frames and share > worst:
            worst, where = share, steps[begin].start_s
    return worst, where


def more_than_carried(evidence: Evidence) -> list[str]:
    """A chunk comes sooner than any link of this trace could bring it."""
    steps = evidence.steps
    share, where = _beyond(steps, 1)
    found = (
        [f"{NOTICE_S:g} s from {where:.1f} s on passed {share:.1%} more than the trace carries"]
        if share
        else []
    )
    most = worst_moment(steps, 1)
    if most > MOMENT_SHARE and not found:
        found.append(f"{_moment(steps)} passed more than the trace carries (+{most:.1%})")
    return found


def _moment(steps: Sequence[StepBytes]) -> str:
    return (
        "a step"
        if all(step.end_s - step.start_s >= MOMENT_S - ROUNDING_S for step in steps)
        else "a tenth of a second"
    )


def less_than_carried(evidence: Evidence) -> list[str]:
    """A chunk that is waiting in the bottleneck's queue comes later than the trace would bring it."""
    steps = evidence.steps
    share, where = _beyond(steps, -1)
    found = []
    if share:
        found.append(
            f"backlogged steps of {NOTICE_S:g} s from {where:.1f} s on passed {share:.1%} less"
            " than the trace carries"
        )
    most = worst_moment(steps, -1)
    if most > MOMENT_SHARE and not found:
        found.append(
            f"{_moment(steps)} in which frames waited passed less than the trace carries (-{most:.1%})"
        )
    return found


def _all_misplaced(steps: Sequence[StepBytes]) -> float:
    return _misplaced([0.0, *accumulate(step.moved for step in steps)], 0, len(steps))


def the_whole_session(evidence: Evidence) -> list[str]:
    """A bias too small for any chunk moves the mean over the session, and with it a comparison."""
    steps = evidence.steps
    if not steps:
        return []
    frames = STEP_FRAMES * FRAME_BYTES + max(step.burst for step in steps)
    carried, sent = sum(step.carried for step in steps), sum(step.sent for step in steps)
    found = []
    if sent - carried > TOTAL_TOLERANCE * carried + frames + _all_misplaced(steps):
        found.append(f"the session passed {sent / max(carried, 1.0):.3f} of what the trace carries")
    full = [step for step in steps if step.backlogged]
    carried, sent = sum(step.carried for step in full), sum(step.sent for step in full)
    sent += round(sum(repaid_bytes(steps)))
    if carried - sent > TOTAL_TOLERANCE * carried + frames + _all_misplaced(full):
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
