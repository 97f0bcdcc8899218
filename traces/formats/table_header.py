"""The line of a table that names its columns: which holds the time, which the rate, what stands between."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from traces.formats.columns import normal
from traces.formats.decimals import is_number
from traces.formats.rate_columns import MOST_COLUMNS, RateChoice, candidates, choose
from traces.formats.reading import AS_FOUND, ReadOptions
from traces.formats.rows import Origin, Remark, last_comment, table_lines

_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), 1e3),
    **dict.fromkeys(("us", "usec", "usecs", "micros", "microsecond", "microseconds"), 1e6),
    **dict.fromkeys(("ns", "nsec", "nsecs", "nanos", "nanosecond", "nanoseconds"), 1e9),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 1 / 60),
}
"""How many of the unit a second has."""
_UNIT = rf"(?P<unit>{'|'.join(_UNITS)})"
_CLOCK = (
    r"(?:(?:unix|epoch|gps|utc|gmt|local|system|wall|posix|log|server|client|recv|capture)_)*"
    r"(?:time_?stamps?|epoch|unix|posix|ts|date_?time|date|clock|recorded_at|created_at|logged_at)"
    r"(?:_?(?:time|utc|gmt|local))*"
)
_ELAPSED = (
    r"(?:elapsed|relative|rel|session|test|run|play|total|since_start)?_?(?:time|t|elapsed)"
    r"(?:_(?:elapsed|since_start|from_start|offset))?|time_elapsed|since_start|interval_end|end_time|time_end"
    r"|end|interval|zeit|temps|tiempo|tempo"
)
_TIME = re.compile(
    rf"(?:(?P<duration>duration|interval_duration|delta_t|dt)|(?P<clock>{_CLOCK})|(?P<elapsed>{_ELAPSED}))"
    rf"(?:_(?:in_)?{_UNIT})?(?:_(?:utc|gmt|local|cet|cest))?"
)
_NUMBERED = re.compile(r"|(?:seq|sequence|sample|row)(?:_(?:num|no|number|id))?|index|idx|no|nr|x")
"""Names of columns that count rows, taken for seconds where there is no time."""
_BARE = re.compile(rf"(?:{_UNIT})(?:_(?:since_start|elapsed))?")
_MOST_PREAMBLE = 60
"""Lines in which a header is looked for."""
_LOOKED_AT = 65_536
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class TimeColumn:
    """Where times are, and how to read them."""

    place: int
    origin: Origin
    per_second: float | None
    """Time units in a second; None: to be told from the values."""
    date: int | None = None
    """Where the dates of times of the day are."""
    named_clock: bool = False
    """It is a clock even where its values are small."""
    assumed: str = ""
    """What is taken for granted of it."""


@dataclass(frozen=True)
class Header:
    """A line that names columns."""

    at: int
    """Its place among the lines that are read."""
    line: int
    delimiter: str | None
    """None: spaces."""
    names: tuple[str, ...]
    time: TimeColumn | None
    rate: RateChoice


def header_in(lines: Sequence[tuple[int, str]], options: ReadOptions = AS_FOUND) -> Header | None:
    """The first line that names a time and a rate; else the first that names a rate; None if none does."""
    second = None
    for at, (line_number, line) in enumerate(lines[:_MOST_PREAMBLE]):
        if all(is_number(field) for field in re.split(r"[\s,;|]+", line.strip())):
            return second  # rows have begun
        for delimiter in _delimiters_in(line):
            names = split(line.lstrip("\ufeff"), delimiter)
            if len(names) > MOST_COLUMNS:
                return Header(at, line_number, delimiter, (), None, choose(names, options))
            if not candidates(names) and options.column is None:
                continue
            header = Header(
                at, line_number, delimiter, tuple(names), time_column(names), choose(names, options)
            )
            if header.time is not None and (header.rate.column or candidates(names)):
                return header
            second = second or (header if header.rate.column is not None or header.time is not None else None)
    return second


def commented_header(text: str, options: ReadOptions = AS_FOUND) -> Header | None:
    """The names that the last comment before the first row has, as numpy and gnuplot write them."""
    comment, lines = last_comment(text), table_lines(text[:_LOOKED_AT])
    if comment is None or not lines or not re.match(r"[\s+-]*\d", lines[0][1]):
        return None
    header = header_in([comment], options)
    if header is None or header.time is None or header.rate.column is None:
        return None
    fields = split(lines[0][1], header.delimiter)
    return replace(header, at=-1) if len(fields) == len(header.names) else None


def _delimiters_in(line: str) -> list[str | None]:
    """Those that a header may have, the most frequent first."""
    found = sorted((-line.count(mark), at) for at, mark in enumerate(_DELIMITERS) if mark in line)
    return [_DELIMITERS[at] for _, at in found] or [None]


def time_column(names: Sequence[str]) -> TimeColumn | None:
    """The first column that holds times."""
    words = [normal(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)) for name in names]
    for place, word in enumerate(words):
        match = _TIME.fullmatch(word) or _TIME.fullmatch(normal(names[place]))
        if match is None:
            if bare := _BARE.fullmatch(word):
                return TimeColumn(place, "elapsed", _UNITS[bare["unit"]])
            continue
        per_second = _UNITS[match["unit"]] if match["unit"] else None
        if match["duration"]:
            return TimeColumn(place, "duration", per_second or 1.0)
        if (
            word == "date"
            and (of_day := next((i for i, w in enumerate(words) if w == "time"), None)) is not None
        ):
            return TimeColumn(of_day, "clock", None, place)
        return TimeColumn(
            place, "clock" if match["clock"] else "elapsed", per_second, named_clock=bool(match["clock"])
        )
    if words and _NUMBERED.fullmatch(words[0]):
        return TimeColumn(0, "elapsed", 1.0, assumed=f"column {names[0]!r} is taken for seconds")
    return None


def split(line: str, delimiter: str | None) -> list[str]:
    """The fields of a line.

    Raises:
        csv.Error: a field that is too long.
    """
    if delimiter is None:
        return line.split()
    if '"' not in line:
        return [field.strip() for field in line.split(delimiter)]
    return [
        field.strip() for field in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    ]


def said_of(header: Header) -> list[Remark]:
    """What was taken by the names, and what for granted."""
    assumed = [*header.rate.assumed, *filter(None, [header.time.assumed if header.time else ""])]
    return [
        *(Remark(header.line, text) for text in assumed),
        *(Remark(header.line, text, "note") for text in header.rate.notes),
    ]
