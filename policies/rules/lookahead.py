"""What each plan for the next chunks would bring, if the throughput were known.

A *plan* is a level for each of the next `steps` chunks. Plans are numbered in the order of
`itertools.product`: the last chunk's level changes fastest, so plan p of `levels ** steps` starts
with level p // levels ** (steps - 1), and a higher number never starts lower.

**The order of operations is part of the result.** Many plans are worth exactly the same on paper (a
step up that lasts two chunks gains what its two changes cost), so rounding in the last bit picks
among them, and what it picks matters: with the values of `linear` plans rounded to nine decimals,
RobustMPC's mean on `mahimahi-cellular/down` falls from 1.99 to 1.80. The order here is that of the
public code (Pensieve `test/mpc.py`), so that its figures come out; a faster version must keep it:

    reward = (sum of q / unit - mu x stall) - smooth x (sum of |q - q before|) / unit

where for `linear` q is kbit/s and unit 1000, so that sums are whole numbers; else unit is 1. Sums run
from the plan's first chunk to its last. Of equal rewards the last plan wins, which starts highest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.qoe import QoE

Floats = NDArray[np.float64]

MAX_PLANS = 100_000
"""Longest list of plans that is searched; a larger ladder is planned over fewer chunks."""

KBPS_PER_MBPS = 1000.0


@dataclass(frozen=True)
class Quality:
    """The quality of each level, in the unit in which plans are summed."""

    q: tuple[float, ...]
    unit: float
    smooth: float
    mu: float


def quality_for_sums(qoe: QoE, ladder_kbps: Sequence[int]) -> Quality:
    """A ladder's quality, kbit/s for `linear`.

    Raises:
        ValueError: `hd` for a ladder that its table does not know.
    """
    if qoe.kind == "linear":
        return Quality(tuple(float(kbps) for kbps in ladder_kbps), KBPS_PER_MBPS, qoe.smooth, qoe.mu)
    return Quality(qoe.quality(ladder_kbps), 1.0, qoe.smooth, qoe.mu)


@dataclass(frozen=True)
class PlanTable:
    """What is known of all plans from one level on, before any throughput is."""

    steps: int
    mu: float
    gains: Floats
    """(plans,) sum of q / unit."""
    costs: Floats
    """(plans,) smooth x sum of changes / unit; inf for a plan that is not allowed."""

    def rewards(self, stalls_s: Floats) -> Floats:
        """(plans,) what each plan brings, given its stall in seconds; -inf if it is not allowed."""
        return self.gains - self.mu * stalls_s - self.costs

    def best(self, stalls_s: Floats) -> int:
        """The number of the plan with the largest reward; of equal ones the last.

        Args:
            stalls_s: (plans,) in seconds.
        """
        return best_plan(self.rewards(stalls_s))


def best_plan(rewards: Floats) -> int:
    """The number of the plan with the largest of (plans,) rewards; of equal ones the last."""
    return len(rewards) - 1 - int(np.argmax(rewards[::-1]))


def affordable_steps(levels: int, steps: int) -> int:
    """`steps`, or as many as `MAX_PLANS` plans reach over; at least 1."""
    while steps > 1 and levels**steps > MAX_PLANS:
        steps -= 1
    return steps


def plan_table(quality: Quality, last_level: int, steps: int, max_move: int | None = None) -> PlanTable:
    """Gains and costs of all plans.

    Args:
        last_level: the level of the chunk before the plan.
        steps: chunks in a plan, at least 1.
        max_move: plans that go further than this from one chunk to the next are not allowed.
    """
    q = np.asarray(quality.q)
    levels = len(q)
    sums, changes = np.zeros(1), np.zeros(1)
    allowed = np.ones(1, dtype=bool)
    before = np.array([last_level])
    for _ in range(steps):
        after = np.tile(np.arange(levels), len(before))
        previous = np.repeat(before, levels)
        sums = np.repeat(sums, levels) + q[after]
        changes = np.repeat(changes, levels) + np.abs(q[after] - q[previous])
        if max_move is not None:
            allowed = np.repeat(allowed, levels) & (np.abs(after - previous) <= max_move)
        before = after
    costs = quality.smooth * changes / quality.unit
    return PlanTable(steps, quality.mu, sums / quality.unit, np.where(allowed, costs, np.inf))


def plan_stalls_s(
    sizes_bytes: Sequence[Sequence[int]], throughput_mbps: float, buffer_s: float, chunk_s: float
) -> Floats:
    """Seconds that playback would stop under every plan, at a constant throughput.

    A step: d = 8 x size / 10^6 / throughput; stall += max(d - buffer, 0); buffer = max(buffer - d, 0)
    + chunk length. The round trip and the buffer's cap are left out, as in the public code. Plans
    with a common beginning share its arithmetic: a tree, not a list.

    Args:
        sizes_bytes: [step][level], the plan's chunks.

    Returns:
        (levels ** steps,) in seconds.
    """
    buffers, stalls = np.array([buffer_s]), np.zeros(1)
    for row in sizes_bytes:
        download_s = 8 * np.asarray(row, dtype=np.float64) / 1e6 / throughput_mbps
        late_s = download_s[None, :] - buffers[:, None]
        stalls = (stalls[:, None] + np.maximum(late_s, 0.0)).ravel()
        buffers = (np.maximum(-late_s, 0.0) + chunk_s).ravel()
    return stalls
