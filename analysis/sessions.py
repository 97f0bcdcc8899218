"""The sessions that an analysis looks at: records found, read, and those of untrue links put aside."""

from __future__ import annotations

import contextlib
import hashlib
import math
import stat
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, TypeGuard, TypeVar

from player.manifest import Manifest
from player.qoe import LiveQoE, QoE, SessionSummary, summarise
from player.record import SCHEMA, ChunkRow, EndRow, Record, RecordError, read_record
from traces.commands import next_step, said_of, tell_line
from traces.files import PARTIAL
from traces.safe_reading import BadFileError, read_bytes, read_first_object, shown
from traces.words import meant

ENDING = ".jsonl"


T = TypeVar("T")


class AnalysisError(ValueError):
    """An analysis that cannot be made; the message names the cause and the way out."""


class OfPolicy(Protocol):
    """What was read of one record."""

    @property
    def policy(self) -> str:
        """As it was asked for."""


P = TypeVar("P", bound=OfPolicy)


@dataclass(frozen=True)
class RateSeries:
    """A trace as a manifest holds it: `rate_mbps[i]` holds over (`time_s[i-1]`, `time_s[i]`], and wraps."""

    name: str
    start_s: float
    """Where in the trace the session began."""
    time_s: tuple[float, ...]
    rate_mbps: tuple[float, ...]
    delay_ms: tuple[float, ...] | None = None
    """What the trace added to the idle round trip, over the same intervals; None if it did not say."""
    loss_pct: tuple[float, ...] | None = None
    """Share of the frames towards the player that it lost."""


@dataclass(frozen=True)
class LinkSharer:
    """A session whose player shared its link with others."""

    group: str
    """The same for all who shared."""
    players: int
    index: int
    """Of this player, by when it began; the first is 0."""
    offset_s: float
    """How long after the first one it began; the record's trace starts so much later, too."""
    stagger_s: float | None
    """How far apart they were to begin; None where the record doesn't say."""
    beside: tuple[str, ...] = ()
    """Who else was on the bottleneck, as `call:gcc` or `cubic from 10 s`."""

    @property
    def asked(self) -> dict[str, Any]:
        """Who it was of how many, in plain values."""
        told: dict[str, Any] = {"players": self.players, "player": self.index}
        told |= {} if self.stagger_s is None else {"stagger_s": self.stagger_s}
        return {**told, "beside": list(self.beside)} if self.beside else told

    @property
    def words(self) -> str:
        """The same for a person: `player 1 of 2, beside call:gcc`."""
        parts = [f"player {self.index + 1} of {self.players}"] if self.players > 1 else []
        parts += [f"beside {', '.join(self.beside)}"] if self.beside else []
        return ", ".join(parts)


class FirstLine(Protocol):
    """A record, of whatever kind, as its first line tells of it."""

    @property
    def path(self) -> str: ...
    @property
    def manifest(self) -> dict[str, Any]: ...
    @property
    def told(self) -> Manifest: ...


@dataclass(frozen=True)
class RecordRead:
    """A record, of a session or of a call, with the names that analyses ask for."""

    record: FirstLine

    @property
    def path(self) -> str:
        return self.record.path

    @property
    def policy(self) -> str:
        """What the sweep calls the policy; else the policy as it was asked for, options included; `?` where
        the manifest names none."""
        told = self.told
        swept = told.sweep.policy if told.sweep else None
        return swept or (told.policy.spec if told.policy else None) or "?"

    @property
    def told(self) -> Manifest:
        """The record's manifest."""
        return self.record.told

    @cached_property
    def trace(self) -> RateSeries | None:
        """What the link carried; None over a real network.

        Raises:
            RecordError: a trace whose values are no time series.
        """
        section = self.section("trace")
        if not section:
            return None
        times, rates, start_s = section.get("time_s"), section.get("rate_mbps"), section.get("start_s", 0.0)
        if not (
            _numbers(times)
            and _numbers(rates)
            and _numbers([start_s])
            and len(times) == len(rates) >= 2
            and times[0] == 0
            and start_s >= 0
            and all(before < after for before, after in pairwise(times))
        ):
            raise RecordError(f"{self.path}:1: the manifest's trace is no series of rising times and rates")
        more = {}
        for name in ("delay_ms", "loss_pct"):
            values = section.get(name)
            if values is None:
                continue
            if not (_numbers(values) and len(values) == len(times)):
                raise RecordError(f"{self.path}:1: the manifest's trace has a {name} that is not one a point")
            more[name] = tuple(values)
        return RateSeries(str(section.get("name", "trace")), start_s, tuple(times), tuple(rates), **more)

    @cached_property
    def shared(self) -> LinkSharer | None:
        """With whom this player shared its link; None if with nobody.

        Raises:
            RecordError: a section `shared` that says something else.
        """
        section = self.section("shared")
        if not section:
            return None
        group, players, index = section.get("group"), section.get("players"), section.get("index")
        offset_s, stagger_s = section.get("offset_s", 0.0), section.get("stagger_s")
        beside = section.get("beside", [])
        if not (
            isinstance(group, str)
            and isinstance(players, int)
            and isinstance(index, int)
            and _numbers([offset_s] if stagger_s is None else [offset_s, stagger_s])
            and 0 <= index < players
            and isinstance(beside, list)
            and all(isinstance(word, str) for word in beside)
        ):
            raise RecordError(f"{self.path}:1: the manifest's shared is no player of a group of players")
        apart_s = None if stagger_s is None else float(stagger_s)
        return LinkSharer(group, players, index, float(offset_s), apart_s, tuple(beside))

    def section(self, name: str) -> dict[str, Any]:
        """An object of the manifest; empty where there is none."""
        found = self.record.manifest.get(name)
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class SessionRecord(RecordRead):
    """One session, with the names and figures that analyses ask for."""

    record: Record

    @property
    def chunks(self) -> tuple[ChunkRow, ...]:
        return self.record.chunks

    @property
    def end(self) -> EndRow:
        return self.record.end

    @cached_property
    def weights(self) -> QoE:
        """The QoE that the policy was told, which is the one that the run was scored with.

        Raises:
            RecordError: weights that are none.
        """
        try:
            told = self.section("told_qoe")
            return LiveQoE(**told) if "latency" in told else QoE(**told)
        except (TypeError, ValueError) as error:
            raise RecordError(f"{self.path}:1: the manifest's told_qoe is no QoE ({error})") from None

    @cached_property
    def summary(self) -> SessionSummary:
        """The session in figures, by its own weights."""
        try:
            return summarise(self.chunks, self.end, self.record.ladder_kbps, self.weights)
        except ValueError as error:
            raise RecordError(f"{self.path}:1: {error}") from None


@dataclass(frozen=True)
class FoundSessions:
    """What was found."""

    taken: tuple[SessionRecord, ...]
    left_out: tuple[SessionRecord, ...]
    """Sessions over links that were not what their manifests say."""
    unreadable: tuple[str, ...] = ()
    """Faults of records that are damaged, or there twice."""


def load_sessions(
    places: Sequence[Path], *, policies: Sequence[str] = (), with_invalid: bool = False
) -> FoundSessions:
    """Read the sessions of folders and record files, in the order given; a folder's in name order.

    Args:
        places: folders that directly hold records (`*.jsonl`), or records.
        policies: only these (as they were asked for); all if empty.
        with_invalid: take invalid sessions too.

    Raises:
        AnalysisError: nothing to read in a place, a policy that no record has, nothing left to take.
        RecordError: none of the records can be read.
        OSError: a place that cannot be read.
    """
    found, faults = read_each(places, lambda path: SessionRecord(read_record(path)))
    if not found:
        raise RecordError(faults[0][1])
    wanted = of_policies(found, policies)
    taken = tuple(session for session in wanted if with_invalid or session.end.valid)
    left_out = tuple(session for session in wanted if session not in taken)
    if not taken:
        raise AnalysisError(
            f"{_counted(left_out)}: the link was not what the manifest says."
            " The end line's link.reasons say why; --invalid takes them all the same"
        )
    return FoundSessions(taken, left_out, tuple(fault for _, fault in faults))


def read_each(places: Sequence[Path], of: Callable[[Path], T]) -> tuple[list[T], list[tuple[Path, str]]]:
    """What each record of folders and record files comes to, and the faults of those that can't be read or
    are there twice.

    Raises:
        AnalysisError: nothing to read in a place, a record of another version.
        OSError: a place that cannot be read.
    """
    found: list[T] = []
    faults: list[tuple[Path, str]] = []
    files, copies = each_once(record_files(places))
    for path in files:
        try:
            found.append(of(path))
        except (RecordError, OSError) as error:
            faults.append((path, said_of(error) if isinstance(error, OSError) else str(error)))
    faults += copies
    refuse_other_schemas(faults, len(files) + len(copies))
    return found, faults


def of_policies(found: Sequence[P], policies: Sequence[str]) -> list[P]:
    """Those of the policies that are asked for; all if none is.

    Raises:
        AnalysisError: one that none is of.
    """
    refuse_unknown(policies, [one.policy for one in found])
    return [one for one in found if not policies or one.policy in policies]


def refuse_unknown(policies: Sequence[str], there: Sequence[str]) -> None:
    """A policy that no record is of.

    Raises:
        AnalysisError: names it and those that there are.
    """
    names = dict.fromkeys(there)
    for policy in policies:
        if policy not in names:
            raise AnalysisError(
                f"no record is of policy {policy!r}{meant(policy, names)}; there are {', '.join(names)}"
            )


def refuse_other_schemas(faults: Sequence[tuple[Path, str]], records: int) -> None:
    """Records of another version are no damaged ones: no analysis goes on without them.

    Args:
        faults: of records that can't be read, with their files.
        records: how many there are in all.

    Raises:
        AnalysisError: one of them is of another schema.
    """
    if _other_schemas(faults):
        raise AnalysisError(complaint(faults, records))


def complaint(faults: Sequence[tuple[Path, str]], records: int) -> str:
    """All records that cannot be read, in one line; mixed schema versions said as such."""
    schemas = _other_schemas(faults)
    way_out = "remove them, or make them anew"
    if schemas:
        versions = ", ".join(f"{count} of schema {schema}" for schema, count in schemas.items())
        return (
            f"of {records} records {versions}, where this version reads {SCHEMA} (the first: {faults[0][0]});"
            " read them with the version that wrote them"
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


NAMED = 6
"""Of records that are damaged so many are named, the others counted."""
NOT_ALL = 1
"""Exit status of an analysis of all records but damaged ones."""


def tell_unreadable(faults: Sequence[str]) -> int:
    """Name damaged records, which were left out, on stderr; the exit status."""
    for fault in faults[:NAMED]:
        tell_line(f"left out: {fault}", sys.stderr)
    if len(faults) > NAMED:
        print(f"left out: {len(faults) - NAMED} more records that can't be read", file=sys.stderr)
    return NOT_ALL if faults else 0


def tell_next(places: Sequence[Path], command: str, *options: str) -> None:
    """Say what one types next, where all is in one folder."""
    if len(places) == 1 and places[0].is_dir():
        print(next_step("-m", "analysis", command, str(places[0]), *options))


def record_files(places: Sequence[Path]) -> list[Path]:
    """The records of folders and record files, each once, in the order given; a folder's in name order.

    Raises:
        AnalysisError: nothing to read in a place.
        OSError: a place that cannot be read.
    """
    return list(dict.fromkeys(path for place in places for path in _records(place)))


def each_once(files: Sequence[Path]) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The records without copies: a session that is there twice, to the byte, counts once.

    Of a sweep's record the one counts that has its session's name, else the first.

    Returns:
        those that count, in order; and each copy with its fault.
    """
    sizes: dict[int, list[Path]] = {}
    for path in files:
        with contextlib.suppress(OSError):
            status = path.stat()
            if stat.S_ISREG(status.st_mode) and status.st_size:
                sizes.setdefault(status.st_size, []).append(path)
    alike: dict[bytes, list[Path]] = {}
    for path in (path for same in sizes.values() if len(same) > 1 for path in same):
        with contextlib.suppress(OSError, BadFileError):
            alike.setdefault(hashlib.sha256(read_bytes(path)).digest(), []).append(path)
    copies: dict[Path, str] = {}
    for same in alike.values():
        if len(same) > 1:
            kept = _rightly_named(same)
            copies |= {path: f"{path}: a copy of {kept.name}" for path in same if path != kept}
    return [path for path in files if path not in copies], list(copies.items())


def _rightly_named(same: Sequence[Path]) -> Path:
    """The one of several equal records whose file has its session's name; the first where none has."""
    sweep = None
    with contextlib.suppress(OSError, BadFileError):
        sweep = read_first_object(same[0]).get("sweep")
    session = sweep.get("session") if isinstance(sweep, dict) else None
    return next((path for path in same if path.name == f"{session}{ENDING}"), same[0])


def _records(place: Path) -> list[Path]:
    """The records of a place."""
    if not place.is_dir():
        if not place.exists():
            raise AnalysisError(f"{place}: no such file or folder")
        return [place]
    paths = sorted(path for path in place.iterdir() if path.suffix == ENDING)
    if paths:
        return paths
    partial = sum(path.name.endswith(f"{ENDING}{PARTIAL}") for path in place.iterdir())
    unfinished = f" ({partial} of a run that goes on or was killed)" if partial else ""
    newest = _newest_below(place)
    way_out = f"name a folder that a run has written *{ENDING} into{f', such as {newest}' if newest else ''}"
    raise AnalysisError(f"{place}: no records{unfinished}; {way_out}")


def _newest_below(place: Path) -> Path | None:
    """The folder in this one whose records are the newest."""
    newest: dict[Path, float] = {}
    for record in place.glob(f"*/*{ENDING}"):
        with contextlib.suppress(OSError):
            newest[record.parent] = max(newest.get(record.parent, 0.0), record.stat().st_mtime)
    return max(newest, key=lambda folder: newest[folder], default=None)


def _counted(sessions: Sequence[SessionRecord]) -> str:
    if len(sessions) == 1:
        return f"the only session, {sessions[0].path}, is invalid"
    return f"all {len(sessions)} sessions are invalid"


def _numbers(values: Any) -> TypeGuard[list[float]]:
    """Whether this is a list of finite numbers."""
    return (
        isinstance(values, list)
        and {int, float}.issuperset(map(type, values))
        and all(map(math.isfinite, values))
    )
