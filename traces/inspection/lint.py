"""What is wrong with a trace file: file, line, fault, value, way out. Sees what readers refuse, too."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

from traces import formats
from traces.formats import mahimahi
from traces.formats.plain_columns import Columns
from traces.formats.rows import Scan, Severity, TraceRow, build, time_fault, uncollected
from traces.inspection.report import constant_line, more_lines
from traces.totals import running_total
from traces.trace import Trace, TraceError

MAX_SAME_FAULT = 20
"""Faults of one file that are listed before the rest is only counted."""
SHORT_S = 60.0
"""Shorter traces wrap around many times in a session of 192 s."""
DEAD_START_S = 5.0
LONG_OUTAGE_S = 60.0
DARK_MBPS = 0.01
FAST_MBPS = 2_000.0
"""No measured set has a faster trace (Lumos5G: 906 Mbit/s): the rates may be kbit/s."""
ABSURD_MBPS = 100_000.0
"""No access link has such a mean: the rates are kbit/s or bit/s."""
SLOW_MBPS = 0.02
"""A mean below this streams nothing: the rates may be Gbit/s, or divided by 1000 once too often."""
LONG_STEP_S = 100.0
"""Steps of throughput logs are 0.1 to 15 s: times may be milliseconds."""
SHORT_STEP_S = 0.005
GAP_STEPS = 10.0
GAP_S = 15.0


SHORT_DELAY_MS = 1.0
"""No access network's delays stay below this: they are seconds."""


@dataclass(frozen=True)
class Fault:
    """One finding."""

    file: str
    line: int
    severity: Severity
    fault: str
    """What is wrong (the value), and the way out."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.severity}: {self.fault}"


def lint_file(path: str | Path, format: str | formats.ReadOptions | None = None) -> list[Fault]:
    """All findings of one file, in the order of lines."""
    try:
        content = formats.read_content(path)
    except TraceError as error:
        return [_refused(str(path), error)]
    assumed = [Fault(str(path), 1, "warning", text) for text in content.assumed]
    return assumed + lint_text(content.text, str(path), format)


def lint_text(text: str, source: str, format: str | formats.ReadOptions | None = None) -> list[Fault]:
    """All findings of a file's text, in the order of lines; empty for a clean one."""
    try:
        options = formats.reading_of(format)
        chosen = formats.format_for(text, source, options)
    except TraceError as error:
        return [_refused(source, error)]
    with uncollected():
        found = _looked_through(chosen, text, source, options)
    return sorted(found, key=lambda fault: fault.line)


def _looked_through(
    chosen: formats.Format, text: str, source: str, options: formats.ReadOptions
) -> list[Fault]:
    scan: Scan | Columns = chosen.quick(text, options) or chosen.scan(text, options)
    found = _errors(scan, source) if isinstance(scan, Scan) else []
    found += [Fault(source, remark.line, remark.severity, remark.text) for remark in scan.remarks]
    try:
        trace = _trace_of(chosen, scan, text, source, options)
    except TraceError as error:
        if not any(fault.severity == "error" for fault in found):
            found.append(_refused(source, error))
        trace = None
    found += [Fault(source, line, severity, fault) for line, severity, fault in _more(trace, scan)]
    points = _trace_points(trace, scan) if chosen.name == mahimahi.NAME else _sound_points(scan)
    if chosen.name == mahimahi.NAME and trace is not None and (words := constant_line(trace)):
        found.append(Fault(source, 1, "note", words))  # however short its period is, it repeats all the same
    else:
        found += [Fault(source, line, severity, fault) for line, severity, fault in _doubts(points)]
    return found


def _trace_of(
    chosen: formats.Format, scan: Scan | Columns, text: str, source: str, options: formats.ReadOptions
) -> Trace:
    """What the reader makes of a text that is scanned.

    Raises:
        TraceError: it refuses it.
    """
    if chosen.name == mahimahi.NAME:  # its rows are packets, and its points are not
        return chosen.read(text, source, options)
    return scan.trace(source) if isinstance(scan, Columns) else build(scan, source)


def _refused(source: str, error: TraceError) -> Fault:
    """A reader's own message as a finding, its place taken apart."""
    rest = str(error).removeprefix(source).removeprefix(":").strip()
    head, colon, tail = rest.partition(":")
    if colon and head.isdigit():
        return Fault(source, int(head), "error", tail.strip())
    return Fault(source, 1, "error", rest)


def _errors(scan: Scan, source: str) -> list[Fault]:
    found: list[Fault] = []
    latest_s = -math.inf if scan.start_s is None else scan.start_s
    may_repeat = all(math.isnan(row.rate_mbps) for row in scan.rows)
    last_line = scan.rows[-1].line if scan.rows else 0
    for row in scan.rows:
        fault = row.fault
        if not fault and not (may_repeat and row.time_s == latest_s):
            fault = time_fault(latest_s, row.time_s)
        if fault and row.line == last_line and len(scan.rows) > 1 and _is_cut(row):
            fault += "; the file ends here and may be cut off"
        if fault:
            found.append(Fault(source, row.line, "error", fault))
        if math.isfinite(row.time_s) and row.time_s > latest_s:
            latest_s = row.time_s
    if len(found) > MAX_SAME_FAULT:
        rest = len(found) - MAX_SAME_FAULT
        hidden = Fault(source, found[MAX_SAME_FAULT].line, "error", f"and {rest} more faults from here on")
        found = [*found[:MAX_SAME_FAULT], hidden]
    return found


def _places(scan: Scan | Columns) -> tuple[Sequence[int], Sequence[float]]:
    """The line and the time of each row."""
    if isinstance(scan, Columns):
        return range(scan.line, scan.line + len(scan.time_s)), scan.time_s
    return [row.line for row in scan.rows], [row.time_s for row in scan.rows]


def _more(trace: Trace | None, scan: Scan | Columns) -> Iterator[tuple[int, Severity, str]]:
    """What the file says of delay and loss, and what in it looks like them and is not read."""
    lines, _ = _places(scan)
    line = lines[0] if lines else 1
    for name in scan.passed_over:
        yield (
            line,
            "warning",
            f"column {name!r} is passed over; if it is the delay or loss to replay, name it delay_ms,"
            " loss_pct or loss_rate",
        )
    if trace is None:
        return
    for words in more_lines(trace):
        yield line, "note", words
    if trace.delay_ms is not None and 0 < max(trace.delay_ms[1:]) < SHORT_DELAY_MS:
        yield (
            line,
            "warning",
            f"delays look like seconds taken as milliseconds (most {max(trace.delay_ms[1:]):g} ms);"
            " multiply by 1000 if so",
        )


def _is_cut(row: TraceRow) -> bool:
    return "columns" in row.fault or "not a number" in row.fault


class _Point(NamedTuple):
    line: int
    begin_s: float
    end_s: float
    rate_mbps: float


def _sound_points(scan: Scan | Columns) -> list[_Point]:
    """The intervals between rows without fault, in rising time."""
    if isinstance(scan, Columns):
        lines, ends = _places(scan)
        each = zip(lines, (scan.start_s, *ends), ends, scan.rate_mbps, strict=False)
        return [_Point(line, begin, end, rate) for line, begin, end, rate in each if begin is not None]
    points: list[_Point] = []
    before_s = scan.start_s
    for row in scan.rows:
        if row.fault or (before_s is not None and row.time_s <= before_s):
            continue
        if before_s is not None:
            points.append(_Point(row.line, before_s, row.time_s, row.rate_mbps))
        before_s = row.time_s
    return points


def _trace_points(trace: Trace | None, scan: Scan | Columns) -> list[_Point]:
    """A Mahimahi file's bins, each on the line of its first opportunity or the next one."""
    if trace is None:
        return []
    points, at = [], 0
    lines, times = _places(scan)
    for index in range(1, len(trace.time_s)):
        begin_s, end_s = trace.time_s[index - 1], trace.time_s[index]
        while at < len(times) - 1 and times[at] <= begin_s:
            at += 1
        points.append(_Point(lines[at], begin_s, end_s, trace.rate_mbps[index]))
    return points


def _doubts(points: Sequence[_Point]) -> Iterator[tuple[int, Severity, str]]:
    if not points:
        return
    first, last = points[0], points[-1]
    duration_s = running_total(point.end_s - point.begin_s for point in points)
    mean = running_total(point.rate_mbps * (point.end_s - point.begin_s) for point in points) / duration_s
    step_s = median(point.end_s - point.begin_s for point in points)
    doubts_of_times = _doubts_of_times(step_s) if len(points) > 1 else ()
    for severity, text in (*_doubts_of_rates(mean), *doubts_of_times):
        yield first.line, severity, text
    if duration_s < SHORT_S:
        yield (
            last.line,
            "warning",
            f"too short ({duration_s:g} s); a session would wrap often: bring {SHORT_S:g} s or more",
        )
    yield from _dark_stretches(points)
    for point in points:
        if point.end_s - point.begin_s > max(GAP_STEPS * step_s, GAP_S):
            yield (
                point.line,
                "warning",
                f"gap in time ({point.end_s - point.begin_s:g} s where steps are {step_s:g} s); the rate is "
                "held all along: cut the file there if nothing was measured",
            )


def _doubts_of_rates(mean: float) -> Iterator[tuple[Severity, str]]:
    """Rates in another unit than they are taken for."""
    if mean > ABSURD_MBPS:
        yield (
            "error",
            f"rates look like kbit/s or bit/s taken as Mbit/s (mean {mean:g}); divide by 1000 or 1000000",
        )
    elif mean > FAST_MBPS:
        yield (
            "warning",
            f"rates look like kbit/s taken as Mbit/s (mean {mean:g} Mbit/s); divide by 1000 if so",
        )
    elif 0 < mean < SLOW_MBPS:
        yield (
            "warning",
            f"rates look too small by 1000 (mean {mean:g} Mbit/s); multiply if they were divided twice",
        )


def _doubts_of_times(step_s: float) -> Iterator[tuple[Severity, str]]:
    """Times in another unit than they are taken for."""
    if step_s >= LONG_STEP_S:
        yield (
            "warning",
            f"times look like milliseconds taken as seconds (usual step {step_s:g} s); divide by 1000 if so",
        )
    elif step_s <= SHORT_STEP_S:
        yield "warning", f"times look like seconds divided by 1000 (usual step {step_s:g} s); multiply if so"


def _dark_stretches(points: Sequence[_Point]) -> Iterator[tuple[int, Severity, str]]:
    begun: _Point | None = None
    for point, after in zip(points, [*points[1:], None], strict=True):
        if point.rate_mbps >= DARK_MBPS:
            continue
        begun = begun or point
        if after is not None and after.rate_mbps < DARK_MBPS:
            continue
        length_s = point.end_s - begun.begin_s
        if begun is points[0] and length_s > DEAD_START_S:
            yield (
                begun.line,
                "warning",
                f"dead start (dark for {length_s:g} s); cut it off or start a session later",
            )
        elif length_s > LONG_OUTAGE_S:
            yield (
                begun.line,
                "warning",
                f"dark for {length_s:g} s; make sure that the link was down and not the logger",
            )
        begun = None
