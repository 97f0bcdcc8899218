"""JSON series, as Genet's congestion-control sets made from Pantheon's paths come: one object of lists.

`timestamps` (s) and `bandwidths` (Mbit/s) are of one length: bandwidth i holds from timestamp i to the next,
and the last one's is not used. `delays` (ms, one way; both ways take it, so the round trip gets it twice) has
that length too, or one value for all; `loss` is a share from 0 to 1. `queue`, `delay_noise` and other
members are passed over. The first timestamp marks the start. A round trip keeps times, rates and delays
exactly and a loss to the rounding of a double; a loss that varies can't be written.

Source: `simulator/trace.py` of github.com/PCCproject/PCC-RL.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from traces.formats.decimals import MAX_VALUE
from traces.formats.reading import AS_FOUND, ReadOptions
from traces.formats.rows import Scan, TraceRow, arranged, build, refused
from traces.safe_reading import BadFileError, json_value
from traces.trace import Trace, TraceError, delay_fault, loss_fault

NAME = "series"
ABOUT = "Genet's and Pantheon's paths: a JSON object of timestamps, bandwidths, delays, loss"
TAKES = ("idle",)
"""`idle` as every format, so that one word is for a folder of many; there are no gaps here."""
WAYS = 2
"""Their simulator sends data and ACKs over two links, each with the one-way delay."""
_MARK = re.compile(r'"(timestamps|bandwidths)"\s*:')


def looks_like(text: str) -> bool:
    """Whether a text that begins so is an object of this format."""
    return text.lstrip().startswith("{") and _MARK.search(text) is not None


def scan(text: str, options: ReadOptions = AS_FOUND) -> Scan:
    """A row an interval; all on line 1, because where in a list a value stands is what tells it."""
    try:
        held = json_value(text, NAME)
    except BadFileError as error:
        return refused(1, f"broken JSON ({error.fault[:80]}); the file may be cut off")
    if not isinstance(held, dict):
        return refused(1, 'not a JSON object; write {"timestamps": [...], "bandwidths": [...]}')
    for name in ("timestamps", "bandwidths"):
        if fault := _list_fault(name, held.get(name)):
            return refused(1, fault)
    times, rates = ([float(value) for value in held[name]] for name in ("timestamps", "bandwidths"))
    if len(times) != len(rates):
        return refused(1, f"{len(times)} timestamps but {len(rates)} bandwidths; they go in pairs")
    delays, fault = _delays(held.get("delays"), len(times))
    loss, loss_problem = _loss(held.get("loss"))
    if fault or loss_problem:
        return refused(1, fault or loss_problem)
    own = [
        TraceRow(1, time_s, rates[place], "", None if delays is None else delays[place], loss)
        for place, time_s in enumerate(times)
    ]
    found = arranged(own, "clock", options.idle)
    before = (
        found.rows[0],
        *found.rows,
    )  # what began at a timestamp ends at the next; the first marks the start
    rows = tuple(
        replace(row, rate_mbps=begun.rate_mbps, delay_ms=begun.delay_ms)
        for row, begun in zip(found.rows, before, strict=False)
    )
    return replace(found, rows=rows)


def _list_fault(name: str, values: Any) -> str:
    """What is wrong with a list of numbers from 0 on, empty if nothing."""
    if not isinstance(values, list):
        return f"{name} is no list ({str(values)[:40]}); write numbers, one a timestamp"
    for place, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{name}[{place}] is not a number ({str(value)[:40]!r}); write plain numbers"
        if not 0 <= value <= MAX_VALUE:
            return f"{name}[{place}] is {str(value)[:40]}; write finite numbers from 0 on"
    return ""


def _delays(values: Any, points: int) -> tuple[list[float] | None, str]:
    """(what each value adds to the round trip in ms, fault)."""
    if values is None or values == []:
        return None, ""
    if fault := _list_fault("delays", values):
        return None, fault
    if len(values) not in (1, points):
        return None, f"{len(values)} delays for {points} timestamps; write one for each, or one for all"
    both = [float(value) * WAYS for value in (values * points if len(values) == 1 else values)]
    wrong = next((place for place, value in enumerate(both) if delay_fault(value)), None)
    return both, "" if wrong is None else f"delays[{wrong}], both ways: {delay_fault(both[wrong])}"


def _loss(value: Any) -> tuple[float | None, str]:
    """(per cent, fault) of the loss, None where the object names none."""
    if value is None:
        return None, ""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        return None, f"loss is {str(value)[:40]}; write a share from 0 to under 1"
    return value * 100.0, loss_fault(value * 100.0)


def read(text: str, source: str, options: ReadOptions = AS_FOUND) -> Trace:
    """The trace in a file's text.

    Raises:
        TraceError: names `source`, the value and the way out.
    """
    return build(scan(text, options), source)


def write(trace: Trace) -> str:
    """The file's text.

    Raises:
        TraceError: the loss varies.
    """
    losses = set(trace.loss_pct[1:]) if trace.loss_pct is not None else set()
    if len(losses) > 1:
        raise TraceError(
            f"{trace.name}: its loss varies ({min(losses):g} to {max(losses):g} %), and {NAME} holds one"
            " value; write csv or json"
        )
    held: dict[str, Any] = {
        "timestamps": list(trace.time_s),
        "bandwidths": [*trace.rate_mbps[1:], trace.rate_mbps[-1]],
    }
    if trace.delay_ms is not None:
        held["delays"] = [value / WAYS for value in (*trace.delay_ms[1:], trace.delay_ms[-1])]
    if losses:
        held["loss"] = losses.pop() / 100.0
    return json.dumps(held) + "\n"
