"""Windows of a recording, as `traces/heads/windows.py` has them: what was seen of the head, and what is to be
predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from traces.heads.head import AXES, HeadTrace, WatchedVideo
from traces.heads.windows import FUTURE, HEAD, HISTORY, STEP, TAIL, moments_of

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ViewportObservation:
    """n moments of one viewer. Nothing of the viewer's own future is in it."""

    history: Floats
    """(n, HISTORY, 3) degrees, the newest last."""
    earlier: Floats
    """(n, viewers, HISTORY + FUTURE, 3) where others looked at the same moments of the video, who watched it
    before; nan after a recording has ended."""


@dataclass(frozen=True)
class Windows:
    """All windows of a viewer."""

    seen: ViewportObservation
    future: Floats
    """(n, FUTURE, 3) degrees."""
    at: tuple[int, ...]
    """(n,) the sample that is the first of each future."""


def windows_of(
    video: WatchedVideo, viewer: int, step: int = STEP, head: int = HEAD, tail: int = TAIL
) -> Windows:
    """The windows of a judged viewer; none where the recording is too short."""
    trace = video.viewers[viewer]
    at = moments_of(len(trace), step, head, tail)
    history = _pieces(trace, at, -HISTORY, 0)
    return Windows(
        ViewportObservation(history, earlier_at(video, viewer, at)), _pieces(trace, at, 0, FUTURE), at
    )


def earlier_at(video: WatchedVideo, viewer: int, at: tuple[int, ...]) -> Floats:
    """(n, viewers, HISTORY + FUTURE, 3) of the others, at these moments."""
    others = video.known_to(viewer)
    if not others:
        return np.full((len(at), 0, HISTORY + FUTURE, AXES), np.nan)
    return np.stack([_pieces(trace, at, -HISTORY, FUTURE) for trace in others], axis=1)


def _pieces(trace: HeadTrace, at: tuple[int, ...], begin: int, end: int) -> Floats:
    """(n, end - begin, 3) samples around each moment; nan where there are none."""
    places = np.asarray(at, np.int64).reshape(-1, 1) + np.arange(begin, end)
    there = (places >= 0) & (places < len(trace))
    found = trace.degrees[np.clip(places, 0, len(trace) - 1)]
    return np.where(there[:, :, None], found, np.nan)
