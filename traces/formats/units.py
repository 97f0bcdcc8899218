"""Units of rates, as columns' names and options have them: `Mbps`, `kbit/s`, `MB/s`, `bytes_per_second`.

A byte is 8 bits. `b` is a bit and `B` a byte: case is looked at only there, so `MBps` is megabytes and
`Mbps`, `mbps` are megabits. Where all is in capitals (`MBPS`) nothing tells them apart, and both readings are
named. `Ki`, `Mi`, `Gi` are powers of 1024, all other prefixes of 1000.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_PREFIXES = {
    "": 1.0,
    "k": 1e3,
    "m": 1e6,
    "g": 1e9,
    "t": 1e12,
    "kilo": 1e3,
    "mega": 1e6,
    "giga": 1e9,
    "ki": 1024.0,
    "mi": 1024.0**2,
    "gi": 1024.0**3,
    "kibi": 1024.0,
    "mebi": 1024.0**2,
    "gibi": 1024.0**3,
}
_UNIT = re.compile(
    r"(?:(?<![a-z])|(?-i:(?<=[a-z])(?=[KMGTB][a-z]))|(?=[kmg]bps$))"
    r"(?P<prefix>kilo|mega|giga|kibi|mebi|gibi|ki|mi|gi|[kmgt])?[\s_-]?"
    r"(?P<thing>bits?|bytes?|octets?|b)"
    r"(?P<per>ps|[\s_-]*(?:/|per|p)[\s_-]*(?:seconds?|secs?|s)|[\s_-]+(?:seconds?|secs?|s))?"
    r"(?![a-z])",
    re.IGNORECASE,
)
_RATE_WORD = re.compile(r"through|band|rate|speed|goodput|tput|\bbw\b|capacity", re.IGNORECASE)
EXAMPLES = "bps, kbps, mbps, gbps, kBps, MBps"


@dataclass(frozen=True)
class RateUnit:
    """What a number is counted in."""

    name: str
    """As it was written."""
    per_megabit: float
    """How many of its bits or bytes are 10^6."""
    bytes_by_case: bool = False
    """Only a capital B says that it counts bytes."""
    in_bytes: bool = False
    unclear: str = ""
    """The two readings, where nothing tells which; else empty."""

    def mbps(self, value: float) -> float:
        """The value in Mbit/s (10^6 bits)."""
        return value * (8.0 if self.in_bytes else 1.0) / self.per_megabit


@lru_cache(maxsize=1000)
def unit_in(name: str) -> tuple[RateUnit, str] | None:
    """(the unit of rate that a column's name says, the rest of the name); None if it says none."""
    spaced = re.sub(r"[()\[\]{}<>]", " ", name)
    for match in _UNIT.finditer(spaced):
        rest = f"{spaced[: match.start()]} {spaced[match.end() :]}"
        named = (len(match["thing"]) > 1 or match["prefix"]) and _RATE_WORD.search(rest)
        if match["per"] or named:
            return _unit(match), " ".join(re.findall(r"[a-z0-9]+", rest.lower()))
    return None


@lru_cache(maxsize=1000)
def unit_named(text: str) -> RateUnit | None:
    """The unit that a whole text is, such as `Mbits/sec`; None if it is none of a rate."""
    match = _UNIT.fullmatch(text.strip())
    return _unit(match) if match is not None and match["per"] else None


def _unit(match: re.Match[str]) -> RateUnit:
    written, thing = match[0].strip(" _-"), match["thing"]
    per_megabit = 1e6 / _PREFIXES[(match["prefix"] or "").lower()]
    if len(thing) > 1:
        return RateUnit(written, per_megabit, in_bytes=not thing.lower().startswith("bit"))
    if thing == "b":
        return RateUnit(written, per_megabit)
    if "".join(filter(str.isalpha, written)).isupper():
        prefix = (match["prefix"] or "").replace("K", "k")
        return RateUnit(written, per_megabit, unclear=f"{prefix}bit/s or {prefix}B/s")
    return RateUnit(written, per_megabit, bytes_by_case=True, in_bytes=True)
