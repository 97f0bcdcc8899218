"""Two-column text: `time_s throughput_mbps`, separated by spaces.

The value on line i holds over (time[i-1], time[i]]. Time counts from 0: a first line at 0 only marks the
start; a first line after 0 holds from 0 on. Blank lines and lines that begin with `#` are skipped. A
round trip keeps every value exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from traces.formats.clock import times_of
from traces.formats.decimals import is_missing, number, style_of
from traces.formats.plain_columns import Columns, body_of, moments, placed, rates
from traces.formats.reading import AS_FOUND, TIME_UNITS, ReadOptions
from traces.formats.rows import (
    Origin,
    Remark,
    Scan,
    TraceRow,
    arranged,
    build,
    plain,
    refuse_delay_loss,
    text_lines,
)
from traces.trace import Trace, TraceError

NAME = "text"
ABOUT = "two columns, `time_s throughput_mbps`, separated by spaces"
TAKES = ("unit", "time_unit", "idle")
CLOCK = "times are a clock's; the first row is taken for the start"
_MS_STEPS = 200.0, 20_000.0
"""Usual steps of throughput logs, in ms: 0.2 to 20 s."""
_LEAST_STEPS = 30
_LEAST_KBPS = 100.0
"""Slower links stream nothing, and few are as fast in Mbit/s."""
_HEAD = 65_536
"""Characters in which the first row is looked for."""


def scan(text: str, options: ReadOptions = AS_FOUND) -> Scan:
    """The rows, unjudged."""
    return scan_columns(text, options, "elapsed")


def quick(text: str, options: ReadOptions = AS_FOUND) -> Columns | None:
    """The points of a long text without a fault; None for others."""
    return columns_of(text, options, "elapsed")


def scan_columns(text: str, options: ReadOptions, origin: Origin) -> Scan:
    """A row a line of two columns separated by any white space."""
    return scan_pairs(
        [(line_number, line.split()) for line_number, line in text_lines(text)], options, origin
    )


def columns_of(text: str, options: ReadOptions, origin: Origin) -> Columns | None:
    """As `scan_columns`, for a long text without a fault; None for others."""
    head = text_lines(text[:_HEAD])
    body = body_of(text, head[0][0], None) if head else None
    fields = body.columns((0, 1), 2) if body else None
    return None if fields is None or body is None else columns_of_pairs(body.line, fields, options, origin)


def columns_of_pairs(
    line: int,
    fields: Sequence[list[str]],
    options: ReadOptions,
    origin: Origin,
    remarks: Sequence[Remark] = (),
) -> Columns | None:
    """Columns of times and of rates; None where a row has a fault or must be averaged.

    Args:
        line: the first row's.
        remarks: what the reader has to say already.
    """
    per_second = None if options.time_unit is None else TIME_UNITS[options.time_unit]
    times = moments(fields[0], per_second)
    mbps = None if times is None else rates(fields[1], options.rate_unit)
    if times is None or mbps is None:
        return None
    if not times.of_clock and (text := in_thousandths(times.time_s, mbps, options)):
        return columns_of_pairs(line, fields, _as_thousandths(options), origin, (Remark(line, text),))
    said = [*remarks, *([Remark(line, times.assumed)] if times.assumed else [])]
    if times.of_clock and origin == "elapsed":
        origin = "clock"
        said.append(Remark(line, CLOCK))
    found = placed(line, times.time_s, origin, said)
    return None if found is None else Columns(line, found[0], mbps, found[1], remarks=found[2])


def scan_pairs(
    lines: Sequence[tuple[int, Sequence[str]]],
    options: ReadOptions,
    origin: Origin,
    *,
    comma_separates: bool = False,
    remarks: Sequence[Remark] = (),
) -> Scan:
    """Rows of lines of two fields each, a time and a rate; another number of fields is a fault."""
    pairs = [fields for _, fields in lines if len(fields) == 2]
    per_second = None if options.time_unit is None else TIME_UNITS[options.time_unit]
    time_style, rate_style = (style_of([pair[at] for pair in pairs], comma_separates) for at in (0, 1))
    times = times_of([time_style.plain(pair[0]) for pair in pairs], per_second)
    moments = iter(zip(times.values, times.faults, strict=True))
    rows, first = [], lines[0][0] if lines else 1
    for line_number, fields in lines:
        if len(fields) != 2:
            shown = " ".join(fields)[:40]
            fault = f"{len(fields)} columns ({shown!r}); a line is `time_s throughput_mbps`"
            rows.append(TraceRow(line_number, fault=fault))
            continue
        time_s, fault = next(moments)
        rate, missing = _rate(rate_style.plain(fields[1]), options)
        rows.append(TraceRow(line_number, time_s, rate[0], fault or rate[1], missing=missing))
    if text := "" if times.of_clock else _rows_in_thousandths(rows, options):
        how, said = _as_thousandths(options), (Remark(first, text),)
        return scan_pairs(lines, how, origin, comma_separates=comma_separates, remarks=said)
    assumed = (time_style.assumed or rate_style.assumed, times.assumed)
    told = [Remark(first, text) for text in assumed if text]
    if times.of_clock and origin == "elapsed":
        origin = "clock"
        told.append(Remark(first, CLOCK))
    return arranged(rows, origin, options.idle, remarks=(*remarks, *told))


def in_thousandths(times: Sequence[float], values: Sequence[float], options: ReadOptions) -> str:
    """That two columns without units are milliseconds and kbit/s, in words; empty where they are not.

    As seconds and Mbit/s they would be a log of a fast link with a row every few minutes or hours. There are
    such logs, of routers' counters, and their steps are whole minutes; what is written by hand is shorter.
    """
    steps = [late - early for early, late in pairwise(times) if late > early]
    if len(steps) < _LEAST_STEPS or options.unit is not None or options.time_unit is not None:
        return ""
    step, rate = median(steps), median(values)
    if not _MS_STEPS[0] <= step <= _MS_STEPS[1] or step % 60 == 0 or rate < _LEAST_KBPS:
        return ""
    return (
        f"steps of {step:g} and rates of {rate:g} are taken for ms and kbit/s; with --time-unit s --unit mbps"
        " they are seconds and Mbit/s"
    )


def _rows_in_thousandths(rows: Sequence[TraceRow], options: ReadOptions) -> str:
    sound = [row for row in rows if not row.fault and not row.missing]
    return in_thousandths([row.time_s for row in sound], [row.rate_mbps for row in sound], options)


def _as_thousandths(options: ReadOptions) -> ReadOptions:
    return replace(options, time_unit="ms", unit="kbit/s")


def _rate(field: str, options: ReadOptions) -> tuple[tuple[float, str], str]:
    """((Mbit/s, fault), what is missing) of a field."""
    if is_missing(field):
        return (float("nan"), ""), f"rate {field!r}"
    value, fault = number(field, "rate")
    unit = options.rate_unit
    return (value if unit is None else unit.mbps(value), fault), ""


def read(text: str, source: str, options: ReadOptions = AS_FOUND) -> Trace:
    """The trace in a file's text.

    Raises:
        TraceError: names `source`, the line, the value and the way out.
    """
    found = quick(text, options)
    return build(scan(text, options), source) if found is None else found.trace(source)


def refuse_unwritable(trace: Trace, format: str) -> None:
    """For writers of two columns without units.

    Raises:
        TraceError: the trace has delay or loss, or would be read in other units.
    """
    refuse_delay_loss(trace, format)
    if in_thousandths(trace.time_s, trace.rate_mbps, AS_FOUND):
        raise TraceError(
            f"{trace.name}: its steps would be read as milliseconds, its rates as kbit/s; write csv or json"
        )


def write(trace: Trace) -> str:
    """The file's text.

    Raises:
        TraceError: the trace has delay or loss, or would be read in other units.
    """
    refuse_unwritable(trace, NAME)
    rows = zip(trace.time_s, trace.rate_mbps, strict=True)
    return "".join(f"{plain(time_s)} {plain(rate)}\n" for time_s, rate in rows)
