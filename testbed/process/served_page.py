"""`--serve-page`: the page of a run or a sweep, served while it goes on, by a process of its own.

It knows nothing of the links: it reads the records as anybody can (`python -m analysis watch`), as the person
who typed sudo, and steps back for all that emulates. It ends when we do, however we end; what the page showed
at last stays beside the records as `page.html`.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from testbed.process.children import environment
from testbed.process.errors import TestbedError
from testbed.process.page_option import Place
from traces.ownership import caller

START_S = 60.0
"""A machine that is busy takes a while to import what serves it."""
END_S = 20.0
PAGE = "page.html"


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
    process = _started(folder, place)
    try:
        console.print(Text(_first_line(process)), soft_wrap=True)
        yield
    finally:
        _end(process)
    if (folder / PAGE).exists():
        console.print(Text(f"page: {folder / PAGE}"), soft_wrap=True)


def _started(folder: Path, place: Place) -> subprocess.Popen[str]:
    person = caller()
    rights = {} if person is None else {"user": person.uid, "group": person.gid, "extra_groups": ()}
    words = ["--port", str(place.port), "--listen", place.listen, "--with-parent"]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "analysis", "watch", str(folder.absolute()), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,  # Ctrl-C is for us; it hears of our end by its standard input
        **rights,  # type: ignore[call-overload]
    )


def _first_line(process: subprocess.Popen[str]) -> str:
    """What it says once it serves.

    Raises:
        TestbedError: it does not.
    """
    assert process.stdout is not None and process.stderr is not None
    until_s = time.monotonic() + START_S
    while not select.select([process.stdout], [], [], 0.5)[0]:
        if time.monotonic() > until_s:
            raise TestbedError(f"--serve-page: no page after {START_S:g} s; leave it out")
    line = process.stdout.readline().strip()
    if not line:
        said = process.stderr.read().strip().splitlines()
        words = said[-1].partition(": ")[2] if said else "it ended without a word"
        raise TestbedError(f"--serve-page: {words}")
    return line


def _end(process: subprocess.Popen[str]) -> None:
    """Let it write the page down, and wait for that."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
