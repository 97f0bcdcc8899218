"""What the learned predictors see of a moment: pure functions of an observation."""

from __future__ import annotations

import numpy as np

from player.viewport.windows import FUTURE, HISTORY, Floats, ViewportObservation
from policies.viewport.angles import unwrapped, wrapped
from traces.heads.head import AXES, YAW

UNIT = 30.0
"""Degrees that are 1."""
MOVES = (HISTORY - 1) * AXES
CROWD_AHEAD = (1, 2, 4, 7, 10, 15, 20)
"""Samples ahead at which others are looked at."""
NEAR = 8
"""Others who look nearest to the viewer now, whose moves count by themselves."""
CROWD = len(CROWD_AHEAD) * 9


def moves(seen: ViewportObservation) -> Floats:
    """(n, MOVES) the last nine steps of the head, in `UNIT`s. Where it is is not in it: what learns from that
    learns its training videos by heart."""
    return np.asarray(np.diff(unwrapped(seen.history), axis=1).reshape(len(seen.history), MOVES) / UNIT)


def crowd(seen: ViewportObservation) -> Floats:
    """(n, CROWD) where earlier viewers looked, from where this one looks now, at `CROWD_AHEAD`.

    For each: their mean direction on axis 2 as sine and cosine, how much they agree (0 to 1), their mean on
    the other axes, the mean move of those `NEAR`est now on all axes, and how near these are. Zero where
    nobody is.
    """
    found = np.zeros((len(seen.history), len(CROWD_AHEAD), 9))
    here = seen.history[:, -1]
    if seen.earlier.shape[1]:
        now = seen.earlier[:, :, HISTORY - 1]
        near = _nearest(now, here)
        for place, ahead in enumerate(CROWD_AHEAD):
            found[:, place] = _of_others(seen.earlier[:, :, HISTORY - 1 + ahead], now, here, near)
    return found.reshape(len(found), CROWD)


def _nearest(now: Floats, here: Floats) -> Floats:
    """(n, viewers) weights of those who look nearest: 1 or 0."""
    apart = np.abs(wrapped(now[:, :, YAW] - here[:, None, YAW])) + np.abs(now[:, :, 1] - here[:, None, 1])
    apart = np.where(np.isfinite(apart), apart, np.inf)
    order = np.argsort(np.argsort(apart, axis=1, kind="stable"), axis=1)
    return np.asarray((order < NEAR) & np.isfinite(apart), np.float64)


def _of_others(then: Floats, now: Floats, here: Floats, near: Floats) -> Floats:
    """(n, 9) of one time ahead."""
    there = np.isfinite(then[:, :, YAW])
    count = np.maximum(there.sum(axis=1), 1)
    turn = np.radians(np.where(there, then[:, :, YAW] - here[:, None, YAW], 0.0))
    sine, cosine = (np.where(there, part, 0.0).sum(axis=1) / count for part in (np.sin(turn), np.cos(turn)))
    others = (
        np.where(there[:, :, None], then[:, :, :YAW] - here[:, None, :YAW], 0.0).sum(axis=1) / count[:, None]
    )
    weights = near * there * np.isfinite(now[:, :, YAW])
    total = np.maximum(weights.sum(axis=1), 1.0)
    change = np.where(weights[:, :, None] > 0.0, then - now, 0.0)
    change[:, :, YAW] = wrapped(change[:, :, YAW])
    moved = (change * weights[:, :, None]).sum(axis=1) / total[:, None]
    return np.concatenate(
        [
            sine[:, None],
            cosine[:, None],
            np.sqrt(sine * sine + cosine * cosine)[:, None],
            others / UNIT,
            moved / UNIT,
            (weights.sum(axis=1) / NEAR)[:, None],
        ],
        axis=1,
    )


def residual(seen: ViewportObservation, future: Floats) -> Floats:
    """(n, FUTURE * 3) the target of learning: from the newest sample, axis 2 the shorter way, in `UNIT`s."""
    apart = future - seen.history[:, -1:]
    apart[:, :, YAW] = wrapped(apart[:, :, YAW])
    return np.asarray(apart.reshape(len(apart), FUTURE * AXES) / UNIT)


def from_residual(seen: ViewportObservation, answer: Floats) -> Floats:
    """(n, FUTURE, 3) degrees from (n, FUTURE * 3) of a net."""
    return np.asarray(seen.history[:, -1:] + UNIT * answer.reshape(len(answer), FUTURE, AXES))
