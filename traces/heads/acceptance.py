"""What a family of heads is held to: figures of Jin2022's recordings, within bounds that were set beforehand.

The figures are of all its 27 videos and 84 viewers, the predictors' of its test split (6 videos, 21 viewers),
and were measured before there was a family, by another program. Those of a folder, by this one:

    python -m traces.heads figures FOLDER

Of the training half, whose viewers move more, they are 14.09, 22.88 and 31.37 degrees; 0.770, 0.467, 0.077
and -0.095; 0.824; 11.00 degrees, 1.662 and 1.837, in the order below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from traces.heads.figures import CHANGES_S, KEEPS_S, Floats, MotionFigures
from traces.heads.head import YAW

MEASURED_CHANGE = {1.0: 12.9, 2.0: 21.1, 4.0: 29.8}
"""Over so many seconds, of axis 2, degrees."""
CHANGE_SHARE = 0.1
"""The family's may be more or less by this share."""
MEASURED_KEEPS = {0.2: 0.77, 0.4: 0.46, 1.0: 0.06, 2.0: -0.11}
"""Autocorrelation of the velocity of axis 2 after so many seconds."""
MEASURED_AGREEMENT = 0.84
"""Of viewers, in the median video."""
KEPT = 0.05
"""The family's autocorrelation and agreement may be more or less by this."""
STATIC_WITHIN = 9.0, 10.0
"""Mean error of the head that stays, degrees; 9.763 was measured."""
MEASURED_VELOCITY, VELOCITY_WITHIN = 1.79, (1.7, 1.9)
MEASURED_LINEAR, LINEAR_WITHIN = 1.99, (1.9, 2.1)
"""Errors of the heads that go on, at their speed and along a line, over that of the one that stays."""


@dataclass(frozen=True)
class Asked:
    """One line of what a family is held to."""

    name: str
    low: float
    high: float
    value: float
    """nan where there is nothing to measure."""

    @property
    def met(self) -> bool:
        """Whether it is within; what can't be measured is not."""
        return self.low <= self.value <= self.high

    def to_json(self) -> dict[str, Any]:
        """As `--json` has it; null where there is nothing to measure."""
        value = None if math.isnan(self.value) else self.value
        return {"name": self.name, "low": self.low, "high": self.high, "value": value, "met": self.met}


def acceptance(figures: MotionFigures) -> list[Asked]:
    """Each bound, and what the figures are there."""
    found = [
        Asked(
            f"axis 2 changes in {at:g} s",
            (1.0 - CHANGE_SHARE) * told,
            (1.0 + CHANGE_SHARE) * told,
            _at(figures.change[YAW], CHANGES_S, at),
        )
        for at, told in MEASURED_CHANGE.items()
    ]
    found += [
        _about(f"its velocity keeps over {at:g} s", told, _at(figures.keeps[YAW], KEEPS_S, at))
        for at, told in MEASURED_KEEPS.items()
    ]
    return [
        *found,
        _about("viewers agree, median video", MEASURED_AGREEMENT, float(figures.agreement[1])),
        Asked("error of static", *STATIC_WITHIN, figures.static),
        Asked("velocity / static", *VELOCITY_WITHIN, figures.velocity),
        Asked("linear / static", *LINEAR_WITHIN, figures.linear),
    ]


def _about(name: str, told: float, value: float) -> Asked:
    return Asked(name, told - KEPT, told + KEPT, value)


def _at(values: Floats, places: Sequence[float], wanted: float) -> float:
    return float(values[places.index(wanted)])
