"""Angles in degrees that turn all the way round: the shorter way, apart, and on past half a turn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from traces.heads.head import YAW

Floats = NDArray[np.float64]
TURN = 360.0
"""Degrees all the way round."""


def wrapped(degrees: Floats) -> Floats:
    """Angles as ones of -180 up to 180."""
    return degrees - TURN * np.floor((degrees + TURN / 2.0) / TURN)


def unwrapped(history: Floats) -> Floats:
    """(n, samples, 3) with axis 2 going on past half a turn, by steps of at most half a turn.

    The newest sample keeps its value, so that what is predicted from it is not turns away from it.
    """
    steps = wrapped(np.diff(history[:, :, YAW], axis=1))
    found = history.copy()
    newest = history[:, -1:, YAW]
    found[:, :-1, YAW] = newest - np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
    return found


def off(predicted: Floats, true: Floats) -> Floats:
    """|difference|, a turn more or less allowed: NetLLM's published measure, which knows one turn only."""
    apart = true - predicted
    return np.minimum(np.abs(apart), np.minimum(np.abs(apart + TURN), np.abs(apart - TURN)))
