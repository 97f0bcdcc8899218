"""Replays a trace's delay and loss on a netem stage: one `tc -batch` that lives as long as the lane.

Runs in the namespace of the node between server and router. JSON lines on
stdin: the link's settings and its interfaces, then {"do": "play", "trace": {...}, "start_s": S, "t0":
MONOTONIC} {"do": "rest"} and {"do": "report"}. On end of input it leaves, and tc with it.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import IO, Any

from testbed.link.netem import netem_changes
from testbed.link.packed_trace import unpacked
from testbed.link.settings import LinkSettings, Loss
from testbed.process.children import RELAY_PRIORITY, real_time, to_wait_s, undisturbed
from traces.bound_processes import die_with_parent
from traces.trace import Step, Trace


class NetemReplay:
    """Where the replay is, and how late its changes came.

    Args:
        tc: the input of a `tc -batch -`.
    """

    def __init__(self, settings: LinkSettings, up_interface: str, down_interface: str, tc: IO[bytes]) -> None:
        self._settings, self._up, self._down, self._tc = settings, up_interface, down_interface, tc
        self._steps: Iterator[Step] = iter(())
        self._step = Step(0.0, 0.0, 0.0)
        self._next: Step | None = None
        self._t0 = 0.0
        self.changes = 0
        self.late_max_ms = 0.0

    def play(self, trace: Trace, start_s: float, t0: float) -> None:
        """Begin at monotonic time `t0`."""
        self._steps, self._t0 = trace.steps(start_s), t0
        self._next = next(self._steps)

    def rest(self) -> None:
        """Take back what the trace added."""
        self._next = None
        self._apply(Step(0.0, 0.0, 0.0))

    def _apply(self, step: Step) -> bool:
        """Have tc put a step in force; whether that changed anything."""
        lines = netem_changes(self._settings, self._up, self._down, self._step, step)
        self._step = step
        if lines:
            self._tc.write(("\n".join(lines) + "\n").encode())
            self._tc.flush()
        return bool(lines)

    def work(self) -> float | None:
        """Make the changes that are due; seconds until the next, None while nothing is played."""
        while self._next is not None:
            due = self._t0 + self._next.start_s
            rest = due - time.monotonic()
            if rest > 0:
                return rest
            if self._apply(self._next):
                self.changes += 1
                self.late_max_ms = max(self.late_max_ms, (time.monotonic() - due) * 1000)
            self._next = next(self._steps)
        return None

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Carry out a line of stdin."""
        if question["do"] == "play":
            self.play(unpacked(question["trace"]), question["start_s"], question["t0"])
        elif question["do"] == "rest":
            self.rest()
        return {"changes": self.changes, "late_max_ms": round(self.late_max_ms, 3)}

    def run(self, questions: int) -> None:
        """Replay, and answer each line on descriptor `questions`, until its end."""
        pending = b""
        rest: float | None = None
        while True:
            ready, _, _ = select.select([questions], [], [], to_wait_s(rest))
            if ready:
                data = os.read(questions, 1 << 20)
                if not data:
                    return
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    print(json.dumps(self.answer(json.loads(line))), flush=True)
            rest = self.work()


def main() -> int:
    spec = json.loads(sys.stdin.readline())
    settings = LinkSettings(**{**spec["settings"], "loss": Loss(**spec["settings"]["loss"])})
    tc = subprocess.Popen(["tc", "-batch", "-"], stdin=subprocess.PIPE, preexec_fn=die_with_parent)
    assert tc.stdin is not None
    replay = NetemReplay(settings, spec["up"], spec["down"], tc.stdin)
    real_time(RELAY_PRIORITY)
    undisturbed()
    print(json.dumps({"ready": True, "tc_pid": tc.pid}), flush=True)
    replay.run(sys.stdin.fileno())
    tc.stdin.close()
    return tc.wait()


if __name__ == "__main__":
    sys.exit(main())
