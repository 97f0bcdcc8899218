"""JSON logs, as the HSDPA and Ghent 4G sets come with Sabre: a list of objects, one an interval.

Each has `duration_ms` (how long it lasts) and `bandwidth_kbps` (its rate), and may have `latency_ms` (Sabre
waits so long from the request to the first byte: a round trip) and a loss such as `packet_loss_pct`; see
`columns.py`. Other members are passed over. The first interval begins at 0, so the trace has one point more
than the list. A round trip keeps durations to a nanosecond, rates to 1e-9 kbit/s, and delay and loss
exactly; the values of point 0, which belongs to no interval, become those of point 1.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from traces.formats.columns import ColumnReading, TakenColumns, find
from traces.formats.rows import Scan, TraceRow, build
from traces.trace import Trace

NAME = "json"
ABOUT = "HSDPA and Ghent 4G logs: a JSON list of {duration_ms, bandwidth_kbps, latency_ms}"
_SPACE = re.compile(r"[\s,]*")


def scan(text: str) -> Scan:
    """A row an object, on the line where the object begins."""
    rows: list[TraceRow] = []
    more: TakenColumns | None = None
    decoder = json.JSONDecoder()
    position = len(text) - len(text.lstrip())
    if text[position : position + 1] != "[":
        return Scan(
            (TraceRow(1, fault='not a JSON list; write [{"duration_ms": ..., "bandwidth_kbps": ...}, ...]'),),
            0.0,
        )
    position, line, counted, elapsed_ms = position + 1, 1, 0, 0.0
    while True:
        match = _SPACE.match(text, position)
        position = match.end() if match else position
        line += text.count("\n", counted, position)
        counted = position
        if text[position : position + 1] == "]":
            break
        try:
            item, position = decoder.raw_decode(text, position)
        except (json.JSONDecodeError, RecursionError) as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
            rows.append(TraceRow(line, fault=f"broken JSON ({what}); the file may be cut off here"))
            return Scan(tuple(rows), 0.0)
        except ValueError as error:  # an integer of thousands of digits
            rows.append(TraceRow(line, fault=f"broken JSON ({error}); write plain decimal numbers"))
            return Scan(tuple(rows), 0.0)
        if more is None and isinstance(item, dict):
            more = find(item)
        row, elapsed_ms = _row(line, item, elapsed_ms, more)
        rows.append(row)
    rest = text[position + 1 :].strip()
    if rest:
        rows.append(TraceRow(line, fault=f"text after the list's end ({rest[:20]!r}); a file is one list"))
    return Scan(tuple(rows), 0.0, more.passed_over if more else ())


def _row(line: int, item: Any, elapsed_ms: float, more: TakenColumns | None) -> tuple[TraceRow, float]:
    """The row, and when it ends. What delay and loss are called, the first object says."""
    if not isinstance(item, dict) or more is None:
        return TraceRow(
            line, fault=f"not an object ({str(item)[:40]}); write {{duration_ms, bandwidth_kbps}}"
        ), elapsed_ms
    duration_ms, fault = _value(item, "duration_ms")
    kbps, rate_fault = _value(item, "bandwidth_kbps")
    if not fault and duration_ms == 0:
        fault = "duration_ms is 0; drop the object"
    if not fault:
        elapsed_ms += duration_ms
    delay_ms, delay_fault = _more(item, more.delay)
    loss_pct, loss_fault = _more(item, more.loss)
    fault = fault or rate_fault or delay_fault or loss_fault or _begins_late(item, more)
    return TraceRow(line, elapsed_ms / 1000.0, kbps / 1000.0, fault, delay_ms, loss_pct), elapsed_ms


def _more(item: dict[str, Any], column: tuple[int, ColumnReading] | None) -> tuple[float | None, str]:
    """(value, fault) of an object's delay or loss; None where the list has none."""
    if column is None:
        return None, ""
    reading = column[1]
    if reading.name not in item:
        return math.nan, f"no {reading.name}, which the first object has; give it to every object, or to none"
    raw, fault = _value(item, reading.name)
    return (math.nan, fault) if fault else reading.value(raw)


def _begins_late(item: dict[str, Any], more: TakenColumns) -> str:
    """The fault of a delay or loss that the first object has not."""
    mine = find(item)
    for here, there in ((mine.delay, more.delay), (mine.loss, more.loss)):
        if here is not None and there is None:
            return f"{here[1].name} begins here; give it to every object, or to none"
    return ""


def _value(item: dict[str, Any], key: str) -> tuple[float, str]:
    if key not in item:
        return math.nan, f"no {key}; each object needs duration_ms and bandwidth_kbps"
    value = item[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan, f"{key} is not a number ({str(value)[:40]!r}); write a plain number"
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        return (
            math.nan,
            f"{key} is not finite ({str(value)[:40]}); drop the object or write the value measured",
        )
    if number < 0:
        return number, f"{key} is negative ({number:g}); write 0 or more"
    return number, ""


def read(text: str, source: str) -> Trace:
    """The trace in a file's text.

    Raises:
        TraceError: names `source`, the line, the value and the way out.
    """
    return build(scan(text), source)


def write(trace: Trace) -> str:
    """The file's text."""
    items = []
    for index in range(1, len(trace.time_s)):
        item = {
            "duration_ms": _tidy((trace.time_s[index] - trace.time_s[index - 1]) * 1000.0, 6),
            "bandwidth_kbps": _tidy(trace.rate_mbps[index] * 1000.0, 9),
        }
        if trace.delay_ms is not None:
            item["latency_ms"] = trace.delay_ms[index]
        if trace.loss_pct is not None:
            item["packet_loss_pct"] = trace.loss_pct[index]
        items.append(item)
    return "[\n" + ",\n".join(json.dumps(item) for item in items) + "\n]\n"


def _tidy(value: float, digits: int) -> float | int:
    rounded = round(value, digits)
    return int(rounded) if rounded == int(rounded) else rounded
