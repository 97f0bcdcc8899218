"""The quick way through long files whose every line is plain numbers: columns instead of rows.

It gives the points that the rows' own way gives (`rows.py`), or None. Whatever has to be refused, averaged,
filled or told of a single row is left to that way, which knows the line; so there is one set of errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import lt
from pathlib import PurePath

from traces.formats.clock import clock_of, times_of
from traces.formats.columns import ColumnReading
from traces.formats.decimals import MAX_VALUE, is_number
from traces.formats.rows import Origin, Remark, beginning
from traces.formats.units import RateUnit
from traces.trace import Trace, TraceError

LONG = 1 << 20
"""Characters of a file from which on this way is tried; the rows of shorter ones are read in no time."""
_PART = 1 << 22
"""Characters that are taken apart at once: each field of them takes fifty bytes of memory."""
_OTHER = re.compile(r"[^0-9.eE+\- \t]")
"""What is in no plain number; of what else is left `float` takes the same as `decimals.number`."""
_END = "\x01"
_NO_ROWS = ('"', "#", "%", "//", "\r", _END)
"""Where one of these is, a line may be a comment, or a field have the mark of columns in it."""


@dataclass(frozen=True)
class Body:
    """The lines of a table below its header, none of them taken apart."""

    text: str
    line: int
    """Of the file, where `text` begins."""
    delimiter: str | None
    """None: white space."""

    def columns(self, places: Sequence[int], fields: int | None = None) -> list[list[str]] | None:
        """The fields at these places, a list a place; None where not all lines have as many fields.

        Args:
            fields: how many a line has; None: as many as the first.
        """
        mark = " " if self.delimiter is None else self.delimiter
        count = len(self.text.partition("\n")[0].split(self.delimiter)) if fields is None else fields
        if max(places) >= count or any(sign in self.text for sign in _NO_ROWS):
            return None
        found: list[list[str]] = [[] for _ in places]
        for part in self._parts():
            lines = part.count("\n") + 1
            row_end = f"{mark}{_END}"
            split = f"{part}\n".replace("\n", f"{row_end}{mark}").split(self.delimiter)
            if self.delimiter is not None:
                split.pop()  # what follows the last mark
            if len(split) != lines * (count + 1) or split[count :: count + 1].count(_END) != lines:
                return None
            for column, place in zip(found, places, strict=True):
                column += split[place :: count + 1]
        return found

    def _parts(self) -> Iterator[str]:
        """Whole lines, some at once, without the last one's end."""
        at, text = 0, self.text
        while at < len(text):
            end = text.find("\n", at + _PART)
            end = len(text) if end < 0 else end
            yield text[at:end]
            at = end + 1


def body_of(text: str, line: int, delimiter: str | None) -> Body | None:
    """The lines from `line` (counted from 1) on; None where the text is short or has none."""
    if len(text) < LONG:
        return None
    text, at = text.replace("\r\n", "\n").rstrip("\n"), 0
    for _ in range(line - 1):
        at = text.find("\n", at) + 1
        if at == 0:
            return None
    return Body(text[at:], line, delimiter)


def numbers(fields: Sequence[str]) -> list[float] | None:
    """The numbers of a column; None if one is anything but a plain number."""
    try:
        return None if _OTHER.search("".join(fields)) else list(map(float, fields))
    except ValueError:
        return None


def from_zero_on(values: Sequence[float] | None) -> bool:
    """Whether all are numbers that a reader takes for a rate, a delay or a loss."""
    return bool(values) and values is not None and min(values) >= 0 and max(values) <= MAX_VALUE


@dataclass(frozen=True)
class Columns:
    """A file's points, without a fault; `Scan` for those that have one."""

    line: int
    """The first point's; each has one of its own."""
    time_s: Sequence[float]
    rate_mbps: Sequence[float]
    start_s: float | None
    """Where the first point's interval begins; None: the first point only marks the start."""
    delay_ms: Sequence[float] | None = None
    loss_pct: Sequence[float] | None = None
    passed_over: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()

    def trace(self, source: str) -> Trace:
        """The trace, named after the last part of `source`.

        Raises:
            TraceError: the points make none.
        """
        begin = () if self.start_s is None else (self.start_s,)

        def whole(values: Sequence[float] | None) -> tuple[float, ...] | None:
            return None if values is None else (*values[: len(begin)], *values)

        try:
            return Trace(
                PurePath(source).name or source,
                (*begin, *self.time_s),
                whole(self.rate_mbps) or (),
                delay_ms=whole(self.delay_ms),
                loss_pct=whole(self.loss_pct),
                assumed=tuple(remark.text for remark in self.remarks if remark.severity == "warning"),
            )
        except TraceError as error:
            raise TraceError(f"{source}: {error}") from error


@dataclass(frozen=True)
class Moments:
    """A column of times."""

    time_s: list[float]
    of_clock: bool
    assumed: str = ""


def moments(fields: list[str], per_second: float | None, *, dates: bool = False) -> Moments | None:
    """The times of a column; None if one has a fault.

    Args:
        per_second: how many of the unit a second has; None: told from the first value.
        dates: they may be dates or times of the day as well as numbers.
    """
    first = fields[0].strip()
    if is_number(first) and (clock := clock_of(first, per_second)) is not None:
        values = numbers(fields)
        if values is None or max(map(abs, (min(values), max(values)))) > MAX_VALUE:
            return None
        time_s = values if clock.per_second == 1 else [value / clock.per_second for value in values]
        return Moments(time_s, clock.of_clock, clock.assumed)
    if not dates:
        return None
    found = times_of([field.strip() for field in fields], per_second)
    if any(found.faults):
        return None
    return Moments(list(found.values), found.of_clock, found.assumed)


def rates(fields: Sequence[str], unit: RateUnit | None) -> list[float] | None:
    """Mbit/s of a column of rates; None if one has a fault."""
    values = numbers(fields)
    if values is None or not from_zero_on(values):
        return None
    return values if unit is None else [unit.mbps(value) for value in values]


def more(fields: Sequence[str], reading: ColumnReading) -> list[float] | None:
    """Milliseconds or per cent of a column of delays or losses; None if one has a fault."""
    values = numbers(fields)
    if values is None or not from_zero_on(values):
        return None
    read = [reading.value(value) for value in values]
    return None if any(fault for _, fault in read) else [value for value, _ in read]


def placed(
    line: int, time_s: list[float], origin: Origin, remarks: Sequence[Remark] = ()
) -> tuple[list[float], float | None, tuple[Remark, ...]] | None:
    """(times from the trace's start on, where the first interval begins, what there is to say), as
    `rows.arranged` does it; None where a row would have to be refused or averaged.

    Args:
        line: the first row's.
        remarks: what the reader has to say already.
    """
    said, start_s, found = list(remarks), None, time_s
    if len(time_s) < 2:
        return None
    if origin == "duration":
        found, start_s = list(accumulate(time_s)), 0.0
        if min(time_s) <= 0:
            return None
    elif origin == "elapsed" and not (what := beginning(time_s)):
        start_s = None if time_s[0] == 0.0 else 0.0
    else:
        found = [time - time_s[0] for time in time_s]
        said += [Remark(line, what)] if origin == "elapsed" else []
    rises = all(map(lt, time_s, time_s[1:])) or origin == "duration"
    return (found, start_s, tuple(said)) if rises and all(map(lt, found, found[1:])) else None
