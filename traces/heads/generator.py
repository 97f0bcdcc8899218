"""Members of the family `heads`: a video and its viewers, a function of (model, index) alone.

A video has points of interest, scene after scene, which drift (`points.py`); a viewer's gaze rests and
shifts, to them with the video's own likelihood, else near by or anywhere (`gaze.py`). Only integers and the
four operations of IEEE 754 take part, and angles are rounded to 0.001 degrees: the same on every machine.
"""

from __future__ import annotations

import numpy as np

from traces.heads.angles import wrapped
from traces.heads.gaze import gaze_of
from traces.heads.head import RATE_HZ, YAW, HeadError, HeadTrace, WatchedVideo
from traces.heads.model import HeadsModel, heads_model
from traces.heads.points import points_of

BEFORE_S = 10.0
"""A video has run so long when its recordings begin: nobody begins where all do."""
_HIGHEST = 89.0


def member(index: int, model: HeadsModel | None = None) -> WatchedVideo:
    """Video `index` (0 or more) of the family.

    Raises:
        HeadError: a negative index.
    """
    made = model or heads_model()
    if index < 0:
        raise HeadError(f"{made.family}/{index}: members are counted from 0")
    name, label = f"{made.family}/{index}", f"streambed/{made.family}/{index}"
    samples, before = int(made.length_s * RATE_HZ + 0.5), int(BEFORE_S * RATE_HZ)
    points = points_of(made, label, samples + before)
    angles = gaze_of(made, label, points, made.viewers + made.earlier)[:, before:]
    turned = wrapped(angles[:, :, YAW])
    angles = np.clip(angles, -_HIGHEST, _HIGHEST)
    angles[:, :, YAW] = turned
    angles = np.floor(angles * 1000.0 + 0.5) / 1000.0
    time_s = np.arange(samples) / RATE_HZ
    traces = tuple(HeadTrace(name, f"{index}-{viewer}", time_s, each) for viewer, each in enumerate(angles))
    return WatchedVideo(name, traces[: made.viewers], traces[made.viewers :], made.family)
