"""Sessions reduced to what comparisons need: who streamed what over what, and how it went.

Records are read one at a time and let go, so that a folder of thousands fits in memory. Sessions of
different policies are a *pair* when they had the same trace, start, video and link.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from analysis import curves
from analysis.cases.case import Case, differing, facts_of, hashes_of
from analysis.sessions import (
    AnalysisError,
    SessionRecord,
    complaint,
    of_policies,
    read_each,
)
from player.qoe import QoE, Scored, Scoring, SessionSummary, scored_as, scored_words, summarise
from player.record import FINISHED, INTERRUPTED, RecordError, by_fallback_alone, read_record

MEASURED_OF_LINK = ("probe", "qdiscs", "shaper_real_time", "tcp", "offloads")
"""What a manifest's link section has seen, beside what was asked for."""

OF_THE_PLAYER = ("buffer_cap_s", "startup_s", "resume_s", "abandon", "live", "client")
"""What a manifest's player section says of when it plays and waits, and of who plays where it is not our own
player; whoever decides."""

INVALID = "its link was not what the manifest says"
NO_TRACE = "its manifest has no trace (a real network), so it has no pair: see `python -m analysis unpaired`"
NOT_ITS_OWN = "the fallback decided all of it"
NO_CHUNK = "it ended before two chunks were in, so it has no QoE"
CUT_SHORT = "it was interrupted (--interrupted counts it)"


class Averaged(Protocol):
    """Figures of a session, of which several have a mean."""

    @classmethod
    def mean_of(cls, figures: Iterable[Self]) -> Self:
        """Means of each."""


F = TypeVar("F", bound=Averaged)
F_co = TypeVar("F_co", bound=Averaged, covariant=True)


class Counted(Protocol[F_co]):
    """A session that counts, whatever was measured of it."""

    @property
    def record(self) -> str: ...
    @property
    def policy(self) -> str: ...
    @property
    def case(self) -> Case: ...
    @property
    def figures(self) -> F_co: ...
    @property
    def ended(self) -> str: ...
    @property
    def simulated(self) -> bool: ...


@dataclass(frozen=True)
class Figures:
    """How a session went, or the mean of several."""

    qoe: float
    bitrate_mbps: float
    stall_s: float
    stall_ratio: float
    startup_s: float
    switches: float
    utilisation: float | None
    """Body bytes downloaded over what the link carried from the begin until the last chunk was in (for
    a session cut short, until its end). Headers are not counted, so a link that is always busy gives
    about 0.95. None where the link carried nothing."""
    latency_s: float | None = None
    """Behind the making of a live stream; None where none was live."""

    @classmethod
    def mean_of(cls, figures: Iterable[Figures]) -> Figures:
        """Means of each; utilisation over those that have one.

        Raises:
            ValueError: there are none.
        """
        every = list(figures)
        used = [one.utilisation for one in every if one.utilisation is not None]
        late = [one.latency_s for one in every if one.latency_s is not None]
        return cls(
            qoe=mean([one.qoe for one in every]),
            bitrate_mbps=mean([one.bitrate_mbps for one in every]),
            stall_s=mean([one.stall_s for one in every]),
            stall_ratio=mean([one.stall_ratio for one in every]),
            startup_s=mean([one.startup_s for one in every]),
            switches=mean([one.switches for one in every]),
            utilisation=mean(used) if used else None,
            latency_s=mean(late) if late else None,
        )


def mean(values: Sequence[float]) -> float:
    """Raises ValueError where there is none."""
    if not values:
        raise ValueError("no figures; a mean needs one at least")
    return sum(values) / len(values)


@dataclass(frozen=True)
class Outcome:
    """One session."""

    record: str
    policy: str
    policy_name: str
    """Without options."""
    case: Case
    figures: Figures
    ended: str
    """`finished`, or what cut it short."""
    chunks: int
    chunks_asked: int | None
    scored: QoE
    """What `figures` are scored by; `told`: what the policy was told that it would be."""
    ladder_kbps: tuple[int, ...]
    told: QoE
    simulated: bool
    repeat: str | None = None
    """What tells it from the policy's other sessions in its case: seeds and the repetition; None of an
    emulated one that is of no sweep: whoever streams the same again has a session more."""
    made: tuple[tuple[str, str], ...] = ()
    """By what it was made, that a case does not say, in words."""


@dataclass(frozen=True)
class LeftOut:
    """A session that is not counted, and why."""

    record: str
    policy: str
    case: Case | None
    reason: str


class Accounted(Generic[F]):
    """Sessions that count and sessions that don't: what can be asked of any kind of them."""

    counted: tuple[Counted[F], ...]
    left_out: tuple[LeftOut, ...]
    unreadable: tuple[str, ...]

    def with_only(self, counted: Sequence[Any], left_out: Sequence[LeftOut]) -> Self:
        """A part of them, scored alike."""
        part = {"counted": tuple(counted), "left_out": tuple(left_out), "unreadable": ()}
        return replace(self, **part)  # type: ignore[type-var]

    @property
    def policies(self) -> list[str]:
        """Of all sessions, in order of appearance."""
        names = [one.policy for one in self.counted] + [one.policy for one in self.left_out]
        return list(dict.fromkeys(names))

    @property
    def traces(self) -> list[str]:
        """The names of those that sessions count of, in order of appearance."""
        return list(dict.fromkeys(one.case.trace for one in self.counted))

    @property
    def invalid(self) -> list[LeftOut]:
        return [one for one in self.left_out if one.reason == INVALID]

    @property
    def without_figures(self) -> list[str]:
        """Policies of which no session counts."""
        counted = {one.policy for one in self.counted}
        return [policy for policy in self.policies if policy not in counted]

    def why_left_out(self, policy: str) -> str:
        """How many sessions of a policy are left out and why, in words."""
        why = Counter(one.reason for one in self.left_out if one.policy == policy)
        return "; ".join(f"{count} left out, {reason}" for reason, count in why.items())


@dataclass(frozen=True)
class Outcomes(Accounted[Figures]):
    """All sessions that were found, and what they are scored by."""

    scoring: Scoring
    """As asked for; a session's own is `Outcome.scored`."""
    counted: tuple[Outcome, ...]
    left_out: tuple[LeftOut, ...]
    unreadable: tuple[str, ...] = ()
    """Faults of records that are damaged: nobody knows whose they are."""

    @property
    def scored(self) -> list[Scored]:
        """What the sessions that count are scored by, once a video."""
        return list(dict.fromkeys((one.case.video, one.ladder_kbps, one.scored) for one in self.counted))

    @property
    def weights(self) -> str:
        """The same in words."""
        return scored_words(self.scored)

    @property
    def unfinished(self) -> list[Outcome]:
        return [one for one in self.counted if one.ended != FINISHED]


def read_outcomes(
    places: Sequence[Path], scoring: Scoring, policies: Sequence[str] = (), *, interrupted: bool = False
) -> Outcomes:
    """Read the sessions of folders and record files.

    Args:
        places: folders that directly hold records (`*.jsonl`), or records.
        scoring: what they are scored by, whatever their policies were told.
        policies: only these (as they were asked for); all if empty.
        interrupted: count sessions that somebody cut short, too.

    Raises:
        AnalysisError: nothing to read in a place, no record that can be read, one of another version (all
            are looked at before), a policy that no record has, nothing left to count.
        OSError: a place that cannot be read.
    """

    def outcome(path: Path) -> Outcome | LeftOut:
        return outcome_of(SessionRecord(read_record(path)), scoring, interrupted=interrupted)

    read, faults = read_each(places, outcome)
    if not read:
        raise AnalysisError(complaint(faults, len(faults)))
    wanted = of_policies(read, policies)
    chosen = replace(outcomes_of(scoring, wanted), unreadable=tuple(fault for _, fault in faults))
    if not chosen.counted:
        why = Counter(one.reason for one in chosen.left_out)
        raise AnalysisError(
            "no session can be counted: "
            + "; ".join(f"{count} left out, {reason}" for reason, count in why.items())
        )
    return chosen


def outcomes_of(scoring: Scoring, found: Sequence[Outcome | LeftOut]) -> Outcomes:
    """Those that count and those that don't, their cases told apart."""
    apart = told_apart(found)
    return Outcomes(
        scoring,
        tuple(one for one in apart if isinstance(one, Outcome)),
        tuple(one for one in apart if isinstance(one, LeftOut)),
    )


def outcome_of(session: SessionRecord, scoring: Scoring, *, interrupted: bool = False) -> Outcome | LeftOut:
    """One session's outcome, or why it is not counted.

    Args:
        interrupted: count it, too, if somebody cut it short.

    Raises:
        RecordError: a manifest without what pairs are made of.
        AnalysisError: a ladder that the QoE cannot score.
    """
    record = session.record
    case = _case(session)
    if not session.end.valid:
        return LeftOut(session.path, session.policy, case, INVALID)
    if by_fallback_alone({row.by for row in session.chunks}):
        return LeftOut(session.path, session.policy, case, NOT_ITS_OWN)
    if case is None or session.trace is None:
        return LeftOut(session.path, session.policy, None, NO_TRACE)
    if session.end.outcome == INTERRUPTED and not interrupted:
        return LeftOut(session.path, session.policy, case, CUT_SHORT)
    try:
        scored = scoring.on_video(session.told.video, record.ladder_kbps)
        scored = scored_as(scored, session.chunks, record.ladder_kbps)
        one = summarise(session.chunks, session.end, record.ladder_kbps, scored)
    except ValueError as error:
        raise AnalysisError(f"{session.path}: {error}") from None
    if one.qoe is None or one.bitrate_mbps is None:
        return LeftOut(session.path, session.policy, case, NO_CHUNK)
    return Outcome(
        record=session.path,
        policy=session.policy,
        policy_name=str(session.section("policy").get("name", session.policy)),
        case=case,
        figures=_figures(one, one.qoe, one.bitrate_mbps, utilisation(session)),
        ended=session.end.outcome,
        chunks=len(session.chunks),
        chunks_asked=case.chunks,
        scored=scored,
        ladder_kbps=tuple(record.ladder_kbps),
        told=session.weights,
        simulated=bool(record.manifest.get("simulated")),
        repeat=_repeat(session),
        made=_made(session),
    )


def _figures(one: SessionSummary, qoe: float, bitrate_mbps: float, used: float | None) -> Figures:
    """Of a session that has a QoE."""
    return Figures(
        qoe=qoe,
        bitrate_mbps=bitrate_mbps,
        stall_s=one.stall_s,
        stall_ratio=one.stall_ratio,
        startup_s=one.startup_s,
        switches=float(one.switches),
        utilisation=used,
        latency_s=one.latency_s,
    )


def _repeat(session: SessionRecord) -> str | None:
    sweep, manifest = session.section("sweep"), session.record.manifest
    if not sweep and not manifest.get("simulated"):
        return None
    return str((manifest.get("seed"), manifest.get("run_seed"), sweep.get("repetition")))


def _made(session: SessionRecord) -> tuple[tuple[str, str], ...]:
    """By which sweep, player and code."""
    player, code = session.section("player"), session.section("code")
    facts = {
        "sweep": session.section("sweep").get("name"),
        "fallback": player.get("fallback"),
        "decision_deadline_s": player.get("decision_deadline_s"),
        "weights": session.section("policy").get("weights_sha256"),
        "source": session.section("policy").get("source_sha256"),
        "commit": code.get("commit"),
        "streambed": session.section("versions").get("streambed"),
    }
    return tuple((key, str(value)[:12]) for key, value in facts.items() if value is not None)


def utilisation(session: SessionRecord) -> float | None:
    """Share of what the link carried that the session used; see `Figures.utilisation`."""
    if session.trace is None or not session.chunks:
        return None
    finished = session.end.outcome == FINISHED
    until_s = curves.arrival_s(session.chunks[-1]) if finished else session.end.elapsed_s
    carried_megabits = curves.carried_megabits(session.trace, until_s)
    used_megabits = sum(8 * row.size_bytes for row in session.chunks) / 1e6
    return used_megabits / carried_megabits if carried_megabits > 0 else None


def _case(session: SessionRecord) -> Case | None:
    """What a session was streamed over; None over a real network.

    Raises:
        RecordError: a trace or a video that has no name or hash.
    """
    trace, video, link = (session.section(name) for name in ("trace", "video", "link"))
    if not trace or session.trace is None:
        return None
    for name, section in (("trace", trace), ("video", video)):
        if not isinstance(section.get("sha256"), str) or not isinstance(section.get("name"), str):
            raise RecordError(f"{session.path}:1: the manifest's {name} has no name or no sha256")
    simulated = bool(session.record.manifest.get("simulated"))
    asked = {key: value for key, value in link.items() if key not in MEASURED_OF_LINK}
    rtt_ms = link.get("rtt_ms")
    family = str(trace.get("family") or typed_family(trace) or trace["name"])
    player = session.section("player")
    link_label = unshared = ", ".join(filter(None, [link_label_of(link, simulated), spoken_of(player)]))
    start_s = session.trace.start_s
    shared = session.shared
    if shared is not None:  # that a later player began later makes no other case of it
        start_s = round(start_s - shared.offset_s, 6)
        asked |= shared.asked
        link_label += f", {shared.words}"
    asked |= _asked_of_player(player)
    sweep = session.section("sweep")
    seen = sweep.get("seen")
    return Case(
        trace=trace["name"],
        trace_sha256=trace["sha256"],
        start_s=start_s,
        video=video["name"],
        video_sha256=video["sha256"],
        link=json.dumps({"simulated": simulated, **asked}, sort_keys=True),
        family=family,
        link_label=link_label,
        rtt_ms=float(rtt_ms) if isinstance(rtt_ms, int | float) else None,
        condition=condition_of(sweep, family, video["name"], unshared, simulated),
        seen=seen if isinstance(seen, bool) else None,
        stress=sweep.get("stress") is True,
        chunks=_whole(video.get("chunks")),
        cap_mbps=trace.get("cap_mbps"),
        group=str(sweep["group"]) if "group" in sweep else None,
        axis=axis_of(sweep.get("axis")),
    )


def _asked_of_player(player: dict[str, Any]) -> dict[str, Any]:
    """Of the player's section what sessions are paired by; what is not said is left out."""
    told = {name: player.get(name) for name in OF_THE_PLAYER}
    return {
        name: value for name, value in {**told, "transport": spoken_of(player)}.items() if value is not None
    }


def spoken_of(player: dict[str, Any]) -> str | None:
    """By which protocol a session's chunks came, as it was negotiated; None of HTTP/1.1 as ever."""
    told = player.get("transport")
    spoken = told.get("negotiated") if isinstance(told, dict) else None
    return None if spoken is None else str(spoken)


def axis_of(told: object) -> tuple[tuple[str, float], ...]:
    """Keys and numbers of a manifest's axis; what is none is left out."""
    found = told.items() if isinstance(told, dict) else ()
    return tuple(
        (key, value) for key, value in found if isinstance(value, int | float) and not isinstance(value, bool)
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def told_apart(found: Sequence[Outcome | LeftOut]) -> list[Outcome | LeftOut]:
    """The same, their cases told apart."""
    renamed = told_apart_cases(one.case for one in found)
    return [one if one.case is None else replace(one, case=renamed[one.case]) for one in found]


def told_apart_cases(found: Iterable[Case | None]) -> dict[Case, Case]:
    """Cases under names that hold whatever differs: where two would be called the same, what they differ by
    stands in `besides`, and where that isn't their traces, in `condition` too."""
    cases = list(dict.fromkeys(case for case in found if case is not None))
    besides = differing(cases, str, (facts_of, hashes_of))
    more = differing(cases, lambda case: (case.condition, case.video), (facts_of,))
    return {
        case: replace(case, besides=besides.get(case, ()), condition=(*case.condition, *more.get(case, ())))
        if case in besides or case in more
        else case
        for case in cases
    }


def condition_of(
    sweep: dict[str, Any], family: str, video: str, link_label: str, simulated: bool
) -> tuple[str, ...]:
    """A case without its trace, in words."""
    if "setting" in sweep:
        return (str(sweep["setting"]), *(("simulated",) if simulated else ()))
    return (family, video, *link_label.split(", "))


def typed_family(trace: dict[str, Any]) -> str:
    """The last two parts of what was typed for a trace: `fcc/train` of a folder, a file's own name."""
    spec = str(trace.get("spec") or "")
    return "/".join(Path(spec).parts[-2:]) if Path(spec).name != trace.get("name") else Path(spec).parent.name


def link_label_of(link: dict[str, Any], simulated: bool) -> str:
    words = [f"simulated: {link.get('model', '?')}" if simulated else "emulated"]
    if link.get("rtt_ms") is not None:
        words.append(f"RTT {link['rtt_ms']:g} ms")
    if link.get("noise"):
        words.append("noise")
    loss = link.get("loss")
    if isinstance(loss, dict) and loss.get("kind", "none") != "none":
        words.append(f"loss {loss.get('p', 0):g} %" if loss["kind"] == "uniform" else f"loss {loss['kind']}")
    if link.get("aqm") is not None:
        words.append(str(link["aqm"]))
    if link.get("congestion_control") is not None:
        words.append(str(link["congestion_control"]))
    return ", ".join(words)
