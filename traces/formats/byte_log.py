"""Byte logs, as the 3G/HSDPA set of Oslo and the 4G set of Ghent were published: no header, six columns.

A line is a clock (s or ms since 1970), milliseconds of the session, latitude, longitude, bytes since the
line before, and milliseconds since it. The rate is bytes over milliseconds; it holds until the line's time.
A line of 0 ms adds its bytes to the next. Where the session's milliseconds jump, because the logger began
again, the clock counts. Columns of the place may be missing: the first two and the last two count.

Sources: datasets.simula.no/hsdpa-tcp-logs, users.ugent.be/~jvdrhoof/dataset-4g.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

from traces.formats.decimals import is_number, number
from traces.formats.reading import AS_FOUND, ReadOptions
from traces.formats.rows import Remark, Scan, TraceRow, arranged, build, text_lines
from traces.trace import Trace
from traces.words import counted

NAME = "byte_log"
ABOUT = "raw 3G logs of Oslo and 4G logs of Ghent: clock, ms, latitude, longitude, bytes, ms"
TAKES = ("idle",)
FEWEST, MOST = 4, 8
_LOOKED_AT = 20
MS_CLOCK = 1e11
"""A clock of more counts in milliseconds."""
MOST_APART_MS = 5_000.0
"""How far timer and clock may be apart from line to line: the clock counts whole seconds, and is set."""
_ALIKE = 0.25
"""How far the milliseconds between lines may be from the milliseconds that a line says, as a share."""


def _fields(line: str) -> list[str]:
    return [field for field in re.split(r"[\s,;]+", line) if field]


def looks_like(lines: Sequence[tuple[int, str]]) -> bool:
    """Whether the last column of most of the first lines is what passed between them in the second."""
    rows = [_fields(line) for _, line in lines[:_LOOKED_AT]]
    if len(rows) < 2 or not all(FEWEST <= len(row) <= MOST for row in rows):
        return False
    if not all(is_number(row[at]) for row in rows for at in (0, 1, -2, -1)):
        return False
    fit = 0
    for before, row in pairwise(rows):
        passed, said = float(row[1]) - float(before[1]), float(row[-1])
        fit += said > 0 and abs(passed - said) <= _ALIKE * said
    return fit >= 0.6 * (len(rows) - 1)


def scan(text: str, options: ReadOptions = AS_FOUND) -> Scan:
    """The rows, unjudged; the first begins where its milliseconds say."""
    lines = _Lines()
    for line_number, line in text_lines(text):
        lines.add(line_number, _fields(line))
    return arranged(lines.rows, "clock", options.idle, remarks=lines.remarks())


class _Lines:
    """Lines as they come, and the rows of those that are whole."""

    def __init__(self) -> None:
        self.rows: list[TraceRow] = []
        self._carried_bytes = 0.0
        self._time_ms, self._bytes, self._span_ms = math.nan, 0.0, 0.0
        self._timer_ms, self._clock_ms = 0.0, 0.0
        self._jumps: list[int] = []
        self._empty: list[int] = []
        self._again: list[int] = []

    def add(self, line: int, fields: Sequence[str]) -> None:
        """One more line; one of 0 ms counts for the next, one of the same moment for the line before."""
        if len(fields) < FEWEST:
            fault = f"{len(fields)} columns; a line is clock, ms, latitude, longitude, bytes, ms"
            self.rows.append(TraceRow(line, fault=fault))
            return
        wanted = ((0, "clock"), (1, "time"), (-2, "bytes"), (-1, "milliseconds"))
        read = [number(fields[at], what, -math.inf if at == 1 else 0.0) for at, what in wanted]
        if fault := next((each for _, each in read if each), ""):
            self.rows.append(TraceRow(line, fault=fault))
            return
        clock, timer_ms, amount, span_ms = (value for value, _ in read)
        if span_ms == 0:
            self._carried_bytes += amount
            self._empty.append(line)
            return
        amount += self._carried_bytes
        self._carried_bytes = 0.0
        time_ms = self._moment_ms(line, clock * (1.0 if clock >= MS_CLOCK else 1e3), timer_ms)
        if time_ms == self._time_ms and not self.rows[-1].fault:
            self._again.append(line)
            amount, span_ms = amount + self._bytes, span_ms + self._span_ms
            del self.rows[-1 if len(self.rows) > 2 else 0 :]
        self._time_ms, self._bytes, self._span_ms = time_ms, amount, span_ms
        rate_mbps = amount * 8.0 / span_ms / 1000.0
        if not self.rows:
            self.rows.append(TraceRow(line, (time_ms - span_ms) / 1000.0, rate_mbps))
        self.rows.append(TraceRow(line, time_ms / 1000.0, rate_mbps))

    def _moment_ms(self, line: int, clock_ms: float, timer_ms: float) -> float:
        """When a line ends: by the session's timer, and by the clock where the timer jumps."""
        by_timer, by_clock = timer_ms - self._timer_ms, clock_ms - self._clock_ms
        self._timer_ms, self._clock_ms = timer_ms, clock_ms
        if not self.rows:
            return timer_ms
        jumps = by_clock > 0 and not -MOST_APART_MS <= by_timer - by_clock <= MOST_APART_MS
        if jumps or (by_timer < 0 < by_clock):
            self._jumps.append(line)
            return self._time_ms + by_clock
        return self._time_ms + by_timer

    def remarks(self) -> list[Remark]:
        """What was made of lines that are no intervals."""
        said = []
        if self._jumps:
            text = f"milliseconds jump {counted(len(self._jumps), 'time')}; the clock counts there"
            said.append(Remark(self._jumps[0], text))
        if self._again:
            text = f"{counted(len(self._again), 'line')} of the moment of the line before; added to it"
            said.append(Remark(self._again[0], text))
        if self._empty:
            text = f"{counted(len(self._empty), 'line')} of 0 ms; the bytes count for the next line"
            said.append(Remark(self._empty[0], text))
        return said


def read(text: str, source: str, options: ReadOptions = AS_FOUND) -> Trace:
    """The trace in a file's text.

    Raises:
        TraceError: names `source`, the line, the value and the way out.
    """
    return build(scan(text, options), source)
