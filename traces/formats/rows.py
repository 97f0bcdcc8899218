"""What all readers share: raw rows with their faults, numbers, and the way from rows to a Trace."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import PurePath
from statistics import median

from traces.trace import Trace, TraceError

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
MAX_VALUE = 1e18
"""Microseconds since 1970 are 2e15."""
MAX_FIRST_STEPS = 10
"""A first time of more than so many usual steps after 0 is taken for a clock, not for a first interval."""


@dataclass(frozen=True)
class TraceRow:
    """One value of a file, faults and all: lint reports them, a reader stops at the first."""

    line: int
    """Counted from 1."""
    time_s: float = math.nan
    """End of the interval."""
    rate_mbps: float = math.nan
    fault: str = ""
    """What is wrong with the value and the way out, empty if nothing."""
    delay_ms: float | None = None
    """None: the file has no such column."""
    loss_pct: float | None = None


@dataclass(frozen=True)
class Scan:
    """A file read without judging: `rows` in file order."""

    rows: tuple[TraceRow, ...]
    start_s: float | None
    """Where the first row's interval begins; None: the first row only marks the start."""
    passed_over: tuple[str, ...] = ()
    """Names of columns that are like delay or loss and were not taken."""


def text_lines(text: str) -> list[tuple[int, str]]:
    """(line number, stripped line) of lines that are neither blank nor a comment (`#`)."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [
        (number, line.strip())
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def is_number(field: str) -> bool:
    """Whether a field is a plain decimal number."""
    return _NUMBER.fullmatch(field) is not None


def number(field: str, what: str) -> tuple[float, str]:
    """(value, fault) of a field; the fault is empty when the value is finite and not negative."""
    if _NOT_FINITE.fullmatch(field):
        return math.nan, f"{what} is not finite ({field}); drop the line or write the value measured"
    if not is_number(field):
        return math.nan, f"{what} is not a number ({field[:40]!r}); write a plain decimal number"
    value = float(field)
    if value > MAX_VALUE:
        return (
            math.nan,
            f"{what} is beyond all sense ({field[:40]}); drop the line or write the value measured",
        )
    if value < 0:
        return value, f"{what} is negative ({field[:40]}); times and rates are 0 or more"
    return value, ""


def time_fault(before_s: float, time_s: float) -> str:
    """What is wrong with a time after the one before it, empty if nothing."""
    if time_s == before_s:
        return f"time repeats ({time_s:g} s); keep one of the lines, or their mean"
    if time_s < before_s:
        return f"time goes back ({time_s:g} s after {before_s:g} s); sort the lines, or cut the file there"
    return ""


def shifted(rows: Sequence[TraceRow]) -> Scan:
    """Rows of a clock: the first marks the start and becomes time 0."""
    known = [row.time_s for row in rows if not row.fault]
    first_s = known[0] if known else 0.0
    moved = tuple(replace(row, time_s=row.time_s - first_s) for row in rows)
    return Scan(moved, None)


def from_zero(rows: Sequence[TraceRow]) -> Scan:
    """Rows whose times count from 0: a first row after 0 holds from 0 on."""
    rows = tuple(rows)
    times = [row.time_s for row in rows if not row.fault]
    if not times or times[0] == 0.0 or rows[0].fault:
        return Scan(rows, None)
    steps = [late - early for early, late in pairwise(times) if late > early]
    if steps and times[0] > MAX_FIRST_STEPS * median(steps):
        fault = (
            f"time starts at {times[0]:g} s, {times[0] / median(steps):.0f} usual steps after 0; count from "
            "0, or read the file with --format cooked, which takes the first line for the start"
        )
        rows = (replace(rows[0], fault=fault), *rows[1:])
    return Scan(rows, 0.0)


def build(scan: Scan, source: str) -> Trace:
    """The trace in the rows, named after the last part of `source`.

    Raises:
        TraceError: the first fault as `source:line: what (value), way out`.
    """
    name = PurePath(source).name or source
    points: list[TraceRow] = []
    if scan.start_s is not None and scan.rows:
        points = [replace(scan.rows[0], time_s=scan.start_s)]
    for row in scan.rows:
        fault = row.fault or (time_fault(points[-1].time_s, row.time_s) if points else "")
        if fault:
            raise TraceError(f"{source}:{row.line}: {fault}")
        points.append(row)
    if len(points) < 2:
        raise TraceError(f"{source}: {len(points)} points; a trace needs at least two")
    delays = [point.delay_ms for point in points if point.delay_ms is not None]
    losses = [point.loss_pct for point in points if point.loss_pct is not None]
    try:
        return Trace(
            name,
            tuple(point.time_s for point in points),
            tuple(point.rate_mbps for point in points),
            delay_ms=tuple(delays) or None,
            loss_pct=tuple(losses) or None,
        )
    except TraceError as error:
        raise TraceError(f"{source}: {error}") from error


def refuse_delay_loss(trace: Trace, format: str) -> None:
    """For writers of formats that hold rates alone.

    Raises:
        TraceError: the trace has more, which nothing would tell a reader.
    """
    lost = [
        what for what, values in (("delay", trace.delay_ms), ("loss", trace.loss_pct)) if values is not None
    ]
    if lost:
        raise TraceError(
            f"{trace.name}: has {' and '.join(lost)}, which {format} can't hold; write csv or json,"
            " or drop them with --drop-delay-loss"
        )


def plain(value: float) -> str:
    """The shortest decimal that reads back as the same float, without a trailing `.0`."""
    text = repr(float(value))
    return text[:-2] if text.endswith(".0") else text
