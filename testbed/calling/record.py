"""The record of an emulated call as it is written: seconds put together of what two processes say."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from traces.files import fresh, partial_of, settle, sync_folder
from traces.ownership import give_to_caller
from traces.safe_reading import line_of


@dataclass(frozen=True)
class CallEnd:
    """How a call ended, and what its two ends say that they did; `{}` of one that did not live to say."""

    outcome: str
    reason: str
    elapsed_s: float
    decisions: int
    sender: dict[str, Any]
    receiver: dict[str, Any]
    valid: bool = True
    link: dict[str, Any] = field(default_factory=dict)


class CallWriter:
    """Writes a record line by line beside its final name and gives it that name at the end.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path, self.partial = path, partial_of(path)
        self._file = os.fdopen(fresh(self.partial), "wb", buffering=0)
        try:
            give_to_caller(self.partial)
            self._write({"line": "manifest", **manifest})
        except BaseException:
            self.abandon()
            raise

    def _write(self, line: dict[str, Any]) -> None:
        rest = memoryview(f"{line_of(line)}\n".encode())
        try:
            while rest:  # a nearly full disk takes a part and refuses the next write
                rest = rest[self._file.write(rest) :]
        except OSError as error:  # of a write the system names no file
            raise OSError(error.errno, error.strerror, str(self.partial)) from None

    def decision(self, row: dict[str, Any]) -> None:
        self._write({"line": "decision", **row})

    def second(self, row: dict[str, Any]) -> None:
        self._write({"line": "second", **row})

    def finish(self, row: CallEnd) -> None:
        """Write the last line, sync, and let the file appear under its final name."""
        self._write({"line": "end", **dataclasses.asdict(row)})
        settle(self.partial, self.path)
        self._file.close()
        sync_folder(self.path.parent)

    def abandon(self) -> None:
        """Leave nothing: the call came to no record."""
        self._file.close()
        self.partial.unlink(missing_ok=True)

    def __enter__(self) -> CallWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if not self._file.closed:
            self._file.close()


class Seconds:
    """Joins what the sender and the receiver say of each second of a call."""

    def __init__(self) -> None:
        self._sent: dict[int, dict[str, Any]] = {}
        self._came: dict[int, dict[str, Any]] = {}
        self.whole: list[dict[str, Any]] = []
        """Those that were given, in order."""

    def add(self, kind: str, line: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Take a line of either (`sent` or `came`); the seconds of which both have spoken now."""
        told = self._sent if kind == "sent" else self._came
        told[line.pop("second")] = line
        while (second := len(self.whole)) in self._sent and second in self._came:
            yield self._give(second)

    def rest(self) -> Iterator[dict[str, Any]]:
        """In the end, those of which only one has spoken."""
        while (second := len(self.whole)) <= max([*self._sent, *self._came], default=-1):
            yield self._give(second)

    def _give(self, second: int) -> dict[str, Any]:
        row = {"second": second, "sent": self._sent.get(second), "came": self._came.get(second)}
        self.whole.append(row)
        return row
