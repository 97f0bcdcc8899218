"""The journal beside a sweep's records: a JSON line an attempt, for what no record can say.

That is how often a session was tried in vain, and what the files of the records were when they were whole:
whoever finds them so again need not read ten thousand of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from player.call.record import CallRecord
from player.manifest import Manifest
from player.record import OtherVersionError, Record, RecordError, read_record
from player.section import JsonSection
from testbed.process.errors import TestbedError
from traces.commands import said_of
from traces.safe_reading import BadFileError, Identity, json_object, line_of, read_text

JOURNAL = "sweep.attempts"


@dataclass(frozen=True)
class JournalLine(JsonSection):
    """How one attempt ended."""

    unit: str | None = None
    attempt: int | None = None
    """From 1."""
    status: str | None = None
    reasons: tuple[str, ...] | None = None
    for_good: bool | None = None
    records: Mapping[str, Any] | None = None
    """Name of a record: its file's size in bytes and time of change in ns; older journals lack it."""


def read_journal(folder: Path) -> dict[str, list[JournalLine]]:
    """The lines of a folder's journal by unit, in order; what was cut off by a crash, or says no attempt of a
    unit, is left out: the records themselves are the truth.

    Raises:
        BadFileError: it is no file, or no text.
        OSError: it cannot be read.
    """
    found: dict[str, list[JournalLine]] = {}
    path = folder / JOURNAL
    try:
        text = read_text(path, follow=False)
    except FileNotFoundError:
        return found
    for number, written in enumerate(text.split("\n"), start=1):
        with contextlib.suppress(BadFileError):
            line = JournalLine.from_json(json_object(written, str(path), number)) or JournalLine()
            if line.unit is not None and line.attempt is not None and line.status is not None:
                found.setdefault(line.unit, []).append(line)
    return found


def noted(folder: Path, records: Sequence[str]) -> dict[str, list[int]]:
    """What a journal's line says of records that are whole now."""
    found = {}
    for name in records:
        with contextlib.suppress(FileNotFoundError):
            found[name] = _as_noted(os.lstat(folder / name))
    return found


def _as_noted(status: os.stat_result) -> list[int]:
    now = Identity.of(status)
    return [now.size, now.mtime_ns]


@dataclass(frozen=True)
class TableLine(JsonSection):
    """Of which files a table was made. Times do not tell which file is the older one: clocks go back."""

    table: str | None = None
    """Its name."""
    file: tuple[int, ...] | None = None
    """Size in bytes, time of change in ns."""
    of: str | None = None
    """Hash of names, sizes and times of all records."""


def table_line(table: Path) -> str:
    """What to note when a table has been made of all records beside it.

    Raises:
        OSError: it is not there.
    """
    return line_of(_table_line(table).to_json()) + "\n"


def _table_line(table: Path) -> TableLine:
    records = sorted(table.parent.glob("*.jsonl"))
    digest = hashlib.sha256(repr([(path.name, _as_noted(os.lstat(path))) for path in records]).encode())
    return TableLine(table.name, tuple(_as_noted(os.lstat(table))), digest.hexdigest())


def is_as_noted(table: Path) -> bool:
    """Whether a table is the one that was made last, of the records as they are now."""
    lines = []
    with contextlib.suppress(OSError, BadFileError):
        for number, written in enumerate(
            read_text(table.parent / JOURNAL, follow=False).split("\n"), start=1
        ):
            if '"table"' in written:
                lines.append(TableLine.from_json(json_object(written, JOURNAL, number)))
        return bool(lines) and lines[-1] == _table_line(table)
    return False


def fault_of(
    path: Path,
    line: JournalLine | None,
    other: Callable[[Manifest], str],
    read: Callable[[Path], Record | CallRecord] = read_record,
) -> str:
    """Why a record that is there is not the one that its name says, or can't be read; empty for one that is.

    Args:
        line: the journal's last of its unit: a file that is as it says need not be read.
        other: what of a record of that name is not as the plan has it; empty where it is.
        read: reads a record of the sweep's task.

    Raises:
        TestbedError: a record that another version of us wrote.
    """
    try:
        if line is not None and (line.records or {}).get(path.name) == _as_noted(os.lstat(path)):
            return ""
        told = read(path).told
    except OtherVersionError as error:
        raise TestbedError(f"{error}; name another --out") from None
    except RecordError as error:
        return str(error)
    except OSError as error:
        return said_of(error)
    session = told.sweep.session if told.sweep else None
    if session == path.name.removesuffix(".jsonl"):
        differs = other(told)
        return f"{path}:1: the record of another sweep's session of this name: {differs}" if differs else ""
    return f"{path}:1: the record of {f'another session, {session}' if session else 'no session of a sweep'}"
