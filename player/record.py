"""The session record: JSON Lines, facts only, one file a session.

Line 1 is the manifest, then one line a chunk, the last line says how the session ended. QoE is not
in it: it is computed afterwards (`player/qoe.py`). A file appears under its final name only when
it is complete: it is written aside, synced and renamed.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from player.faults import in_words
from player.manifest import SCHEMA, Manifest, ManifestError, upgraded
from player.record_checks import RowFault, far_number, fault_of, typed_row
from traces.files import fresh, partial_of, settle, sync_folder
from traces.ownership import give_to_caller, make_directory
from traces.safe_reading import BadFileError, json_object, line_of, read_text

FINISHED = "finished"
"""Every chunk was fetched and the video played out. Other outcomes say in a word what ended it."""


INTERRUPTED = "interrupted"
"""Somebody ended it: a person or a signal."""
ORIGIN_LOST = "origin-lost"
"""No byte for the give-up time."""
ORIGIN_ERROR = "origin-error"
"""The origin answered with something that is not the chunk."""
POLICY_FAULT = "policy-fault"
"""The policy has not decided, and nobody was to stand in for it."""
PLAYER_ERROR = "player-error"
"""A fault of this program."""


class RecordError(ValueError):
    """A record that cannot be read; the message names file, line and fault."""


class OtherVersionError(RecordError):
    """A record that another version of us wrote, and that this one doesn't read."""


def by_fallback_alone(deciders: Collection[str]) -> bool:
    """Whether nobody but the fallback decided (the simulated player may fix the first chunk's level)."""
    return "fallback" in deciders and set(deciders) <= {"fallback", "player"}


@dataclass(frozen=True)
class ChunkRow:
    """What happened to one chunk. Times are seconds since the session began unless a name says else."""

    chunk: int
    level: int
    bitrate_kbps: int
    size_bytes: int
    request_s: float
    """When the request was sent, after wait and decision."""
    ttfb_s: float
    """From the request to the first byte of the answer."""
    download_s: float
    """From the request to the last byte."""
    throughput_mbps: float
    buffer_before_s: float
    """Level when the policy was asked."""
    buffer_after_s: float
    """Level when the chunk had been added."""
    wait_s: float
    """Held back before the decision because the buffer was above its cap."""
    stall_s: float
    """Playback stopped between the decision's start and the last byte; startup is in the end line."""
    decision_s: float
    """How long the policy took, in which the buffer drained."""
    by: str
    reason: str = ""
    retries: int = 0
    rtt_ms: float | None = None
    """The client's own TCP_INFO: smoothed RTT when the chunk was in."""
    rcv_rtt_ms: float | None = None
    """The client's receive-side RTT estimate (queueing of data included)."""
    server_rtt_ms: float | None = None
    """The sender's smoothed RTT when it began to answer (from the origin's header)."""
    server_retransmits: int | None = None
    """Segments the sender had resent on this connection when it began to answer."""
    server_delivery_mbps: float | None = None
    """The sender's delivery rate estimate when it began to answer."""
    latency_s: float | None = None
    """Of a live stream: how far behind its making one watched when the chunk had been added."""
    decision_ms: float | None = field(default=None, compare=False)
    """Of a computed session: how long the policy really took, which the session's clock does not know. Said
    where it was slow (`player.simulated.session.SLOW_MS`), and other where the session is computed again."""

    @property
    def replaced(self) -> bool:
        """Whether the fallback decided it."""
        return self.by == "fallback"

    @property
    def reason_words(self) -> str:
        """Why the fallback decided it, as a person reads it beside the chunk."""
        return in_words(self.reason)

    @property
    def fallback_words(self) -> str:
        """Why the fallback decided it, and which chunk it is, counted from 1."""
        return in_words(self.reason, self.chunk)


@dataclass(frozen=True)
class EndRow:
    """How the session ended."""

    outcome: str
    """`finished`, or what cut it short: `interrupted`, `origin-lost`, `player-died`, …"""
    reason: str
    chunks: int
    startup_s: float
    stall_s: float
    """All stall after startup, that of an unfinished chunk included."""
    played_s: float
    elapsed_s: float
    valid: bool = True
    """False when the link was not what the manifest says (only the testbed can tell)."""
    link: dict[str, Any] = field(default_factory=dict)
    """The link self-check's verdict and figures; empty over a real network."""
    client: dict[str, Any] = field(default_factory=dict)
    """Of a client that isn't ours: how far its requests are those that the origin answered."""


@dataclass(frozen=True)
class Record:
    """A whole session as read back."""

    path: str
    manifest: dict[str, Any]
    """The first line as the file has it; `told` is the same, typed."""
    chunks: tuple[ChunkRow, ...]
    end: EndRow

    @cached_property
    def told(self) -> Manifest:
        """What the first line says.

        Raises:
            RecordError: it is no manifest of a schema that this version reads.
        """
        try:
            return Manifest.of_line(self.manifest)
        except ManifestError as error:
            raise RecordError(f"{self.path}:1: {error}") from None

    @property
    def ladder_kbps(self) -> tuple[int, ...]:
        return tuple(self.manifest["video"]["ladder_kbps"])


def manifest_line(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest as a line of the record."""
    return {"line": "manifest", "schema": SCHEMA, **manifest}


def chunk_line(row: ChunkRow) -> dict[str, Any]:
    """A chunk as a line of the record."""
    told = {"line": "chunk", **vars(row)}  # of plain values; `asdict` would copy each of them deeply
    if row.latency_s is None:  # not live
        del told["latency_s"]
    return told


def end_line(row: EndRow) -> dict[str, Any]:
    """The end as a line of the record."""
    told = {name: value for name, value in vars(row).items() if name != "client" or value}
    return {"line": "end", **told}


def make_folder(folder: Path) -> None:
    """Make a folder for records, and its parents; under sudo what is new belongs to the caller.

    Raises:
        OSError: it cannot be made.
    """
    make_directory(folder)


class LineWriter:
    """Writes a record line by line beside its final name and gives it that name at the end.

    Lines reach the file as they come, so that a killed run leaves its `.partial` to look at.

    Raises:
        OSError: the file cannot be written (no such folder, disk full, …); nothing is left behind
            by the constructor, and by the other calls only the `.partial`.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.partial = partial_of(path)
        self._file = os.fdopen(fresh(self.partial), "wb", buffering=0)  # closing has nothing left to write
        try:
            give_to_caller(self.partial)
            self.write(manifest_line(manifest))
        except BaseException:
            self.abandon()
            raise

    def write(self, line: dict[str, Any]) -> None:
        """A line of the record."""
        rest = memoryview(f"{line_of(line)}\n".encode())
        try:
            while rest:  # a nearly full disk takes a part and refuses the next write
                rest = rest[self._file.write(rest) :]
        except OSError as error:  # of a write the system names no file
            raise OSError(error.errno, error.strerror, str(self.partial)) from None

    def end(self, line: dict[str, Any]) -> None:
        """Write the last line, sync, and let the file appear under its final name."""
        self.write(line)
        settle(self.partial, self.path)
        self._file.close()
        sync_folder(self.path.parent)

    def abandon(self) -> None:
        """Leave nothing: the session came to no record."""
        self._file.close()
        self.partial.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if not self._file.closed:
            self._file.close()


class RecordWriter(LineWriter):
    """Writes the record of a streamed session."""

    def chunk(self, row: ChunkRow) -> None:
        self.write(chunk_line(row))

    def finish(self, row: EndRow) -> None:
        """Write the last line, sync, and let the file appear under its final name."""
        self.end(end_line(row))


def read_record(path: Path) -> Record:
    """Read a whole record.

    Raises:
        OtherVersionError: of another schema.
        RecordError: cut off, not JSON, lines out of order, a field that is
            missing, unknown or of the wrong type.
        OSError: the file cannot be read.
    """
    lines = _read_lines(path)
    if lines and lines[0].get("task") == "call":
        raise OtherVersionError(f"{path}:1: a call's record; `player.call.record.read_call` reads it")
    manifest = upgraded(lines[0]) if lines else {}
    levels = _levels(manifest, path)
    if len(lines) < 2 or lines[-1].get("line") != "end":
        raise RecordError(f"{path}:{len(lines)}: no end line; the session was cut off")
    chunks = tuple(_row(ChunkRow, line, path, number) for number, line in enumerate(lines[1:-1], start=2))
    for number, row in enumerate(chunks, start=2):
        if row.chunk != number - 2:
            raise RecordError(f"{path}:{number}: chunk {row.chunk} where {number - 2} is due")
        if not 0 <= row.level < levels:
            raise RecordError(f"{path}:{number}: level {row.level}; the ladder has 0 to {levels - 1}")
    end = _row(EndRow, lines[-1], path, len(lines))
    if fault := far_number(end.link, "link"):
        raise RecordError(f"{path}:{len(lines)}: {fault}")
    if end.chunks != len(chunks):
        raise RecordError(f"{path}:{len(lines)}: the end counts {end.chunks} chunks; {len(chunks)} lines")
    return Record(str(path), manifest, chunks, end)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = read_text(path)
        written = text.removesuffix("\n").split("\n") if text else []
        return [json_object(line, str(path), number) for number, line in enumerate(written, start=1)]
    except BadFileError as error:
        raise RecordError(f"{error}; this is no session record, or a damaged one") from None


def _levels(manifest: dict[str, Any], path: Path) -> int:
    """How many levels the ladder of a sound manifest has.

    Raises:
        RecordError: the manifest isn't sound.
    """
    try:
        told = Manifest.of_line(manifest)
    except ManifestError as error:
        kind = OtherVersionError if manifest.get("line") == "manifest" else RecordError
        raise kind(f"{path}:1: {error}") from None
    fault = fault_of(manifest, told)
    if fault:
        raise RecordError(f"{path}:1: {fault}")
    assert told.video is not None and told.video.ladder_kbps is not None
    return len(told.video.ladder_kbps)


_Row = TypeVar("_Row", "ChunkRow", "EndRow")


def _row(kind: type[_Row], line: dict[str, Any], path: Path, number: int) -> _Row:
    expected = "chunk" if kind is ChunkRow else "end"
    try:
        return typed_row(kind, expected, line)
    except RowFault as error:
        raise RecordError(f"{path}:{number}: {error}") from None
