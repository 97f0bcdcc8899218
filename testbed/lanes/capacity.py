"""What a machine can hold, from what it does to timers and processors: arithmetic, no measurement.

A token bucket covers a timer that is late by as long as its bytes last at the rate. What is lost beyond
that, the shaper's loop gives back within the next moments: it passes up to half as much again as the trace
carries until that is made up for. So a second's bytes are wrong by no more than what the machine was away
for too late in that second to be given back, and a link is true as long as that stays below a percent of a
second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from testbed.link.bucket import bucket_bytes
from testbed.link.correction import MOST_SHARE
from testbed.link.settings import KERNEL_MAX_MBPS
from testbed.machine.finding import NOTE, Finding
from testbed.machine.lateness import Look
from testbed.machine.load import SESSION_LOAD
from testbed.machine.readings import CpuTimes, MachineReading

WAY_OUT_OF_NOISE = "end other work, or give this virtual machine more of its host"

WITHIN = 0.01
WINDOW_S = 1.0
"""Bytes are held against the trace second by second; within a percent is as `testbed/fidelity.py` has it."""

SLOWEST_MBPS = 0.1
"""Below it a second holds fewer than nine frames, and a percent of it is no frame."""

KEPT_FREE = 0.5
"""Share of the processors that lanes leave free: chunks arrive and are decided on in bursts, and what is
due then has to find a processor at once."""

LATE_ALONE_MS = WITHIN * WINDOW_S * 1000
"""A timer that is this late once in a hundred wake-ups loses what a second may lose, ten times a second.
More lanes only give a processor more to do that does not serve one."""

NARROWING_MBPS = 0.01


def covered_s(rate_mbps: float) -> float:
    """How late a timer may be, in seconds, before a link of this rate loses anything."""
    return bucket_bytes(rate_mbps) * 8 / (rate_mbps * 1e6)


def is_true(rate_mbps: float, worst_late_s: float, stolen: float) -> bool:
    """Whether a link of this rate stays within a percent of every second.

    Args:
        worst_late_s: how long a processor was away, at worst.
        stolen: share of the wanted time in which it was away.
    """
    if stolen >= 1.0 or stolen / (1.0 - stolen) > MOST_SHARE:  # more than the loop can give back
        return False
    return worst_late_s - covered_s(rate_mbps) <= WITHIN * WINDOW_S


def highest_true_mbps(worst_late_s: float, stolen: float) -> float:
    """The highest rate, in Mbit/s, whose link stays within a percent of every second; 0 for none.

    `testbed.link.settings.KERNEL_MAX_MBPS`, which is what two small cores carry, where timers are no limit.
    """
    if is_true(KERNEL_MAX_MBPS, worst_late_s, stolen):
        return KERNEL_MAX_MBPS
    if not is_true(SLOWEST_MBPS, worst_late_s, stolen):
        return 0.0
    low, high = SLOWEST_MBPS, KERNEL_MAX_MBPS
    while high - low > NARROWING_MBPS:  # a bucket lasts the shorter the higher the rate
        middle = (low + high) / 2
        low, high = (middle, high) if is_true(middle, worst_late_s, stolen) else (low, middle)
    return low


def lanes_held(
    cpus: int, others: float, stolen: float, late_p99_ms: float, lane_load: float = SESSION_LOAD
) -> int:
    """About how many lanes, a session on each, go side by side on this machine now; 1 at least.

    Args:
        cpus: processors.
        others: threads of others that want one, in the mean. The scheduler shares each evenly.
        stolen: share of the wanted time in which the hypervisor took a processor away.
        late_p99_ms: of a real-time timer.
        lane_load: processors that a lane keeps busy in the mean.
    """
    if late_p99_ms >= LATE_ALONE_MS:
        return 1
    ours = cpus / (1.0 + others / cpus) * max(1.0 - stolen, 0.0)
    return max(math.floor(ours * (1.0 - KEPT_FREE) / lane_load), 1)


def in_turns(count: int, at_once: int) -> list[int]:
    """How many of `count` go in each turn, as evenly as can be and at most `at_once` (1 or more)."""
    turns = math.ceil(count / at_once)
    return [count // turns + (turn < count % turns) for turn in range(turns)]


@dataclass(frozen=True)
class Capacity:
    """How the machine keeps time at the moment, and what that is enough for."""

    timer_late_p50_ms: float
    timer_late_p99_ms: float
    timer_late_max_ms: float
    real_time: bool
    """Whether the timer ran in real time, as the shaper's does."""
    steal: float | None
    """Share of the processors' time that others took meanwhile, and …"""
    steal_since_boot: float | None
    idle: float | None
    highest_mbps: float
    """Of a link that stays within a percent of every second."""
    lanes: int
    """That go side by side, a player on each."""


def capacity_of(seen: Look, since_boot: MachineReading) -> Capacity:
    """What a look at the machine comes to."""
    stolen, late = seen.change.stolen_of_wanted, seen.lateness
    whole = since_boot.since(
        MachineReading(0.0, (CpuTimes(0.0, 0.0, 0.0),) * len(since_boot.cpus), None, {}, 0.0)
    )
    return Capacity(
        timer_late_p50_ms=late.p50_ms,
        timer_late_p99_ms=late.p99_ms,
        timer_late_max_ms=late.max_ms,
        real_time=late.real_time,
        steal=seen.change.steal,
        steal_since_boot=whole.steal,
        idle=seen.change.idle,
        highest_mbps=round(highest_true_mbps(late.max_ms / 1000, stolen), 1),
        lanes=lanes_held(seen.change.cpus, seen.others, stolen, late.p99_ms),
    )


def capacity_findings(found: Capacity) -> list[Finding]:
    """The same in words."""
    timer = (
        f"{found.timer_late_p50_ms:.2f} ms late, {found.timer_late_p99_ms:.2f} at p99,"
        f" {found.timer_late_max_ms:.2f} at worst" + ("" if found.real_time else " (not in real time)")
    )
    noisy = found.highest_mbps < KERNEL_MAX_MBPS or found.timer_late_p99_ms >= LATE_ALONE_MS
    if found.steal is None:
        steal = "the kernel does not tell what others take"
    else:
        steal = f"{100 * found.steal:.1f} % of its time goes to others"
        if found.steal_since_boot is not None:
            steal += f" ({100 * found.steal_since_boot:.1f} % since boot)"
        if found.idle is not None:
            steal += f", {100 * found.idle:.0f} % is idle"
    way_out = WAY_OUT_OF_NOISE if noisy else ""
    return [
        Finding("machine", "timer", NOTE, timer, way_out),
        Finding("machine", "steal", NOTE, steal),
        Finding("machine", "links", NOTE, _links(found)),
        Finding("machine", "lanes", NOTE, f"about {found.lanes} side by side, a player on each"),
    ]


def _links(found: Capacity) -> str:
    if not found.highest_mbps:
        return "no link stays within 1 % of every second's bytes while the machine is away that long"
    rate = found.highest_mbps
    shown = f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
    return f"up to about {shown} Mbit/s they stay within 1 % of every second's bytes"
