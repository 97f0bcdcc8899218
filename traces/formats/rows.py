"""What all readers share: raw rows with their faults, numbers, and the way from rows to a Trace."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import PurePath
from statistics import median
from typing import Literal

from traces.totals import running_total
from traces.trace import Trace, TraceError
from traces.words import counted

MAX_FIRST_STEPS = 10
"""A first time of more than so many usual steps after 0 is taken for a clock, not for a first interval."""
CLOCK_S = 1e8
"""A first time from here on (1973) is a clock's: no log lasts three years."""

_COMMENTS = ("#", "%", "//")
_HEAD = 65_536
"""Characters in which a file's first lines are looked for."""

Severity = Literal["error", "warning", "note"]
"""A note says what is in the file; nothing is wrong."""
Origin = Literal["elapsed", "clock", "duration"]
"""What a row's time is: the end of its interval from 0 on, a moment of a clock of which the first marks the
start, or how long the row's rate holds."""


@dataclass(frozen=True)
class Remark:
    """What a reader has to say of a file that it read."""

    line: int
    text: str
    severity: Severity = "warning"


@dataclass(frozen=True, slots=True)
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
    missing: str = ""
    """What was not measured, as the file writes it; its value is NaN."""


@dataclass(frozen=True)
class Scan:
    """A file read without judging: `rows` in file order."""

    rows: tuple[TraceRow, ...]
    start_s: float | None
    """Where the first row's interval begins; None: the first row only marks the start."""
    passed_over: tuple[str, ...] = ()
    """Names of columns that are like delay or loss and were not taken."""
    remarks: tuple[Remark, ...] = ()


@contextmanager
def uncollected() -> Iterator[None]:
    """Within this, Python doesn't look for circles of objects: among millions of new rows, of which none is
    in a circle, that takes as long as reading them."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def refused(line: int, fault: str) -> Scan:
    """A file of which no row can be read."""
    return Scan((TraceRow(line, fault=fault),), None)


def text_lines(text: str) -> list[tuple[int, str]]:
    """(line number, stripped line) of lines that are neither blank nor a comment (`#`, `%`, `//`). What
    follows a `#` after a space is a comment, too."""
    return [(number, line.strip()) for number, line in table_lines(text)]


def table_lines(text: str) -> list[tuple[int, str]]:
    """As `text_lines`, with what stands at the lines' ends: a tab may end a column that is empty."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = []
    for number, line in enumerate(lines, start=1):
        bare = line.strip()
        if not bare or bare.startswith(_COMMENTS):
            continue
        if "#" in bare and '"' not in bare:
            line = line.partition(" #")[0].partition("\t#")[0]
        found.append((number, line))
    return found


def last_comment(text: str) -> tuple[int, str] | None:
    """(line number, words) of the last comment before the first line that is none."""
    found = None
    for number, line in enumerate(text[:_HEAD].splitlines(), start=1):
        bare = line.strip()
        if bare and not bare.startswith(_COMMENTS):
            return found
        if bare:
            found = number, bare.lstrip("#%/ ")
    return found


def time_fault(before_s: float, time_s: float) -> str:
    """What is wrong with a time after the one before it, empty if nothing."""
    if time_s == before_s:
        return f"time repeats ({time_s:g} s); keep one of the lines, or their mean"
    if time_s < before_s:
        return f"time goes back ({time_s:g} s after {before_s:g} s); sort the lines, or cut the file there"
    return ""


def arranged(
    rows: Sequence[TraceRow],
    origin: Origin,
    idle: str | None = None,
    *,
    passed_over: tuple[str, ...] = (),
    remarks: Sequence[Remark] = (),
) -> Scan:
    """Rows of a table as a trace has them; every reader of tables goes through here.

    Rows without a measurement get what `idle` says, times get their origin, and rows of one time become their
    mean.

    Args:
        idle: `hold`, `zero` or `drop`; None: such a row is a fault.
        remarks: what the reader has to say already.
    """
    kept, said = _with_idle(rows, idle)
    if origin == "duration":
        found = Scan(_summed(kept), 0.0)
    elif origin == "clock":
        found = shifted(kept)
    else:
        found = from_zero(kept)
    averaged, repeats = _averaged(found.rows)
    return replace(
        found,
        rows=averaged,
        passed_over=passed_over,
        remarks=(*remarks, *said, *found.remarks, *repeats),
    )


def _with_idle(rows: Sequence[TraceRow], idle: str | None) -> tuple[list[TraceRow], list[Remark]]:
    """Rows that were not measured, as `idle` says."""
    first = next((row for row in rows if row.missing and not row.fault), None)
    if first is None:
        return list(rows), []
    kept: list[TraceRow] = []
    before: TraceRow | None = None
    count = 0
    for row in rows:
        if not row.missing or row.fault:
            kept.append(row)
            before = before if row.fault else row
            continue
        count += 1
        filled = _filled(row, before, idle)
        if filled is not None:
            kept.append(filled)
            before = before if filled.fault else filled
    if idle is None:
        return kept, []
    words = {"hold": "the rate before holds", "zero": "taken for 0", "drop": "dropped"}[idle]
    many = f"{counted(count, 'row')} without a measurement"
    return kept, [Remark(first.line, f"{many} ({first.missing}): {words}, as asked")]


def _filled(row: TraceRow, before: TraceRow | None, idle: str | None) -> TraceRow | None:
    """The row with values; None: it is dropped."""
    if idle is None:
        return replace(
            row,
            fault=f"{row.missing}: not measured; say what holds there: --idle hold (the rate before),"
            " zero or drop",
        )
    if idle == "drop" or not math.isfinite(row.time_s) or (before is None and idle == "hold"):
        return None
    rate = row.rate_mbps
    if math.isnan(rate):
        rate = 0.0 if idle == "zero" or before is None else before.rate_mbps
    return replace(
        row,
        rate_mbps=rate,
        delay_ms=_held(row.delay_ms, before.delay_ms if before else None),
        loss_pct=_held(row.loss_pct, before.loss_pct if before else None),
        missing="",
    )


def _held(value: float | None, before: float | None) -> float | None:
    """A delay or loss, or the one before where it was not measured (0 where none was)."""
    return value if value is None or not math.isnan(value) else before or 0.0


def _summed(rows: Sequence[TraceRow]) -> tuple[TraceRow, ...]:
    summed, elapsed_s = [], 0.0
    for row in rows:
        fault = row.fault or ("duration is 0; drop the row" if row.time_s == 0 else "")
        fault = fault or (
            f"duration is negative ({row.time_s:g} s); write 0 or more" if row.time_s < 0 else ""
        )
        if not fault and math.isfinite(row.time_s):
            elapsed_s += row.time_s
        summed.append(replace(row, time_s=elapsed_s, fault=fault))
    return tuple(summed)


def _averaged(rows: Sequence[TraceRow]) -> tuple[tuple[TraceRow, ...], list[Remark]]:
    """Rows of one time as one row, their mean: a log's clock may be coarser than its rows."""
    if not any(early.time_s == late.time_s for early, late in pairwise(rows)):
        return tuple(rows), []
    kept: list[TraceRow] = []
    first: TraceRow | None = None
    for fine, run in groupby(rows, key=lambda row: None if row.fault else row.time_s):
        same = list(run)
        if fine is None or len(same) == 1:
            kept += same
            continue
        first = first or same[1]
        kept.append(
            replace(
                same[0],
                rate_mbps=_mean([row.rate_mbps for row in same]) or 0.0,
                delay_ms=_mean([row.delay_ms for row in same]),
                loss_pct=_mean([row.loss_pct for row in same]),
            )
        )
    if first is None:
        return tuple(rows), []
    more = len(rows) - len(kept)
    have = "has" if more == 1 else "have"
    text = f"{counted(more, 'row')} {have} the time of the row before (first {first.time_s:g} s)"
    return tuple(kept), [Remark(first.line, f"{text}; rows of one time are averaged")]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return running_total(known) / len(known) if known else None


def shifted(rows: Sequence[TraceRow]) -> Scan:
    """Rows of a clock: the first marks the start and becomes time 0."""
    known = [row.time_s for row in rows if not row.fault]
    first_s = known[0] if known else 0.0
    return Scan(tuple(replace(row, time_s=row.time_s - first_s) for row in rows), None)


def from_zero(rows: Sequence[TraceRow]) -> Scan:
    """Rows whose times count from 0: a first row after 0 holds from 0 on. Times that begin below 0, more than
    `MAX_FIRST_STEPS` usual steps after it, or in 1973 or later, are a clock's."""
    rows = tuple(rows)
    times = [row.time_s for row in rows if not row.fault]
    if not times or rows[0].fault:
        return Scan(_not_negative(rows), None)
    if what := beginning(times):
        return replace(shifted(rows), remarks=(Remark(rows[0].line, what),))
    return Scan(_not_negative(rows), None if times[0] == 0.0 else 0.0)


def beginning(times: Sequence[float]) -> str:
    """Why times that should count from 0 are taken for a clock's, in words; empty where they do."""
    if times[0] == 0:
        return ""
    what = ""
    steps = [late - early for early, late in pairwise(times) if late > early]
    if times[0] < 0 or times[0] >= CLOCK_S:
        what = "below 0" if times[0] < 0 else "like a clock"
    elif steps and times[0] > MAX_FIRST_STEPS * median(steps):
        what = f"{times[0] / median(steps):.0f} usual steps after 0"
    return f"times begin {what} ({times[0]:.12g} s); the first row is taken for the start" if what else ""


def _not_negative(rows: tuple[TraceRow, ...]) -> tuple[TraceRow, ...]:
    if not any(row.time_s < 0 and not row.fault for row in rows):
        return rows
    return tuple(
        replace(row, fault=f"time is negative ({row.time_s:g}); times and rates are 0 or more")
        if row.time_s < 0 and not row.fault
        else row
        for row in rows
    )


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
        raise TraceError(f"{source}: {counted(len(points), 'point')}; a trace needs at least two")
    delays = [point.delay_ms for point in points if point.delay_ms is not None]
    losses = [point.loss_pct for point in points if point.loss_pct is not None]
    try:
        return Trace(
            name,
            tuple(point.time_s for point in points),
            tuple(point.rate_mbps for point in points),
            delay_ms=tuple(delays) or None,
            loss_pct=tuple(losses) or None,
            assumed=tuple(remark.text for remark in scan.remarks if remark.severity == "warning"),
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
