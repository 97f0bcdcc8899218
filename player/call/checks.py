"""Figures that a call is asked to have, refused in one line where they make none."""

from __future__ import annotations

import math


class CallError(ValueError):
    """A call that cannot be made; the message names the figure, the value and the way out."""


def expect(name: str, value: float, least: float, most: float, unit: str = "") -> None:
    """Refuse a value outside `least` … `most`, or one that is no number.

    Raises:
        CallError: it is.
    """
    if not isinstance(value, int | float) or not math.isfinite(value) or not least <= value <= most:
        said = f"{value:g}" if isinstance(value, int | float) else repr(value)
        unit = f" {unit}" if unit else ""
        raise CallError(f"call: {name} {said}{unit}; expected {least:g} to {most:g}")
