"""A column of times: numbers of a unit, of a clock since 1970, dates, or times of a day.

Dates are written year first (2024-05-01 12:00:00.5, 2024/05/01 12:00:00, 2018.01.27_13.58.29, with T and a
zone or not), with the month's name (1 May 2024 12:00:00), or day first with dots (01.05.2024 12:00:00). Of
05/01/2024 nobody can say which is the month, unless a row has a 13 to 31 there, or all rows are of one
date, where it makes no difference.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from traces.formats.decimals import is_number, number

FORMS = "2024-05-01 12:00:00, 2024/05/01 12:00:00 or 01.05.2024 12:00:00"
DAY_S = 86_400.0
_SIZES = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""(from which value on a clock counts in …, of which a second has so many)"""
_NO_SECONDS = 1e11
"""No clock is there: it would be the year 5138."""
_TIME = (
    r"(?P<hour>\d{1,2})[:.h](?P<minute>\d{2})(?:[:.](?P<second>\d{2})(?:[.,:](?P<part>\d+))?)?"
    r"\s*(?P<noon>[AaPp][Mm])?"
)
_ZONE = r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
_AFTER = rf"(?:(?:\s+|T|_|,\s*){_TIME}{_ZONE})?"
_MONTHS = {
    name: at
    for at, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}
_MONTH = r"(?P<name>[A-Za-z]{3})[a-z]*\.?"
_WEEKDAY = r"(?:[A-Za-z]{3,9},?\s+)?"
_YEAR_FIRST = re.compile(
    rf"(?P<year>\d{{4}})(?P<mark>[-/.])(?P<month>\d{{1,2}})(?P=mark)(?P<day>\d{{1,2}}){_AFTER}"
)
_YEAR_LAST = re.compile(
    rf"(?P<one>\d{{1,2}})(?P<mark>[-/.])(?P<two>\d{{1,2}})(?P=mark)(?P<year>\d{{4}}|\d{{2}}){_AFTER}"
)
_NAMED = (
    re.compile(rf"{_WEEKDAY}(?P<day>\d{{1,2}})[\s-]+{_MONTH}[\s-]+(?P<year>\d{{4}}){_AFTER}"),
    re.compile(rf"{_WEEKDAY}{_MONTH}\s+(?P<day>\d{{1,2}}),?\s+(?P<year>\d{{4}}){_AFTER}"),
    re.compile(
        rf"[A-Za-z]{{3}}\s+{_MONTH}\s+(?P<day>\d{{1,2}})\s+{_TIME}\s+(?:[A-Z]{{2,5}}\s+)?(?P<year>\d{{4}})"
    ),
)
_RUN_ON = re.compile(
    r"(?P<year>20\d{2})(?P<month>0[1-9]|1[0-2])(?P<day>[0-2]\d|3[01])[T_ -]?"
    r"(?P<hour>[01]\d|2[0-3])(?P<minute>[0-5]\d)(?P<second>[0-5]\d)(?:[.,](?P<part>\d+))?Z?"
)
_OF_DAY = re.compile(
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<part>\d+))?)?\s*(?P<noon>[AaPp][Mm])?"
)


_FROM_TO = re.compile(r"\d+(?:\.\d+)?\s*(?:-|\.\.|to)\s*(\d+(?:\.\d+)?)(?:\s*(?:s|sec))?")
"""An interval as iperf writes it; its end is the time."""


@dataclass(frozen=True)
class Times:
    """A column's times."""

    values: tuple[float, ...]
    """Seconds; NaN where there is a fault."""
    faults: tuple[str, ...]
    """What is wrong with each and the way out, empty if nothing."""
    of_clock: bool
    """They are moments, and the first only marks the start."""
    assumed: str = ""
    """What was taken for granted."""


def times_of(fields: Sequence[str], per_second: float | None, what: str = "time") -> Times:
    """The times of a column.

    Args:
        per_second: how many of the unit a second has; None: told from the first value.
    """
    first = next((field for field in fields if field), "")
    if _FROM_TO.fullmatch(first):  # 0.0-1.0
        fields = [match[1] if (match := _FROM_TO.fullmatch(field)) else field for field in fields]
        first = next(field for field in fields if field)
    if is_number(first) and not _RUN_ON.fullmatch(first):
        return _numbers(fields, per_second, what)
    if _OF_DAY.fullmatch(first):
        return _times_of_day(fields, what)
    return _dates(fields, what)


def _numbers(fields: Sequence[str], per_second: float | None, what: str) -> Times:
    read = [number(field, what, least=-math.inf) for field in fields]
    clock = _counted_in(next((value for value, fault in read if not fault), 0.0), per_second)
    return Times(
        tuple(value / clock.per_second for value, _ in read),
        tuple(fault for _, fault in read),
        clock.of_clock,
        clock.assumed,
    )


@dataclass(frozen=True)
class ClockUnit:
    """What a column of numbers counts."""

    per_second: float
    """How many of the unit a second has."""
    of_clock: bool
    """They are moments since 1970."""
    assumed: str
    """What was taken for granted, empty if nothing."""


def clock_of(first: str, per_second: float | None) -> ClockUnit | None:
    """What a column counts whose first field is a number; None where that is a date without marks."""
    return None if _RUN_ON.fullmatch(first) else _counted_in(float(first), per_second)


def _counted_in(first: float, per_second: float | None) -> ClockUnit:
    sized = next((per for least, per in _SIZES if first >= least), None)
    per, assumed = per_second or sized or 1.0, ""
    if per_second is not None and sized is not None and first / per_second >= _NO_SECONDS:
        per = sized
        assumed = f"times are too large for their unit ({first:.13g}); read as 1/{sized:g} s since 1970"
    return ClockUnit(per, sized is not None and (per_second is None or bool(assumed)), assumed)


def _times_of_day(fields: Sequence[str], what: str) -> Times:
    values, faults = [], []
    days, before_s = 0, -math.inf
    for field in fields:
        match = _OF_DAY.fullmatch(field)
        if match is None or match["second"] is None or int(match["minute"]) > 59 or int(match["second"]) > 60:
            values.append(math.nan)
            faults.append(f"{what} is not a time of the day ({field[:40]!r}); write 12:00:00, or {FORMS}")
            continue
        second = _second_of_day(match)
        if second < before_s - DAY_S / 2:
            days += 1
        before_s = second
        values.append(days * DAY_S + second)
        faults.append("")
    assumed = "times of the day jump back once a day: midnight" if days else ""
    return Times(tuple(values), tuple(faults), True, assumed)


def _second_of_day(match: re.Match[str]) -> float:
    hour = int(match["hour"])
    if (noon := match.groupdict().get("noon")) is not None:
        hour = hour % 12 + (12 if noon.lower() == "pm" else 0)
    part = float(f"0.{match['part']}") if match["part"] else 0.0
    return hour * 3600.0 + int(match["minute"]) * 60.0 + int(match["second"] or 0) + part


def _dates(fields: Sequence[str], what: str) -> Times:
    day_first, unclear = _order(fields)
    values, faults = [], []
    for field in fields:
        value, fault = _moment(field, day_first, what)
        if unclear and not fault and _slashed(field):
            value, fault = math.nan, f"{what} {field[:40]!r}: {unclear}; write dates as {FORMS}"
        values.append(value)
        faults.append(fault)
    return Times(tuple(values), tuple(faults), True)


def _slashed(field: str) -> re.Match[str] | None:
    """A date of two small numbers and a year, not with dots."""
    match = _YEAR_LAST.fullmatch(field)
    return match if match is not None and match["mark"] != "." else None


def _order(fields: Sequence[str]) -> tuple[bool, str]:
    """(whether a slashed date's first number is the day, why that can't be told)."""
    seen = {
        (int(match["one"]), int(match["two"]), match["year"])
        for match in map(_slashed, dict.fromkeys(fields))
        if match
    }
    day_first, month_first = any(one > 12 for one, _, _ in seen), any(two > 12 for _, two, _ in seen)
    if day_first != month_first or len(seen) <= 1:
        return day_first or not month_first, ""
    return True, "day/month or month/day?"


def _moment(field: str, day_first: bool, what: str) -> tuple[float, str]:
    """(seconds since 1970, fault) of a date."""
    try:
        if match := _YEAR_FIRST.fullmatch(field) or _RUN_ON.fullmatch(field):
            return _seconds(match, int(match["year"]), int(match["month"]), int(match["day"])), ""
        if match := _YEAR_LAST.fullmatch(field):
            one, two = int(match["one"]), int(match["two"])
            day, month = (one, two) if day_first or match["mark"] == "." else (two, one)
            year = int(match["year"]) + (2000 if len(match["year"]) == 2 else 0)
            return _seconds(match, year, month, day), ""
        for pattern in _NAMED:
            match = pattern.fullmatch(field)
            if match is not None and match["name"].lower() in _MONTHS:
                month = _MONTHS[match["name"].lower()]
                return _seconds(match, int(match["year"]), month, int(match["day"])), ""
    except (ValueError, OverflowError) as error:
        return math.nan, f"{what} is no date that there is ({field[:40]!r}: {error}); write {FORMS}"
    return math.nan, f"{what} is no number and no known date ({field[:40]!r}); write dates as {FORMS}"


def _seconds(match: re.Match[str], year: int, month: int, day: int) -> float:
    """Seconds since 1970.

    Raises:
        ValueError, OverflowError: there is no such day or time.
    """
    groups = match.groupdict()
    moment = datetime(year, month, day, tzinfo=_zone(groups.get("zone")))
    if groups.get("hour") is None:
        return moment.timestamp()
    hour, minute, second = (int(groups[name] or 0) for name in ("hour", "minute", "second"))
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError(f"no time {hour}:{minute:02}:{second:02}")
    return moment.timestamp() + _second_of_day(match)


def _zone(text: str | None) -> timezone:
    if text is None or text in ("Z", "UTC", "GMT"):
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))
