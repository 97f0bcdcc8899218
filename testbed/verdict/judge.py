"""Was the link what it was asked to be? The verdict on all that is known of it.

A list of bounds, each a small function of the evidence that says in words what is out of it: on the
link log, which holds the bottleneck against the trace by the kernel's own counters (`link_bounds.py`), on
the path around it (`path_bounds.py`), and on the ends of calls (`call_bounds.py`). What broke while the link
was in use, the delay stage's own faults (`testbed/link/delay_stage.py`) among it, is a reason too. A player
that idles takes less than the link carries: that is no fault.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.verdict.call_bounds import CALL_BOUNDS
from testbed.verdict.evidence import Evidence
from testbed.verdict.link_bounds import LINK_BOUNDS, worst_moment
from testbed.verdict.path_bounds import PATH_BOUNDS

BOUNDS = LINK_BOUNDS + PATH_BOUNDS + CALL_BOUNDS


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
    """Passed over carried, minus 1, in the worst step beyond tolerance (0 when none is); steps shorter than a
    tenth of a second are taken together."""
    short_ratio: float
    """Missing over carried in the worst such step in which frames waited (0 when none is)."""
    error_median: float
    error_p95: float
    """Error of the bytes of backlogged steps, as a share; 0 where no step was backlogged."""
    sent_bytes: int
    drops: int


def judge(evidence: Evidence) -> Verdict:
    """The verdict on one session's link."""
    reasons = (*(reason for bound in BOUNDS for reason in bound(evidence)), *evidence.broken)
    steps = evidence.steps
    late_ms = sorted(row.late_ms for row in evidence.rows)
    errors = sorted(step.error for step in steps if step.backlogged)
    return Verdict(
        valid=not reasons,
        reasons=reasons,
        steps=len(steps),
        backlogged_steps=len(errors),
        late_p99_ms=_at(late_ms, 0.99),
        late_max_ms=max(late_ms, default=0.0),
        over_ratio=worst_moment(steps, 1),
        short_ratio=worst_moment(steps, -1),
        error_median=_at(errors, 0.5),
        error_p95=_at(errors, 0.95),
        sent_bytes=sum(row.sent_bytes for row in evidence.rows),
        drops=sum(row.drops for row in evidence.rows),
    )


def _at(ordered: list[float], share: float) -> float:
    """The value below which `share` of the values lie; 0 for none."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0
