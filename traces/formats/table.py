"""CSV with a header line that names columns and their units; comma, semicolon or tab.

* `time_s`, `time_ms`, `time_us`, or `time`, `seconds`, `t` (s): the end of the interval, counted from 0; a
  first row after 0 holds from 0 on.
* `timestamp`, `timestamp_s`, `timestamp_ms`, `timestamp_us`: a clock; the first row marks the start. Without
  a unit: seconds, milliseconds from 1e11 and microseconds from 1e14 on, or a date such as
  2024-05-01T12:00:00.5 or 2018.01.27_13.58.29.
* `duration_s`, `duration_ms`: how long the row's rate holds.
* `throughput_mbps`, or any name that ends in `bps`, `kbps`, `mbps` or `gbps`: the rate; `DL_bitrate` is
  G-NetTrack's, in kbps.

* `delay_ms`, `latency_ms`, `rtt_ms`, `loss_pct`, `loss_rate` and their like: see `columns.py`.

The first column that fits is taken, other columns are passed over; a name may write its unit in brackets,
`Throughput (Mbps)`. With semicolons a decimal comma is read. A round trip keeps every value exactly.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from traces.formats.columns import ColumnReading, TakenColumns, find, normal
from traces.formats.rows import Scan, TraceRow, build, from_zero, is_number, number, plain, shifted
from traces.trace import Trace

NAME = "csv"
ABOUT = (
    "named columns with units: time_s, time_ms, timestamp, duration_ms; throughput_mbps, bandwidth_kbps, bps"
)

_TIME_UNITS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e3, "us": 1e6}
"""How many of the unit a second has."""
_TIME = re.compile(
    r"(?P<kind>time|t|timestamp|duration)(_(?P<unit>s|sec|seconds|ms|us))?|(?P<bare>seconds|sec|s|ms)"
)
_RATE = re.compile(r"(.*_)?(?P<unit>[kmg]?bps|[kmg]?bit_s)")
_RATE_UNITS = {"b": 1e6, "k": 1e3, "m": 1.0, "g": 1e-3}
"""How many of the unit a Mbit/s has, by the unit's first letter."""
_MS_CLOCK, _US_CLOCK = 1e11, 1e14
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class Columns:
    """Where time and rate are, and how to read them."""

    delimiter: str
    time: int
    time_kind: str
    """`time`, `timestamp` or `duration`."""
    per_second: float | None
    """Time units in a second; None: to be told from the value."""
    rate: int
    per_mbps: float
    more: TakenColumns
    """Delay and loss."""


def find_columns(header: str) -> Columns | None:
    """The columns that a header line names; None if it doesn't name a time and a rate."""
    counts = [(header.count(delimiter), delimiter) for delimiter in _DELIMITERS]
    most, delimiter = max(counts, key=lambda pair: pair[0])
    if most == 0:
        return None
    written = [name.strip() for name in header.lstrip("\ufeff").split(delimiter)]
    names = [normal(name) for name in written]
    time = next(((i, match) for i, name in enumerate(names) if (match := _TIME.fullmatch(name))), None)
    rate = next(((i, per) for i, name in enumerate(names) if (per := _per_mbps(name)) is not None), None)
    if time is None or rate is None:
        return None
    match = time[1]
    kind = match["kind"] or "time"
    unit = match["unit"] or match["bare"]
    per_second = _TIME_UNITS[unit] if unit else (None if kind == "timestamp" else 1.0)
    return Columns(delimiter, time[0], "time" if kind == "t" else kind, per_second, *rate, find(written))


def _per_mbps(name: str) -> float | None:
    if name == "dl_bitrate":
        return _RATE_UNITS["k"]
    match = _RATE.fullmatch(name)
    return _RATE_UNITS[match["unit"][0]] if match else None


def _split(line: str, delimiter: str) -> list[str]:
    """The fields of a line.

    Raises:
        csv.Error: a field that is too long.
    """
    return [field.strip() for field in next(csv.reader([line], delimiter=delimiter), [])]


def _clock_s(field: str, per_second: float | None) -> tuple[float, str]:
    for reader in (datetime.fromisoformat, lambda text: datetime.strptime(text, "%Y.%m.%d_%H.%M.%S")):
        if is_number(field):
            break
        try:
            moment = reader(field)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), ""
        except (ValueError, OverflowError):
            continue
    value, fault = number(field, "time")
    if per_second is None:
        per_second = 1e6 if value >= _US_CLOCK else 1e3 if value >= _MS_CLOCK else 1.0
    return value / per_second, fault


def scan(text: str) -> Scan:
    """The rows, unjudged."""
    lines = [
        (line_number, line)
        for line_number, line in enumerate(io.StringIO(text, newline=None).read().split("\n"), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        return Scan((), None)
    columns = find_columns(lines[0][1])
    if columns is None:
        fault = (
            f"the header names no time and rate with a unit ({lines[0][1][:60]!r}); name columns such as "
            "time_s,throughput_mbps"
        )
        return Scan((TraceRow(lines[0][0], fault=fault),), None)
    rows = [_row(line_number, line, columns) for line_number, line in lines[1:]]
    if columns.time_kind == "timestamp":
        found = shifted(rows)
    elif columns.time_kind == "duration":
        found = Scan(_summed(rows), 0.0)
    else:
        found = from_zero(rows)
    return replace(found, passed_over=columns.more.passed_over)


def _row(line_number: int, line: str, columns: Columns) -> TraceRow:
    try:
        fields = _split(line, columns.delimiter)
    except csv.Error as error:
        return TraceRow(line_number, fault=f"no line of a CSV file ({error}); drop the line")
    needed = max(columns.time, columns.rate, *(place for place, _ in columns.more.taken()))
    if len(fields) <= needed:
        return TraceRow(line_number, fault=f"{len(fields)} columns; the header asks for {needed + 1} or more")
    if columns.delimiter == ";":
        numeric = {columns.time, columns.rate, *(place for place, _ in columns.more.taken())}
        fields = [field.replace(",", ".") if at in numeric else field for at, field in enumerate(fields)]
    if columns.time_kind == "timestamp":
        time_s, time_fault = _clock_s(fields[columns.time], columns.per_second)
    else:
        value, time_fault = number(fields[columns.time], columns.time_kind)
        time_s = value / (columns.per_second or 1.0)
    rate, rate_fault = number(fields[columns.rate], "rate")
    delay_ms, delay_fault = _more(fields, columns.more.delay)
    loss_pct, loss_fault = _more(fields, columns.more.loss)
    fault = time_fault or rate_fault or delay_fault or loss_fault
    return TraceRow(line_number, time_s, rate / columns.per_mbps, fault, delay_ms, loss_pct)


def _more(fields: Sequence[str], column: tuple[int, ColumnReading] | None) -> tuple[float | None, str]:
    """(value, fault) of a row's delay or loss; None where the file has no such column."""
    if column is None:
        return None, ""
    place, reading = column
    raw, fault = number(fields[place], reading.name)
    return (math.nan, fault) if fault else reading.value(raw)


def _summed(rows: Sequence[TraceRow]) -> tuple[TraceRow, ...]:
    summed, elapsed_s = [], 0.0
    for row in rows:
        fault = row.fault or ("duration is 0; drop the row" if row.time_s == 0 else "")
        if not fault and math.isfinite(row.time_s):
            elapsed_s += row.time_s
        summed.append(replace(row, time_s=elapsed_s, fault=fault))
    return tuple(summed)


def read(text: str, source: str) -> Trace:
    """The trace in a file's text.

    Raises:
        TraceError: names `source`, the line, the value and the way out.
    """
    return build(scan(text), source)


def write(trace: Trace) -> str:
    """The file's text: `time_s,throughput_mbps` and, where the trace has them, `delay_ms` and `loss_pct`."""
    columns = {"time_s": trace.time_s, "throughput_mbps": trace.rate_mbps}
    for name, values in (("delay_ms", trace.delay_ms), ("loss_pct", trace.loss_pct)):
        if values is not None:
            columns[name] = values
    rows = zip(*columns.values(), strict=True)
    return "".join(",".join(row) + "\n" for row in (tuple(columns), *(map(plain, row) for row in rows)))
