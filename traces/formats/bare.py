"""Tables without a header line: two columns, a time and Mbit/s, with commas, semicolons or bars between.

Times count from 0 as in two-column text, or are a clock's: seconds since 1970, milliseconds, microseconds or
nanoseconds, told by their size, or dates. Of more columns `column` says which is the rate, counted from 1;
the first is the time. That rates are Mbit/s is assumed and said, unless `unit` says what they are.
"""

from __future__ import annotations

import csv
import re

from traces.formats.reading import AS_FOUND, ReadOptions
from traces.formats.rows import Remark, Scan, build, refused, text_lines
from traces.formats.two_column import scan_pairs
from traces.trace import Trace

NAME = "bare"
ABOUT = "two columns without names, a time or a clock and Mbit/s, with commas between"
TAKES = ("column", "unit", "time_unit", "idle")
_MARKS = (",", ";", "|", "\t")
_VALUE = re.compile(r'"?[+-]?(\d|\.\d|nan\b|-|n/?a\b)', re.IGNORECASE)


def _mark_of(line: str) -> str | None:
    """What stands between a line's columns; a semicolon goes before the comma, which may be a decimal one."""
    return next((mark for mark in (";", "|", "\t", ",", " ") if mark in line), None)


def looks_like(line: str) -> bool:
    """Whether a file's first line is of numbers with marks between."""
    mark = _mark_of(line)
    if mark is None or not re.match(r'"?[+-]?[\d.]', line):
        return False
    return all(not field.strip() or _VALUE.match(field.strip()) for field in _fields(line, mark))


def scan(text: str, options: ReadOptions = AS_FOUND) -> Scan:
    """The rows, unjudged."""
    lines = text_lines(text)
    if not lines:
        return Scan((), None)
    first, line = lines[0]
    mark = _mark_of(line)
    if mark is None:
        return refused(first, f"no commas, semicolons or tabs between columns ({line[:40]!r})")
    place = 1
    columns = len(_fields(line, mark))
    if options.column is not None:
        place = int(options.column) - 1 if options.column.isdigit() else -1
        if not 1 <= place < columns:
            return refused(
                first, f"no column {options.column!r} without names; count them, from 2 to {columns}"
            )
    elif columns != 2:
        return refused(
            first,
            f"{columns} columns without names ({line[:60]!r}); write a header line such as"
            " time_s,throughput_mbps, or say which column the rate is, such as --column 2",
        )
    remarks = []
    if options.unit is None:
        remarks.append(Remark(first, "columns have no names; taken for time and Mbit/s (--unit says others)"))
    pairs = []
    for line_number, line in lines:
        fields = _fields(line, mark)
        whole = fields if len(fields) == columns else None
        pairs.append(
            (line_number, [whole[0], whole[place]] if whole else fields if len(fields) != 2 else fields[:1])
        )
    return scan_pairs(pairs, options, "elapsed", comma_separates=mark == ",", remarks=remarks)


def _fields(line: str, mark: str) -> list[str]:
    if mark == " ":
        return line.split()
    try:
        return [
            field.strip() for field in next(csv.reader([line], delimiter=mark, skipinitialspace=True), [])
        ]
    except csv.Error:
        return [line[:40]]


def read(text: str, source: str, options: ReadOptions = AS_FOUND) -> Trace:
    """The trace in a file's text.

    Raises:
        TraceError: names `source`, the line, the value and the way out.
    """
    return build(scan(text, options), source)
