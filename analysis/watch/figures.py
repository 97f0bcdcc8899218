"""Figures and words from lines that anybody may have written: of the right kind, finite, and short."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MOST_LETTERS = 120
FAR = 1e9
"""No time in seconds, rate in Mbit/s or count of ours is beyond it."""
DIGITS = 3
"""Of what a picture shows: milliseconds, kilobits."""


class NoFigure(ValueError):
    """A line lacks a number that its picture needs."""


def figure(line: Mapping[str, Any], name: str) -> float:
    """A number of a line.

    Raises:
        NoFigure: it is none, or far from all that there can be.
    """
    value = figure_or_none(line, name)
    if value is None:
        raise NoFigure(name)
    return value


def figure_or_none(line: Mapping[str, Any], name: str) -> float | None:
    """A number of a line; None where there is none."""
    value = line.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    if not math.isfinite(value) or abs(value) > FAR:
        return None
    return round(float(value), DIGITS)


def whole(line: Mapping[str, Any], name: str) -> int:
    """A whole number of a line, not below 0.

    Raises:
        NoFigure: it is none.
    """
    value = figure(line, name)
    if value != int(value) or value < 0:
        raise NoFigure(name)
    return int(value)


def word(value: object) -> str:
    """A text, cut short; empty for what is none."""
    text = value if isinstance(value, str) else ""
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"
