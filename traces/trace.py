"""The Trace type: what a link can carry, over time."""

from __future__ import annotations

import hashlib
import math
import struct
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

MOST_DELAY_MS = 10_000.0
"""No path takes longer, and no link is asked to: the unit is another one. So it is with the next four."""
LONGEST_QUEUE_MS = 600_000.0
"""No frame waits for ten minutes."""
LARGEST_QUEUE_BYTES = 2**32 - 1
"""tc's limit of a tbf is an unsigned word."""
LONGEST_GRANT_MS = 1_000.0
"""Grants are a matter of milliseconds; over a second it is a dark link, which a trace says better."""
MOST_MBPS = 1e9
"""A petabit a second."""
ALL_LOST_PCT = 100.0
"""A link that loses every frame is dark: its rate is 0."""


class TraceError(ValueError):
    """A trace that cannot be used; the message names the place, the value and the way out."""


def delay_fault(value_ms: float) -> str:
    """What is wrong with a delay and the way out, empty if nothing."""
    if 0 <= value_ms <= MOST_DELAY_MS:
        return ""
    return f"delay {value_ms:g} ms; write milliseconds from 0 to {MOST_DELAY_MS:g}"


def loss_fault(value_pct: float) -> str:
    """What is wrong with a loss and the way out, empty if nothing."""
    if 0 <= value_pct < ALL_LOST_PCT:
        return ""
    if value_pct == ALL_LOST_PCT:
        return "loss 100 %: nothing arrives; write rate 0 and loss 0 there, which is a dark link"
    return f"loss {value_pct:g} %; write per cent from 0 to under 100"


@dataclass(frozen=True)
class Step:
    """A stretch of constant rate, as a link replays it."""

    start_s: float
    """Since the replay began."""
    duration_s: float
    rate_mbps: float
    delay_ms: float = 0.0
    """What the trace adds to the idle round trip."""
    loss_pct: float = 0.0
    """Share of the frames towards the player that are lost, before the bottleneck."""


@dataclass(frozen=True)
class Trace:
    """A sequence of (end time, rate): `rate_mbps[i]` holds over (`time_s[i-1]`, `time_s[i]`].

    `time_s[0]` is 0 and marks the start; `rate_mbps[0]` belongs to no interval and is kept as read.
    After the end the trace wraps to its start. Rates are Mbit/s (10^6 bits) of whole Ethernet
    frames; 0 means a dark link. Delay and loss, where a trace has them, hold over the same intervals.

    Raises:
        TraceError: fewer than two points, time that does not start at 0 or does not increase,
            a rate that is negative or beyond any link's, nothing but zeros, or a delay or loss that no link
            has.
    """

    name: str
    time_s: tuple[float, ...]
    rate_mbps: tuple[float, ...]
    family: str = ""
    """The generator family or data set it belongs to, empty when unknown."""
    delay_ms: tuple[float, ...] | None = field(default=None, kw_only=True)
    """What is added to the idle round trip, 0 to `MOST_DELAY_MS`; None: nothing is known of it."""
    loss_pct: tuple[float, ...] | None = field(default=None, kw_only=True)
    """Share of the frames towards the player that are lost, from 0 to under 100; None: nothing is known."""

    assumed: tuple[str, ...] = field(default=(), kw_only=True, compare=False, repr=False)
    """What a reader took for granted to read it, a line each."""

    def __post_init__(self) -> None:
        self._check_times()
        for index, rate in enumerate(self.rate_mbps):
            if not 0 <= rate <= MOST_MBPS:
                raise TraceError(
                    f"{self.name}: point {index} has rate {rate} Mbit/s; must be 0 or more, at most"
                    f" {MOST_MBPS:g}"
                )
        if not any(rate > 0 for rate in self.rate_mbps[1:]):
            raise TraceError(f"{self.name}: every rate is 0; nothing could ever be delivered")
        for values, fault_of in ((self.delay_ms, delay_fault), (self.loss_pct, loss_fault)):
            for index, value in enumerate(values or ()):
                if fault := fault_of(value):
                    raise TraceError(f"{self.name}: point {index}: {fault}")

    def _check_times(self) -> None:
        for values, what in ((self.rate_mbps, "rates"), (self.delay_ms, "delays"), (self.loss_pct, "losses")):
            if values is not None and len(values) != len(self.time_s):
                raise TraceError(f"{self.name}: {len(self.time_s)} times but {len(values)} {what}")
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

    @property
    def duration_s(self) -> float:
        """Length of one pass."""
        return self.time_s[-1]

    @property
    def loses_frames(self) -> bool:
        """Whether any interval has a loss."""
        return any((self.loss_pct or ())[1:])

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

    def _index_after(self, time_s: float) -> int:
        """The interval that runs just after `time_s` (>= 0, wrapped)."""
        wrapped = math.fmod(time_s, self.duration_s)
        index = self._index_at(wrapped)
        if self.time_s[index] <= wrapped:
            index = index + 1 if index + 1 < len(self.time_s) else 1
        return index

    def rate_at(self, time_s: float) -> float:
        """Mbit/s just after `time_s`, wrapped."""
        return self.rate_mbps[self._index_after(time_s)]

    def delay_at(self, time_s: float) -> float:
        """Milliseconds added to the round trip just after `time_s`, wrapped; 0 without delays."""
        return 0.0 if self.delay_ms is None else self.delay_ms[self._index_after(time_s)]

    def loss_at(self, time_s: float) -> float:
        """Per cent of frames lost just after `time_s`, wrapped; 0 without losses."""
        return 0.0 if self.loss_pct is None else self.loss_pct[self._index_after(time_s)]

    @property
    def varies(self) -> bool:
        """Whether it says anything of delay or loss."""
        return self.delay_ms is not None or self.loss_pct is not None

    @property
    def without_delay_loss(self) -> Trace:
        """The rates alone; itself when it has nothing else."""
        if self.delay_ms is None and self.loss_pct is None:
            return self
        return replace(self, delay_ms=None, loss_pct=None)

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
            yield Step(
                elapsed,
                duration,
                self.rate_mbps[index],
                0.0 if self.delay_ms is None else self.delay_ms[index],
                0.0 if self.loss_pct is None else self.loss_pct[index],
            )
            elapsed += duration
            index = index + 1 if index + 1 < len(self.time_s) else 1
            offset = self.time_s[index - 1]

    @property
    def columns(self) -> dict[str, list[float]]:
        """Times, rates and what else it has, by name: as records and other processes are told of a trace."""
        held = {"time_s": self.time_s, "rate_mbps": self.rate_mbps}
        more = {"delay_ms": self.delay_ms, "loss_pct": self.loss_pct}
        return {name: list(values) for name, values in (held | more).items() if values is not None}

    @classmethod
    def of(cls, name: str, told: Mapping[str, Any], family: str = "") -> Trace:
        """The trace of such columns; others in `told` are passed over.

        Raises:
            KeyError: no times or no rates.
            TypeError, ValueError (TraceError): values that make no trace.
        """
        times, rates = (tuple(map(float, told[column])) for column in ("time_s", "rate_mbps"))
        delays, losses = (
            None if told.get(column) is None else tuple(map(float, told[column]))
            for column in ("delay_ms", "loss_pct")
        )
        return cls(name, times, rates, family, delay_ms=delays, loss_pct=losses)

    @classmethod
    def of_checked(
        cls,
        name: str,
        family: str,
        time_s: tuple[float, ...],
        rate_mbps: tuple[float, ...],
        delay_ms: tuple[float, ...] | None = None,
        loss_pct: tuple[float, ...] | None = None,
    ) -> Trace:
        """A trace of values that have been one: they are taken as they are, in no time."""
        made = object.__new__(cls)
        held = {"name": name, "family": family, "time_s": time_s, "rate_mbps": rate_mbps}
        for field_name, value in {**held, "delay_ms": delay_ms, "loss_pct": loss_pct, "assumed": ()}.items():
            object.__setattr__(made, field_name, value)
        return made

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the values (not of the name): equal traces are equal on every machine."""
        digest = hashlib.sha256()
        for values in (self.time_s, self.rate_mbps):
            digest.update(struct.pack(f"<{len(values)}d", *values))
        for name, more in (("delay_ms", self.delay_ms), ("loss_pct", self.loss_pct)):
            if more is not None:  # a trace of rates alone keeps the hash that it has in older records
                digest.update(name.encode() + struct.pack(f"<{len(more)}d", *more))
        return digest.hexdigest()

    def as_json(self) -> dict[str, Any]:
        """The values as JSON holds them, for another process; `from_json` reads them."""
        return {"name": self.name, "family": self.family, **self.columns}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Trace:
        """What `as_json` made.

        Raises:
            KeyError: a field is missing.
            TraceError: the values make no trace.
        """
        return cls.of(values["name"], values, values.get("family", ""))
