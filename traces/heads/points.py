"""Points of interest of a generated video: where there is something to look at, in scene after scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from traces.families.portable import Floats, exp, log
from traces.heads.head import AXES, RATE_HZ
from traces.heads.model import HeadsModel
from traces.prng import SplitMix64

_LEAST = 1e-9


@dataclass(frozen=True)
class Points:
    """Over the samples of a video, in degrees."""

    main: Floats
    """(samples, 3)."""
    second: Floats
    """(samples, 3); the main one where a scene has one alone."""
    drift: Floats
    """(samples, 3) the sum of how the points have moved within scenes: what a gaze can go along with."""
    follow: float
    """Share of shifts that lead to a point."""


def points_of(model: HeadsModel, label: str, samples: int) -> Points:
    """A video's points."""
    random, video = SplitMix64(f"{label}/points"), model.video
    leaning = float(exp(video.follow_power * log(max(random.uniform(), _LEAST))))
    follow = video.follow_low + (video.follow_high - video.follow_low) * leaning
    fronts = np.array([(axis.front, axis.front_sd) for axis in model.axes])
    front = fronts[:, 0] + fronts[:, 1] * _normals(random)
    spreads = np.array([axis.point for axis in model.axes])
    speeds = np.array([axis.drift_a_s for axis in model.axes])
    main, second, drift = (np.zeros((samples, AXES)) for _ in range(3))
    begin, gone = 0, np.zeros(AXES)
    while begin < samples:
        lasts = 1 + int(-video.scene_s * RATE_HZ * float(log(1.0 - random.uniform())))
        end = min(begin + lasts, samples)
        place, other = front + spreads * _normals(random), front + spreads * _normals(random)
        if random.uniform() >= video.second:
            other = place
        moved = (np.arange(end - begin) / RATE_HZ)[:, None] * (speeds * _normals(random))
        drift[begin:end] = gone + moved
        main[begin:end], second[begin:end] = place + moved, other + moved
        gone, begin = drift[end - 1], end
    return Points(main, second, drift, follow)


def _normals(random: SplitMix64) -> Floats:
    return np.array([random.normal() for _ in range(AXES)])
