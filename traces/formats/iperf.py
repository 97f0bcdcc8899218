"""What iperf prints: iperf3's JSON (`--json`, `--json-stream`), its text, iperf2's text and CSV.

An interval's rate is that of all streams together; of a test both ways, what was received. Intervals that
iperf left out of its own means (`omitted`) are left out, and so are the totals at the end. A file of
several tests holds parts, counted from 1: the longest is read, unless `part` says which.

Rates are what the transport carried, without headers, as in most measured sets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from traces.formats.decimals import MAX_VALUE
from traces.formats.parts import chosen
from traces.formats.reading import AS_FOUND, ReadOptions
from traces.formats.rows import Remark, Scan, TraceRow, arranged, build, refused
from traces.formats.units import unit_named
from traces.safe_reading import own_words
from traces.trace import Trace

NAME = "iperf"
ABOUT = "iperf3's JSON and text, iperf2's text and CSV: the rate of each interval"
TAKES = ("part", "idle")
"""`idle` as every format, so that one word is for a folder of many; there are no gaps here."""
_INTERVAL = re.compile(
    r"^(?P<before>.*?)\[\s*(?P<id>\d+|SUM)\](?:\[(?P<role>[TR]X-[CS])\])?\s+(?P<begin>\d+(?:\.\d+)?)\s*-\s*"
    r"(?P<end>\d+(?:\.\d+)?)\s+sec\s+(?P<amount>[\d.]+)\s+(?P<size>[KMGT]?(?:Bytes|bits))\s+"
    r"(?P<rate>\d+(?:\.\d+)?)\s+(?P<unit>[KMGT]?(?:bits|Bytes)/sec)(?P<after>.*)$"
)
_CSV = re.compile(
    r"^\d{14}(?:\.\d+)?,[^,]*,\d+,[^,]*,\d+,(?P<id>-?\d+),(?P<begin>\d+(?:\.\d+)?)-(?P<end>\d+(?:\.\d+)?),\d+,(?P<rate>-?\d+)"
)
_LOOKED_AT = 40
_TOTAL_STEPS = 1.5
"""A last line from 0 on that is longer than so many steps is the total."""


@dataclass(frozen=True)
class Interval:
    """A line of iperf's report."""

    line: int
    stream: str
    role: str
    """`RX`, `TX`, or empty where the test went one way."""
    begin_s: float
    end_s: float
    rate_mbps: float


def looks_like(text: str, lines: Iterable[tuple[int, str]]) -> bool:
    """Whether a file that begins so is one of iperf's."""
    if text.lstrip()[:1] == "{":
        return re.search(r'"(?:intervals|test_start|connecting_to|event)"\s*:', text[:20_000]) is not None
    return any(_INTERVAL.match(line) or _CSV.match(line) for _, line in list(lines)[:_LOOKED_AT])


def scan(text: str, options: ReadOptions = AS_FOUND) -> Scan:
    """The rows, unjudged; all of a JSON report are on line 1."""
    remarks: list[Remark] = []
    if text.lstrip()[:1] == "{":
        try:
            tests = list(_json_tests(text))
        except (ValueError, RecursionError) as error:
            return refused(1, f"broken JSON ({own_words(error)[:80]}); the file may be cut off")
        if not tests or not any(tests):
            return refused(1, _why_empty(text))
    else:
        tests = [_one_way(test) for test in _text_tests(text)]
    named = {str(number): test for number, test in enumerate(tests, start=1) if test}
    if not named:
        return refused(1, "no lines of iperf's intervals; run it with -i 1")
    part, words, fault = chosen(
        {name: len(test) for name, test in named.items()}, options.part, "tests", "intervals"
    )
    test = named.get(part, [])
    line = test[0].line if test else 1
    if fault:
        return refused(line, fault)
    if words:
        remarks.append(Remark(line, words))
    rows = [TraceRow(test[0].line, test[0].begin_s, test[0].rate_mbps)]
    rows += [TraceRow(each.line, each.end_s, each.rate_mbps) for each in test]
    return arranged(rows, "clock", remarks=remarks)


def _text_tests(text: str) -> Iterator[list[Interval]]:
    """The intervals of each test of a text: where the time begins anew, another one begins."""
    test: list[Interval] = []
    latest: dict[str, float] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        each = _interval(number, line)
        if each is None:
            continue
        key = each.stream + each.role
        if each.begin_s < latest.get(key, 0.0) - 1e-6 and each.begin_s == 0.0:
            if _is_total(each, test):
                continue
            yield test
            test, latest = [], {}
        latest[key] = each.end_s
        test.append(each)
    yield test


def _is_total(each: Interval, test: list[Interval]) -> bool:
    """Whether a line that begins at 0 again sums up the test before it."""
    steps = [one.end_s - one.begin_s for one in test if one.stream == each.stream]
    last = max((one.end_s for one in test), default=0.0)
    return bool(steps) and each.end_s > _TOTAL_STEPS * steps[0] and each.end_s >= 0.8 * last


def _interval(number: int, line: str) -> Interval | None:
    """A line's interval; None for any other line, the totals and what was omitted."""
    if match := _CSV.match(line):
        stream = "SUM" if match["id"] == "-1" else match["id"]
        rate_mbps = max(float(match["rate"]), 0.0) / 1e6
        return Interval(number, stream, "", float(match["begin"]), float(match["end"]), rate_mbps)
    match = _INTERVAL.match(line)
    if match is None or re.search(r"\b(sender|receiver|omitted)\b", match["after"]):
        return None
    unit = unit_named(match["unit"])
    if unit is None:
        return None
    role = (match["role"] or "")[:2]
    return Interval(
        number, match["id"], role, float(match["begin"]), float(match["end"]), unit.mbps(float(match["rate"]))
    )


def _one_way(test: list[Interval]) -> list[Interval]:
    """The intervals of what was received, of all streams together."""
    if any(each.role == "RX" for each in test):
        test = [each for each in test if each.role == "RX"]
    if any(each.stream == "SUM" for each in test):
        return [each for each in test if each.stream == "SUM"]
    together: dict[float, Interval] = {}
    for each in test:
        before = together.get(each.end_s)
        rate = each.rate_mbps + (before.rate_mbps if before else 0.0)
        together[each.end_s] = Interval(each.line, "SUM", each.role, each.begin_s, each.end_s, rate)
    return [together[end_s] for end_s in sorted(together)]


def _json_tests(text: str) -> Iterator[list[Interval]]:
    """The intervals of each report in a text.

    Raises:
        ValueError, RecursionError: it is no JSON.
    """
    decoder, position = json.JSONDecoder(), 0
    streamed: list[Interval] = []
    text = text.strip()
    while position < len(text):
        report, position = decoder.raw_decode(text, position)
        while position < len(text) and text[position].isspace():
            position += 1
        if not isinstance(report, Mapping):
            continue
        if "event" in report:
            if report["event"] == "start" and streamed:
                yield streamed
                streamed = []
            if report["event"] == "interval":
                streamed += _json_intervals([report.get("data")])
        else:
            yield _json_intervals(report.get("intervals"))
    if streamed:
        yield streamed


def _json_intervals(intervals: Any) -> list[Interval]:
    found = []
    for each in intervals if isinstance(intervals, list) else []:
        total = _received(each) if isinstance(each, Mapping) else None
        if total is None or total.get("omitted"):
            continue
        values: list[Any] = [total.get(name) for name in ("start", "end", "bits_per_second")]
        if all(isinstance(value, int | float) and abs(value) < MAX_VALUE for value in values):
            begin_s, end_s, bits = map(float, values)
            found.append(Interval(1, "SUM", "", begin_s, end_s, bits / 1e6))
    return found


def _received(each: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The totals of an interval; of a test both ways, those of what came to the client."""
    found = each.get("sum_bidir_reverse") or each.get("sum")
    if found is None and isinstance(each.get("streams"), list) and len(each["streams"]) == 1:
        found = each["streams"][0]
    return found if isinstance(found, Mapping) else None


def _why_empty(text: str) -> str:
    match = re.search(r'"error"\s*:\s*"([^"]{1,80})', text)
    if match is not None:
        return f"iperf3 ended with an error ({match[1]}) and no intervals; measure again"
    return "no intervals in iperf3's report; run it with -i 1"


def read(text: str, source: str, options: ReadOptions = AS_FOUND) -> Trace:
    """The trace in a file's text.

    Raises:
        TraceError: names `source`, the line, the value and the way out.
    """
    return build(scan(text, options), source)
