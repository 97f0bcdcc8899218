"""Two-column text: `time_s throughput_mbps`, separated by spaces.

The value on line i holds over (time[i-1], time[i]]. Time counts from 0: a first line at 0 only marks the
start; a first line after 0 holds from 0 on. Blank lines and lines that begin with `#` are skipped. A
round trip keeps every value exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from traces.trace import Trace

NAME = "text"
ABOUT = "two columns, `time_s throughput_mbps`, separated by spaces"
TAKES = ("unit", "time_unit", "idle")
CLOCK = "times are a clock's; the first row is taken for the start"
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
            rows.append(
                TraceRow(
                    line_number,
                    fault=f"{len(fields)} columns ({shown!r}); a line is `time_s throughput_mbps`",
                )
            )
            continue
        time_s, fault = next(moments)
        rate, missing = _rate(rate_style.plain(fields[1]), options)
        rows.append(TraceRow(line_number, time_s, rate[0], fault or rate[1], missing=missing))
    said = [Remark(first, text) for text in (time_style.assumed or rate_style.assumed, times.assumed) if text]
    if times.of_clock and origin == "elapsed":
        origin = "clock"
        said.append(Remark(first, CLOCK))
    return arranged(rows, origin, options.idle, remarks=(*remarks, *said))


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


def write(trace: Trace) -> str:
    """The file's text.

    Raises:
        TraceError: the trace has delay or loss.
    """
    refuse_delay_loss(trace, NAME)
    rows = zip(trace.time_s, trace.rate_mbps, strict=True)
    return "".join(f"{plain(time_s)} {plain(rate)}\n" for time_s, rate in rows)
