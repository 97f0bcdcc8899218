"""What plans bring that begin with each level, at a constant throughput: numbers that nets are fed.

A plan is a level for each of the next chunks; it brings their quality less what its changes cost and less
`mu` for each second of stall, as RobustMPC counts. `batch_planned_values.py` is the same, compiled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def planned_values(
    sizes_bytes: Sequence[Sequence[int]] | Floats,
    mbps: float,
    buffer_s: float,
    chunk_s: float,
    last: int,
    gains: Floats,
    mu: float,
) -> Floats:
    """(levels,) the most that a plan brings which begins with each level.

    Args:
        sizes_bytes: [step][level], the plan's chunks, one or more.
        mbps: the throughput.
        last: the level before.
        gains: (levels, levels) [level before][level], quality less what the change costs.
        mu: what a second of stall costs.
    """
    levels = len(gains)
    buffers, worths, before = np.array([buffer_s]), np.zeros(1), np.array([last])
    for row in sizes_bytes:
        late_s = 8.0 * np.asarray(row, dtype=np.float64)[None, :] / 1e6 / mbps - buffers[:, None]
        buffers = (np.maximum(-late_s, 0.0) + chunk_s).ravel()
        worths = (worths[:, None] + (gains[before] - mu * np.maximum(late_s, 0.0))).ravel()
        before = np.tile(np.arange(levels), len(late_s))
    return np.asarray(worths.reshape(levels, -1).max(axis=1))
