"""A session record reduced to what a report needs of it, so that ten thousand fit in memory.

Each record is read once and let go; the timelines read again the few that they show.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis import curves
from analysis.outcomes import MEASURED_OF_LINK, LeftOut, Outcome, outcome_of
from analysis.report.parts.typed import TypedCommand
from analysis.sessions import LinkSharer, RecordRead, SessionRecord
from player.manifest import CodeSection, PolicySection, VideoSection
from player.qoe import Scoring
from player.record import RecordError, read_record
from traces.safe_reading import sha256_of
from traces.versions import HERE

FALLBACK = "fallback"
"""As a row's `by` says it."""


@dataclass(frozen=True)
class LinkCheck:
    """What the link's self-check found in a session; the names are those of the record's last line."""

    valid: bool
    reasons: tuple[str, ...]
    steps: int
    backlogged_steps: int
    error_median: float
    error_p95: float
    late_p99_ms: float
    late_max_ms: float
    drops: int


@dataclass(frozen=True)
class PolicyFacts:
    """A policy as a manifest has it."""

    label: str
    spec: str
    parameters: str
    """JSON."""
    weights_sha256: str | None
    source_sha256: str | None


@dataclass(frozen=True)
class TraceFacts:
    """A trace as a manifest has it, without its values."""

    name: str
    spec: str
    family: str
    sha256: str


@dataclass(frozen=True)
class StreamedVideo:
    """A video as it was streamed."""

    name: str
    sha256: str
    chunks: int | None
    chunk_s: float | None
    ladder_kbps: tuple[int, ...]


@dataclass(frozen=True)
class CodeState:
    """Streambed's tree; None for what a record does not say."""

    commit: str | None
    dirty: bool | None


@dataclass(frozen=True)
class Made:
    """How a session came about: all that is needed to have it again."""

    run_id: str
    command: TypedCommand
    host: str
    versions: tuple[tuple[str, str], ...]
    code: CodeState
    policy: PolicyFacts
    trace: TraceFacts | None
    video: StreamedVideo
    link: str
    """JSON of what was asked for."""
    player: str
    """JSON."""
    seed: int | None


@dataclass(frozen=True)
class SessionRow:
    """One session."""

    path: str
    sha256: str
    """Of the record's bytes."""
    outcome: Outcome | LeftOut
    decisions_ms: dict[str, array[float]]
    """How long each decision took, by who decided."""
    fallback_reasons: dict[str, int]
    """Why the fallback decided, and for how many chunks."""
    link: LinkCheck | None
    """None where there was no emulated link."""
    shared: LinkSharer | None
    played_bytes: int
    """Of bodies."""
    last_arrival_s: float
    """When the last chunk was in, since the session began; 0 without chunks."""
    made: Made


@dataclass(frozen=True)
class Unreadable:
    """A file that is no record, or a copy of another one, and why."""

    path: str
    reason: str


def row_of(path: Path, scoring: Scoring, interrupted: bool = False) -> SessionRow | Unreadable:
    """Read one record; it counts if it was interrupted only where that is asked for."""
    try:
        session = SessionRecord(read_record(path))
        outcome = outcome_of(session, scoring, interrupted=interrupted)
        return _row(session, outcome, sha256_of(path))
    except RecordError as error:
        return Unreadable(str(path), str(error).removeprefix(f"{path}:"))
    except OSError as error:
        return Unreadable(str(path), error.strerror or str(error))


def _row(session: SessionRecord, outcome: Outcome | LeftOut, sha256: str) -> SessionRow:
    decisions_ms: dict[str, array[float]] = {}
    for row in session.chunks:
        decisions_ms.setdefault(row.by, array("d")).append(1000.0 * row.decision_s)
    return SessionRow(
        path=session.path,
        sha256=sha256,
        outcome=outcome,
        decisions_ms=decisions_ms,
        fallback_reasons=dict(Counter(row.reason_words for row in session.chunks if row.by == FALLBACK)),
        link=_link_check(session),
        shared=session.shared,
        played_bytes=sum(row.size_bytes for row in session.chunks),
        last_arrival_s=curves.arrival_s(session.chunks[-1]) if session.chunks else 0.0,
        made=made_of(session, session.section("player"), session.record.ladder_kbps),
    )


def _link_check(session: SessionRecord) -> LinkCheck | None:
    found = session.end.link
    if not found:
        return None

    def number(name: str) -> float:
        value = found.get(name)
        return float(value) if isinstance(value, int | float) else 0.0

    reasons = found.get("reasons")
    return LinkCheck(
        valid=session.end.valid,
        reasons=tuple(map(str, reasons)) if isinstance(reasons, list | tuple) else (),
        steps=int(number("steps")),
        backlogged_steps=int(number("backlogged_steps")),
        error_median=number("error_median"),
        error_p95=number("error_p95"),
        late_p99_ms=number("late_p99_ms"),
        late_max_ms=number("late_max_ms"),
        drops=int(number("drops")),
    )


def made_of(session: RecordRead, player: Mapping[str, Any], ladder_kbps: tuple[int, ...] = ()) -> Made:
    """How a session or a call came about.

    Args:
        player: how it was played.
        ladder_kbps: of a video.
    """
    told = session.told
    code = told.code or CodeSection()
    policy, trace, video = told.policy or PolicySection(), told.trace, told.video or VideoSection()
    link = {key: value for key, value in session.section("link").items() if key not in MEASURED_OF_LINK}
    return Made(
        run_id=told.run_id or "",
        command=TypedCommand(told.command_line or (), told.directory or HERE, emulates=not told.simulated),
        host=told.host or "",
        versions=tuple(sorted((name, str(value)) for name, value in (told.versions or {}).items())),
        code=CodeState(code.commit, code.dirty),
        policy=PolicyFacts(
            label=session.policy,
            spec=policy.spec or "?",
            parameters=_canonical(policy.parameters or {}),
            weights_sha256=policy.weights_sha256,
            source_sha256=policy.source_sha256,
        ),
        trace=TraceFacts(
            name=trace.name or "?",
            spec=trace.spec or "",
            family=trace.family or "",
            sha256=trace.sha256 or "",
        )
        if trace
        else None,
        video=StreamedVideo(
            name=video.name or "?",
            sha256=video.sha256 or "",
            chunks=video.chunks,
            chunk_s=video.chunk_s,
            ladder_kbps=ladder_kbps,
        ),
        link=_canonical(link),
        player=_canonical(player),
        seed=told.seed,
    )


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object, kind: type) -> Any:
    """The value, if it is a number of this kind; a whole number may be a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if kind is float or isinstance(value, int) else None
