"""The burst of a tbf: how much its bucket holds, at a rate and on a machine that wakes us so late.

A bucket of a frame is nearest to the trace while this process is woken in time. Where it is woken late, the
bucket bridges most of that lateness; the rest is made up for by the correction (`correction.py`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

BURST_BYTES = 1520
"""One frame and a little: idle links save up no more credit than that."""

REMEMBERED = 250
"""Wake-ups: some seconds of them."""

LOOKED_AT_EVERY = 25

SHARE = 0.98
"""A bucket bridges so many of the moments in which the processor is away; the rest is made up for."""

LEAST_S = 0.0004
"""On a quiet machine a bucket holds what passes in this time, or a frame."""

MOST_S = 0.0025
"""However late the machine is: a bucket of 5 ms was no nearer to the trace, and gives twice the credit."""


@dataclass(frozen=True)
class Making:
    """How a link is made true. The defaults are what was found best; `fidelity.py` measures others."""

    bucket_s: float | None = None
    """What the bucket holds, as time at the trace's rate, never less than `BURST_BYTES`; None: it follows
    the lateness of this machine's timers."""
    corrects: bool = True
    """Whether the rate is corrected within a step."""


AS_IS = Making()


def bucket_bytes(rate_mbps: float, bucket_s: float = LEAST_S) -> int:
    """The bucket's size at a rate, which it follows; a quiet machine's if nothing else is said."""
    return max(BURST_BYTES, round(rate_mbps * 1e6 / 8 * bucket_s))


class Wakes:
    """The last wake-ups' lateness, and the bucket that it asks for."""

    def __init__(self) -> None:
        self._late_s: deque[float] = deque(maxlen=REMEMBERED)
        self._since = 0
        self.bucket_s = LEAST_S
        """What a bucket had better hold now, as time at the link's rate."""

    def add(self, late_s: float) -> None:
        """A timer went off so much later than it was set to."""
        self._late_s.append(late_s)
        self._since += 1
        if self._since >= LOOKED_AT_EVERY:
            self._since = 0
            ordered = sorted(self._late_s)
            late_s = ordered[min(int(SHARE * len(ordered)), len(ordered) - 1)]
            self.bucket_s = min(max(late_s, LEAST_S), MOST_S)
