"""The least of what came within a window, in three samples (K. Nichols' filter, as Linux `win_minmax.c`).

Exact for the least itself until it leaves the window; then the next in line is at most a quarter of a window
old, as in mvfst's `WindowedFilter`.
"""

from __future__ import annotations

import math

from player.call.gcc.state import Floats
from player.compiled.compiled import compiled

PLACES = 6
"""Three samples: (value, time) each, best first."""


@compiled
def forget_least(row: Floats) -> None:
    """Nothing has come."""
    for place in range(PLACES):
        row[place] = math.inf if place % 2 == 0 else -math.inf


@compiled
def _put(row: Floats, first: int, value: float, at_s: float) -> None:
    """From sample `first` on all are this one."""
    for sample in range(first, 3):
        row[2 * sample] = value
        row[2 * sample + 1] = at_s


@compiled
def _move_up(row: Floats, value: float, at_s: float) -> None:
    for place in range(4):
        row[place] = row[place + 2]
    _put(row, 2, value, at_s)


@compiled
def add_least(row: Floats, value: float, at_s: float, window_s: float) -> float:
    """A value came at `at_s`; the least of the window that ends there."""
    if value <= row[0] or at_s - row[5] > window_s:
        _put(row, 0, value, at_s)
        return value
    if value <= row[2]:
        _put(row, 1, value, at_s)
    elif value <= row[4]:
        _put(row, 2, value, at_s)
    if at_s - row[1] > window_s:
        _move_up(row, value, at_s)
        if at_s - row[1] > window_s:
            _move_up(row, value, at_s)
    elif row[3] == row[1] and at_s - row[3] > window_s / 4.0:
        _put(row, 1, value, at_s)
    elif row[5] == row[3] and at_s - row[5] > window_s / 2.0:
        _put(row, 2, value, at_s)
    return row[0]
