"""Calls reduced to what comparisons need: who called over what, and how it went.

Calls of different policies are a *pair* when they had the same trace, start, link, settings and seed: the
seed draws the sizes of frames and what is lost, which no policy has a part in.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from analysis.cases.case import Case
from analysis.outcomes import (
    CUT_SHORT,
    INVALID,
    MEASURED_OF_LINK,
    NO_TRACE,
    NOT_ITS_OWN,
    Accounted,
    LeftOut,
    axis_of,
    condition_of,
    link_label_of,
    mean,
    told_apart_cases,
    typed_family,
)
from analysis.sessions import (
    AnalysisError,
    RecordRead,
    complaint,
    of_policies,
    read_each,
)
from player.call.record import CallRecord, read_call
from player.call.scored.outcomes import CallOutcomes, of_record
from player.call.scored.qoe import CallQoE
from player.record import INTERRUPTED, RecordError

BY_GCC = {"fallback", "guard"}
"""Who decides a rate in a policy's place."""


@dataclass(frozen=True)
class CallSession(RecordRead):
    """One call, with the names that analyses ask for."""

    record: CallRecord


@dataclass(frozen=True)
class CallFigures:
    """How a call went, or the mean of several. A call in which no frame was seen has its scored time for each
    delay of frames, as its QoE has."""

    qoe: float
    bitrate_mbps: float
    stall_ratio: float
    """Share of the time in gaps of over 200 ms between frames."""
    freezes_per_min: float
    frame_delay_p50_ms: float
    frame_delay_p95_ms: float
    frame_delay_p99_ms: float
    loss_ratio: float
    rate_change: float
    """Mean |log ratio| of a second's mean rate to that of the second before."""
    link_share: float | None
    """None: the link carried nothing."""
    unseen: float
    """Share of the calls in which no frame was seen."""

    @classmethod
    def mean_of(cls, figures: Iterable[CallFigures]) -> CallFigures:
        """Means of each; the share of the link over those that have one.

        Raises:
            ValueError: there are none.
        """
        every = list(figures)
        shares = [one.link_share for one in every if one.link_share is not None]
        means = {
            each.name: mean([getattr(one, each.name) for one in every])
            for each in fields(cls)
            if each.name != "link_share"
        }
        return cls(**means, link_share=mean(shares) if shares else None)


@dataclass(frozen=True)
class CallOutcome:
    """One call that counts."""

    record: str
    policy: str
    case: Case
    figures: CallFigures
    ended: str
    simulated: bool


@dataclass(frozen=True)
class FoundCalls(Accounted[CallFigures]):
    """All calls that were found, and what they are scored by."""

    qoe: CallQoE
    counted: tuple[CallOutcome, ...]
    left_out: tuple[LeftOut, ...]
    unreadable: tuple[str, ...] = ()


def read_calls(
    places: Sequence[Path], qoe: CallQoE, policies: Sequence[str] = (), *, interrupted: bool = False
) -> FoundCalls:
    """Read the calls of folders and record files, one at a time.

    Args:
        qoe: what they are scored by, whatever their policies were told.
        policies: only these (as they were asked for); all if empty.
        interrupted: count calls that somebody cut short, too.

    Raises:
        AnalysisError: nothing to read in a place, no record that can be read, one of another version, a
            policy that no record has, nothing left to count.
        OSError: a place that cannot be read.
    """

    def outcome(path: Path) -> CallOutcome | LeftOut:
        return call_outcome_of(CallSession(read_call(path)), qoe, interrupted=interrupted)

    read, faults = read_each(places, outcome)
    if not read:
        raise AnalysisError(complaint(faults, len(faults)))
    wanted = of_policies(read, policies)
    return _accounted(qoe, wanted, tuple(fault for _, fault in faults))


def _accounted(
    qoe: CallQoE, wanted: Sequence[CallOutcome | LeftOut], unreadable: tuple[str, ...]
) -> FoundCalls:
    renamed = told_apart_cases(one.case for one in wanted)
    apart = [one if one.case is None else replace(one, case=renamed[one.case]) for one in wanted]
    found = FoundCalls(
        qoe,
        tuple(one for one in apart if isinstance(one, CallOutcome)),
        tuple(one for one in apart if isinstance(one, LeftOut)),
        unreadable,
    )
    if not found.counted:
        why = Counter(one.reason for one in found.left_out)
        raise AnalysisError(
            "no call can be counted: "
            + "; ".join(f"{count} left out, {reason}" for reason, count in why.items())
        )
    return found


def call_outcome_of(
    session: CallSession, qoe: CallQoE, *, interrupted: bool = False
) -> CallOutcome | LeftOut:
    """One call's outcome, or why it is not counted.

    Raises:
        RecordError: a manifest without what pairs are made of.
    """
    record, case = session.record, _case(session)
    if not record.end.valid:
        return LeftOut(session.path, session.policy, case, INVALID)
    if record.decisions and {row.by for row in record.decisions} <= BY_GCC:
        return LeftOut(session.path, session.policy, case, NOT_ITS_OWN)
    if case is None:
        return LeftOut(session.path, session.policy, None, NO_TRACE)
    if record.end.outcome == INTERRUPTED and not interrupted:
        return LeftOut(session.path, session.policy, case, CUT_SHORT)
    if record.end.elapsed_s <= record.call.scored_from_s:
        return LeftOut(session.path, session.policy, case, "it ended within its warm-up, which is not scored")
    outcomes = of_record(record)
    return CallOutcome(
        record=session.path,
        policy=session.policy,
        case=case,
        figures=figures_of(outcomes, qoe),
        ended=record.end.outcome,
        simulated=bool(record.told.simulated),
    )


def figures_of(outcomes: CallOutcomes, qoe: CallQoE) -> CallFigures:
    """What is compared of a call."""

    def seen(delay_ms: float | None) -> float:
        return 1000.0 * outcomes.scored_s if delay_ms is None else delay_ms

    return CallFigures(
        qoe=qoe.of(outcomes),
        bitrate_mbps=outcomes.bitrate_mbps,
        stall_ratio=outcomes.stall_ratio,
        freezes_per_min=outcomes.freezes_per_min,
        frame_delay_p50_ms=seen(outcomes.frame_delay_p50_ms),
        frame_delay_p95_ms=seen(outcomes.frame_delay_p95_ms),
        frame_delay_p99_ms=seen(outcomes.frame_delay_p99_ms),
        loss_ratio=outcomes.loss_ratio,
        rate_change=outcomes.rate_change,
        link_share=outcomes.link_share,
        unseen=float(outcomes.startup_s is None),
    )


def _case(session: CallSession) -> Case | None:
    """What a call went over; None over a real network.

    Raises:
        RecordError: a trace that has no name or hash.
    """
    trace, link, sweep = (session.section(name) for name in ("trace", "link", "sweep"))
    if not trace or session.trace is None:
        return None
    if not isinstance(trace.get("sha256"), str) or not isinstance(trace.get("name"), str):
        raise RecordError(f"{session.path}:1: the manifest's trace has no name or no sha256")
    call, simulated = session.record.call, bool(session.record.told.simulated)
    asked = {key: value for key, value in link.items() if key not in MEASURED_OF_LINK}
    asked |= {f"call.{key}": value for key, value in asdict(call).items()}
    asked["decision_delay_s"] = session.record.manifest.get("decision_delay_s", 0.0)
    family = str(trace.get("family") or typed_family(trace) or trace["name"])
    label, rtt_ms, start_s = link_label_of(link, simulated), link.get("rtt_ms"), session.trace.start_s
    shared, alone = session.shared, label
    if shared is not None:  # that a later one began later makes no other case of it
        start_s = round(start_s - shared.offset_s, 6)
        asked |= shared.asked
        label += f", {shared.words}"
    video, seen = f"call {call.duration_s:g} s", sweep.get("seen")
    return Case(
        trace=trace["name"],
        trace_sha256=trace["sha256"],
        start_s=start_s,
        video=video,
        video_sha256="",
        link=json.dumps({"simulated": simulated, **asked}, sort_keys=True),
        family=family,
        link_label=label,
        rtt_ms=float(rtt_ms) if isinstance(rtt_ms, int | float) else None,
        condition=condition_of(sweep, family, video, alone, simulated),
        seen=seen if isinstance(seen, bool) else None,
        stress=sweep.get("stress") is True,
        seed=session.record.told.seed,
        group=str(sweep["group"]) if "group" in sweep else None,
        axis=axis_of(sweep.get("axis")),
    )
