"""Which columns of delay and loss a file has, told by their names: those of CSV and of JSON logs.

* Delay: `delay`, `latency`, `rtt`, `ping` or `round_trip_time` with a unit (`_ms`, `_s`, `_us`), also after
  or before `avg`, `mean` or `median`. It is what is added to the idle round trip.
* Loss in per cent: `loss_pct`, `loss_percent`, `packet_loss_pct`, `Packet loss (%)`.
* Loss as a share from 0 to 1: `loss_rate`, `loss_ratio`, `loss_share`, `packet_loss_rate`, `plr`.

A name that can be read in two ways (`latency` has no unit, `loss` may be a share or per cent, a one-way delay
is half of what) is taken as long as its values are 0, which is the same in all readings; any other value is
a fault that names the readings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from traces.trace import delay_fault, loss_fault

Kind = Literal["delay", "loss"]

_AVERAGE = r"(avg|average|mean|median)"
_DELAY = rf"({_AVERAGE}_)?(delay|latency|rtt|ping|round_trip_time)(_{_AVERAGE})?"
_MS_IN = {"ms": 1.0, "msec": 1.0, "s": 1e3, "sec": 1e3, "seconds": 1e3, "us": 1e-3, "usec": 1e-3}
_UNIT = rf"_(?P<unit>{'|'.join(_MS_IN)})"
_ONE_WAY = r"(owd|one_?way_(delay|latency))"
_LOSS = r"((packets?|frames?)_?)?loss"
_LOSS_PCT = re.compile(rf"{_LOSS}_(pct|percent|percentage)")
_LOSS_SHARE = re.compile(rf"{_LOSS}_?(rate|ratio|share|fraction)|plr")
_ABOUT = re.compile(r"(.*_)?(delay|latency|rtt|owd|ping[a-z]*|packetloss|loss)(_.*)?")


@dataclass(frozen=True)
class ColumnReading:
    """How values of a column become milliseconds or per cent."""

    name: str
    """As the file writes it."""
    kind: Kind
    factor: float
    unclear: str = ""
    """Why a value other than 0 can't be read, and the way out; empty where it can."""

    def value(self, raw: float) -> tuple[float, str]:
        """(value, fault) of a number that is finite and not negative; the fault is empty if there is none."""
        if self.unclear:
            return (0.0, "") if raw == 0 else (math.nan, f"{self.name} {raw:g}: {self.unclear}")
        if self.kind == "loss" and self.factor != 1.0 and raw > 1:
            return math.nan, f"{self.name} {raw:g} is no share from 0 to 1; name per cent loss_pct"
        value = raw * self.factor
        fault = (delay_fault if self.kind == "delay" else loss_fault)(value)
        return value, f"{self.name}: {fault}" if fault else ""


@dataclass(frozen=True)
class TakenColumns:
    """The columns taken, as (place, how to read it), and the names of those like them that are not."""

    delay: tuple[int, ColumnReading] | None
    loss: tuple[int, ColumnReading] | None
    passed_over: tuple[str, ...]

    def taken(self) -> list[tuple[int, ColumnReading]]:
        """Those of both that are there."""
        return [column for column in (self.delay, self.loss) if column is not None]


def normal(name: str) -> str:
    """A column's name in lower case, with one underscore for all that is no letter or digit."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower().replace("%", " pct ")).strip("_")


@lru_cache(maxsize=1000)
def reading(name: str) -> ColumnReading | None:
    """How a column of this name is read; None if it holds neither delay nor loss."""
    word = normal(name)
    if match := re.fullmatch(_DELAY + _UNIT, word):
        return ColumnReading(name, "delay", _MS_IN[match["unit"]])
    if re.fullmatch(_DELAY, word):
        return ColumnReading(
            name, "delay", 1.0, "milliseconds or seconds? name the column delay_ms or delay_s"
        )
    if re.fullmatch(f"{_ONE_WAY}({_UNIT})?", word):
        return ColumnReading(
            name, "delay", 1.0, "one way of two; name what it adds to the round trip delay_ms, or drop it"
        )
    if _LOSS_PCT.fullmatch(word):
        return ColumnReading(name, "loss", 1.0)
    if _LOSS_SHARE.fullmatch(word):
        return ColumnReading(name, "loss", 100.0)
    if re.fullmatch(_LOSS, word):
        return ColumnReading(name, "loss", 1.0, "a share or per cent? name the column loss_rate or loss_pct")
    return None


@lru_cache(maxsize=1000)
def _sounds_alike(name: str) -> bool:
    return _ABOUT.fullmatch(normal(name)) is not None


def find(names: Iterable[str]) -> TakenColumns:
    """The first column of each kind; a name that says its unit goes before one that does not."""
    taken: dict[Kind, tuple[int, ColumnReading]] = {}
    like: list[tuple[int, str]] = []
    for place, name in enumerate(names):
        found = reading(name)
        if found is None and not _sounds_alike(name):
            continue
        like.append((place, name))
        if found is None:
            continue
        if found.kind not in taken or (taken[found.kind][1].unclear and not found.unclear):
            taken[found.kind] = place, found
    places = {place for place, _ in taken.values()}
    rest = tuple(name for place, name in like if place not in places)
    return TakenColumns(taken.get("delay"), taken.get("loss"), rest)
