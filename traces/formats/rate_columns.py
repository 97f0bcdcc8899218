"""Which column of a table holds the rate, told by names; where they leave a choice, a person makes it.

* Names of the downlink go first: `dl`, `down…`, `rx`, `received`. Names of the uplink (`ul`, `up…`, `tx`,
  `sent`) are taken only where there is nothing else.
* Two columns of one name in two units are one quantity. Any other choice is refused with the candidates.
* The unit is in the name, `throughput_mbps`, `Bitrate (kbit/s)`, `MB/s`; `DL_bitrate` and `UL_bitrate` are
  G-NetTrack's, in kbps. A rate without a unit is taken only where `unit` says it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from traces.formats.reading import ReadOptions
from traces.formats.units import EXAMPLES, RateUnit, unit_in, unit_named

_DOWN = re.compile(r"dl|down[a-z]*|rx|recv|receive[a-z]*|ingress")
_UP = re.compile(r"ul|up|upl[a-z]*|upstream|tx|sent|send|sender|egress")
_RATE = re.compile(
    r"throughputs?|bandwidths?|bit_?rates?|data_?rates?|(?:dl|ul|rx|tx|down|up|download|upload|link|net|avg|mean)?_?"
    r"(?:speed|rate|rates)|goodput|tput|bw|thr?oughput_.*|.*_(?:throughput|bandwidth|bit_?rate|data_?rate|speed|goodput|tput|bw)"
    r"|down(?:load|link)?|download_speed|capacity"
)
_KNOWN = {"dl_bitrate": "kbps", "ul_bitrate": "kbps"}
"""Names without a unit whose maker says which it is: G-NetTrack."""
_MOST_LISTED = 8
MOST_COLUMNS = 10_000
"""Of a table: each name is looked at for times, rates, delays and losses."""
_MOST_SAID = f"a table has {MOST_COLUMNS} at most, keep those of time and rate"


@dataclass(frozen=True)
class RateColumn:
    """A column that may hold the rate."""

    place: int
    name: str
    """As the file writes it."""
    unit: RateUnit | None
    """None: the name says none."""
    stem: str
    """The name without its unit."""

    @property
    def words(self) -> list[str]:
        """The words of its name."""
        return re.findall(
            r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=DL|UL)(?=[A-Z])", " ", self.name).lower()
        )

    @property
    def is_down(self) -> bool:
        """Whether its name says that it is what a player gets."""
        return any(_DOWN.fullmatch(word) for word in self.words)

    @property
    def is_up(self) -> bool:
        """Whether its name says that it is what a player sends."""
        return not self.is_down and any(_UP.fullmatch(word) for word in self.words)


_AMOUNT = re.compile(r"(.*[^a-z])?(bits?|bytes|octets|[kmg]i?b)([^a-z].*)?", re.IGNORECASE)
"""A column that is called so counts what came, not a rate."""


def amount_fault(names: Sequence[str]) -> str:
    """What to do about a column that counts bytes or bits, not a rate; empty where there is none."""
    name = next((name for name in names if _AMOUNT.fullmatch(name.strip())), None)
    if name is None:
        return ""
    return (
        f"column {name!r} counts what came, in each row or since the beginning, which nothing tells; divide"
        " what came in each row by its seconds, and name that column bytes_per_second"
    )


@dataclass(frozen=True)
class RateChoice:
    """The column that was taken, or why none was."""

    column: RateColumn | None
    unit: RateUnit | None = None
    fault: str = ""
    """What is wrong and the way out, empty if nothing."""
    notes: tuple[str, ...] = ()
    """What was taken, where there was a choice."""
    assumed: tuple[str, ...] = ()
    """What was taken for granted."""


def candidates(names: Sequence[str]) -> list[RateColumn]:
    """The columns that may hold the rate: those with a unit of one, and those that are called so."""
    found = []
    for place, name in enumerate(names):
        said = unit_in(name)
        word = re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")
        if said is not None:
            found.append(RateColumn(place, name, *said))
        elif word in _KNOWN:
            found.append(RateColumn(place, name, unit_named(_KNOWN[word]), word))
        elif _RATE.fullmatch(word):
            found.append(RateColumn(place, name, None, word))
    return found


def choose(names: Sequence[str], options: ReadOptions) -> RateChoice:
    """The column of the rate.

    Args:
        names: of all columns, as the file writes them.
        options: `column` and `unit` go before what names say.
    """
    if len(names) > MOST_COLUMNS:
        return RateChoice(None, fault=f"{len(names)} columns; {_MOST_SAID}")
    found = candidates(names)
    if options.column is not None:
        return _asked_for(names, found, options)
    known = [column for column in found if column.unit is not None] or (found if options.unit else [])
    if not known:
        if found:
            listed = ", ".join(repr(column.name) for column in found[:_MOST_LISTED])
            return RateChoice(None, fault=f"no unit in {listed}; say which, such as --unit kbps ({EXAMPLES})")
        no_rate = "no column of a rate with its unit, such as throughput_mbps"
        return RateChoice(None, fault=amount_fault(names) or no_rate)
    down = [column for column in known if column.is_down]
    neutral = [column for column in known if not column.is_down and not column.is_up]
    group = down or neutral or known
    if len({column.stem for column in group}) > 1:
        listed = ", ".join(column.name for column in group[:_MOST_LISTED])
        return RateChoice(None, fault=f"rates in {len(group)} columns ({listed}); say which: --column NAME")
    alike = [column for column in group if (column.stem, column.unit) == (group[0].stem, group[0].unit)]
    if len(alike) > 1:
        return RateChoice(None, fault=_by_number(alike))
    taken = next((column for column in group if column.unit and not column.unit.unclear), group[0])
    others = [column.name for column in known if column is not taken]
    notes = () if not others else (f"column {taken.name!r} is the rate, not {', '.join(map(repr, others))}",)
    assumed = () if group is not known or not taken.is_up else (f"column {taken.name!r} is an uplink's rate",)
    return _with_unit(taken, options, notes, assumed)


def _asked_for(names: Sequence[str], found: Sequence[RateColumn], options: ReadOptions) -> RateChoice:
    """The column that `--column` names or counts."""
    asked = options.column or ""
    places = [place for place, name in enumerate(names) if name == asked]
    places = places or [place for place, name in enumerate(names) if name.lower() == asked.lower()]
    if not places and asked.isdigit() and 1 <= int(asked) <= len(names):
        places = [int(asked) - 1]
    if not places:
        listed = ", ".join([column.name for column in found] or names)
        return RateChoice(None, fault=f"no column {asked!r}; there are {listed[:200]}")
    if len(places) > 1:
        return RateChoice(None, fault=_by_number([RateColumn(at, names[at], None, asked) for at in places]))
    column = next((one for one in found if one.place == places[0]), None)
    return _with_unit(column or RateColumn(places[0], names[places[0]], None, asked), options, (), ())


def _by_number(alike: Sequence[RateColumn]) -> str:
    """The fault of columns of one name."""
    listed = ", ".join(f"{column.place + 1} {column.name}" for column in alike[:_MOST_LISTED])
    return f"rates in {len(alike)} columns alike ({listed}); say which: --column {alike[0].place + 1}"


def _with_unit(
    taken: RateColumn, options: ReadOptions, notes: tuple[str, ...], assumed: tuple[str, ...]
) -> RateChoice:
    unit = options.rate_unit or taken.unit
    if unit is None:
        return RateChoice(
            None, fault=f"column {taken.name!r} names no unit; say which, such as --unit kbps ({EXAMPLES})"
        )
    if unit.unclear:
        ways = "--unit mbps or --unit MBps" if unit.name[:1] in "mM" else "--unit kbps or --unit kBps"
        return RateChoice(
            None, fault=f"column {taken.name!r}: is {unit.name} {unit.unclear}? say which: {ways}"
        )
    if unit.bytes_by_case and options.unit is None:
        assumed = (*assumed, f"column {taken.name!r}: {unit.name} is read as bytes, 8 bits each")
    elif unit.in_bytes and options.unit is None:
        notes = (*notes, f"column {taken.name!r}: {unit.name} is times 8 in bits")
    return RateChoice(taken, unit, notes=notes, assumed=assumed)
