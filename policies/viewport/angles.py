"""Turning angles into numbers that a line can be drawn through."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from traces.heads.head import YAW

Floats = NDArray[np.float64]


def wrapped(degrees: Floats) -> Floats:
    """Angles as ones of -180 up to 180."""
    return degrees - 360.0 * np.floor((degrees + 180.0) / 360.0)


def unwrapped(history: Floats) -> Floats:
    """(n, samples, 3) with axis 2 going on past half a turn, by steps of at most half a turn.

    The newest sample keeps its value, so that what is predicted from it is not turns away from it.
    """
    steps = wrapped(np.diff(history[:, :, YAW], axis=1))
    found = history.copy()
    newest = history[:, -1:, YAW]
    found[:, :-1, YAW] = newest - np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
    return found
