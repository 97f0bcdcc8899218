"""What stamps of datagrams say of a path: its noise while idle, its spacing and slope while overloaded."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from testbed.checks.call_path.flow import WIRE_BYTES

NOISE_DEVIATION_MS, NOISE_P99_MS = 0.2, 0.5
"""Of the one-way delay over an idle path: a tenth of the 5 ms within which GCC groups packets."""
SPACING_SHARE, SLOPE_SHARE = 0.01, 0.02
"""The slope of delay is what GCC estimates: (rate - capacity) / rate."""
SKIPPED = 20
"""Datagrams at an overload's begin that leave on what the bucket has saved up."""


@dataclass(frozen=True)
class Arrival:
    """A datagram, by the clock of both ends, s."""

    number: int
    sent: float
    arrived: float
    """By the kernel's stamp."""

    @property
    def delay_ms(self) -> float:
        return 1000 * (self.arrived - self.sent)


@dataclass(frozen=True)
class IdleNoise:
    """One-way delays over a path that is not busy, ms."""

    sent: int
    came: int
    deviation_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    sender_late_p99_ms: float
    sender_late_max_ms: float


@dataclass(frozen=True)
class Overload:
    """Datagrams sent faster than the link carries them."""

    sent: int
    came: int
    spacing_ms: float
    """Median of the times between arrivals."""
    spacing_due_ms: float
    spacing_deviation_ms: float
    slope: float
    """Least squares of delay over the time of arrival."""
    slope_due: float
    """(rate sent - rate carried) / rate sent."""
    residual_ms: float
    """Standard deviation of the delay about the line."""


@dataclass(frozen=True)
class CallPathFacts:
    """One run."""

    idle: IdleNoise
    overload: Overload

    def faults(self, base_ms: float, even: bool) -> list[str]:
        """What is out of bounds, in words.

        Args:
            base_ms: the delay that was asked for.
            even: whether it was asked to be the same for each.
        """
        idle, over = self.idle, self.overload
        found = []
        if idle.came < idle.sent or over.came < over.sent:
            lost = idle.sent - idle.came + over.sent - over.came
            found.append(f"{lost} datagrams were lost")
        if even and idle.deviation_ms > NOISE_DEVIATION_MS:
            found.append(f"idle delay's deviation {idle.deviation_ms:.3f} ms (bound {NOISE_DEVIATION_MS:g})")
        if even and idle.p99_ms - base_ms > NOISE_P99_MS:
            found.append(f"idle delay at p99 {idle.p99_ms:.3f} ms (bound {base_ms + NOISE_P99_MS:g})")
        if abs(over.spacing_ms / over.spacing_due_ms - 1) > SPACING_SHARE:
            found.append(f"spacing {over.spacing_ms:.4f} ms (due {over.spacing_due_ms:.4f}, within 1 %)")
        if abs(over.slope / over.slope_due - 1) > SLOPE_SHARE:
            found.append(f"slope {over.slope:.5f} (due {over.slope_due:.5f}, within 2 %)")
        return found


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of values in order; nan of none."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else math.nan


def idle_noise(arrivals: Sequence[Arrival], sent: int, late: dict[str, float]) -> IdleNoise:
    """Of the arrivals over an idle path; `late` is what the sender told of itself."""
    delays = sorted(arrival.delay_ms for arrival in arrivals)
    p50, p95, p99 = (round(quantile(delays, share), 4) for share in (0.5, 0.95, 0.99))
    return IdleNoise(
        sent=sent,
        came=len(delays),
        deviation_ms=round(statistics.pstdev(delays), 4) if delays else math.nan,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=round(quantile(delays, 1.0), 4),
        sender_late_p99_ms=late["late_p99_ms"],
        sender_late_max_ms=late["late_max_ms"],
    )


def overload(arrivals: Sequence[Arrival], sent: int, rate_mbps: float, gap_s: float) -> Overload:
    """Of the arrivals over a link of `rate_mbps` that is sent a datagram each `gap_s`."""
    full = sorted(arrivals, key=lambda arrival: arrival.number)[SKIPPED:]
    spacings = [1000 * (b.arrived - a.arrived) for a, b in itertools.pairwise(full)]
    times_s = [arrival.arrived - full[0].arrived for arrival in full]
    delays_s = [arrival.delay_ms / 1000 for arrival in full]
    line = statistics.linear_regression(times_s, delays_s)
    residuals_s = [
        delay_s - line.intercept - line.slope * at for at, delay_s in zip(times_s, delays_s, strict=True)
    ]
    frame_s = WIRE_BYTES * 8 / 1e6 / rate_mbps
    return Overload(
        sent=sent,
        came=len(arrivals),
        spacing_ms=round(statistics.median(spacings), 4),
        spacing_due_ms=round(1000 * frame_s, 4),
        spacing_deviation_ms=round(statistics.pstdev(spacings), 4),
        slope=round(line.slope, 5),
        slope_due=round(1 - gap_s / frame_s, 5),
        residual_ms=round(1000 * statistics.pstdev(residuals_s), 4),
    )
