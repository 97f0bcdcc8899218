"""Sessions reduced to what comparisons need: who streamed what over what, and how it went.

Records are read one at a time and let go, so that a folder of thousands fits in memory. Sessions of
different policies are a *pair* when they had the same trace, start, video and link.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis import curves
from analysis.sessions import AnalysisError, SessionRecord, record_files
from player.qoe import QoE, summarise
from player.record import FINISHED, SCHEMA, RecordError, by_fallback_alone, read_record
from traces.commands import said_of
from traces.safe_reading import read_first_object, shown

MEASURED_OF_LINK = ("probe", "qdiscs", "shaper_real_time", "tcp", "offloads")
"""What a manifest's link section has seen, beside what was asked for."""

USUAL_THRESHOLDS = {"buffer_cap_s": 60.0, "startup_s": 0.0, "resume_s": 0.0}
"""Of the player's buffer (`player/buffer.py`): where nothing else is recorded."""

INVALID = "its link was not what the manifest says"
NO_TRACE = "its manifest has no trace (a real network), so it has no pair"
NOT_ITS_OWN = "the fallback decided all of it"
NO_CHUNK = "it ended before two chunks were in, so it has no QoE"


@dataclass(frozen=True)
class Setting:
    """What a session was streamed over: sessions with equal settings are pairs."""

    trace: str
    trace_sha256: str
    start_s: float
    video: str
    video_sha256: str
    link: str
    """The link's settings as canonical JSON; where players shared it, also how many and which this was."""
    family: str = field(compare=False)
    """The trace's family; where it has none, what was typed for it."""
    link_label: str = field(compare=False)
    """The link in words."""
    rtt_ms: float | None = field(compare=False)
    condition: tuple[str, ...] = field(compare=False)
    """What it was, its trace apart, in words: the sweep's label for it, else family, video and link."""
    seen: bool | None = field(compare=False)
    """Whether policies were made on networks like this one, as the sweep says; None where none says so."""
    stress: bool = field(compare=False, default=False)
    """Whether the sweep calls it a network that is meant to break policies."""
    group: str | None = field(compare=False, default=None)
    """The label of the sweep's `[[setting]]` that this is a point of."""
    axis: tuple[tuple[str, float], ...] = field(compare=False, default=())
    """Where on the axes of that one it is: key and value; empty where it has none."""

    def __str__(self) -> str:
        return f"{self.trace} from {self.start_s:g} s ({self.video}; {self.link_label})"


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


@dataclass(frozen=True)
class Outcome:
    """One session."""

    record: str
    policy: str
    policy_name: str
    """Without options."""
    setting: Setting
    figures: Figures
    ended: str
    """`finished`, or what cut it short."""
    chunks: int
    chunks_asked: int | None
    told: QoE
    simulated: bool


@dataclass(frozen=True)
class LeftOut:
    """A session that is not counted, and why."""

    record: str
    policy: str
    setting: Setting | None
    reason: str


@dataclass(frozen=True)
class Outcomes:
    """All sessions that were found, and what they are scored by."""

    qoe: QoE
    counted: tuple[Outcome, ...]
    left_out: tuple[LeftOut, ...]
    unreadable: tuple[str, ...] = ()
    """Faults of records that are damaged: nobody knows whose they are."""

    @property
    def policies(self) -> list[str]:
        """Of all sessions, in order of appearance."""
        names = [one.policy for one in self.counted] + [one.policy for one in self.left_out]
        return list(dict.fromkeys(names))

    @property
    def traces(self) -> list[str]:
        """The names of those that sessions count of, in order of appearance."""
        return list(dict.fromkeys(one.setting.trace for one in self.counted))

    @property
    def invalid(self) -> list[LeftOut]:
        return [one for one in self.left_out if one.reason == INVALID]

    @property
    def unfinished(self) -> list[Outcome]:
        return [one for one in self.counted if one.ended != FINISHED]


def read_outcomes(places: Sequence[Path], qoe: QoE, policies: Sequence[str] = ()) -> Outcomes:
    """Read the sessions of folders and record files.

    Args:
        places: folders that directly hold records (`*.jsonl`), or records.
        qoe: what they are scored by.
        policies: only these (as they were asked for); all if empty.

    Raises:
        AnalysisError: nothing to read in a place, no record that can be read, one of another version (all
            are looked at before), a policy that no record has, nothing left to count.
        OSError: a place that cannot be read.
    """
    counted: list[Outcome] = []
    left_out: list[LeftOut] = []
    faults: list[tuple[Path, str]] = []
    files = record_files(places)
    for path in files:
        try:
            found = outcome_of(SessionRecord(read_record(path)), qoe)
        except (RecordError, OSError) as error:
            faults.append((path, said_of(error) if isinstance(error, OSError) else str(error)))
            continue
        if isinstance(found, Outcome):
            counted.append(found)
        else:
            left_out.append(found)
    if faults and (not (counted or left_out) or _other_schemas(faults)):
        raise AnalysisError(_complaint(faults, len(files)))
    whole = Outcomes(qoe, tuple(counted), tuple(left_out))
    for policy in policies:
        if policy not in whole.policies:
            raise AnalysisError(f"no record is of policy {policy!r}; there are {', '.join(whole.policies)}")
    chosen = Outcomes(
        qoe,
        tuple(one for one in counted if not policies or one.policy in policies),
        tuple(one for one in left_out if not policies or one.policy in policies),
        tuple(fault for _, fault in faults),
    )
    if not chosen.counted:
        why = Counter(one.reason for one in chosen.left_out)
        raise AnalysisError(
            "no session can be counted: "
            + "; ".join(f"{count} left out, {reason}" for reason, count in why.items())
        )
    return chosen


def outcome_of(session: SessionRecord, qoe: QoE) -> Outcome | LeftOut:
    """One session's outcome, or why it is not counted.

    Raises:
        RecordError: a manifest without what pairs are made of.
        AnalysisError: a ladder that the QoE cannot score.
    """
    record = session.record
    setting = _setting(session)
    if not session.end.valid:
        return LeftOut(session.path, session.policy, setting, INVALID)
    if by_fallback_alone({row.by for row in session.chunks}):
        return LeftOut(session.path, session.policy, setting, NOT_ITS_OWN)
    if setting is None or session.trace is None:
        return LeftOut(session.path, session.policy, None, NO_TRACE)
    try:
        one = summarise(session.chunks, session.end, record.ladder_kbps, qoe)
    except ValueError as error:
        raise AnalysisError(f"{session.path}: {error}") from None
    if one.qoe is None or one.bitrate_mbps is None:
        return LeftOut(session.path, session.policy, setting, NO_CHUNK)
    asked = session.section("video").get("chunks")
    return Outcome(
        record=session.path,
        policy=session.policy,
        policy_name=str(session.section("policy").get("name", session.policy)),
        setting=setting,
        figures=Figures(
            qoe=one.qoe,
            bitrate_mbps=one.bitrate_mbps,
            stall_s=one.stall_s,
            stall_ratio=one.stall_ratio,
            startup_s=one.startup_s,
            switches=float(one.switches),
            utilisation=utilisation(session),
        ),
        ended=session.end.outcome,
        chunks=len(session.chunks),
        chunks_asked=asked if isinstance(asked, int) else None,
        told=session.weights,
        simulated=bool(record.manifest.get("simulated")),
    )


def utilisation(session: SessionRecord) -> float | None:
    """Share of what the link carried that the session used; see `Figures.utilisation`."""
    if session.trace is None or not session.chunks:
        return None
    finished = session.end.outcome == FINISHED
    until_s = curves.arrival_s(session.chunks[-1]) if finished else session.end.elapsed_s
    carried_megabits = curves.carried_megabits(session.trace, until_s)
    used_megabits = sum(8 * row.size_bytes for row in session.chunks) / 1e6
    return used_megabits / carried_megabits if carried_megabits > 0 else None


def _setting(session: SessionRecord) -> Setting | None:
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
    family = str(trace.get("family") or _typed(trace) or trace["name"])
    link_label = _link_label(link, simulated)
    if thresholds := _thresholds(session):
        asked |= {"player_thresholds": thresholds}
        link_label += "".join(f", {name} {value:g}" for name, value in thresholds.items())
    condition_label, start_s = link_label, session.trace.start_s
    shared = session.shared
    if shared is not None:  # that a later player began later makes no other setting of it
        start_s = round(start_s - shared.offset_s, 6)
        asked |= {"players": shared.players, "player": shared.index}
        link_label += f", player {shared.index + 1} of {shared.players}"
    sweep = session.section("sweep")
    seen = sweep.get("seen")
    return Setting(
        trace=trace["name"],
        trace_sha256=trace["sha256"],
        start_s=start_s,
        video=video["name"],
        video_sha256=video["sha256"],
        link=json.dumps({"simulated": simulated, **asked}, sort_keys=True),
        family=family,
        link_label=link_label,
        rtt_ms=float(rtt_ms) if isinstance(rtt_ms, int | float) else None,
        condition=_condition(sweep, family, video["name"], condition_label, simulated),
        seen=seen if isinstance(seen, bool) else None,
        stress=sweep.get("stress") is True,
        group=str(sweep["group"]) if "group" in sweep else None,
        axis=_axis(sweep.get("axis")),
    )


def _thresholds(session: SessionRecord) -> dict[str, float]:
    """Thresholds of the player's buffer that are not the usual ones."""
    player = session.told.player
    if player is None:
        return {}
    told = {"buffer_cap_s": player.buffer_cap_s, "startup_s": player.startup_s, "resume_s": player.resume_s}
    return {
        name: value for name, value in told.items() if value is not None and value != USUAL_THRESHOLDS[name]
    }


def _axis(told: object) -> tuple[tuple[str, float], ...]:
    """Keys and numbers of a manifest's axis; what is none is left out."""
    found = told.items() if isinstance(told, dict) else ()
    return tuple(
        (key, value) for key, value in found if isinstance(value, int | float) and not isinstance(value, bool)
    )


def _condition(
    sweep: dict[str, Any], family: str, video: str, link_label: str, simulated: bool
) -> tuple[str, ...]:
    """A setting without its trace, in words."""
    if "setting" in sweep:
        return (str(sweep["setting"]), *(("simulated",) if simulated else ()))
    return (family, video, *link_label.split(", "))


def _typed(trace: dict[str, Any]) -> str:
    """The last two parts of what was typed for a trace: `fcc/train` of a folder, a file's own name."""
    spec = str(trace.get("spec") or "")
    return "/".join(Path(spec).parts[-2:]) if Path(spec).name != trace["name"] else Path(spec).parent.name


def _link_label(link: dict[str, Any], simulated: bool) -> str:
    words = [f"simulated: {link.get('model', '?')}" if simulated else "emulated"]
    if "rtt_ms" in link:
        words.append(f"RTT {link['rtt_ms']:g} ms")
    if link.get("noise"):
        words.append("noise")
    loss = link.get("loss")
    if isinstance(loss, dict) and loss.get("kind", "none") != "none":
        words.append(f"loss {loss['p']:g} %" if loss["kind"] == "uniform" else f"loss {loss['kind']}")
    if "congestion_control" in link:
        words.append(str(link["congestion_control"]))
    return ", ".join(words)


def _complaint(faults: Sequence[tuple[Path, str]], records: int) -> str:
    """All records that cannot be read, in one line; mixed schema versions said as such."""
    schemas = _other_schemas(faults)
    way_out = "remove them, or make them anew"
    if schemas:
        versions = ", ".join(f"{count} of schema {schema}" for schema, count in schemas.items())
        return (
            f"of {records} records {versions}, where this version reads {SCHEMA} (the first: {faults[0][0]});"
            " compare them with the version that wrote them"
        )
    if len(faults) == 1:
        return f"{faults[0][1]}; {way_out.replace('them', 'it')}"
    names = ", ".join(path.name for path, _ in faults[1:4])
    more = f" and {len(faults) - 4} more" if len(faults) > 4 else ""
    return f"{len(faults)} of {records} records cannot be read: {faults[0][1]}; also {names}{more}; {way_out}"


def _other_schemas(faults: Sequence[tuple[Path, str]]) -> Counter[str]:
    """How many of the records that can't be read are of which other version."""
    found = (_schema(path) for path, _ in faults)
    return Counter(schema for schema in found if schema not in (None, str(SCHEMA)))


def _schema(path: Path) -> str | None:
    """The schema version that a file's first line says, as written; None if it says none."""
    try:
        schema = read_first_object(path).get("schema")
    except (ValueError, OSError):
        return None
    return None if schema is None else shown(schema)


def means(figures: Iterable[Figures]) -> Figures:
    """Means of figures; utilisation over those that have one.

    Raises:
        ValueError: there are none.
    """
    every = list(figures)
    if not every:
        raise ValueError("no figures; a mean needs one at least")

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    used = [one.utilisation for one in every if one.utilisation is not None]
    return Figures(
        qoe=mean([one.qoe for one in every]),
        bitrate_mbps=mean([one.bitrate_mbps for one in every]),
        stall_s=mean([one.stall_s for one in every]),
        stall_ratio=mean([one.stall_ratio for one in every]),
        startup_s=mean([one.startup_s for one in every]),
        switches=mean([one.switches for one in every]),
        utilisation=mean(used) if used else None,
    )
