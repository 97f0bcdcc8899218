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
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TextIO

from testbed.process.children import CALL_PRIORITY, real_time

LOOK_S = 0.2
"""How often the main thread looks what has happened."""


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

    def told_start(self) -> float | None:
        """The moment to begin at; None where there will be none."""
        text = sys.stdin.readline()
        if not text or self.stopped:
            return None
        return float(json.loads(text)["start_s"])

    def rest(self) -> None:
        """Wait for the end of the input."""
        while sys.stdin.readline():
            pass

    def looks(self, loop: Loop, t0: float, wait_for_word: bool) -> Iterator[float]:
        """Run the loop from monotonic time `t0` on; the time since then, some times a second, until it ends.

        Args:
            wait_for_word: it ends when a line comes, and not by itself.
        """
        thread = threading.Thread(target=self._run, args=(loop, t0), name="media", daemon=True)
        thread.start()
        while thread.is_alive():
            if wait_for_word and select.select([sys.stdin], [], [], LOOK_S)[0]:
                loop.stop()
                wait_for_word = False
            if not wait_for_word or self.stopped:
                thread.join(LOOK_S)
            yield time.monotonic() - t0
        thread.join()

    def _run(self, loop: Loop, t0: float) -> None:
        self.real_time = real_time(CALL_PRIORITY)  # of this thread alone
        loop.run(t0)
