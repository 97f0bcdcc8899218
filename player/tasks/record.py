"""Records of tasks that are played without a link: JSON Lines, the manifest, a line a result, and the end.

What a line says is the task's own (`player/jobs/record.py`, `player/viewport/record.py`); scores are computed
afterwards, from facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from player.manifest import SCHEMA, Manifest, ManifestError
from player.record import LineWriter, RecordError
from player.record_checks import RowFault, typed_row
from traces.safe_reading import BadFileError, read_json_lines

Row = TypeVar("Row")


@dataclass(frozen=True)
class TaskEnd:
    """How it ended."""

    outcome: str
    """`finished`, or in a word what cut it short."""
    reason: str
    decisions: int
    decided_by: dict[str, int]
    """How often whom: `policy`, `fallback` (a rule in its place), or what a policy says of itself."""
    valid: bool = True


@dataclass(frozen=True)
class RecordKind(Generic[Row]):
    """A task's records."""

    task: str
    line: str
    """What a line of results calls itself."""
    row: type[Row]


@dataclass(frozen=True)
class TaskRecord(Generic[Row]):
    """A whole record as read back."""

    path: str
    manifest: dict[str, Any]
    """The first line as the file has it; `told` is the same, typed."""
    rows: tuple[Row, ...]
    end: TaskEnd

    @cached_property
    def told(self) -> Manifest:
        """What the first line says."""
        return Manifest.of_line(self.manifest)


def write_task(
    path: Path, kind: RecordKind[Row], manifest: Mapping[str, Any], rows: Iterable[Row], end: TaskEnd
) -> None:
    """Write a whole record; it appears under its name once it is complete.

    Raises:
        OSError: it cannot be written.
    """
    with LineWriter(path, {"task": kind.task, **manifest}) as writer:
        try:
            for row in rows:
                writer.write({"line": kind.line, **vars(row)})
            writer.end({"line": "end", **vars(end)})
        except BaseException:
            writer.abandon()
            raise


def is_of(kind: RecordKind[Row], manifest: Mapping[str, Any]) -> bool:
    """Whether a record's first line is that of this task."""
    return manifest.get("line") == "manifest" and manifest.get("task") == kind.task


def read_task(path: Path, kind: RecordKind[Row]) -> TaskRecord[Row]:
    """Read a whole record.

    Raises:
        RecordError: cut off, not JSON, another task's, a field that is missing, unknown or of the wrong type.
        OSError: the file cannot be read.
    """
    try:
        lines = list(read_json_lines(path))
    except BadFileError as error:
        raise RecordError(str(error)) from None
    manifest = lines[0] if lines else {}
    if not is_of(kind, manifest) or manifest.get("schema") != SCHEMA:
        raise RecordError(f"{path}:1: no manifest of {kind.task} of schema {SCHEMA}; this is no such record")
    try:
        Manifest.of_line(manifest)
    except ManifestError as error:
        raise RecordError(f"{path}:1: {error}") from None
    if len(lines) < 2 or lines[-1].get("line") != "end":
        raise RecordError(f"{path}:{len(lines)}: no end line; it was cut off")
    rows = tuple(_row(path, kind.row, kind.line, line, number) for number, line in enumerate(lines[1:-1], 2))
    return TaskRecord(str(path), manifest, rows, _row(path, TaskEnd, "end", lines[-1], len(lines)))


def _row(path: Path, row: type[Row], name: str, line: Mapping[str, Any], number: int) -> Row:
    try:
        return typed_row(row, name, line)
    except RowFault as error:
        raise RecordError(f"{path}:{number}: {error}") from None
