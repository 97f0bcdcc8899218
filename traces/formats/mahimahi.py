"""Mahimahi packet timestamps: a line per opportunity to deliver 1500 bytes, in milliseconds from the start.

Several opportunities may share a millisecond; the last line is the period after which the link starts
again (Mahimahi's `link_queue.cc`). Reading counts opportunities in bins of 0.5 s, bin k being
(0.5 k, 0.5 (k+1)] s, with opportunities at 0 in the first. The last bin ends with the file; a rest under
half a bin joins the one before. A file whose period is under half a bin, such as the one line `1`,
is a link of constant rate. Writing puts an opportunity at the first millisecond by which the link has
carried another 1500 bytes.

A round trip keeps the bytes carried up to every multiple of 0.5 s to within one opportunity. It does not
keep steps finer than a bin, nor a dark end: the period ends with the last opportunity.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import PurePath

from traces.formats.plain_columns import LONG, Columns
from traces.formats.reading import AS_FOUND, ReadOptions
from traces.formats.rows import Scan, TraceRow, refuse_delay_loss, text_lines
from traces.trace import Trace, TraceError

NAME = "mahimahi"
ABOUT = "Mahimahi packet timestamps: a line per 1500 bytes, in ms"
MEGABITS_PER_PACKET = 1500 * 8 / 1e6
TAKES = ("bin_ms", "idle")
"""`idle` as every format, so that one word is for a folder of many; there are no gaps here."""
DEFAULT_BIN_S = 0.5
CONSTANT_S = 60.0
"""How long a trace is made of a file whose period is far under a step: it repeats all the same."""
MAX_PACKETS = 3_000_000
"""No longer file is written: Mahimahi holds all of it in memory."""
_MAX_PERIOD_S = 24 * 3600.0
"""A longer period is a clock, or microseconds."""
_ROUNDING_MS = 1e-6
_UNDER_A_BIN = 0.5
"""A period that is a smaller share of a bin goes on and on in each."""
_STAMP = re.compile(r"\d{1,15}")
_MOST_MS = 10**15 - 1
_OTHER = re.compile(r"[^0-9\n]")


def scan(text: str, options: ReadOptions = AS_FOUND) -> Scan:
    """A row an opportunity; its rate is unknown (NaN)."""
    rows = []
    before_ms = 0
    for line_number, line in text_lines(text):
        fault = _fault(line, before_ms)
        if _STAMP.fullmatch(line):
            before_ms = int(line)
        rows.append(TraceRow(line_number, before_ms / 1000.0, fault=fault))
    return Scan(tuple(rows), 0.0)


def _fault(line: str, before_ms: int) -> str:
    if not _STAMP.fullmatch(line):
        return f"not a whole number of milliseconds ({line[:40]!r}); a line is one timestamp, 0 or more"
    if int(line) < before_ms:
        return f"time goes back ({line} ms after {before_ms} ms); sort the lines, or cut the file there"
    return ""


def quick(text: str, options: ReadOptions = AS_FOUND) -> Columns | None:
    """An opportunity a line, of a long text without a fault; None for others."""
    text = text.rstrip("\n")
    stamps = _plain_stamps_ms(text) if len(text) >= LONG else None
    if not stamps or len(stamps) != text.count("\n") + 1:
        return None
    unknown = (math.nan,) * len(stamps)
    return Columns(1, [stamp_ms / 1000.0 for stamp_ms in stamps], unknown, 0.0)


def _plain_stamps_ms(text: str) -> list[int] | None:
    """All timestamps of a text that has nothing else, in rising order; None for others."""
    if _OTHER.search(text):
        return None
    try:
        stamps = list(map(int, text.split()))
    except ValueError:  # thousands of digits
        return None
    return stamps if stamps and stamps[-1] <= _MOST_MS and stamps == sorted(stamps) else None


def _stamps_ms(text: str, source: str) -> list[int]:
    """All timestamps; no rows are made, for files run to millions of lines."""
    stamps = _plain_stamps_ms(text) or []
    before_ms, line_number = stamps[-1] if stamps else 0, text.count("\n", 0, len(text.rstrip())) + 1
    for line_number, line in () if stamps else text_lines(text):
        fault = _fault(line, before_ms)
        if fault:
            raise TraceError(f"{source}:{line_number}: {fault}")
        before_ms = int(line)
        stamps.append(before_ms)
    if before_ms == 0:
        raise TraceError(
            f"{source}: no timestamp after 0 ms; the last one is the link's period and must be later"
        )
    if before_ms > _MAX_PERIOD_S * 1000:
        raise TraceError(
            f"{source}:{line_number}: timestamp {before_ms} ms is over a day after the start; "
            "count milliseconds from 0"
        )
    return stamps


def read(text: str, source: str, options: ReadOptions = AS_FOUND) -> Trace:
    """The trace in a file's text, in steps of half a second or what `bin_ms` says.

    Raises:
        TraceError: names `source`, the line, the value and the way out.
    """
    bin_s = DEFAULT_BIN_S if options.bin_ms is None else options.bin_ms / 1000.0
    stamps = _stamps_ms(text, source)
    name = PurePath(source).name or source
    period_s = stamps[-1] / 1000.0
    if period_s < bin_s * _UNDER_A_BIN:  # one rate in every step
        rate = len(stamps) * MEGABITS_PER_PACKET / period_s
        return Trace(name, (0.0, CONSTANT_S), (rate, rate))
    bins = max(math.floor(period_s / bin_s + 0.5), 1)
    packets = [0] * bins
    for stamp_ms, count in Counter(stamps).items():
        packets[min(max(math.ceil(stamp_ms / 1000.0 / bin_s - _ROUNDING_MS) - 1, 0), bins - 1)] += count
    times = [*(number * bin_s for number in range(bins)), period_s]
    rates = [
        count * MEGABITS_PER_PACKET / (end - begin)
        for count, begin, end in zip(packets, times, times[1:], strict=False)
    ]
    return Trace(name, tuple(times), (rates[0], *rates))


def write(trace: Trace) -> str:
    """The file's text.

    Raises:
        TraceError: delay or loss, less than one packet in all, or more than `MAX_PACKETS`.
    """
    refuse_delay_loss(trace, NAME)
    total = trace.mean_mbps * trace.duration_s
    if total > MAX_PACKETS * MEGABITS_PER_PACKET:
        raise TraceError(
            f"{trace.name}: {total / MEGABITS_PER_PACKET:.0f} packets; Mahimahi files end at {MAX_PACKETS}: "
            "convert to another format"
        )
    stamps: list[str] = []
    carried = 0.0
    for index in range(1, len(trace.time_s)):
        begin_s, rate = trace.time_s[index - 1], trace.rate_mbps[index]
        reached = carried + rate * (trace.time_s[index] - begin_s)
        while (due := (len(stamps) + 1) * MEGABITS_PER_PACKET) <= reached + 1e-9:
            stamp_ms = (begin_s + max(due - carried, 0.0) / rate) * 1000.0 if rate > 0 else begin_s * 1000.0
            stamps.append(str(math.ceil(stamp_ms - _ROUNDING_MS)))
        carried = reached
    if not stamps or stamps[-1] == "0":
        raise TraceError(
            f"{trace.name}: carries less than one packet of 1500 bytes; convert to another format"
        )
    return "\n".join(stamps) + "\n"
