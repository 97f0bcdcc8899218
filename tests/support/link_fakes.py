"""What tests of the link share: a clock that goes when it is told to, token buckets without a kernel."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from testbed.link.tbf import FRAME_BYTES, Counters, bytes_per_s


class Clock:
    """Stands in for the `time` module. Every look at it takes `tick_s`."""

    def __init__(self, now: float = 1000.0, wall_offset_s: float = 5e8, tick_s: float = 0.0) -> None:
        self.now, self.wall_offset_s, self.tick_s = now, wall_offset_s, tick_s

    def monotonic(self) -> float:
        self.now += self.tick_s
        return self.now

    def time(self) -> float:
        return self.monotonic() + self.wall_offset_s


@dataclass
class FakeBucket:
    """A token bucket whose counters are what the test says; it remembers what it was asked."""

    clock: Clock
    sent_bytes: int = 0
    backlog_bytes: int = 0
    drops: int = 0
    reads_take_s: list[float] = field(default_factory=list)
    """How long the next readings take; no time at all when it is empty."""
    foreign_words: str = ""
    on_read: Callable[[], None] = lambda: None
    rate_mbps: float = 0.0
    changes: list[tuple[float, int, int]] = field(default_factory=list)
    kicks: int = 0
    reads: int = 0

    def read(self) -> Counters:
        self.reads += 1
        self.on_read()
        if self.reads_take_s:
            self.clock.now += self.reads_take_s.pop(0)
        packets = self.sent_bytes // FRAME_BYTES
        return Counters(self.sent_bytes, packets, self.backlog_bytes, self.drops, bytes_per_s(self.rate_mbps))

    def change(self, rate_mbps: float, burst_bytes: int, limit_bytes: int) -> None:
        self.rate_mbps = rate_mbps
        self.changes.append((rate_mbps, burst_bytes, limit_bytes))

    def kick(self) -> None:
        self.kicks += 1

    def foreign(self, counters: Counters) -> str:
        return self.foreign_words


Stall = tuple[float, float]
"""A moment in which the processor is away: its begin and its end, s."""


def stalls(share: float, mean_s: float, until_s: float, seed: int) -> list[Stall]:
    """Moments at random, exponentially long, that take `share` of the time from 0 on."""
    draw = random.Random(seed).expovariate
    found, now = [], 0.0
    while now < until_s:
        begun = now + draw(share / (1 - share) / mean_s)
        now = begun + draw(1 / mean_s)
        found.append((begun, now))
    return found


class StallingBucket:
    """A saturated tbf on a processor that is away now and then: what its bucket can't hold meanwhile is lost.

    As the kernel's (net/sched/sch_tbf.c): tokens come at the rate up to the burst, a frame leaves when there
    are as many as its bytes, and a change fills the bucket.
    """

    def __init__(self, clock: Clock, away: Sequence[Stall]) -> None:
        self._clock, self._away = clock, list(away)
        self._now, self._rate, self._burst, self._tokens, self._sent_bytes = clock.now, 1, 0, 0.0, 0

    def _come_to(self, until: float) -> None:
        while self._now < until:
            while self._away and self._away[0][1] <= self._now:
                self._away.pop(0)
            begun, ended = self._away[0] if self._away else (until, until)
            if self._now < begun:
                self._serve(min(begun, until))
            else:
                self._miss(min(ended, until))

    def _serve(self, until: float) -> None:
        tokens = self._tokens + self._rate * (until - self._now)
        frames = int(tokens // FRAME_BYTES)
        self._tokens = tokens - frames * FRAME_BYTES
        self._sent_bytes += frames * FRAME_BYTES
        self._now = until

    def _miss(self, until: float) -> None:
        self._tokens = min(self._tokens + self._rate * (until - self._now), self._burst)
        self._now = until

    def read(self) -> Counters:
        self._come_to(self._clock.now)
        return Counters(self._sent_bytes, self._sent_bytes // FRAME_BYTES, 50 * FRAME_BYTES, 0, self._rate)

    def change(self, rate_mbps: float, burst_bytes: int, limit_bytes: int) -> None:
        self._come_to(self._clock.now)
        self._rate, self._burst, self._tokens = bytes_per_s(rate_mbps), burst_bytes, float(burst_bytes)

    def kick(self) -> None:
        """Nothing sleeps here."""

    def foreign(self, counters: Counters) -> str:
        return ""
