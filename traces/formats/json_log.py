"""JSON logs: a list of objects, one an interval, or an object a line.

The HSDPA and Ghent 4G sets, as they come with Sabre, have `duration_ms` (how long it lasts) and
`bandwidth_kbps` (its rate), and may have `latency_ms` (Sabre waits so long from the request to the first
byte: a round trip) and a loss such as `packet_loss_pct`; see `columns.py`. Other members are passed over.
The first interval begins at 0, so the trace has one point more than the list. A round trip keeps durations
to a nanosecond, rates to 1e-9 kbit/s, and delay and loss exactly; the values of point 0, which belongs to
no interval, become those of point 1.

Objects that name time and rate otherwise, and an object of lists, are read as a table of these columns; see
`table.py`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from traces.formats.columns import ColumnReading, TakenColumns, find
from traces.formats.reading import AS_FOUND, ReadOptions
from traces.formats.rows import Remark, Scan, TraceRow, arranged, build, refused
from traces.formats.table import scan_records
from traces.formats.two_column import scan_pairs
from traces.safe_reading import TOO_MANY_DIGITS
from traces.trace import Trace

NAME = "json"
ABOUT = "HSDPA and Ghent 4G logs: a JSON list of {duration_ms, bandwidth_kbps, latency_ms}"
TAKES = ("column", "unit", "time_unit", "idle", "row_s")
EXPECTED = (
    'a trace is a list [{"duration_ms": ..., "bandwidth_kbps": ...}, ...], an object {"timestamps": [...],'
    ' "bandwidths": [...]}, what `iperf3 --json` prints, or a family that `python -m traces fit` made'
)
_SPACE = re.compile(r"[\s,]*")
_MOST_NAMED = 6


def scan(text: str, options: ReadOptions = AS_FOUND) -> Scan:
    """A row an object, on the line where the object begins."""
    items = list(_items(text))
    if not items:
        return Scan((), 0.0)
    line, first = items[0]
    if text.lstrip()[:1] == "{" and len(items) == 1:
        return _one_object(line, first, options)
    if isinstance(first, dict) and first and not ({"duration_ms", "bandwidth_kbps"} & set(first)):
        records = _records(items, list(first))
        found = scan_records(list(first), records, options, line) if records else None
        if found is not None:
            return found
    more = next((find(item) for _, item in items if isinstance(item, dict)), None)
    if more is None and isinstance(first, list):
        return _pairs(items, options)
    rows = [
        TraceRow(at, fault=item.text) if isinstance(item, _Broken) else _row(at, item, more)
        for at, item in items
    ]
    return arranged(rows, "duration", options.idle, passed_over=more.passed_over if more else ())


class _Broken:
    """What is wrong where no object could be read."""

    def __init__(self, text: str) -> None:
        self.text = text


def _items(text: str) -> Iterator[tuple[int, Any]]:
    """(line, object) of a list, or of objects one after the other; the last may be broken."""
    decoder = json.JSONDecoder()
    position = len(text) - len(text.lstrip())
    listed = text[position : position + 1] == "["
    position, line, counted = position + listed, 1, 0
    while True:
        match = _SPACE.match(text, position)
        position = match.end() if match else position
        line += text.count("\n", counted, position)
        counted = position
        if not listed and position >= len(text):
            return
        if listed and text[position : position + 1] == "]":
            break
        try:
            item, position = decoder.raw_decode(text, position)
        except (json.JSONDecodeError, RecursionError) as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
            yield line, _Broken(f"broken JSON ({what}); the file may be cut off here")
            return
        except ValueError:
            yield line, _Broken(f"broken JSON ({TOO_MANY_DIGITS}); write plain decimal numbers")
            return
        yield line, item
    rest = text[position + 1 :].strip()
    if rest:
        yield line, _Broken(f"text after the list's end ({rest[:20]!r}); a file is one list")


def _one_object(line: int, item: Any, options: ReadOptions) -> Scan:
    """An object of lists of one length is a table; any other is told what it is."""
    if isinstance(item, _Broken):
        return refused(line, item.text)
    if not isinstance(item, dict):
        return refused(line, f"not a JSON list but {str(item)[:40]!r}; {EXPECTED}")
    lists = {name: values for name, values in item.items() if isinstance(values, list)}
    if len(lists) > 1 and len({len(values) for values in lists.values()}) == 1:
        rows = [(line, dict(zip(lists, row, strict=True))) for row in zip(*lists.values(), strict=True)]
        records = _records(rows, list(lists))
        found = scan_records(list(lists), records, options, line) if records else None
        if found is not None:
            return found
    inner = [values for values in lists.values() if values and isinstance(values[0], dict)]
    if len(inner) == 1:
        return scan(json.dumps(inner[0]), options)
    names = ", ".join(repr(name)[:40] for name in list(item)[:_MOST_NAMED])
    more = ", ..." if len(item) > _MOST_NAMED else ""
    return refused(line, f"not a JSON list but an object of {names}{more}" + f"; {EXPECTED}")


def _pairs(items: list[tuple[int, Any]], options: ReadOptions) -> Scan:
    """A list of lists of two: times and rates without names."""
    lines = [
        (line, [_field(value) for value in item] if isinstance(item, list) else [str(item)[:40]])
        for line, item in items
    ]
    remarks = []
    if options.unit is None:
        text = "pairs have no names; taken for time and Mbit/s (--unit says others)"
        remarks.append(Remark(items[0][0], text))
    return scan_pairs(lines, options, "elapsed", remarks=remarks)


def _records(items: list[tuple[int, Any]], names: list[str]) -> list[tuple[int, list[str] | str]]:
    """Objects as rows of a table with these names."""
    records: list[tuple[int, list[str] | str]] = []
    for line, item in items:
        if isinstance(item, _Broken):
            records.append((line, item.text))
        elif not isinstance(item, dict):
            records.append(
                (line, f"not an object ({str(item)[:40]}); write one with {', '.join(names)[:80]}")
            )
        else:
            records.append((line, [_field(item.get(name)) for name in names]))
    return records


def _field(value: Any) -> str:
    """A member as a field of a table."""
    if value is None:
        return ""
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    return str(value)[:400]


def _row(line: int, item: Any, more: TakenColumns | None) -> TraceRow:
    """The row; its time is how long it lasts. What delay and loss are called, the first object says."""
    if not isinstance(item, dict) or more is None:
        return TraceRow(
            line, fault=f"not an object ({str(item)[:40]}); write {{duration_ms, bandwidth_kbps}}"
        )
    duration_ms, fault = _value(item, "duration_ms")
    kbps, rate_fault, missing = math.nan, "", ""
    if item.get("bandwidth_kbps", 0) is None:
        missing = "bandwidth_kbps null"
    else:
        kbps, rate_fault = _value(item, "bandwidth_kbps")
    if not fault and duration_ms == 0:
        fault = "duration_ms is 0; drop the object"
    delay_ms, delay_fault = _more(item, more.delay)
    loss_pct, loss_fault = _more(item, more.loss)
    fault = fault or rate_fault or delay_fault or loss_fault or _begins_late(item, more)
    return TraceRow(line, duration_ms / 1000.0, kbps / 1000.0, fault, delay_ms, loss_pct, missing)


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


def read(text: str, source: str, options: ReadOptions = AS_FOUND) -> Trace:
    """The trace in a file's text.

    Raises:
        TraceError: names `source`, the line, the value and the way out.
    """
    return build(scan(text, options), source)


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
