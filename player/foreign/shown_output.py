"""What processes with somebody's code in them write to their standard streams, shown as visible lines.

`print` goes through `traces.escaping`; `os.write`, a library in C or a program that the code has started does
not. So the descriptors themselves lead into a pipe, which the process that waits for them reads: what was
written before a process died is not lost with it.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import sys
import threading
from types import TracebackType

from traces.escaping import visible_lines

LONGEST = 4096
"""Characters of a line that has not ended and is shown all the same."""
LOOK_EVERY_MS = 50
"""For whether it is over, where a process that outlives its worker holds the pipe open."""


class ShownOutput:
    """A pipe whose lines are shown on our stderr; `place` is where processes of ours open it. A context
    manager, to be left once they have ended."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._pipe = _file_of(self._reader)
        self._ours = _copy_of_stderr()
        self.place = f"/proc/{os.getpid()}/fd/{self._writer}"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> ShownOutput:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._close(self._writer)
        self._thread.join()

    def _show(self) -> None:
        decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
        held = ""
        while data := self._read():
            *lines, held = (held + decode(data)).split("\n")
            if len(held) > LONGEST:
                lines.append(held)
                held = ""
            self._tell(lines)
        self._tell([held] if held else [])
        self._close(self._reader)
        if self._ours is not None:
            with contextlib.suppress(OSError):
                os.close(self._ours)

    def _read(self) -> bytes:
        """What has come; nothing at the end, or where somebody's code has closed the pipe."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        with contextlib.suppress(OSError):
            while _file_of(self._reader) == self._pipe:
                over = self._over.is_set()
                if poll.poll(LOOK_EVERY_MS):
                    return os.read(self._reader, 65536)
                if over:
                    break
        return b""

    def _close(self, number: int) -> None:
        """Unless it has been closed, and is another file's by now."""
        with contextlib.suppress(OSError):
            if _file_of(number) == self._pipe:
                os.close(number)

    def _tell(self, lines: list[str]) -> None:
        text = "".join(f"{visible_lines(line)}\n" for line in lines)
        if text and self._ours is not None:
            with contextlib.suppress(OSError):  # nobody reads it any more
                os.write(self._ours, text.encode("utf-8", "backslashreplace"))


def _file_of(number: int) -> tuple[int, int]:
    found = os.fstat(number)
    return found.st_dev, found.st_ino


def _copy_of_stderr() -> int | None:
    """Ours, whatever is put in its place meanwhile; None where we have none."""
    with contextlib.suppress(OSError):
        return os.dup(2)
    return None


def write_there(place: str) -> None:
    """What this process writes to its standard streams goes there from now on, by whatever way.

    Where the pipe can't be opened (no /proc, or another's), both go to stderr as they are.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none
            stream.flush()
    try:
        there = os.open(place, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        with contextlib.suppress(OSError):  # we were started without one
            os.dup2(2, 1)
        return
    for number in (1, 2):
        os.dup2(there, number)
    os.close(there)
