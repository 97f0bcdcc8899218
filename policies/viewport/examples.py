"""Examples to learn from: inputs and targets of all windows of videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.viewport.windows import windows_of
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
    inputs, targets = [], []
    for video in videos:
        for viewer in range(len(video.viewers)):
            made = (
                windows_of(video, viewer, TRAIN_STEP, TRAIN_HEAD, TRAIN_TAIL)
                if every
                else windows_of(video, viewer)
            )
            if len(made.at):
                inputs.append(inputs_of(name, made.seen))
                targets.append(residual(made.seen, made.future))
    if not inputs:
        raise HeadError(f"{', '.join(video.name for video in videos)}: recordings too short for a window")
    return Examples(np.concatenate(inputs).astype(np.float32), np.concatenate(targets).astype(np.float32))
