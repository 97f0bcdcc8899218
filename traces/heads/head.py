"""A recording of a head: three angles in degrees, five times a second.

The angles are called axes 0, 1 and 2: published files name them roll, pitch and yaw, but the first moves more
than the second, as no head does. Axis 2 is the one that turns all the way round.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from traces.trace import TraceError

AXES = 3
PITCH = 1
"""The axis that directions are told by above and below the horizon."""
YAW = 2
"""The axis that turns all the way round."""
RATE_HZ = 5.0
MOST_SAMPLES = 100_000
_MOST_DEGREES = 360.0
_LONGEST_STEP_S = 1.0


class HeadError(TraceError):
    """What is no recording of a head, and why."""


@dataclass(frozen=True)
class HeadTrace:
    """A viewer of a video."""

    video: str
    viewer: str
    time_s: NDArray[np.float64]
    """(n,) rising."""
    degrees: NDArray[np.float64]
    """(n, 3)."""

    def __len__(self) -> int:
        return len(self.time_s)

    @property
    def name(self) -> str:
        return f"{self.video}/{self.viewer}"


@dataclass(frozen=True)
class WatchedVideo:
    """A video with those who are judged, and those who watched it before them."""

    name: str
    """`heads/3`, or a folder's."""
    viewers: tuple[HeadTrace, ...]
    """Judged, each for itself."""
    earlier: tuple[HeadTrace, ...]
    """Known to a predictor that asks where others looked. Empty: for each viewer all the others stand in."""
    family: str = ""

    @cached_property
    def sha256(self) -> str:
        """Of all samples."""
        digest = hashlib.sha256()
        for each in (*self.viewers, *self.earlier):
            digest.update(each.name.encode() + each.time_s.tobytes() + each.degrees.tobytes())
        return digest.hexdigest()

    def known_to(self, viewer: int) -> Sequence[HeadTrace]:
        """The recordings of others that a predictor may use for that viewer; never the viewer's own."""
        if self.earlier:
            return self.earlier
        return tuple(each for place, each in enumerate(self.viewers) if place != viewer)


def faults_of(trace: HeadTrace) -> list[str]:
    """Why a recording is none; empty if it is one."""
    if trace.degrees.shape != (len(trace), AXES) or not 2 <= len(trace) <= MOST_SAMPLES:
        return [
            f"{len(trace)} samples of shape {trace.degrees.shape}; expected 2 to {MOST_SAMPLES} of 3 angles"
        ]
    found = []
    if not (np.isfinite(trace.time_s).all() and np.isfinite(trace.degrees).all()):
        found.append("a value is no number")
    elif (np.diff(trace.time_s) <= 0.0).any():
        place = int(np.flatnonzero(np.diff(trace.time_s) <= 0.0)[0]) + 2
        found.append(f"sample {place}: time does not rise")
    elif np.abs(trace.degrees).max() > _MOST_DEGREES:
        place = int(np.abs(trace.degrees).max(axis=1).argmax()) + 1
        found.append(f"sample {place}: an angle beyond {_MOST_DEGREES:g} degrees")
    return found


def warnings_of(trace: HeadTrace) -> list[str]:
    """What is odd about a recording that can be used."""
    steps = np.diff(trace.time_s)
    found = []
    if steps.max() > _LONGEST_STEP_S:
        found.append(f"a gap of {steps.max():.1f} s")
    if abs(float(np.median(steps)) * RATE_HZ - 1.0) > 0.1:
        found.append(
            f"{1.0 / float(np.median(steps)):.1f} samples a second; predictors are made for {RATE_HZ:g}"
        )
    return found


def checked(trace: HeadTrace, source: str) -> HeadTrace:
    """The recording.

    Raises:
        HeadError: it is none.
    """
    if faults := faults_of(trace):
        raise HeadError(f"{source}: {faults[0]}")
    return trace
