"""Pensieve's and Genet's "cooked" files: seconds, a tab, Mbit/s; the first line marks the start.

The published simulators read the value of line i as holding over (time[i-1], time[i]] and begin with
line 1; so the first line's time, whatever it is, becomes 0 here and its value belongs to no interval. Where
a file starts at 0 this is the same as two-column text. A round trip keeps every value exactly.

Source: `load_trace.py` and `fixed_env.py` of github.com/hongzimao/pensieve.
"""

from __future__ import annotations

from traces.formats.plain_columns import Columns
from traces.formats.reading import AS_FOUND, ReadOptions
from traces.formats.rows import Scan, build, plain
from traces.formats.two_column import TAKES, columns_of, refuse_unwritable, scan_columns
from traces.trace import Trace

NAME = "cooked"
ABOUT = "Pensieve and Genet: seconds, a tab, Mbit/s; the first line marks the start"


__all__ = ["ABOUT", "NAME", "TAKES", "quick", "read", "scan", "write"]


def scan(text: str, options: ReadOptions = AS_FOUND) -> Scan:
    """The rows, unjudged."""
    return scan_columns(text, options, "clock")


def quick(text: str, options: ReadOptions = AS_FOUND) -> Columns | None:
    """The points of a long text without a fault; None for others."""
    return columns_of(text, options, "clock")


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
        TraceError: the trace has delay or loss, or would be read in other units.
    """
    refuse_unwritable(trace, NAME)
    rows = zip(trace.time_s, trace.rate_mbps, strict=True)
    return "".join(f"{plain(time_s)}\t{plain(rate)}\n" for time_s, rate in rows)
