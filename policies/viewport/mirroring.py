"""Mirror images of viewers, to learn from: left and right are alike, up and down are not."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from player.viewport.windows import Floats
from traces.heads.head import AXES, YAW

MIRRORED = (0, YAW)
"""Axes that may be turned round."""
TURNS = ((), (0,), (YAW,), (0, YAW))
"""All choices of them; the first is the viewer as it was."""


def signs_of(axes: Iterable[int]) -> Floats:
    """(3,) 1, and -1 of these axes."""
    signs = np.ones(AXES)
    signs[list(axes)] = -1.0
    return signs
