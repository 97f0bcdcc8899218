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


def lateness_of(counts: NDArray[np.int64], most_s: float) -> Lateness:
    """The quantiles of all that was counted; zeros of nothing."""
    total = int(counts.sum())
    passed = np.cumsum(counts)

    def at(share: float) -> float:
        if not total:
            return 0.0
        step_ms = (int(np.searchsorted(passed, share * total)) + 1) * STEP_S * 1000
        return round(min(step_ms, most_s * 1000), 3)

    return Lateness(total, at(0.5), at(0.99), round(most_s * 1000, 3))
