"""The Trace type: what a link can carry, over time."""

from __future__ import annotations

import hashlib
import math
import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property


class TraceError(ValueError):
    """A trace that cannot be used; the message names the place, the value and the way out."""


@dataclass(frozen=True)
class Step:
    """A stretch of constant rate, as a link replays it."""

    start_s: float
    """Since the replay began."""
    duration_s: float
    rate_mbps: float


@dataclass(frozen=True)
class Trace:
    """A sequence of (end time, rate): `rate_mbps[i]` holds over (`time_s[i-1]`, `time_s[i]`].

    `time_s[0]` is 0 and marks the start; `rate_mbps[0]` belongs to no interval and is kept as read.
    After the end the trace wraps to its start. Rates are Mbit/s (10^6 bits) of whole Ethernet
    frames; 0 means a dark link.

    Raises:
        TraceError: fewer than two points, time that does not start at 0 or does not increase,
            a rate that is negative or not finite, or nothing but zeros.
    """

    name: str
    time_s: tuple[float, ...]
    rate_mbps: tuple[float, ...]
    family: str = ""
    """The generator family or data set it belongs to, empty when unknown."""

    def __post_init__(self) -> None:
        if len(self.time_s) != len(self.rate_mbps):
            raise TraceError(f"{self.name}: {len(self.time_s)} times but {len(self.rate_mbps)} rates")
        if len(self.time_s) < 2:
            raise TraceError(f"{self.name}: {len(self.time_s)} points; a trace needs at least two")
        if self.time_s[0] != 0.0:
            raise TraceError(f"{self.name}: starts at {self.time_s[0]} s; time must start at 0")
        for index in range(1, len(self.time_s)):
            if not self.time_s[index] > self.time_s[index - 1] or not math.isfinite(self.time_s[index]):
                raise TraceError(
                    f"{self.name}: point {index} is at {self.time_s[index]} s, not after "
                    f"{self.time_s[index - 1]} s; times must increase"
                )
        for index, rate in enumerate(self.rate_mbps):
            if not (math.isfinite(rate) and rate >= 0):
                raise TraceError(f"{self.name}: point {index} has rate {rate} Mbit/s; must be 0 or more")
        if not any(rate > 0 for rate in self.rate_mbps[1:]):
            raise TraceError(f"{self.name}: every rate is 0; nothing could ever be delivered")

    @property
    def duration_s(self) -> float:
        """Length of one pass."""
        return self.time_s[-1]

    @cached_property
    def mean_mbps(self) -> float:
        """Mean rate over one pass, weighted by time."""
        return self._megabits[-1] / self.duration_s

    @cached_property
    def _megabits(self) -> tuple[float, ...]:
        """(points,) megabits carried from the start to each point."""
        total, sums = 0.0, [0.0]
        for index in range(1, len(self.time_s)):
            total += self.rate_mbps[index] * (self.time_s[index] - self.time_s[index - 1])
            sums.append(total)
        return tuple(sums)

    def _index_at(self, time_s: float) -> int:
        """The interval that holds `time_s` (0 < time_s <= duration); its start for time 0."""
        return max(bisect_left(self.time_s, time_s), 1)

    def rate_at(self, time_s: float) -> float:
        """Mbit/s just after `time_s`, wrapped."""
        wrapped = math.fmod(time_s, self.duration_s)
        index = self._index_at(wrapped)
        if self.time_s[index] <= wrapped:
            index = index + 1 if index + 1 < len(self.time_s) else 1
        return self.rate_mbps[index]

    def megabits_until(self, time_s: float) -> float:
        """Megabits that a saturated link has carried from 0 to `time_s` (>= 0), wrapped."""
        passes = math.floor(time_s / self.duration_s)
        rest = time_s - passes * self.duration_s
        index = self._index_at(rest)
        within = self._megabits[index - 1] + self.rate_mbps[index] * (rest - self.time_s[index - 1])
        return passes * self._megabits[-1] + within

    def steps(self, start_s: float = 0.0) -> Iterator[Step]:
        """The replay from `start_s` on, without end: consecutive steps, wrapping.

        Args:
            start_s: offset into the trace in seconds (>= 0, wrapped).
        """
        offset = math.fmod(start_s, self.duration_s)
        index = self._index_at(offset)
        if self.time_s[index] <= offset:
            index = index + 1 if index + 1 < len(self.time_s) else 1
            offset = self.time_s[index - 1]
        elapsed = 0.0
        while True:
            duration = self.time_s[index] - offset
            yield Step(elapsed, duration, self.rate_mbps[index])
            elapsed += duration
            index = index + 1 if index + 1 < len(self.time_s) else 1
            offset = self.time_s[index - 1]

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the values (not of the name): equal traces are equal on every machine."""
        digest = hashlib.sha256()
        for values in (self.time_s, self.rate_mbps):
            digest.update(struct.pack(f"<{len(values)}d", *values))
        return digest.hexdigest()
