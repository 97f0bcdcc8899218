"""What the shipped nets, and the head that stays, are off by in windows that a pool keeps to choose by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from player.viewport.errors import errors_of
from player.viewport.policy import ViewportPolicy
from player.viewport.windows import ViewportObservation, windows_of
from policies.viewport.net import Crowd, Small
from policies.viewport.rules import Static
from traces.heads.catalogue import watched_videos
from traces.heads.head import WatchedVideo

Moment = tuple[str, str, int]
"""Video, viewer, and the sample that is the first of a window's future."""
Floats = NDArray[np.float64]


def small_errors(specs: Sequence[str], hold_out: int, moments: Sequence[Moment]) -> dict[str, Floats]:
    """By predictor: (moments,) mean absolute errors in degrees.

    Args:
        specs: sources, of each of which the last `hold_out` videos were kept.

    Raises:
        HeadError: they are not there any more.
    """
    videos = {video.name: video for spec in specs for video in watched_videos(spec)[-hold_out:]}
    policies: dict[str, ViewportPolicy] = {"static": Static(), "small": Small(), "crowd": Crowd()}
    found = {name: np.zeros(len(moments)) for name in policies}
    for (film, viewer), rows in _grouped(moments).items():
        seen, future = _windows(videos[film], viewer, [moments[row][2] for row in rows])
        for name, policy in policies.items():
            found[name][rows] = errors_of(policy.predict(seen), future).mae
    return found


def _grouped(moments: Sequence[Moment]) -> dict[tuple[str, str], list[int]]:
    """Places of each viewer's."""
    found: dict[tuple[str, str], list[int]] = {}
    for row, (film, viewer, _) in enumerate(moments):
        found.setdefault((film, viewer), []).append(row)
    return found


def _windows(video: WatchedVideo, viewer: str, at: Sequence[int]) -> tuple[ViewportObservation, Floats]:
    """What a viewer saw at those moments, and where the head went."""
    (place,) = (number for number, trace in enumerate(video.viewers) if trace.viewer == viewer)
    whole = windows_of(video, place)
    rows = [whole.at.index(each) for each in at]
    return ViewportObservation(whole.seen.history[rows], whole.seen.earlier[rows]), whole.future[rows]
