"""What processes with somebody's code in them write to their standard streams, shown as visible lines.

`print` goes through `traces.escaping`; `os.write`, a library in C or a program that the code has started does
not. So the descriptors themselves lead into a pipe, which the process that waits for them reads: what was
written before a process died is not lost with it.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
import threading
from types import TracebackType

from traces.escaping import visible_lines

LONGEST = 4096
"""Characters of a line that has not ended and is shown all the same."""
LAST_WORDS_S = 2.0
"""So long it is waited for the end of the pipe, which a process that outlives its worker holds open."""


class ShownOutput:
    """A pipe whose lines are shown on our stderr; `place` is where processes of ours open it. A context
    manager, to be left once they have ended."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._ours = _copy_of_stderr()
        self.place = f"/proc/{os.getpid()}/fd/{self._writer}"
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> ShownOutput:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._writer)
        self._thread.join(LAST_WORDS_S)

    def _show(self) -> None:
        decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
        held = ""
        while data := os.read(self._reader, 65536):
            *lines, held = (held + decode(data)).split("\n")
            if len(held) > LONGEST:
                lines.append(held)
                held = ""
            self._tell(lines)
        self._tell([held] if held else [])
        os.close(self._reader)
        if self._ours is not None:
            os.close(self._ours)

    def _tell(self, lines: list[str]) -> None:
        text = "".join(f"{visible_lines(line)}\n" for line in lines)
        if text and self._ours is not None:
            with contextlib.suppress(OSError):  # nobody reads it any more
                os.write(self._ours, text.encode("utf-8", "backslashreplace"))


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
