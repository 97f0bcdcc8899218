"""How late this process is woken, and the bucket that a link needs for it not to matter."""

from __future__ import annotations

from collections import deque

REMEMBERED = 250
"""Wake-ups: some seconds of them."""

LOOKED_AT_EVERY = 25

SHARE = 0.98
"""A bucket bridges so many of the moments in which the processor is away; the rest is made up for."""

LEAST_S = 0.0004
"""On a quiet machine a bucket holds what passes in this time, or a frame."""

MOST_S = 0.0025
"""However late the machine is: a bucket of 5 ms was no nearer to the trace, and gives twice the credit."""


class Wakes:
    """The last wake-ups' lateness."""

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
