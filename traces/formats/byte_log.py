"""Byte logs, as the 3G/HSDPA set of Oslo and the 4G set of Ghent were published: no header, six columns.

A line is a clock (s or ms since 1970), milliseconds of the session, latitude, longitude, bytes since the line
before, and milliseconds since it. The rate is bytes over milliseconds; it holds until the line's time. A
line of 0 ms adds its bytes to the next. Columns of the place may be missing: the first two and the last two
count.

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
        self._empty: list[int] = []
        self._again: list[int] = []

    def add(self, line: int, fields: Sequence[str]) -> None:
        """One more line; one of 0 ms counts for the next, one of the same moment for the line before."""
        if len(fields) < FEWEST:
            fault = f"{len(fields)} columns; a line is clock, ms, latitude, longitude, bytes, ms"
            self.rows.append(TraceRow(line, fault=fault))
            return
        wanted = ((1, "time", -1e18), (-2, "bytes", 0.0), (-1, "milliseconds", 0.0))
        read = [number(fields[at], what, least) for at, what, least in wanted]
        if fault := next((each for _, each in read if each), ""):
            self.rows.append(TraceRow(line, fault=fault))
            return
        time_ms, amount, span_ms = (value for value, _ in read)
        if span_ms == 0:
            self._carried_bytes += amount
            self._empty.append(line)
            return
        amount += self._carried_bytes
        self._carried_bytes = 0.0
        if time_ms == self._time_ms and not self.rows[-1].fault:
            self._again.append(line)
            amount, span_ms = amount + self._bytes, span_ms + self._span_ms
            del self.rows[-1 if len(self.rows) > 2 else 0 :]
        self._time_ms, self._bytes, self._span_ms = time_ms, amount, span_ms
        rate_mbps = amount * 8.0 / span_ms / 1000.0
        if not self.rows:
            self.rows.append(TraceRow(line, (time_ms - span_ms) / 1000.0, rate_mbps))
        self.rows.append(TraceRow(line, time_ms / 1000.0, rate_mbps))

    def remarks(self) -> list[Remark]:
        """What was made of lines that are no intervals."""
        said = []
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
