"""Tables of measuring campaigns that hold many runs in one file, as they were published.

* `fcc`: Measuring Broadband America, `curr_webget.csv` and `curr_httpgetmt.csv`, with a header line or
  not. A part is a line (unit) and a target. `bytes_sec` is in bytes. Tests are hours apart; each is held 5
  s, as the sets that Pensieve and Genet cut from them have it, and this is said.
* `puffer`: `video_sent_….csv` of puffer.stanford.edu. A part is a session's stream. `delivery_rate` is
  TCP's own estimate at each chunk, in bytes per second.
* `lumos5g`: Lumos5G-v1.0.csv. A part is a run, a row a second, `Throughput` in Mbit/s.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from traces.formats.clock import times_of
from traces.formats.columns import normal
from traces.formats.decimals import is_missing, number
from traces.formats.parts import chosen
from traces.formats.reading import AS_FOUND, ReadOptions
from traces.formats.rows import Origin, Remark, Scan, TraceRow, arranged, refused, text_lines
from traces.formats.units import RateUnit, unit_named


@dataclass(frozen=True)
class Campaign:
    """A published table."""

    name: str
    about: str
    needs: frozenset[str]
    """Columns that tell it, as `normal` has them."""
    parts: tuple[str, ...]
    """Columns whose values name a run; those that are there count."""
    time: str
    """The column of times; empty: each row is held `step_s`."""
    rates: tuple[str, ...]
    """Columns of the rate, the first that is there."""
    unit: str
    what: str
    """Its parts in words, and …"""
    of_what: str
    """… their rows."""
    per_second: float | None = None
    origin: Origin = "clock"
    step_s: float = 0.0
    stepped: str = ""
    """What is assumed of steps."""
    bare: tuple[str, ...] = ()
    """The columns of files without a header line."""

    def names_in(self, line: str) -> list[str] | None:
        """The columns that a first line names, or that files without names have; None: another table."""
        fields = _split(line)
        names = [normal(field) for field in fields]
        if self.needs <= set(names):
            return names
        if self.bare and _BARE_FCC.match(line) and len(fields) >= _FEWEST_FCC:
            return [*self.bare, *("" for _ in fields[len(self.bare) :])]
        return None


_BARE_FCC = re.compile(r'"?\d+"?,"?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"?,')
_FEWEST_FCC = 7
_FCC_STEP_S = 5.0

FCC = Campaign(
    "fcc",
    "FCC Measuring Broadband America, raw: unit_id, dtime, target, ..., bytes_sec",
    frozenset(("unit_id", "dtime", "bytes_sec")),
    ("unit_id", "target"),
    "",
    ("bytes_sec_interval", "bytes_sec"),
    "bytes/s",
    "lines and targets",
    "tests",
    step_s=_FCC_STEP_S,
    stepped="tests are hours apart; each is held {step_s:g} s, as published cuts are (--row-s says others)",
    bare=("unit_id", "dtime", "target", "address", "fetch_time", "bytes_total", "bytes_sec"),
)
PUFFER = Campaign(
    "puffer",
    "Puffer's video_sent tables: time (ns GMT), session_id, ..., delivery_rate",
    frozenset(("session_id", "delivery_rate")),
    ("session_id", "index"),
    "time",
    ("delivery_rate",),
    "bytes/s",
    "sessions' streams",
    "chunks",
)
LUMOS5G = Campaign(
    "lumos5g",
    "Lumos5G's table: run_num, seq_num, ..., Throughput",
    frozenset(("run_num", "seq_num", "throughput")),
    ("run_num",),
    "seq_num",
    ("throughput",),
    "mbps",
    "runs",
    "seconds",
    per_second=1.0,
    origin="elapsed",
)
CAMPAIGNS = (FCC, PUFFER, LUMOS5G)
TAKES = ("part", "idle", "row_s")


def _split(line: str) -> list[str]:
    try:
        return [field.strip() for field in next(csv.reader([line]), [])] if '"' in line else line.split(",")
    except csv.Error:
        return []


def campaign_of(line: str) -> Campaign | None:
    """The campaign whose table begins with this line."""
    return next((each for each in CAMPAIGNS if each.names_in(line) is not None), None)


def scan(campaign: Campaign, text: str, options: ReadOptions = AS_FOUND) -> Scan:
    """The rows of one part, unjudged."""
    lines = text_lines(text)
    if not lines:
        return Scan((), None)
    first, line = lines[0]
    names = campaign.names_in(line)
    if names is None:
        return refused(first, f"no header of {campaign.name} ({line[:60]!r}); {campaign.about}")
    named = normal(_split(line)[0]) == names[0]
    parts = _parts(campaign, names, lines[1:] if named else lines)
    if not parts:
        return refused(first, "no rows under the header")
    part, words, fault = chosen(
        {name: len(rows) for name, rows in parts.items()}, options.part, campaign.what, campaign.of_what
    )
    if fault:
        return refused(first, fault)
    rate = _rate_of(campaign, names, parts[part])
    unit = unit_named(campaign.unit)
    assert unit is not None
    remarks = [Remark(first, words)] if words else []
    if campaign.step_s:
        step_s = options.row_s or campaign.step_s
        if options.row_s is None:
            remarks.append(Remark(first, campaign.stepped.format(step_s=step_s)))
        times = [(step_s, "")] * len(parts[part])
    else:
        time = next((i for i, name in enumerate(names) if name.startswith(campaign.time)), 0)
        found = times_of([fields[time] for _, fields in parts[part]], campaign.per_second)
        times = list(zip(found.values, found.faults, strict=True))
        if campaign.origin == "elapsed":  # a row's number is the end of its second
            begin = next((value for value, fault in times if not fault), 1.0) - 1.0
            times = [(value - begin, fault) for value, fault in times]
    remarks.append(Remark(first, f"{rate} is in {campaign.unit}", "note"))
    rows = [
        _row(at, fields[names.index(rate)], moment, unit)
        for (at, fields), moment in zip(parts[part], times, strict=True)
    ]
    return arranged(rows, "duration" if campaign.step_s else campaign.origin, options.idle, remarks=remarks)


def _rate_of(campaign: Campaign, names: Sequence[str], rows: Sequence[tuple[int, list[str]]]) -> str:
    """The first column of the rate in which anything was measured; the first that is there if none was."""
    there = [name for name in campaign.rates if name in names]
    measured = (
        name for name in there if not all(is_missing(fields[names.index(name)]) for _, fields in rows)
    )
    return next(measured, there[0])


def _parts(
    campaign: Campaign, names: Sequence[str], lines: Sequence[tuple[int, str]]
) -> dict[str, list[tuple[int, list[str]]]]:
    """The rows of each part, under its name; short lines are filled up with nothing measured."""
    places = [names.index(name) for name in campaign.parts if name in names]
    found: dict[str, list[tuple[int, list[str]]]] = {}
    for line_number, line in lines:
        fields = _split(line)
        fields += [""] * (len(names) - len(fields))
        found.setdefault(" ".join(fields[place] for place in places), []).append((line_number, fields))
    return found


def _row(line_number: int, field: str, moment: tuple[float, str], unit: RateUnit) -> TraceRow:
    time_s, fault = moment
    if is_missing(field):
        return TraceRow(line_number, time_s, fault=fault, missing=f"rate {field!r}")
    value, rate_fault = number(field, "rate")
    return TraceRow(line_number, time_s, unit.mbps(value), fault or rate_fault)
