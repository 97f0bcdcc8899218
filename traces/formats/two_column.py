"""Two-column text: `time_s throughput_mbps`, separated by spaces.

The value on line i holds over (time[i-1], time[i]]. Time counts from 0: a first line at 0 only marks the
start; a first line after 0 holds from 0 on. Blank lines and lines that begin with `#` are skipped. A
round trip keeps every value exactly.
"""

from __future__ import annotations

from traces.formats.rows import Scan, TraceRow, build, from_zero, number, plain, refuse_delay_loss, text_lines
from traces.trace import Trace

NAME = "text"
ABOUT = "two columns, `time_s throughput_mbps`, separated by spaces"


def scan(text: str) -> Scan:
    """The rows, unjudged."""
    return from_zero(scan_columns(text))


def scan_columns(text: str) -> list[TraceRow]:
    """A row a line of two columns separated by any white space."""
    return [_row(line_number, line) for line_number, line in text_lines(text)]


def _row(line_number: int, line: str) -> TraceRow:
    fields = line.split()
    if len(fields) != 2:
        return TraceRow(
            line_number, fault=f"{len(fields)} columns ({line[:40]!r}); a line is `time_s throughput_mbps`"
        )
    time_s, time_fault = number(fields[0], "time")
    rate_mbps, rate_fault = number(fields[1], "rate")
    return TraceRow(line_number, time_s, rate_mbps, time_fault or rate_fault)


def read(text: str, source: str) -> Trace:
    """The trace in a file's text.

    Raises:
        TraceError: names `source`, the line, the value and the way out.
    """
    return build(scan(text), source)


def write(trace: Trace) -> str:
    """The file's text.

    Raises:
        TraceError: the trace has delay or loss.
    """
    refuse_delay_loss(trace, NAME)
    rows = zip(trace.time_s, trace.rate_mbps, strict=True)
    return "".join(f"{plain(time_s)} {plain(rate)}\n" for time_s, rate in rows)
