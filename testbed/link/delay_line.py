"""Frames of one direction that wait for their time, in order; what was asked of them, and what came of it.

A frame is due a delay after its arrival, give or take a jitter, at the next tick of the grant clock where
there is one. Order is kept: no frame is due before the one ahead of it. So each frame waits from
`delay - jitter` to `delay + jitter + grant`, whatever comes, and on a clock of grants frames that came within
one leave together.
"""

from __future__ import annotations

import math
import random
from collections import Counter, deque
from dataclasses import dataclass

QUEUE_FRAMES = 200_000
"""More waiting frames than this are dropped, and counted."""

_FINE_BELOW_MS = 100


class LateFrames:
    """How late frames left: counts in steps of 0.1 ms, of 10 ms where it is a matter of seconds."""

    def __init__(self) -> None:
        self._counts: Counter[float] = Counter()
        self._sum_ms = 0.0
        self.max_ms = 0.0

    def add(self, late_s: float) -> None:
        late_ms = late_s * 1000
        self._counts[round(late_ms, 1 if late_ms < _FINE_BELOW_MS else -1)] += 1
        self._sum_ms += late_ms
        if late_ms > self.max_ms:
            self.max_ms = late_ms

    @property
    def mean_ms(self) -> float:
        return self._sum_ms / max(self._counts.total(), 1)

    def quantile_ms(self, share: float) -> float:
        """The lateness that `share` of the frames do not exceed; 0 of none."""
        rank = share * self._counts.total()
        for late_ms in sorted(self._counts):
            rank -= self._counts[late_ms]
            if rank <= 0:
                return late_ms
        return 0.0


@dataclass(frozen=True)
class LineDelays:
    """How long frames were to wait, and did; ms. All 0 where none came."""

    frames: int
    """That have left."""
    due_min_ms: float
    """From a frame's arrival to the moment that it was due to leave."""
    due_mean_ms: float
    due_max_ms: float
    drawn_mean_ms: float
    """Of the jitter that was drawn, before order was kept."""
    drawn_deviation_ms: float
    off_grant_max_ms: float
    """How far off the grant clock's ticks frames were due at most."""
    late_mean_ms: float
    """From the moment that a frame was due until it left."""
    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float


@dataclass
class _Drawn:
    """Sums of what was asked of frames."""

    frames: int = 0
    least_s: float = math.inf
    most_s: float = 0.0
    sum_s: float = 0.0
    jitter_s: float = 0.0
    jitter_squared: float = 0.0

    def add(self, wait_s: float, jitter_s: float) -> None:
        self.frames += 1
        self.least_s, self.most_s = min(self.least_s, wait_s), max(self.most_s, wait_s)
        self.sum_s += wait_s
        self.jitter_s += jitter_s
        self.jitter_squared += jitter_s * jitter_s


class DelayLine:
    """Frames that wait.

    Args:
        delay_s: from a frame's arrival on.
        jitter_s: to either side, uniformly, drawn for each frame.
        grant_s: frames leave at multiples of this only; 0: at any time.
        seed: of the jitter.
    """

    def __init__(self, delay_s: float, jitter_s: float, grant_s: float, seed: int) -> None:
        self._delay_s, self._jitter_s, self._grant_s = delay_s, jitter_s, grant_s
        self._draw = random.Random(seed).uniform
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._asked = _Drawn()
        self._late = LateFrames()
        self._left = 0
        self._off_grant_s = 0.0

    def hold(self, packet: bytes, arrived: float, more_s: float = 0.0) -> bool:
        """Take in a packet; False where there is no room.

        Args:
            arrived: monotonic.
            more_s: that it waits besides.
        """
        if len(self._waiting) >= QUEUE_FRAMES:
            return False
        jitter_s = self._draw(-self._jitter_s, self._jitter_s) if self._jitter_s else 0.0
        due = arrived + self._delay_s + more_s + jitter_s
        if self._grant_s:
            due = math.ceil(due / self._grant_s) * self._grant_s
        if self._waiting:
            due = max(due, self._waiting[-1][0])
        self._asked.add(due - arrived, jitter_s)
        self._waiting.append((due, packet))
        return True

    @property
    def next_due(self) -> float | None:
        """When the next packet is due, monotonic; None where none waits."""
        return self._waiting[0][0] if self._waiting else None

    def pop(self, now: float) -> bytes:
        """The next packet, which leaves now."""
        due, packet = self._waiting.popleft()
        self._left += 1
        self._late.add(now - due)
        if self._grant_s:
            ticks = due / self._grant_s
            self._off_grant_s = max(self._off_grant_s, abs(ticks - round(ticks)) * self._grant_s)
        return packet

    def delays(self) -> LineDelays:
        """What was asked and done so far."""
        asked, late = self._asked, self._late
        frames = max(asked.frames, 1)
        mean_s = asked.jitter_s / frames
        deviation_s = math.sqrt(max(asked.jitter_squared / frames - mean_s * mean_s, 0.0))
        return LineDelays(
            frames=self._left,
            due_min_ms=round(1000 * asked.least_s, 4) if asked.frames else 0.0,
            due_mean_ms=round(1000 * asked.sum_s / frames, 4),
            due_max_ms=round(1000 * asked.most_s, 4),
            drawn_mean_ms=round(1000 * mean_s, 4),
            drawn_deviation_ms=round(1000 * deviation_s, 4),
            off_grant_max_ms=round(1000 * self._off_grant_s, 4),
            late_mean_ms=round(late.mean_ms, 4),
            late_p50_ms=late.quantile_ms(0.5),
            late_p99_ms=late.quantile_ms(0.99),
            late_max_ms=round(late.max_ms, 3),
        )
