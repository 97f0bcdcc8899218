"""The gaze of generated viewers: it rests, and shifts to a point of interest, near by, or anywhere.

All viewers of a video at once, shift by shift. Only integers and the four operations of IEEE 754 take part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from traces.families.fast_noise import autoregression, normals, uniforms
from traces.families.portable import Floats, exp, log
from traces.heads.angles import wrapped
from traces.heads.head import AXES, RATE_HZ, YAW
from traces.heads.model import HeadsModel, ViewerModel
from traces.heads.points import Points

Truths = NDArray[np.bool_]
_MOST_SHIFTS = 160
_LONGEST = 26
"""Samples that a shift lasts at most."""
_LEAST_DEGREES = 0.01
_SCAN_LOG_SD = 0.5
"""Of a shift's size over that of the one before, which it goes on."""


@dataclass(frozen=True)
class _Draws:
    """What chance gives to each viewer, and to each of their shifts."""

    own: Floats
    """(viewers, 8) normal: bias of each axis, pace, reach, and where the gaze begins."""
    shares: Floats
    """(shifts, viewers, 7) in [0, 1): gap or none, gap, linger, follow, which point, pursue, scan."""
    places: Floats
    """(shifts, viewers, 6) normal: where to, and how long, of each axis."""

    @classmethod
    def of(cls, label: str, viewers: int) -> _Draws:
        each = [f"{label}/{viewer}" for viewer in range(viewers)]
        shares = [uniforms(f"{one}/shares", 7 * _MOST_SHIFTS).reshape(_MOST_SHIFTS, 7) for one in each]
        places = [normals(f"{one}/places", 6 * _MOST_SHIFTS).reshape(_MOST_SHIFTS, 6) for one in each]
        own = np.stack([normals(f"{one}/own", 8) for one in each])
        return cls(own, np.stack(shares, axis=1), np.stack(places, axis=1))


def gaze_of(model: HeadsModel, label: str, points: Points, viewers: int) -> Floats:
    """(viewers, samples, 3) degrees, not wrapped."""
    draws, samples = _Draws.of(label, viewers), len(points.main)
    walk = _Walk(model, points, draws)
    for shift in range(_MOST_SHIFTS):
        if walk.shift(draws.shares[shift], draws.places[shift]):
            break
    tremor = np.empty((viewers, samples, AXES))
    for axis, part in enumerate(model.axes):
        for viewer in range(viewers):
            drawn = normals(f"{label}/{viewer}/tremor{axis}", samples)
            tremor[viewer, :, axis] = part.tremor * autoregression(drawn, part.tremor_keep)
    return walk.total() + tremor


class _Walk:
    """Where all viewers of a video look: the sum of their shifts so far."""

    def __init__(self, model: HeadsModel, points: Points, draws: _Draws) -> None:
        viewer, viewers, samples = model.viewer, len(draws.own), len(points.main)
        self._model, self._points = viewer, points
        self._second = model.video.second_share
        self._near, self._far, self._around = (
            np.array([getattr(axis, name) for axis in model.axes]) for name in ("near", "far", "around")
        )
        self._bias = draws.own[:, :AXES] * np.array([axis.own for axis in model.axes])
        self._pace = exp(viewer.pace_log_sd * draws.own[:, 3])
        self._reach = exp(viewer.reach_log_sd * draws.own[:, 4])[:, None]
        self._begin = points.main[0] + self._bias + self._near * draws.own[:, 5:]
        self._here, self._samples = self._begin.copy(), samples
        self._gone = np.zeros((viewers, samples + _LONGEST, AXES))
        """From the sample before, by shifts."""
        self._along = np.zeros((viewers, samples), np.bool_)
        """Who goes along with the points, when."""
        self._ended, self._since = np.zeros(viewers), np.zeros(viewers, np.int64)
        self._pursuing, self._elsewhere = np.zeros(viewers, np.bool_), np.zeros(viewers, np.bool_)
        self._last = np.zeros(viewers)

    def total(self) -> Floats:
        """(viewers, samples, 3)."""
        drift = self._points.drift
        moved = np.concatenate([np.zeros((1, AXES)), drift[1:] - drift[:-1]])
        steps = self._gone[:, : self._samples] + np.where(self._along[:, :, None], moved, 0.0)
        return self._begin[:, None] + np.cumsum(steps, axis=1)

    def shift(self, shares: Floats, places: Floats) -> bool:
        """The next one of every viewer; True where all lie behind the end."""
        pace = np.where(self._elsewhere, self._model.glance * self._pace, self._pace)
        begins = self._ended + _gaps(self._model, pace, shares)
        self._go_along(self._sample(begins))
        if (begins * RATE_HZ >= self._samples).all():
            return True
        away, self._pursuing = self._away(begins, shares, places)
        lasts = _durations(self._model, away, places[:, AXES:])
        first = np.minimum((begins * RATE_HZ).astype(np.int64), self._samples) + 1
        at = first[:, None] + np.arange(-1, _LONGEST)
        share = np.clip((at / RATE_HZ - begins[:, None])[:, :, None] / lasts[:, None], 0.0, 1.0)
        there = share * share * (3.0 - 2.0 * share)
        at = np.minimum(at[:, 1:], self._samples + _LONGEST - 1)
        rows = np.arange(len(begins))[:, None]
        self._gone[rows, at] += away[:, None] * (there[:, 1:] - there[:, :-1])
        self._here = self._here + away
        self._ended = begins + lasts[:, YAW]
        return False

    def _sample(self, at_s: Floats) -> NDArray[np.int64]:
        return np.clip(at_s * RATE_HZ, 0.0, self._samples - 1.0).astype(np.int64)

    def _go_along(self, until: NDArray[np.int64]) -> None:
        """Those who pursue have moved with the points from their last shift to this one."""
        at, pursuing, drift = np.arange(self._samples), self._pursuing[:, None], self._points.drift
        self._along |= pursuing & (at > self._since[:, None]) & (at <= until[:, None])
        self._here = self._here + np.where(pursuing, drift[until] - drift[self._since], 0.0)
        self._since = until

    def _away(self, begins: Floats, shares: Floats, places: Floats) -> tuple[Floats, Truths]:
        """(viewers, 3) where each shift leads, from here, and who goes along then."""
        model, points = self._model, self._points
        seen = self._sample(begins - model.lag_s)
        follows = shares[:, 3] < points.follow
        second = (shares[:, 4] < self._second) & follows
        target = np.where(second[:, None], points.second[seen], points.main[seen])
        spread = np.where(follows[:, None], self._near * self._reach, self._far * self._reach)
        away = target + self._bias + spread * places[:, :AXES] - self._here
        away[:, YAW] = wrapped(away[:, YAW])
        scans = shares[:, 6] < model.scan
        away[:, YAW] = np.where(scans, self._last * exp(_SCAN_LOG_SD * places[:, YAW]), away[:, YAW])
        lingers = shares[:, 2] < model.linger
        self._elsewhere = np.where(lingers, self._elsewhere, ~follows)
        self._last = np.where(lingers, self._last, away[:, YAW])
        near_by = self._around * self._reach * places[:, :AXES]
        pursuing = (follows & ~lingers & (shares[:, 5] < model.pursue)) | (lingers & self._pursuing)
        return np.where(lingers[:, None], near_by, away), pursuing


def _gaps(model: ViewerModel, pace: Floats, shares: Floats) -> Floats:
    """(viewers,) s until the next shift."""
    drawn = -model.gap_s * pace * log(1.0 - shares[:, 1])
    return np.where(shares[:, 0] < model.gap_none, 0.0, drawn)


def _durations(model: ViewerModel, away: Floats, drawn: Floats) -> Floats:
    """(viewers, 3) s that shifts last."""
    size = np.maximum(np.abs(away), _LEAST_DEGREES)
    drawn_s = model.seconds_of_degree * exp(
        model.duration_exponent * log(size) + model.duration_log_sd * drawn
    )
    return np.minimum(drawn_s, (_LONGEST - 2) / RATE_HZ)
