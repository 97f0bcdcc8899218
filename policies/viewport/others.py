"""Where earlier viewers of a video looked, as a viewer would have them: as a series, and as a map.

Both are told from now on: what others did at the same and later moments of the video, who watched it before.
Nothing of the viewer's own future is in it, and no absolute direction.
"""

from __future__ import annotations

import numpy as np

from player.viewport.windows import Floats
from policies.viewport.units import UNIT
from traces.heads.angles import wrapped
from traces.heads.head import AXES, PITCH, YAW

AHEAD = (1, 2, 4, 7, 10, 15, 20)
"""Samples ahead at which others are looked at."""
NEAR_DEGREES = np.array([25.0, 15.0, 25.0])
"""By axis: others further away than that count for little among those who are near."""
DOUBT = 0.5
"""A mean over few others is drawn to zero, as if so many stood where they should not be."""
CHANNELS = 2 * 2 * AXES + 1
MAP_YAW = (-180.0, -120.0, -80.0, -50.0, -25.0, -8.0, 8.0, 25.0, 50.0, 80.0, 120.0, 180.0)
MAP_PITCH = (-180.0, -30.0, -12.0, -4.0, 4.0, 12.0, 30.0, 180.0)
"""Edges of the map's fields, from where the viewer looks now: fine where most is."""
FIELDS = len(MAP_PITCH) - 1, len(MAP_YAW) - 1


def apart(there: Floats, here: Floats) -> Floats:
    """(…, 3) differences, axis 2 the shorter way."""
    found = there - here
    found[..., YAW] = wrapped(found[..., YAW])
    return found


def series(here: Floats, others: Floats) -> Floats:
    """(n, CHANNELS, AHEAD) what others do.

    For all of them, and for those who are near now: the mean of where they are, from here, and of how far
    they move from now on; and how much all agree on axis 2, from 0 to 1.

    Args:
        here: (n, 3) degrees.
        others: (n, viewers, 1 + FUTURE, 3) from now on; nan where a recording has ended.
    """
    now, later = others[:, :, 0], others[:, :, AHEAD]
    there = np.isfinite(later[..., YAW]) & np.isfinite(now[..., YAW])[:, :, None]
    away = np.where(there[..., None], apart(later, here[:, None, None]), 0.0)
    moved = np.where(there[..., None], apart(later, now[:, :, None]), 0.0)
    distance = np.nan_to_num(apart(now, here[:, None])) / NEAR_DEGREES
    near = np.exp(-0.5 * (distance * distance).sum(axis=2))
    parts = []
    for weight in (np.ones_like(near), near):
        total = np.einsum("nv,nvh->nh", weight, there.astype(np.float64)) + DOUBT
        for what in (away, moved):
            mean = np.einsum("nv,nvhc->nch", weight, what) / total[:, None] / UNIT
            parts.append(mean)
    turn, count = np.radians(away[..., YAW]), np.maximum(there.sum(axis=1), 1)
    sine, cosine = (np.where(there, part, 0.0).sum(axis=1) / count for part in (np.sin(turn), np.cos(turn)))
    parts.append(np.hypot(sine, cosine)[:, None])
    return np.concatenate(parts, axis=1)


def gaze_map(here: Floats, later: Floats) -> Floats:
    """(n, moments, *FIELDS) share of others who look into each field of axes 1 and 2 about here.

    Args:
        here: (n, 3) degrees.
        later: (n, viewers, moments, 3) degrees; nan where a recording has ended.
    """
    there = np.isfinite(later[..., YAW])
    away = np.where(there[..., None], apart(later, here[:, None, None]), 0.0)
    row = np.searchsorted(MAP_PITCH[1:-1], away[..., PITCH])
    column = np.searchsorted(MAP_YAW[1:-1], away[..., YAW])
    found = np.zeros((len(here), later.shape[2], *FIELDS))
    moment, _, ahead = np.nonzero(there)
    np.add.at(found, (moment, ahead, row[there], column[there]), 1.0)
    return found / np.maximum(there.sum(axis=1), 1)[:, :, None, None]
