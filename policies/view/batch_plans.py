"""`planned_values` compiled, at one guess."""

from __future__ import annotations

import numpy as np

from player.compiled.compiled import compiled
from player.simulated.batch.library import Floats
from policies.view.plans import REACH


@compiled
def fill_plan_values(
    download_s: Floats,
    steps: int,
    levels: int,
    buffer_s: float,
    cap_s: float,
    chunk_s: float,
    last: int,
    quality: Floats,
    mu: float,
    smooth: float,
    values: Floats,
) -> None:
    """Fill `values[:levels]` as `planned_values` returns them for one guess.

    Args:
        download_s: (steps, levels) or more.
        quality: (levels,) or more, rising.
    """
    turn = (steps + 1) // 2
    for first in range(levels):
        late_s = download_s[0, first] - buffer_s
        begun = quality[first] - smooth * abs(quality[last] - quality[first]) - mu * max(late_s, 0.0)
        begun_s = min(max(-late_s, 0.0) + chunk_s, cap_s)
        if steps == 1:
            values[first] = begun
            continue
        best = -np.inf
        for second in range(levels - 1, -1, -1):
            worth, held_s, before = begun, begun_s, first
            for step in range(1, turn):
                late_s = download_s[step, second] - held_s
                gain = quality[second] - smooth * abs(quality[before] - quality[second])
                worth += gain - mu * max(late_s, 0.0)
                held_s = min(max(-late_s, 0.0) + chunk_s, cap_s)
                before = second
            for third in range(min(second + REACH, levels - 1), max(second - REACH, 0) - 1, -1):
                change = smooth * abs(quality[before] - quality[third])
                most = worth - change + (steps - turn) * quality[third]
                if most < best:
                    continue
                sum_worth, left_s = worth - change, held_s
                for step in range(turn, steps):
                    late_s = download_s[step, third] - left_s
                    sum_worth += quality[third] - mu * max(late_s, 0.0)
                    left_s = min(max(-late_s, 0.0) + chunk_s, cap_s)
                best = max(best, sum_worth)
        values[first] = best
