"""How heads move, in figures: of generated recordings, and of measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from traces.heads.angles import off, wrapped
from traces.heads.head import AXES, RATE_HZ, YAW, HeadTrace, WatchedVideo
from traces.heads.windows import FUTURE, HEAD, HISTORY, TAIL, along_line, moments_of, steadily

Floats = NDArray[np.float64]
CHANGES_S = (0.2, 0.4, 1.0, 2.0, 4.0, 6.0)
KEEPS_S = (0.2, 0.4, 1.0, 2.0, 3.0)
TOWARDS_S = (1.0, 2.0, 4.0)
SPEED_PERCENT = (50, 75, 90, 95, 99)
AGREE_PERCENT = (25, 50, 75)
_LEAST = 1e-9
QUIET_A_S = 2.0
"""Degrees."""
LEAST_S = (HEAD + TAIL + 1) / RATE_HZ
"""A recording that is shorter has no window."""


@dataclass(frozen=True)
class MotionFigures:
    """Of all recordings of some videos; nan where there is nothing to measure: all are too short, or nobody
    moves."""

    change: Floats
    """(3 axes, CHANGES_S) mean size of the change over such a time, degrees."""
    keeps: Floats
    """(3, KEEPS_S) autocorrelation of the velocity."""
    speed: Floats
    """(SPEED_PERCENT) of axis 2, degrees a second."""
    quiet: float
    """Share of its speeds below `QUIET_A_S`."""
    agreement: Floats
    """(AGREE_PERCENT) over videos: the mean over moments of how much viewers agree on axis 2, from 0 to 1
    (mean resultant length)."""
    towards: Floats
    """(TOWARDS_S) share of the way from a gaze to the others' mean at a later time that it has gone by then,
    on axis 2 (least squares)."""
    static: float
    """Mean error of the head that stays, as published, degrees."""
    velocity: float
    linear: float
    """The same of those that go on, over that of the one that stays."""

    @property
    def unknown(self) -> list[str]:
        """Which of them are nan, or have one."""
        return [each.name for each in fields(self) if np.isnan(getattr(self, each.name)).any()]


def figures_of(videos: Sequence[WatchedVideo]) -> MotionFigures:
    """The figures of all viewers, judged and earlier."""
    people = [[*video.viewers, *video.earlier] for video in videos]
    traces = [trace for viewers in people for trace in viewers]
    velocity = [_moves(trace, 1) * RATE_HZ for trace in traces]
    speeds = np.abs(np.concatenate([each[:, YAW] for each in velocity]))
    agreed, towards = zip(*(_together(viewers) for viewers in people), strict=True)
    sums = np.sum(towards, axis=0)
    errors = _errors(traces)
    return MotionFigures(
        change=np.stack([_pooled([np.abs(_moves(one, _lag(at))) for one in traces]) for at in CHANGES_S], 1),
        keeps=np.stack([_correlation(velocity, _lag(at)) for at in KEEPS_S], 1),
        speed=np.percentile(speeds, SPEED_PERCENT),
        quiet=float((speeds < QUIET_A_S).mean()),
        agreement=np.percentile(agreed, AGREE_PERCENT),
        towards=np.where(sums[1] > 0.0, sums[0] / np.maximum(sums[1], _LEAST), np.nan),
        static=errors[0],
        velocity=errors[1] / max(errors[0], _LEAST),
        linear=errors[2] / max(errors[0], _LEAST),
    )


def _lag(seconds: float) -> int:
    return int(seconds * RATE_HZ + 0.5)


def _moves(trace: HeadTrace, lag: int) -> Floats:
    """(n - lag, 3) changes over so many samples; axis 2 the shorter way."""
    moved = trace.degrees[lag:] - trace.degrees[:-lag]
    moved[:, YAW] = wrapped(moved[:, YAW])
    return moved


def _pooled(parts: Sequence[Floats]) -> Floats:
    """(3,) mean over all rows of all parts."""
    rows = np.concatenate(parts)
    return np.asarray(rows.mean(axis=0)) if len(rows) else np.full(AXES, np.nan)


def _correlation(series: Sequence[Floats], lag: int) -> Floats:
    """(3,) of each axis with itself so many samples later, about zero."""
    both, size = np.zeros(AXES), np.zeros(AXES)
    for one in series:
        both += (one[lag:] * one[:-lag]).sum(axis=0)
        size += (one[lag:] ** 2 + one[:-lag] ** 2).sum(axis=0) / 2.0
    return np.where(size > 0.0, both / np.maximum(size, _LEAST), np.nan)


def _together(viewers: Sequence[HeadTrace]) -> tuple[float, Floats]:
    """How much the viewers of a video agree, and (2, TOWARDS_S) sums of how far they go to the others' mean:
    the product of way and gone, and the way squared."""
    longest = max(len(trace) for trace in viewers)
    yaw = np.full((len(viewers), longest), np.nan)
    for row, trace in zip(yaw, viewers, strict=True):
        row[: len(trace)] = trace.degrees[:, YAW]
    there = np.isfinite(yaw)
    angle = np.radians(np.where(there, yaw, 0.0))
    sines, cosines = np.where(there, np.sin(angle), 0.0), np.where(there, np.cos(angle), 0.0)
    sine, cosine, count = sines.sum(0), cosines.sum(0), np.maximum(there.sum(0), 1)
    agreed = float((np.hypot(sine, cosine) / count).mean())
    others = np.degrees(np.arctan2(sine - sines, cosine - cosines))  # without oneself
    found = np.zeros((2, len(TOWARDS_S)))
    for place, lag in enumerate(map(_lag, TOWARDS_S)):
        both = there[:, lag:] & there[:, :-lag]
        way = wrapped(others[:, lag:] - yaw[:, :-lag])[both]
        gone = wrapped(yaw[:, lag:] - yaw[:, :-lag])[both]
        found[:, place] = (way * gone).sum(), (way * way).sum()
    return agreed, found


def _errors(traces: Sequence[HeadTrace]) -> tuple[float, float, float]:
    """Mean error of the head that stays, goes on at its mean speed, or along a line, as published."""
    windows = [one.degrees[at - HISTORY : at + FUTURE] for one in traces for at in moments_of(len(one))]
    if not windows:
        return float("nan"), float("nan"), float("nan")
    both = np.stack(windows)
    history, future = both[:, :HISTORY], both[:, HISTORY:]
    predicted = history[:, -1:], steadily(history), along_line(history)
    stays, steady, line = (float(off(each, future).mean()) for each in predicted)
    return stays, steady, line


def too_short(videos: Sequence[WatchedVideo]) -> list[str]:
    """Names of recordings without a window."""
    return [
        trace.name
        for video in videos
        for trace in (*video.viewers, *video.earlier)
        if not moments_of(len(trace))
    ]
