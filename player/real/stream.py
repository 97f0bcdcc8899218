"""The mode in which the testbed runs a player: JSON lines on stdout, one start line on stdin.

    player  {"line": "loaded"}                     with --hold: the policy is there, nothing has been sent yet
    parent  {"go": true}                           with --hold: read the MPD now
    player  {"line": "ready", "manifest": {…}}     the MPD is read, the policy reset, the connection warm
    parent  {"start_s": 12345.678}                 CLOCK_MONOTONIC, when the session is to begin
    player  {"line": "state", …}                   about four times a second
    player  {"line": "chunk", …}                   as in a record
    player  {"line": "datagrams", …}               as it begins and as it ends, of QUIC: `sent` and `received`
    player  {"line": "requests", …}                before the end, of a client that isn't ours
    player  {"line": "end", …}                     as in a record, always the last
    parent  closes its end                         with --hold, a player that has finished waits for it

The end of stdin means that the parent has gone: a session that has not ended does so, as `interrupted`. With
--hold, until then the connection of a finished session stays as it is: the path that the parent measures is
at rest.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

from player.real.session import PlayerState, Session, Stopped, unless
from player.record import ChunkRow, EndRow, chunk_line, end_line

STDIN = 0
_MOST_START_BYTES = 4096


class StartError(ValueError):
    """The parent's start line is none."""


class LineSink:
    """Writes a session's facts as JSON lines, each at once.

    Args:
        datagrams: tells how many were sent and received so far; None of TCP.

    Raises:
        BrokenPipeError: nobody reads them any more.
    """

    def __init__(self, out: IO[str], datagrams: Callable[[], tuple[int, int] | None] | None = None) -> None:
        self._out = out
        self._datagrams = datagrams

    def loaded(self) -> None:
        self._write({"line": "loaded"})

    def ready(self, manifest: dict[str, Any]) -> None:
        self._write({"line": "ready", "manifest": manifest})

    def chunk(self, row: ChunkRow) -> None:
        self._write(chunk_line(row))

    def state(self, state: PlayerState) -> None:
        self._write({"line": "state", **dataclasses.asdict(state)})

    def requests(self, told: Sequence[Mapping[str, Any]], protocols: Mapping[str, int]) -> None:
        """What a client that isn't ours says that it requested: path and status of each; and how many answers
        came by which protocol."""
        self._write({"line": "requests", "requests": list(told), "protocols": dict(protocols)})

    def datagrams(self) -> None:
        """How many have been sent and received so far; nothing of a connection without any."""
        told = None if self._datagrams is None else self._datagrams()
        if told is not None:
            self._write({"line": "datagrams", "sent": told[0], "received": told[1]})

    def end(self, row: EndRow) -> None:
        self.datagrams()
        self._write(end_line(row))

    def _write(self, line: dict[str, Any]) -> None:
        self._out.write(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n")
        self._out.flush()


class Parent:
    """Listens to stdin in a daemon thread: for the start line, and for its end.

    It reads the descriptor itself: a thread that is blocked in `sys.stdin` would hold up the exit.
    """

    def __init__(self, stop: asyncio.Future[str], descriptor: int = STDIN) -> None:
        self._stop = stop
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._line: asyncio.Future[bytes] = self._loop.create_future()
        threading.Thread(target=self._listen, name="parent", daemon=True).start()

    async def start_s(self) -> float:
        """When the session is to begin.

        Raises:
            StartError: the line is not `{"start_s": SECONDS}`.
        """
        text = await self._line
        try:
            start_s = float(json.loads(text)["start_s"])
        except (ValueError, TypeError, KeyError):
            start_s = math.nan
        if not math.isfinite(start_s):
            raise StartError(f'start line {text[:100]!r}: expected {{"start_s": CLOCK_MONOTONIC seconds}}')
        return start_s

    def _listen(self) -> None:
        text = b""
        while data := self._read():
            if b"\n" not in text:
                text = (text + data)[:_MOST_START_BYTES]
                if b"\n" in text or len(text) == _MOST_START_BYTES:
                    self._tell(self._line, text.partition(b"\n")[0])
        self._tell(self._stop, "the parent closed our stdin")

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, _MOST_START_BYTES)
        except OSError:  # there is no stdin: nobody to wait for
            return b""

    def _tell(self, future: asyncio.Future[Any], result: object) -> None:
        try:
            self._loop.call_soon_threadsafe(lambda: None if future.done() else future.set_result(result))
        except RuntimeError:  # the loop is closed: the session is over
            return


async def told_to_go(descriptor: int = STDIN) -> bool:
    """Wait for a line of the parent's; False when it has gone instead. Nothing after the line is read."""
    loop = asyncio.get_running_loop()
    while True:
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(descriptor, _set, readable)
        try:
            await readable
        finally:
            loop.remove_reader(descriptor)
        byte = os.read(descriptor, 1)
        if byte in (b"", b"\n"):
            return byte == b"\n"


def _set(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)


async def stream(
    session: Session,
    lines: LineSink,
    manifest: Callable[[], dict[str, Any]],
    stop: asyncio.Future[str],
    descriptor: int = STDIN,
) -> EndRow:
    """Prepare a session whose sink is `lines`, say that it is ready, wait for the start, run it.

    Args:
        manifest: asked for when the policy is reset: by then it has loaded what it decides with.

    Raises:
        StartError: see `Parent.start_s`.
        BrokenPipeError: nobody reads the lines.
    """
    parent = Parent(stop, descriptor)
    await session.prepare(stop)
    lines.ready(manifest())
    begin_s = None
    with suppress(Stopped):  # then the session ends as it begins
        begin_s = await unless(stop, parent.start_s())
        lines.datagrams()
    return await session.run(begin_s=begin_s, stop=stop)
