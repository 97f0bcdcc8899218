"""Examples to learn from: inputs and targets of all windows of videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.viewport.windows import Windows, windows_of
from policies.viewport.features import residual
from policies.viewport.net import inputs_of
from traces.heads.head import HeadError, WatchedVideo

TRAIN_STEP = 3
"""Samples from window to window, of training: five times as many as are judged."""
TRAIN_HEAD, TRAIN_TAIL = 10, 20


@dataclass(frozen=True)
class Examples:
    """n windows."""

    inputs: NDArray[np.float32]
    """(n, inputs)."""
    targets: NDArray[np.float32]
    """(n, outputs)."""


def examples_of(name: str, videos: Sequence[WatchedVideo], every: bool) -> Examples:
    """All windows of all judged viewers.

    Args:
        name: whose inputs they are: `small`, `crowd` or `ridge`.
        every: closely, for training; else those that are judged.

    Raises:
        HeadError: recordings too short for any.
    """
    made = all_windows(videos, TRAIN_STEP if every else None)
    inputs = [inputs_of(name, one.seen) for one in made]
    targets = [residual(one.seen, one.future) for one in made]
    return Examples(np.concatenate(inputs).astype(np.float32), np.concatenate(targets).astype(np.float32))


def all_windows(videos: Sequence[WatchedVideo], every: int | None) -> list[Windows]:
    """Those of each judged viewer who has any.

    Args:
        every: samples from one to the next, from the recording's beginning to its end, for training; None:
            those that are judged.

    Raises:
        HeadError: recordings too short for any.
    """
    made = [
        windows_of(video, viewer)
        if every is None
        else windows_of(video, viewer, every, TRAIN_HEAD, TRAIN_TAIL)
        for video in videos
        for viewer in range(len(video.viewers))
    ]
    if not (found := [one for one in made if len(one.at)]):
        raise HeadError(f"{', '.join(video.name for video in videos)}: recordings too short for a window")
    return found
