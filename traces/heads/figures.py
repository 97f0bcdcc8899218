"""How heads move, in figures: what generated recordings are held to, beside the measured ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from traces.heads.gaze import wrapped
from traces.heads.head import RATE_HZ, YAW, HeadTrace, WatchedVideo

Floats = NDArray[np.float64]
CHANGES_S = (0.2, 0.4, 1.0, 2.0, 4.0, 6.0)
KEEPS_S = (0.2, 0.4, 1.0, 2.0, 3.0)
TOWARDS_S = (1.0, 2.0, 4.0)
SPEED_PERCENT = (50, 75, 90, 95, 99)
AGREE_PERCENT = (25, 50, 75)
_LEAST = 1e-9
QUIET_A_S = 2.0
"""Degrees."""
HISTORY, FUTURE, STEP, HEAD, TAIL = 10, 20, 15, 30, 60
"""Windows as published (`player/viewport/windows.py`)."""


@dataclass(frozen=True)
class MotionFigures:
    """Of all recordings of some videos."""

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
        towards=sums[0] / np.maximum(sums[1], _LEAST),
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
    return np.asarray(np.concatenate(parts).mean(axis=0))


def _correlation(series: Sequence[Floats], lag: int) -> Floats:
    """(3,) of each axis with itself so many samples later, about zero."""
    both = np.sum([(one[lag:] * one[:-lag]).sum(axis=0) for one in series if len(one) > lag], axis=0)
    size = np.sum([(one[lag:] ** 2 + one[:-lag] ** 2).sum(axis=0) for one in series], axis=0) / 2.0
    return np.asarray(both / size)


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
    windows = [one for trace in traces for one in _windows(trace.degrees)]
    if not windows:
        return float("nan"), float("nan"), float("nan")
    both = np.stack(windows)
    history, future = both[:, :HISTORY], both[:, HISTORY:]
    newest, ahead = history[:, -1:], np.arange(1.0, FUTURE + 1.0)[:, None]
    step = (history[:, -1:] - history[:, :1]) / (HISTORY - 1)
    times = np.arange(HISTORY) - (HISTORY - 1) / 2.0
    slope = np.einsum("t,nta->na", times, history)[:, None] / (times * times).sum()
    line = history.mean(axis=1)[:, None] + (ahead + (HISTORY - 1) / 2.0) * slope
    return _off(newest, future), _off(newest + ahead * step, future), _off(line, future)


def _windows(degrees: Floats) -> Iterator[Floats]:
    for at in range(HEAD, len(degrees) - TAIL, STEP):
        yield degrees[at - HISTORY : at + FUTURE]


def _off(predicted: Floats, true: Floats) -> float:
    apart = true - predicted
    turned = np.minimum(np.abs(apart + 360.0), np.abs(apart - 360.0))
    return float(np.minimum(np.abs(apart), turned).mean())


@dataclass(frozen=True)
class Asked:
    """One line of what a family is held to."""

    name: str
    low: float
    high: float
    value: float

    @property
    def met(self) -> bool:
        return self.low <= self.value <= self.high


MEASURED_CHANGE = {1.0: 12.9, 2.0: 21.1, 4.0: 29.8}
MEASURED_KEEPS = {0.2: 0.77, 0.4: 0.46, 1.0: 0.06, 2.0: -0.11}
MEASURED_AGREEMENT = 0.84
KEPT = 0.05
STATIC, VELOCITY, LINEAR = 9.6, 1.79, 1.99
"""Of all 27 videos and 84 viewers of Jin2022; the last three of its test split, less 2 %."""


def acceptance(figures: MotionFigures) -> list[Asked]:
    """What a family of heads is held to: Jin2022's figures, within bounds that were set beforehand."""
    found = [
        Asked(f"axis 2 changes in {at:g} s", 0.9 * told, 1.1 * told, _at(figures.change[YAW], CHANGES_S, at))
        for at, told in MEASURED_CHANGE.items()
    ]
    found += [
        Asked(
            f"its velocity keeps over {at:g} s",
            told - KEPT,
            told + KEPT,
            _at(figures.keeps[YAW], KEEPS_S, at),
        )
        for at, told in MEASURED_KEEPS.items()
    ]
    return [
        *found,
        Asked(
            "viewers agree, median video",
            MEASURED_AGREEMENT - KEPT,
            MEASURED_AGREEMENT + KEPT,
            float(figures.agreement[1]),
        ),
        Asked("error of static", 9.0, 10.0, figures.static),
        Asked("velocity / static", 1.7, 1.9, figures.velocity),
        Asked("linear / static", 1.9, 2.1, figures.linear),
    ]


def _at(values: Floats, places: Sequence[float], wanted: float) -> float:
    return float(values[places.index(wanted)])
