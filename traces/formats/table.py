"""Tables with a header line that names columns and their units; comma, semicolon, tab, bar or spaces between.

* `time_s`, `time_ms`, `time_us`, `elapsed_ms` or `time`, `seconds`, `t` (s): the end of the interval, counted
  from 0; a first row after 0 holds from 0 on.
* `timestamp`, `epoch`, `datetime` and their like, with a unit or not: a clock; the first row marks the start.
  Without a unit: seconds, milliseconds from 1e11, microseconds from 1e14 and nanoseconds from 1e17 on, or a
  date, see `clock.py`. `date` and `time` are one column in two.
* `duration_s`, `duration_ms`: how long the row's rate holds.
* `throughput_mbps`, `Bitrate (kbit/s)`, `MB/s` and their like: the rate, see `rate_columns.py`.
* `delay_ms`, `latency_ms`, `rtt_ms`, `loss_pct`, `loss_rate` and their like: see `columns.py`.

The header may stand under a preamble. The first column of time is taken, other columns are passed over; a
name may write its unit in brackets, `Throughput (Mbps)`. Decimal commas and marks between thousands are
read, see `decimals.py`. A round trip keeps every value exactly.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from traces.formats.clock import times_of
from traces.formats.columns import ColumnReading, TakenColumns, find
from traces.formats.decimals import NumberStyle, is_missing, number, style_of
from traces.formats.plain_columns import LONG, Body, Columns, body_of, moments, more, placed, rates
from traces.formats.rate_columns import MOST_COLUMNS, candidates, choose
from traces.formats.reading import AS_FOUND, TIME_UNITS, ReadOptions
from traces.formats.rows import Origin, Remark, Scan, TraceRow, arranged, build, plain, refused, table_lines
from traces.formats.table_header import Header, commented_header, header_in, said_of, split, time_column
from traces.formats.table_tidying import units_below, without_talk
from traces.formats.units import RateUnit
from traces.trace import Trace

NAME = "csv"
ABOUT = (
    "named columns with units: time_s, time_ms, timestamp, duration_ms; throughput_mbps, bandwidth_kbps, bps"
)
TAKES = ("column", "unit", "time_unit", "idle", "row_s")

_HEAD = 65_536
"""Characters in which the header and the first row are looked for."""
_STEPS = "no column of time; name one time_s or timestamp, or say how long a row lasts: --row-s 1"


def scan(text: str, options: ReadOptions = AS_FOUND) -> Scan:
    """The rows, unjudged."""
    lines: Sequence[tuple[int, str]] = table_lines(text)
    if not lines:
        return Scan((), None)
    header = commented_header(text, options) or header_in(lines, options)
    if header is not None and header.rate.column is None and header.names:
        header, lines = units_below(header, lines, options)
    if header is None:
        return refused(
            lines[0][0],
            f"the header names no time and rate with a unit ({lines[0][1][:60]!r}); name columns such as "
            "time_s,throughput_mbps",
        )
    if header.rate.column is None:
        return refused(header.line, header.rate.fault)
    if header.time is None and options.row_s is None:
        return refused(header.line, _STEPS)
    remarks = _said_before(header, lines)
    rows, said = without_talk(header, lines)
    return _Table(header, options, (*remarks, *said)).scan(rows)


def quick(text: str, options: ReadOptions = AS_FOUND) -> Columns | None:
    """The points of a long table without a fault; None for others."""
    if len(text) < LONG:
        return None
    head = table_lines(text[:_HEAD])
    header = commented_header(text, options) or header_in(head, options)
    if header is None or header.rate.column is None or (header.time is None and options.row_s is None):
        return None
    first = next((line for line, _ in head if line > header.line), None)
    body = body_of(text, first, header.delimiter) if first is not None and len(head) > 1 else None
    return None if body is None else _Table(header, options, tuple(_said_before(header, head))).columns(body)


def _said_before(header: Header, lines: Sequence[tuple[int, str]]) -> list[Remark]:
    """What there is to say of a header, before its rows."""
    remarks = said_of(header)
    if header.at > 0 and not lines[0][1].startswith("sep="):
        remarks.append(
            Remark(header.line, f"columns are named here, lines before are passed over ({header.at})", "note")
        )
    return remarks


def scan_records(
    names: Sequence[str], records: Sequence[tuple[int, list[str] | str]], options: ReadOptions, line: int
) -> Scan | None:
    """The rows of records that are fields already, or a fault each; None if names tell no time or rate.

    Args:
        line: where the names stand.
    """
    if len(names) > MOST_COLUMNS:
        return refused(line, choose(names, options).fault)
    header = Header(0, line, ",", tuple(names), time_column(names), choose(names, options))
    if header.rate.column is None or (header.time is None and options.row_s is None):
        return refused(line, header.rate.fault) if candidates(names) and header.time is not None else None
    return _Table(header, options, tuple(said_of(header))).scan_fields(records)


@dataclass(frozen=True)
class _Table:
    """A table's rows under its header."""

    header: Header
    options: ReadOptions
    remarks: tuple[Remark, ...]

    def scan(self, lines: Sequence[tuple[int, str]]) -> Scan:
        """The rows of the lines under the header."""
        return self.scan_fields([(line_number, self._fields(line)) for line_number, line in lines])

    def scan_fields(self, records: Sequence[tuple[int, list[str] | str]]) -> Scan:
        """The rows of lines that are taken apart, or of a fault each."""
        more = find(self.header.names)
        taken = [place for place, _ in more.taken()]
        rate, unit = self.header.rate.column, self.header.rate.unit
        assert rate is not None and unit is not None
        sound = [fields for _, fields in records if isinstance(fields, list)]
        times, origin, said = self._times(sound)
        style = {place: self._style(sound, place) for place in (rate.place, *taken)}
        said += [Remark(self.header.line, one.assumed) for one in style.values() if one.assumed][:1]
        rows, moments = [], iter(times)
        for line_number, fields in records:
            if isinstance(fields, str):
                rows.append(TraceRow(line_number, fault=fields))
            else:
                rows.append(_row(line_number, fields, next(moments), rate.place, unit, more, style))
        return arranged(
            rows, origin, self.options.idle, passed_over=more.passed_over, remarks=(*self.remarks, *said)
        )

    def columns(self, body: Body) -> Columns | None:
        """The points of the lines under the header; None where a row has a fault or must be averaged."""
        taken, rate, time = find(self.header.names), self.header.rate.column, self.header.time
        assert rate is not None
        places = [rate.place, *(place for place, _ in taken.taken())]
        clock = [] if time is None else [time.place] if time.date is None else [time.date, time.place]
        fields = body.columns([*places, *clock])
        mbps = None if fields is None else rates(fields[0], rate.unit)
        times = (
            None
            if fields is None or mbps is None
            else self._moments(fields[len(places) :], len(mbps), body.line)
        )
        if fields is None or mbps is None or times is None:
            return None
        read = [more(column, how) for column, (_, how) in zip(fields[1:], taken.taken(), strict=False)]
        if any(column is None for column in read):
            return None
        varies = dict(zip((how.kind for _, how in taken.taken()), read, strict=True))
        time_s, start_s, said = times
        return Columns(
            body.line,
            time_s,
            mbps,
            start_s,
            varies.get("delay"),
            varies.get("loss"),
            taken.passed_over,
            said,
        )

    def _moments(
        self, fields: list[list[str]], rows: int, line: int
    ) -> tuple[list[float], float | None, tuple[Remark, ...]] | None:
        """As `placed` has it, of the columns of time."""
        time = self.header.time
        if time is None:
            return placed(self.header.line, [self.options.row_s or 1.0] * rows, "duration", self.remarks)
        asked = self.options.time_unit
        column = fields[0]
        if time.date is not None:
            column = [f"{day.strip()} {hour.strip()}" for day, hour in zip(*fields, strict=True)]
        per_second = TIME_UNITS[asked] if asked else time.per_second
        found = moments(column, per_second, dates=_has_dates(column))
        if found is None:
            return None
        said = [*self.remarks, *([Remark(self.header.line, found.assumed)] if found.assumed else [])]
        is_clock = time.origin != "duration" and (found.of_clock or time.named_clock)
        return placed(line, found.time_s, "clock" if is_clock else time.origin, said)

    @cached_property
    def _needed(self) -> int:
        """The last column that is read."""
        rate, time = self.header.rate.column, self.header.time
        places = [place for place, _ in find(self.header.names).taken()]
        places += [] if rate is None else [rate.place]
        return max(places + ([] if time is None else [time.place, time.date or 0]))

    def _fields(self, line: str) -> list[str] | str:
        """The fields of a line, or its fault."""
        try:
            fields = split(line, self.header.delimiter)
        except csv.Error as error:
            return f"no line of a CSV file ({error}); drop the line"
        if len(fields) <= self._needed:
            return f"{len(fields)} columns; the header asks for {self._needed + 1} or more"
        return fields

    def _times(self, sound: Sequence[Sequence[str]]) -> tuple[list[tuple[float, str]], Origin, list[Remark]]:
        """(value, fault) of each row's time, what they are, and what was assumed of them."""
        time, asked = self.header.time, self.options.time_unit
        if time is None:
            step_s = self.options.row_s or 1.0
            return [(step_s, "")] * len(sound), "duration", []
        per_second = TIME_UNITS[asked] if asked else time.per_second
        fields = [row[time.place] for row in sound]
        if time.date is not None:
            fields = [f"{row[time.date]} {row[time.place]}" for row in sound]
        style = self._style(sound, time.place)
        found = times_of([style.plain(field) for field in fields], per_second)
        clock = found.of_clock or time.named_clock
        origin: Origin = time.origin if time.origin == "duration" or not clock else "clock"
        said = [Remark(self.header.line, found.assumed)] if found.assumed else []
        return list(zip(found.values, found.faults, strict=True)), origin, said

    def _style(self, sound: Sequence[Sequence[str]], place: int) -> NumberStyle:
        column = [fields[place] for fields in sound]
        if _has_dates(column):
            return NumberStyle(is_usual=True)
        return style_of(column, comma_separates=self.header.delimiter == ",")


def _has_dates(column: Sequence[str]) -> bool:
    return any(re.search(r"[:/]|\d-\d|\d_\d|\d\.\d+\.\d{4}", field) for field in column[:10])


def _row(
    line_number: int,
    fields: Sequence[str],
    moment: tuple[float, str],
    place: int,
    unit: RateUnit,
    more: TakenColumns,
    style: dict[int, NumberStyle],
) -> TraceRow:
    time_s, fault = moment
    field = fields[place]
    missing = f"rate {field!r}" if is_missing(field) else ""
    rate = math.nan
    if not missing:
        rate, rate_fault = number(style[place].plain(field), "rate")
        if style[place].unclear and "," in field:
            rate_fault = f"rate {field!r}: a decimal comma or thousands? write it without a comma"
        fault = fault or rate_fault
    values: list[float | None] = []
    for column in (more.delay, more.loss):
        value, value_fault, value_missing = _more(fields, column, style)
        values.append(value)
        fault, missing = fault or value_fault, missing or value_missing
    return TraceRow(line_number, time_s, unit.mbps(rate), fault, values[0], values[1], missing)


def _more(
    fields: Sequence[str], column: tuple[int, ColumnReading] | None, style: dict[int, NumberStyle]
) -> tuple[float | None, str, str]:
    """(value, fault, what is missing) of a row's delay or loss; None where the file has no such column."""
    if column is None:
        return None, "", ""
    place, reading = column
    if is_missing(fields[place]):
        return math.nan, "", f"{reading.name} {fields[place]!r}"
    field = fields[place].removesuffix("%").rstrip() if reading.kind == "loss" else fields[place]
    raw, fault = number(style[place].plain(field), reading.name)
    value, fault = (math.nan, fault) if fault else reading.value(raw)
    return value, fault, ""


def read(text: str, source: str, options: ReadOptions = AS_FOUND) -> Trace:
    """The trace in a file's text.

    Raises:
        TraceError: names `source`, the line, the value and the way out.
    """
    found = quick(text, options)
    return build(scan(text, options), source) if found is None else found.trace(source)


def write(trace: Trace) -> str:
    """The file's text: `time_s,throughput_mbps` and, where the trace has them, `delay_ms` and `loss_pct`."""
    columns = {"time_s": trace.time_s, "throughput_mbps": trace.rate_mbps}
    for name, values in (("delay_ms", trace.delay_ms), ("loss_pct", trace.loss_pct)):
        if values is not None:
            columns[name] = values
    rows = zip(*columns.values(), strict=True)
    return "".join(",".join(row) + "\n" for row in (tuple(columns), *(map(plain, row) for row in rows)))
