"""Rates alone, a line a second: `0.57,Mbits/sec`, as the bus and subway logs of New York have them.

Each line has its own unit. Lines are a second apart, which is said, unless `step_s` says otherwise. With
`unit` lines of one number are read, too.

Source: github.com/NYU-METS/Main.
"""

from __future__ import annotations

import math
import re

from traces.formats.decimals import is_missing, number
from traces.formats.reading import AS_FOUND, ReadOptions
from traces.formats.rows import Remark, Scan, TraceRow, arranged, build, text_lines
from traces.formats.units import unit_named
from traces.trace import Trace

NAME = "listed"
ABOUT = "rates alone, a line a second, each with its unit: 0.57,Mbits/sec"
TAKES = ("unit", "idle", "row_s")
USUAL_STEP_S = 1.0
_LINE = re.compile(r"(?P<value>[^\s,;]+)(?:\s*[,;\t ]\s*(?P<unit>[A-Za-z][A-Za-z/ ]*))?")


def looks_like(line: str) -> bool:
    """Whether a file's first line is a number with its unit."""
    match = _LINE.fullmatch(line)
    if match is None or match["unit"] is None or unit_named(match["unit"]) is None:
        return False
    return not number(match["value"], "rate")[1]


def scan(text: str, options: ReadOptions = AS_FOUND) -> Scan:
    """The rows, unjudged; a first line without a number is a header."""
    step_s = options.row_s or USUAL_STEP_S
    lines = text_lines(text)
    if lines and not re.search(r"\d", lines[0][1]):
        lines = lines[1:]
    rows = [_row(line_number, line, step_s, options) for line_number, line in lines]
    remarks = []
    if options.row_s is None and rows:
        remarks.append(Remark(rows[0].line, "no times; a line is taken for a second (--row-s says others)"))
    return arranged(rows, "duration", options.idle, remarks=remarks)


def _row(line_number: int, line: str, step_s: float, options: ReadOptions) -> TraceRow:
    match = _LINE.fullmatch(line)
    if line[0] in ",;":
        return TraceRow(line_number, step_s, missing="rate ''")
    if match is None:
        return TraceRow(line_number, fault=f"no rate and its unit ({line[:40]!r}); write 0.57,Mbits/sec")
    unit = options.rate_unit or unit_named(match["unit"] or "")
    if is_missing(match["value"]):
        return TraceRow(line_number, step_s, missing=f"rate {match['value']!r}")
    if unit is None:
        shown = match["unit"] or "none"
        return TraceRow(
            line_number, fault=f"no unit of a rate ({shown[:40]!r}); write one, or say --unit mbps"
        )
    if unit.unclear:
        return TraceRow(line_number, fault=f"is {unit.name} {unit.unclear}? say which, such as --unit mbps")
    value, fault = number(match["value"], "rate")
    return TraceRow(line_number, step_s, math.nan if fault else unit.mbps(value), fault)


def read(text: str, source: str, options: ReadOptions = AS_FOUND) -> Trace:
    """The trace in a file's text.

    Raises:
        TraceError: names `source`, the line, the value and the way out.
    """
    return build(scan(text, options), source)
