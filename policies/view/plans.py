"""What the best of a few plans brings that begins with each level, at a constant throughput.

A plan is a first level, a second one to its middle and a third to its end, the third at most `REACH`
levels from the second: levels^2 x 5 plans instead of levels^chunks. It spans `PLAN_S` seconds of media, at
least `FEWEST` and at most `MOST` chunks, and ends with the video. It brings the quality of its chunks, less
what their changes cost and less mu for each second of stall; the buffer never passes its cap. Beyond the
chunks whose sizes are known, nominal rates stand for them. `batch_plans.py` is the same, compiled.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

PLAN_S = 32.0
FEWEST, MOST = 5, 20
REACH = 2

Floats = NDArray[np.float64]


def plan_steps(chunk_s: float, chunks_left: int) -> int:
    """Chunks of a plan, 1 or more."""
    return min(max(min(math.ceil(PLAN_S / chunk_s), MOST), FEWEST), chunks_left)


def middle(steps: int) -> int:
    """The first step of a plan's third level."""
    return (steps + 1) // 2


def planned_values(
    download_s: Floats,
    buffer_s: float,
    cap_s: float,
    chunk_s: float,
    last: int,
    quality: Floats,
    mu: float,
    smooth: float,
) -> Floats:
    """(guesses, levels) the most that a plan brings which begins with each level.

    Args:
        download_s: (guesses, steps, levels) what each chunk takes at each guess.
        last: the level before.
        quality: (levels,)
    """
    _, steps, levels = download_s.shape
    change = smooth * np.abs(quality[:, None] - quality[None, :])  # (levels, levels)
    turn = middle(steps)
    late_s = download_s[:, 0] - buffer_s
    worth = quality - change[last] - mu * np.maximum(late_s, 0.0)  # (guesses, first)
    held_s = np.minimum(np.maximum(-late_s, 0.0) + chunk_s, cap_s)
    if steps == 1:
        return np.asarray(worth)
    second = np.arange(levels)
    worth, held_s = worth[:, :, None], held_s[:, :, None]
    before = np.broadcast_to(np.arange(levels)[:, None], (levels, levels))
    for step in range(1, turn):
        late_s = download_s[:, step][:, None, :] - held_s
        gains = quality[None, :] - change[before, second[None, :]]
        worth = worth + (gains - mu * np.maximum(late_s, 0.0))
        held_s = np.minimum(np.maximum(-late_s, 0.0) + chunk_s, cap_s)
        before = np.broadcast_to(second, (levels, levels))
    third = np.clip(second[:, None] + np.arange(-REACH, REACH + 1), 0, levels - 1)  # (second, reach)
    worth, held_s = worth[..., None], held_s[..., None]
    cost = change[before[:, :, None], third]  # (first, second, reach)
    for step in range(turn, steps):
        late_s = download_s[:, step][:, third][:, None] - held_s
        worth = worth + (quality[third] - cost - mu * np.maximum(late_s, 0.0))
        held_s = np.minimum(np.maximum(-late_s, 0.0) + chunk_s, cap_s)
        cost = np.zeros(1)
    return np.asarray(worth.max(axis=(2, 3)))
