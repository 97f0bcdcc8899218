"""How late things were that had their time: counts in steps of 10 us, as compiled code keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.compiled.compiled import compiled

STEP_S = 1e-5
BINS = 10_000
"""Up to 0.1 s; the last has all that was later."""

FEW = 3
"""So many may be late in any call, however short: of 80 reports of 4 s one in a hundred is not even one, so
that one hiccup of the machine would tell as much as a machine that is too slow."""


@compiled
def note_late(counts: Any, most_s: Any, late_s: float) -> None:
    """Something was so late.

    Args:
        counts: (BINS,) int64.
        most_s: (1,) the latest so far.
    """
    counts[min(max(np.int64(late_s / STEP_S), 0), BINS - 1)] += 1
    most_s[0] = max(most_s[0], late_s)


@dataclass(frozen=True)
class Lateness:
    """What the counts come to, in ms; quantiles to 0.01 ms, rounded up."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    judged_ms: float
    """All but one in a hundred were no later; all but `FEW` where there are so few that this is more."""


def lateness_of(counts: NDArray[np.int64], most_s: float) -> Lateness:
    """The quantiles of all that was counted; zeros of nothing."""
    total = int(counts.sum())
    passed = np.cumsum(counts)

    def at(many: float) -> float:
        if many <= 0:
            return 0.0
        step_ms = (int(np.searchsorted(passed, many)) + 1) * STEP_S * 1000
        return round(min(step_ms, most_s * 1000), 3)

    judged = at(min(0.99 * total, total - FEW))
    return Lateness(total, at(0.5 * total), at(0.99 * total), round(most_s * 1000, 3), judged)
