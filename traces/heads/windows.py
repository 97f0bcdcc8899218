"""Windows of recordings as published with NetLLM, and the two ways in which it lets a head go on.

Two seconds before, four seconds after, every three seconds; the first 6 and the last 12 seconds are left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
HISTORY, FUTURE = 10, 20
"""Samples, five a second."""
STEP, HEAD, TAIL = 15, 30, 60
"""Samples from window to window, and without windows at the beginning and the end."""
_AHEAD = np.arange(1, FUTURE + 1, dtype=np.float64)


def moments_of(samples: int, step: int = STEP, head: int = HEAD, tail: int = TAIL) -> tuple[int, ...]:
    """Where the windows' futures begin in a recording of so many samples."""
    return tuple(range(head, samples - tail, step))


def steadily(history: Floats) -> Floats:
    """(n, FUTURE, 3) from (n, HISTORY, 3): on from the newest sample at the mean speed of all."""
    step = (history[:, -1] - history[:, 0]) / (HISTORY - 1)
    return np.asarray(history[:, -1:] + _AHEAD[:, None] * step[:, None])


def along_line(history: Floats) -> Floats:
    """(n, FUTURE, 3) from (n, HISTORY, 3): on along the straight line of least squares."""
    times = np.arange(HISTORY) - (HISTORY - 1) / 2.0
    slope = np.einsum("t,nta->na", times, history) / (times * times).sum()
    ahead = _AHEAD + (HISTORY - 1) / 2.0
    return np.asarray(history.mean(axis=1)[:, None] + ahead[:, None] * slope[:, None])
