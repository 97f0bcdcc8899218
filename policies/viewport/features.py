"""What the learned predictors see of a moment: pure functions of an observation."""

from __future__ import annotations

import numpy as np

from player.viewport.windows import FUTURE, HISTORY, Floats, ViewportObservation
from policies.viewport.mirroring import signs_of
from policies.viewport.others import AHEAD, DOUBT, NEAR_DEGREES, apart
from policies.viewport.units import UNIT
from traces.heads.angles import unwrapped, wrapped
from traces.heads.head import AXES, YAW

STEPS = HISTORY - 1
MOVES = STEPS * AXES
POSTURE = 2
HEAD = 2 * MOVES + POSTURE
BEFORE = 5
"""Samples back from which others' ways are compared with the viewer's."""
ALIKE_DEGREES = np.array([20.0, 12.0, 20.0])
"""By axis: others whose last second went otherwise by more count for little."""
COMPANIES = 4
"""All others, those roughly near, those near, and those near who came the same way."""
CROWD = (COMPANIES * 2 + 1) * len(AHEAD) * AXES + COMPANIES + len(AHEAD)


def moves(seen: ViewportObservation) -> Floats:
    """(n, MOVES) the last nine steps of the head, in `UNIT`s."""
    return np.asarray(np.diff(unwrapped(seen.history), axis=1).reshape(len(seen.history), MOVES) / UNIT)


def head(seen: ViewportObservation) -> Floats:
    """(n, HEAD) steps, where the head was from where it is, and how it is held on axes 0 and 1, in `UNIT`s.

    Where it looks on axis 2 is not in it: what learns from that learns its training videos by heart. Axes 0
    and 1 go back to the middle whatever is watched.
    """
    steps = moves(seen).reshape(-1, STEPS, AXES)
    before = -np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
    posture = seen.history[:, -1, :POSTURE] / UNIT
    return np.concatenate([moves(seen), before.reshape(len(before), MOVES), posture], axis=1)


def crowd(seen: ViewportObservation) -> Floats:
    """(n, CROWD) where earlier viewers looked, from where this one looks now, at `AHEAD`.

    For each of four `COMPANIES`: the mean of where they are, from here, and of how far they move from now on;
    the median of where all are; how many there are; and how much all agree on axis 2, from 0 to 1. Zero where
    nobody is.
    """
    here, now = seen.history[:, -1], seen.earlier[:, :, HISTORY - 1]
    later = seen.earlier[:, :, [HISTORY - 1 + ahead for ahead in AHEAD]]
    there = np.isfinite(later[..., YAW])
    where = np.where(there[..., None], apart(later, here[:, None, None]), np.nan)
    away = np.nan_to_num(where)
    moved = np.where(there[..., None], np.nan_to_num(apart(later, now[:, :, None])), 0.0)
    weights = _companies(seen)
    total = np.einsum("nkv,nvh->nkh", weights, there.astype(np.float64)) + DOUBT
    means = np.einsum("nkv,nvhc->nkhc", weights, np.concatenate([away, moved], axis=3)) / total[..., None]
    parts = (means / UNIT, np.log1p(weights.sum(axis=2)), _agreement(away, there), _median(where) / UNIT)
    return np.concatenate([part.reshape(len(here), -1) for part in parts], axis=1)


def _companies(seen: ViewportObservation) -> Floats:
    """(n, COMPANIES, viewers) how much each counts."""
    now, before = seen.earlier[:, :, HISTORY - 1], seen.earlier[:, :, HISTORY - 1 - BEFORE]
    own = apart(seen.history[:, -1], seen.history[:, -1 - BEFORE])
    distance = np.nan_to_num(apart(now, seen.history[:, None, -1])) / NEAR_DEGREES
    otherwise = np.nan_to_num(apart(now, before) - own[:, None]) / ALIKE_DEGREES
    near, unlike = (distance * distance).sum(axis=2), (otherwise * otherwise).sum(axis=2)
    falls = (np.zeros_like(near), near / 8.0, near / 2.0, (near + unlike) / 2.0)
    there = np.isfinite(now[..., YAW]) & np.isfinite(before[..., YAW])
    return np.stack([np.exp(-fall) * there for fall in falls], axis=1)


def _agreement(away: Floats, there: Floats) -> Floats:
    """(n, AHEAD) the mean resultant length of directions."""
    turn, count = np.radians(away[..., YAW]), np.maximum(there.sum(axis=1), 1)
    sine, cosine = (np.where(there, part, 0.0).sum(axis=1) / count for part in (np.sin(turn), np.cos(turn)))
    return np.hypot(sine, cosine)


def _median(where: Floats) -> Floats:
    """(n, AHEAD, 3) over viewers that are there; zero where nobody is."""
    ordered = np.sort(where, axis=1)  # nan comes last
    count = np.isfinite(where).sum(axis=1, keepdims=True)
    if not where.shape[1]:
        return np.zeros((len(where), *where.shape[2:]))
    low, high = (np.maximum(count - 1, 0) // 2, np.maximum(count, 1) // 2)
    both = np.take_along_axis(ordered, low, 1) + np.take_along_axis(ordered, high, 1)
    return np.nan_to_num(both[:, 0] / 2.0)


def residual(seen: ViewportObservation, future: Floats) -> Floats:
    """(n, FUTURE * 3) the target of learning: from the newest sample, axis 2 the shorter way, in `UNIT`s."""
    off = future - seen.history[:, -1:]
    off[:, :, YAW] = wrapped(off[:, :, YAW])
    return np.asarray(off.reshape(len(off), FUTURE * AXES) / UNIT)


def from_residual(seen: ViewportObservation, answer: Floats) -> Floats:
    """(n, FUTURE, 3) degrees from (n, FUTURE * 3) of a net."""
    return np.asarray(seen.history[:, -1:] + UNIT * answer.reshape(len(answer), FUTURE, AXES))


def mirror(axis: int, crowded: bool) -> Floats:
    """(inputs,) 1 or -1: what the inputs of a viewer are whose axis goes the other way, as do all others'."""
    signs = signs_of([axis])
    own = [np.tile(signs, 2 * STEPS), signs[:POSTURE]]
    if not crowded:
        return np.concatenate(own)
    places = COMPANIES * len(AHEAD) * 2
    return np.concatenate(
        [*own, np.tile(signs, places), np.ones(COMPANIES + len(AHEAD)), np.tile(signs, len(AHEAD))]
    )
