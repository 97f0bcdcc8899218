"""Members of the family `heads`: a video and its viewers, a function of (model, index) alone.

A viewer's axis stays, drifts a little, and shifts: sizes are lognormal, a shift lasts the longer the larger
it is, and it leads towards where the viewer's own interest is as a rule. Interest on axis 2 follows one or
two points of the video, which move and change; how closely it does differs from video to video. Only
integers and the four operations of IEEE 754 take part, and angles are rounded to 0.001 degrees: the same on
every machine.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traces.families.fast_noise import autoregression, normals
from traces.families.portable import exp, log
from traces.heads.head import AXES, RATE_HZ, YAW, HeadError, HeadTrace, WatchedVideo
from traces.prng import SplitMix64
from traces.safe_reading import json_object

Floats = NDArray[np.float64]
SCHEMA = 1
_MOST_SHIFTS = 400
_FULL = 360.0


@dataclass(frozen=True)
class AxisModel:
    """How an axis moves."""

    size_log_mean: float
    size_log_sd: float
    largest: float
    """Degrees of a shift."""
    seconds_of_degree: float
    """A shift of one degree lasts so long; one of s degrees s to `duration_exponent` times as long."""
    duration_exponent: float
    duration_log_sd: float
    gap_none: float
    """Share of shifts that follow the one before at once."""
    gap_s: float
    """Mean of the other gaps."""
    towards: float
    """Share of shifts that lead towards the point of interest, when that is farther than the shift is
    long."""
    same_way: float
    """Share of the other shifts that keep the direction of the one before."""
    speed_log_sd_video: float
    speed_log_sd_viewer: float
    drift_degrees: float
    """Sd of the drift about the shifts' sum, an autoregression of `drift_keep` from sample to sample."""
    drift_keep: float
    spread_low: float
    spread_high: float
    """Sd of viewers' points of interest about the video's, in degrees: a video's is drawn between."""
    spread_power: float
    """How the draw leans: a uniform one to this power."""
    point_step: float
    """Sd of the video's point's move when it changes."""
    point_hold_s: float
    """Mean time until it does."""


@dataclass(frozen=True)
class HeadsModel:
    """A family of recordings."""

    family: str
    about: str
    length_s: float
    viewers: int
    earlier: int
    axes: tuple[AxisModel, AxisModel, AxisModel]

    def to_json(self) -> dict[str, Any]:
        """As the file has it."""
        return {"schema": SCHEMA, **asdict(self)}


def model_of(told: dict[str, Any], source: str) -> HeadsModel:
    """The model that a file says.

    Raises:
        HeadError: it says none.
    """
    if told.get("schema") != SCHEMA:
        raise HeadError(f"{source}: schema {told.get('schema')}; this version reads {SCHEMA}")
    try:
        first, second, third = (
            AxisModel(**{key: float(value) for key, value in axis.items()}) for axis in told["axes"]
        )
        return HeadsModel(
            str(told["family"]),
            str(told["about"]),
            float(told["length_s"]),
            int(told["viewers"]),
            int(told["earlier"]),
            (first, second, third),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise HeadError(f"{source}: no model of heads: {error}") from None


@cache
def heads_model() -> HeadsModel:
    """The model that is shipped.

    Raises:
        HeadError: the file has been damaged.
    """
    text = (resources.files("traces.heads") / "heads.json").read_text(encoding="utf-8")
    return model_of(json_object(text, "traces/heads/heads.json"), "traces/heads/heads.json")


def member(index: int, model: HeadsModel | None = None) -> WatchedVideo:
    """Video `index` (0 or more) of the family.

    Raises:
        HeadError: a negative index.
    """
    made = model or heads_model()
    if index < 0:
        raise HeadError(f"{made.family}/{index}: members are counted from 0")
    label = f"streambed/{made.family}/{index}"
    samples = int(made.length_s * RATE_HZ + 0.5)
    time_s = np.arange(samples) / RATE_HZ
    total = made.viewers + made.earlier
    angles = np.empty((total, samples, AXES))
    for axis, part in enumerate(made.axes):
        angles[:, :, axis] = _axis(part, f"{label}/{axis}", total, time_s, turns=axis == YAW)
    traces = tuple(
        HeadTrace(f"{made.family}/{index}", f"{index}-{viewer}", time_s, angles[viewer])
        for viewer in range(total)
    )
    return WatchedVideo(f"{made.family}/{index}", traces[: made.viewers], traces[made.viewers :], made.family)


def wrapped(degrees: Floats) -> Floats:
    """Angles as ones of -180 up to 180."""
    return degrees - _FULL * np.floor((degrees + _FULL / 2) / _FULL)


def _axis(model: AxisModel, label: str, viewers: int, time_s: Floats, turns: bool) -> Floats:
    """(viewers, samples) of one axis of a video."""
    video = SplitMix64(f"{label}/video")
    speed = model.speed_log_sd_video * video.normal()
    share = float(exp(model.spread_power * log(max(video.uniform(), 1e-9))))
    spread = model.spread_low + (model.spread_high - model.spread_low) * share
    point = _path(model, video, time_s)
    rows = [_viewer(model, f"{label}/{viewer}", speed, spread, point, time_s) for viewer in range(viewers)]
    angles = wrapped(np.array(rows)) if turns else np.clip(np.array(rows), -89.0, 89.0)
    return np.floor(angles * 1000.0 + 0.5) / 1000.0


def _path(model: AxisModel, video: SplitMix64, time_s: Floats) -> Floats:
    """(samples,) the video's point of interest."""
    step_s = 1.0 / RATE_HZ
    value, values = 0.0, []
    for _ in time_s:
        if video.uniform() * model.point_hold_s < step_s:
            value += model.point_step * video.normal()
        values.append(value)
    return np.array(values)


def _viewer(
    model: AxisModel, label: str, speed: float, spread: float, point: Floats, time_s: Floats
) -> Floats:
    """(samples,) of one viewer, not wrapped."""
    random = SplitMix64(label)
    own = spread * random.normal()
    scale = float(exp(speed + model.speed_log_sd_viewer * random.normal()))
    total, last_way = np.zeros(len(time_s)), 1.0
    at_s, here = -10.0 * random.uniform(), float(point[0]) + own + spread * 0.5 * random.normal()
    total += here
    for _ in range(_MOST_SHIFTS):
        if random.uniform() >= model.gap_none:
            at_s += -model.gap_s * float(log(1.0 - random.uniform()))
        if at_s >= time_s[-1]:
            break
        size = min(
            scale * float(exp(model.size_log_mean + model.size_log_sd * random.normal())), model.largest
        )
        lasts_s = model.seconds_of_degree * float(
            exp(model.duration_exponent * log(size) + model.duration_log_sd * random.normal())
        )
        away = float(point[min(max(int(at_s * RATE_HZ), 0), len(point) - 1)]) + own - here
        chance, keep = random.uniform(), random.uniform()
        if chance < model.towards and abs(away) > 0.5 * size:
            way = 1.0 if away > 0 else -1.0
        else:
            way = last_way if keep < model.same_way else -last_way
        share = np.clip((time_s - at_s) / lasts_s, 0.0, 1.0)
        total += way * size * share * share * (3.0 - 2.0 * share)
        here, last_way, at_s = here + way * size, way, at_s + lasts_s
    drift = autoregression(normals(f"{label}/drift", len(time_s)), model.drift_keep)
    return total + model.drift_degrees * drift
