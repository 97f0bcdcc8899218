"""What `python -m analysis power` can be asked for, and how surely where nobody says."""

from __future__ import annotations

from dataclasses import dataclass

POWER = 0.8
"""Chance to be shown a difference that is there."""


@dataclass(frozen=True)
class AskedMeasure:
    """A measure as the command shows it."""

    words: str
    unit: str
    scale: float
    form: str
    difference: float
    """What is asked for where nobody says it, unscaled."""

    def shown(self, value: float) -> str:
        return f"{self.scale * value:{self.form}}{self.unit}"


ASKED = {
    "qoe": AskedMeasure("QoE per chunk", "", 1.0, ".3f", 0.05),
    "bitrate_mbps": AskedMeasure("mean bitrate", " Mbit/s", 1.0, ".3f", 0.1),
    "stall_ratio": AskedMeasure("stall ratio", " % points", 100.0, ".2f", 0.005),
    "switches": AskedMeasure("switches", "", 1.0, ".1f", 1.0),
}
"""By their names in `MEASURES`."""
