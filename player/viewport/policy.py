"""What a predictor of viewports is: two calls, and an answer in degrees."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from player.policy import shortly
from player.viewport.windows import FUTURE, Floats, ViewportObservation
from traces.heads.head import AXES


@runtime_checkable
class ViewportPolicy(Protocol):
    """A predictor."""

    def reset(self, seed: int) -> None:
        """A new viewer: forget the last one."""

    def predict(self, seen: ViewportObservation) -> Floats:
        """(n, FUTURE, 3) where the viewer will look, in degrees, at each of n moments."""


class IllegalPrediction(ValueError):
    """A policy's answer is none."""


def checked_prediction(answer: Any, moments: int) -> Floats:
    """The answer.

    Raises:
        IllegalPrediction: not (moments, FUTURE, 3) finite numbers.
    """
    try:
        values = np.asarray(answer, np.float64)
    except (TypeError, ValueError):
        raise IllegalPrediction(f"answered {shortly(answer)}; expected an array of degrees") from None
    if values.shape != (moments, FUTURE, AXES):
        raise IllegalPrediction(f"answered shape {values.shape}; expected {(moments, FUTURE, AXES)}")
    if not np.isfinite(values).all():
        raise IllegalPrediction("answered degrees that are no numbers")
    return values
