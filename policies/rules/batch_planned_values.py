"""`planned_values` compiled: for batches of sessions, and in a tenth of the time for one."""

from __future__ import annotations

import numpy as np

from player.compiled.compiled import compiled
from player.simulated.batch.library import Floats


@compiled
def fill_planned_values(
    download_s: Floats,
    buffer_s: float,
    chunk_s: float,
    last: int,
    gains: Floats,
    mu: float,
    room: Floats,
    other: Floats,
    values: Floats,
) -> None:
    """Fill `values` (levels,) as `planned_values` returns them.

    Args:
        download_s: (steps, levels) of the plan's chunks.
        room, other: (2, levels ** (steps - 1)) or more, for the beginnings of plans: buffer, worth.
    """
    steps, levels = download_s.shape
    room[0, 0], room[1, 0] = buffer_s, 0.0
    count = 1
    for step in range(steps - 1):
        for row in range(count):
            left_s, worth = room[0, row], room[1, row]
            before = last if step == 0 else row % levels
            for level in range(levels):
                late_s = download_s[step, level] - left_s
                place = row * levels + level
                other[0, place] = max(-late_s, 0.0) + chunk_s
                other[1, place] = worth + (gains[before, level] - mu * max(late_s, 0.0))
        count *= levels
        room, other = other, room
    values[:] = -np.inf
    plans_each = max(count // levels, 1)
    most = np.empty(levels)
    for level in range(levels):
        most[level] = gains[level].max()
    for row in range(count - 1, -1, -1):  # from the highest levels down: the bound then cuts most
        left_s, worth = room[0, row], room[1, row]
        before = last if steps == 1 else row % levels
        if steps > 1 and worth + most[before] <= values[row // plans_each]:
            continue
        for level in range(levels):
            late_s = download_s[steps - 1, level] - left_s
            reward = worth + (gains[before, level] - mu * max(late_s, 0.0))
            first = level if steps == 1 else row // plans_each
            values[first] = max(values[first], reward)
