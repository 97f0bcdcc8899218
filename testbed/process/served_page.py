"""`--serve-page`: the page of a run or a sweep, served while it goes on, by a process of its own.

It knows nothing of the links: it reads the records as anybody can (`python -m analysis watch`), as the person
who typed sudo, and steps back for all that emulates. It ends when we do, however we end; what the page showed
at last stays beside the records (`analysis/watch/kept.py`). Whatever keeps it from that is said in a line.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.text import Text

from analysis.watch.kept import PAGE
from testbed.process.children import environment
from testbed.process.errors import TestbedError
from testbed.process.page_option import Place
from traces.ownership import caller

START_S = 60.0
"""A machine that is busy takes a while to import what serves it."""
END_S = 20.0
LONGEST_WORDS = 300


@contextlib.contextmanager
def page_of(folder: Path, place: Place | None, console: Console) -> Iterator[None]:
    """Serve a folder's page while the context lasts; without a place, do nothing.

    Args:
        console: where the page's address is told, and where it was kept.

    Raises:
        TestbedError: it can't be served; the page's own words say why.
    """
    if place is None:
        yield
        return
    before = _stamp(folder / PAGE)
    with tempfile.TemporaryFile() as said:  # a pipe that nobody reads would stop whoever complains into it
        process = _started(folder, place, said)
        try:
            console.print(Text(_first_line(process, said)), soft_wrap=True)
            yield
        finally:
            fault = _end(process, said)
    now = _stamp(folder / PAGE)
    if fault:
        console.print(Text(f"--serve-page: {fault}"), soft_wrap=True)
    if now is not None and now == before:
        console.print(Text(f"--serve-page: {folder / PAGE} is of an earlier run"), soft_wrap=True)
    elif now is not None:
        console.print(Text(f"page: {folder / PAGE}"), soft_wrap=True)


def _stamp(file: Path) -> tuple[int, int] | None:
    """What tells a file from one that was there before it; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _words(said: IO[bytes]) -> str:
    """The last line that it said, without its own name."""
    said.seek(0)
    lines = [line.strip() for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    return (lines[-1].partition(": ")[2] or lines[-1])[:LONGEST_WORDS] if lines else ""


def _started(folder: Path, place: Place, said: IO[bytes]) -> subprocess.Popen[str]:
    person = caller()
    rights = {} if person is None else {"user": person.uid, "group": person.gid, "extra_groups": ()}
    words = ["--port", str(place.port), "--listen", place.listen, "--with-parent"]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "analysis", "watch", str(folder.absolute()), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
        env=environment(),
        start_new_session=True,  # Ctrl-C is for us; it hears of our end by its standard input
        **rights,  # type: ignore[call-overload]
    )


def _first_line(process: subprocess.Popen[str], said: IO[bytes]) -> str:
    """What it says once it serves.

    Raises:
        TestbedError: it does not.
    """
    assert process.stdout is not None
    until_s = time.monotonic() + START_S
    while not select.select([process.stdout], [], [], 0.5)[0]:
        if time.monotonic() > until_s:
            raise TestbedError(f"--serve-page: no page after {START_S:g} s; leave it out")
    line = process.stdout.readline().strip()
    if not line:
        process.wait()
        raise TestbedError(f"--serve-page: {_words(said) or 'it ended without a word'}")
    return line


def _end(process: subprocess.Popen[str], said: IO[bytes]) -> str:
    """Let it write the page down, and wait for that; what went wrong with it, if anything."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    fault = ""
    try:
        if process.wait(END_S) != 0:
            fault = _words(said) or f"the page's process ended with status {process.returncode}"
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        fault = f"the page was not kept within {END_S:g} s"
    if process.stdout is not None:
        process.stdout.close()
    return fault
