"""What the two processes of a call have in common: how they talk with whoever started them, and how long.

    us      {"line": "loaded", …}
    parent  {"start_s": MONOTONIC}
    us      {"line": …, …} several times a second, the last one {"line": "done", …}
    parent  {"stop": true}, to who ends only then; then the end of its input, until which the socket is open:
            what still comes finds somebody

Settings are one JSON object, the process's only argument. Its loop runs in a real-time thread; the lines are
written by the main thread, which nobody waits for. SIGINT ends a call early.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TextIO

from testbed.process.children import CALL_PRIORITY, real_time

LOOK_S = 0.2
"""How often the main thread looks what has happened."""


def settings_of(words: Sequence[str] | None) -> dict[str, Any]:
    """The settings that a process was started with; None: as they were typed."""
    told: dict[str, Any] = json.loads((sys.argv[1:] if words is None else words)[0])
    return told


class Loop(Protocol):
    """An end of a call that is ready."""

    def run(self, t0: float) -> None: ...

    def stop(self) -> None: ...


class EndProcess:
    """This process as one end of a call.

    Args:
        out: where lines go.
        stops: what ends the loop early.
    """

    def __init__(self, out: TextIO, stops: Callable[[], None]) -> None:
        self._out = out
        self._stops = stops
        self.stopped = False
        """Whether it was ended early."""
        self.real_time = False
        self._t0 = 0.0
        self._told = threading.Event()
        self._thread = threading.Thread()
        signal.signal(signal.SIGINT, self._hear)
        signal.signal(signal.SIGTERM, self._hear)

    def _hear(self, number: int, frame: object) -> None:
        self.stopped = True
        self._stops()

    def say(self, line: str, **told: Any) -> None:
        """A line to the parent; where it has gone, so have we in a moment."""
        try:
            print(json.dumps({"line": line, **told}), file=self._out, flush=True)
        except BrokenPipeError:
            os._exit(1)

    def begin(self, loop: Loop) -> None:
        """Have a real-time thread wait for the moment to begin at, and run the loop: an ordinary one might be
        told of it too late."""
        self._thread = threading.Thread(target=self._run, args=(loop,), name="media", daemon=True)
        self._thread.start()

    def _run(self, loop: Loop) -> None:
        self.real_time = real_time(CALL_PRIORITY)  # of this thread alone
        text = sys.stdin.readline()
        if text and not self.stopped:
            self._t0 = float(json.loads(text)["start_s"])
            self._told.set()
            loop.run(self._t0)
        self._told.set()

    def rest(self) -> None:
        """Wait for the end of the input."""
        while sys.stdin.readline():
            pass

    def looks(self, loop: Loop, wait_for_word: bool) -> Iterator[float]:
        """The time since the call's begin, some times a second, until the loop ends; nothing where there was
        no begin.

        Args:
            wait_for_word: it ends when a line comes, and not by itself.
        """
        self._told.wait()
        while self._thread.is_alive():
            if wait_for_word and select.select([sys.stdin], [], [], LOOK_S)[0]:
                loop.stop()
                wait_for_word = False
            if not wait_for_word or self.stopped:
                self._thread.join(LOOK_S)
            yield time.monotonic() - self._t0
        self._thread.join()
