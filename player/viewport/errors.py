"""How far off a prediction is: the published measure, and those that say what it means.

The published one (NetLLM, `viewport_prediction/utils/metrics.py`) averages three axes, of which two hardly
move: an error in the direction of the view is about twice as large.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from traces.heads.angles import off
from traces.heads.head import PITCH, RATE_HZ, YAW

Floats = NDArray[np.float64]
WIDE, HIGH = 100.0, 90.0
"""Degrees of a viewport."""
HORIZONS_S = (1, 2, 4)


@dataclass(frozen=True)
class Errors:
    """(n,) each, a number a window, in degrees; `inside` is a share."""

    mae: Floats
    """Mean over axes and samples, as published."""
    axis0: Floats
    axis1: Floats
    yaw: Floats
    """Mean over samples, of axis 2 alone."""
    great_circle: Floats
    """Mean angle between the directions of axes 2 and 1."""
    at_1s: Floats
    at_2s: Floats
    at_4s: Floats
    """As `mae`, at that time alone."""
    inside: Floats
    """Mean share of the true viewport that is inside the predicted one."""


NAMES = tuple(each.name for each in fields(Errors))


def errors_of(predicted: Floats, true: Floats) -> Errors:
    """The errors of predictions.

    Args:
        predicted: (n, FUTURE, 3) degrees.
        true: the same.
    """
    each = off(predicted, true)
    by_time = each.mean(axis=2)
    at = {f"at_{second}s": by_time[:, int(second * RATE_HZ) - 1] for second in HORIZONS_S}
    yaw, pitch = _least(each[:, :, YAW]), each[:, :, PITCH]
    return Errors(
        mae=each.mean(axis=(1, 2)),
        axis0=each[:, :, 0].mean(axis=1),
        axis1=pitch.mean(axis=1),
        yaw=each[:, :, YAW].mean(axis=1),
        great_circle=great_circle(predicted, true).mean(axis=1),
        inside=(np.clip(1.0 - yaw / WIDE, 0.0, 1.0) * np.clip(1.0 - pitch / HIGH, 0.0, 1.0)).mean(axis=1),
        **at,
    )


def _least(degrees: Floats) -> Floats:
    """Angles as ones of at most half a turn."""
    turned = np.mod(degrees, 360.0)
    return np.minimum(turned, 360.0 - turned)


def great_circle(predicted: Floats, true: Floats) -> Floats:
    """The angle between two directions, in degrees (haversine): axis 2 round the horizon, axis 1 above it."""
    first, second = np.radians(predicted), np.radians(true)
    along = np.sin((second[..., YAW] - first[..., YAW]) / 2.0) ** 2
    up = np.sin((second[..., PITCH] - first[..., PITCH]) / 2.0) ** 2
    whole = up + np.cos(first[..., PITCH]) * np.cos(second[..., PITCH]) * along
    return np.asarray(np.degrees(2.0 * np.arcsin(np.sqrt(np.clip(whole, 0.0, 1.0)))))
