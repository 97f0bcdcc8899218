"""The receiver of a call, a process in the player's host: reports, requests, frames and when they are seen.

`python -m testbed.calling.ends.receiver SETTINGS`; `end_process.py` has what is said. Lines besides:
`came` (a second of the call, and the frames that were seen since the last one), `state`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TextIO

from player.call.settings import CallSettings
from player.real.stdout import kept_for_us
from testbed.calling.ends.end_process import EndProcess, settings_of
from testbed.calling.ends.lateness import lateness_of
from testbed.calling.ends.sides import ReceiverEnd, prepare_receiver, udp_socket
from traces.commands import BAD_INPUT

prepare = prepare_receiver
"""For the launcher."""

_SETTLED_S = 0.3
"""So long after its end a second of a call is told: what the kernel had stamped in it is in it."""


class ReceiverProcess:
    """A receiver, from its settings to its last line."""

    def __init__(self, told: Mapping[str, Any], out: TextIO) -> None:
        self._call = CallSettings(**told["call"])
        self._end = ReceiverEnd(self._call, udp_socket(told["here"], told["there"], told["port"]))
        self._process = EndProcess(out, self._end.stop)
        self._seconds = 0
        self._shown = 0

    def work(self) -> int:
        """All of it."""
        self._process.begin(self._end)
        self._process.say("loaded")
        for elapsed_s in self._process.looks(self._end, wait_for_word=True):
            self._tell(elapsed_s)
            self._process.say(
                "state", elapsed_s=elapsed_s, shown=int(self._end.receiver.record[0]["shown"]),
                bytes=int(self._end.box.control[0]["bytes"]),
            )  # fmt: skip
        self._tell(float("inf"))
        self._done()
        self._process.rest()
        return 0

    def _tell(self, elapsed_s: float) -> None:
        """The seconds that are over."""
        rows = self._end.receiver.seconds[0]
        while self._seconds < len(rows) and elapsed_s >= self._seconds + 1 + _SETTLED_S:
            if self._seconds == len(rows) - 1 and elapsed_s < float("inf"):
                return  # the last one holds all that is still seen
            told = dict(zip(rows.dtype.names, rows[self._seconds].item(), strict=True))
            self._process.say("came", second=self._seconds, **told, **self._frames())
            self._seconds += 1

    def _frames(self) -> dict[str, list[float]]:
        """Frames that were seen since this was asked last."""
        count = int(self._end.receiver.record[0]["shown"])
        new = self._end.receiver.shown[0][self._shown : count]
        self._shown = count
        return {name: [round(value, 6) for value in new[name].tolist()] for name in ("at_s", "captured_s")}

    def _done(self) -> None:
        box, r, delays = self._end.box, self._end.receiver.record[0], self._end.receiver.delays[0]
        counts = ("packets", "bytes", "reports", "reports_sent", "requests_sent", "refused", "strange")
        seen = ("decoded", "given_up", "overtaken", "shown")
        used = [[int(place), int(delays[place])] for place in delays.nonzero()[0]]
        self._process.say(
            "done",
            interrupted=self._process.stopped,
            real_time=self._process.real_time,
            late=asdict(lateness_of(box.late, float(box.most_late_s[0]))),
            delay_ms=used,
            **self._frames(),
            **{name: int(box.control[0][name]) for name in counts},
            **{name: int(r[name]) for name in seen},
        )


def main(words: Sequence[str] | None = None) -> int:
    """Run the process; returns the exit status."""
    told = settings_of(words)
    with kept_for_us() as out:
        try:
            return ReceiverProcess(told, out).work()
        except OSError as error:
            print(f"cannot open a socket: {error}", file=sys.stderr)
            return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
