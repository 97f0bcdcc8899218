"""Viewers of 360-degree videos, as several tests need them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from player.viewport.windows import FUTURE, HISTORY, ViewportObservation
from policies.viewport.mirroring import signs_of
from traces.heads.files import write_lines
from traces.heads.head import HeadTrace


def write_viewers(folder: Path, traces: Iterable[HeadTrace], video: str = "video1") -> Path:
    """Put recordings where `FOLDER` is laid out; the folder."""
    (folder / video).mkdir(parents=True, exist_ok=True)
    for viewer, trace in enumerate(traces):
        (folder / video / f"user{viewer}.csv").write_text(write_lines(trace))
    return folder


def and_mirrored(axes: Sequence[int]) -> tuple[ViewportObservation, ViewportObservation]:
    """Four moments of a viewer among seven others, drawn; and all of them with these axes turned round."""
    random, signs = np.random.default_rng(3), signs_of(axes)
    history = random.normal(0.0, 8.0, (4, HISTORY, 3))
    others = random.normal(0.0, 30.0, (4, 7, HISTORY + FUTURE, 3))
    return ViewportObservation(history, others), ViewportObservation(signs * history, signs * others)
