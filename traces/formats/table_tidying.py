"""What stands in tables besides names and rows: units below names or beside values, totals at the end."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import replace

from traces.formats.clock import times_of
from traces.formats.decimals import is_missing, is_number
from traces.formats.rate_columns import choose
from traces.formats.reading import ReadOptions
from traces.formats.rows import Remark, plain
from traces.formats.table_header import Header, split, time_column
from traces.formats.units import unit_named
from traces.words import counted


def units_below(
    header: Header, lines: Sequence[tuple[int, str]], options: ReadOptions
) -> tuple[Header, Sequence[tuple[int, str]]]:
    """The header with the units that the line below it says, or those that the values have (`1.5 Mbps`).

    Returns:
        The header, and the lines with plain numbers; both as they were where there are no such units.
    """
    below = lines[header.at + 1 :]
    if not below:
        return header, lines
    fields = _fields_of(below[0][1], header.delimiter)
    if len(fields) == len(header.names) and not re.search(r"\d", below[0][1]):
        names = [
            f"{name} ({unit})" if unit else name for name, unit in zip(header.names, fields, strict=True)
        ]
        found = choose(names, options)
        if found.column is not None:
            time = time_column(names) or header.time
            return replace(header, names=tuple(names), rate=found, time=time), [
                *lines[: header.at + 1],
                *below[1:],
            ]
    return _units_of_values(header, lines, options)


def _units_of_values(
    header: Header, lines: Sequence[tuple[int, str]], options: ReadOptions
) -> tuple[Header, Sequence[tuple[int, str]]]:
    """The header with Mbit/s for each column whose first value says its unit, and the values in Mbit/s."""
    below = lines[header.at + 1 :]
    first = _fields_of(below[0][1], header.delimiter)
    places = [at for at, field in enumerate(first[: len(header.names)]) if _value_of(field) is not None]
    if not places or header.delimiter is None:
        return header, lines
    names = [f"{name} (Mbit/s)" if at in places else name for at, name in enumerate(header.names)]
    found = choose(names, options)
    if found.column is None:
        return replace(header, rate=found), lines
    rows = []
    for line_number, line in below:
        fields = _fields_of(line, header.delimiter)
        for at in places:
            value = _value_of(fields[at]) if at < len(fields) else None
            if value is not None:
                fields[at] = plain(value)
        rows.append(
            (line_number, header.delimiter.join(f'"{field}"' if "," in field else field for field in fields))
        )
    return replace(header, names=tuple(names), rate=found), [*lines[: header.at + 1], *rows]


def _value_of(field: str) -> float | None:
    """Mbit/s of a value that says its unit, `800 kbps`; None if it says none."""
    match = re.fullmatch(r"([\d.]+)\s*([A-Za-z][A-Za-z/ ]*)", field)
    unit = unit_named(match[2]) if match and is_number(match[1]) else None
    return unit.mbps(float(match[1])) if match and unit and not unit.unclear else None


def _fields_of(line: str, delimiter: str | None) -> list[str]:
    try:
        return split(line, delimiter)
    except csv.Error:
        return []


def without_talk(
    header: Header, lines: Sequence[tuple[int, str]]
) -> tuple[Sequence[tuple[int, str]], list[Remark]]:
    """The rows under a header without the header's repetitions and without words at the end (totals)."""
    rows, said = list(lines[header.at + 1 :]), []
    named = lines[header.at][1].strip() if header.at >= 0 else ""
    again = [number for number, line in rows if line.strip() == named]
    if again:
        rows = [(number, line) for number, line in rows if line.strip() != named]
        said.append(Remark(again[0], "the header stands here again; passed over"))
    end = len(rows)
    while end > 2 and header.time is not None and _is_talk(rows[end - 1][1], header):
        end -= 1
    if end < len(rows):
        said.append(
            Remark(rows[end][0], f"{counted(len(rows) - end, 'line')} after the last row passed over")
        )
    return rows[:end], said


def _is_talk(line: str, header: Header) -> bool:
    """Whether a line begins with a word where a time should be."""
    fields = _fields_of(line, header.delimiter)
    place = header.time.place if header.time is not None and header.time.place < len(fields) else 0
    field = fields[place] if fields else ""
    return (
        re.match(r"[A-Za-z=*]", field) is not None
        and not is_missing(field)
        and bool(times_of([field], None).faults[0])
    )
