"""How somebody watches, as P.1203 is told it. Names only, which command lines need."""

from __future__ import annotations

import re
from dataclasses import dataclass

KIND = "p1203"
"""Of QoE."""
DEVICES = ("pc", "handheld")
"""As the standard tells them apart; a television is a `pc`."""
_VIEWING = re.compile(
    r"(?P<device>[a-z]+)(?:,(?P<width>[0-9]{2,5})x(?P<height>[0-9]{2,5})(?:,(?P<distance_cm>[0-9]{1,4}))?)?",
    re.ASCII,
)


@dataclass(frozen=True)
class Viewing:
    """How somebody watches."""

    device: str = "pc"
    width: int = 1920
    height: int = 1080
    """Of what it is shown on."""
    distance_cm: int = 150
    """From it; P.1203.1's tests with a PC had it, and the module does not look at it."""

    def __str__(self) -> str:
        return f"{self.device}, {self.width}x{self.height}, {self.distance_cm} cm away"

    @property
    def written(self) -> str:
        """As `viewing_of` reads it."""
        return f"{self.device},{self.width}x{self.height},{self.distance_cm}"


def viewing_of(text: str) -> Viewing:
    """`DEVICE[,WIDTHxHEIGHT[,CM]]`.

    Raises:
        ValueError: it is none.
    """
    match = _VIEWING.fullmatch(text)
    if match is None or match["device"] not in DEVICES:
        raise ValueError(f"{text[:60]!r}: expected {' or '.join(DEVICES)}, such as pc,1920x1080,150")
    figures = {name: int(text) for name, text in match.groupdict().items() if text and name != "device"}
    return Viewing(match["device"], **figures)
