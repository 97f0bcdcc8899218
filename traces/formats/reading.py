"""How a file is to be read, where it does not say so itself: a format's name, and options.

As a word: `csv`, `csv:column=DL_bitrate,idle=hold`, `:idle=drop` (the format is detected),
`mahimahi:bin_ms=20`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from traces.commands import option
from traces.formats.units import EXAMPLES, RateUnit, unit_named
from traces.trace import TraceError
from traces.words import nearest

IDLE = ("hold", "zero", "drop")
"""What an interval without a measurement carries: what the one before it did, nothing, or what the next one
does (the row is dropped)."""
TIME_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
"""How many of the unit a second has."""
_MOST_ROW_S = 3600.0


def _idle(text: str) -> str:
    if text not in IDLE:
        raise ValueError(f"{text!r}; write {', '.join(IDLE[:-1])} or {IDLE[-1]}")
    return text


def _unit(text: str) -> str:
    unit = unit_named(text)
    if unit is None:
        raise ValueError(f"{text!r} is no unit of a rate; write one of {EXAMPLES}")
    if unit.unclear:
        raise ValueError(f"{text!r} is {unit.unclear}; write mbps or MBps, kbps or kBps")
    return text


def _time_unit(text: str) -> str:
    if text not in TIME_UNITS:
        raise ValueError(f"{text!r}; write one of {', '.join(TIME_UNITS)}")
    return text


def _row_s(text: str) -> float:
    value = float(text) if re.fullmatch(r"\d{1,6}(\.\d{1,9})?", text) else 0.0
    if not 0.001 <= value <= _MOST_ROW_S:
        raise ValueError(f"{text!r}; write seconds from 0.001 to {_MOST_ROW_S:g}")
    return value


def _bin_ms(text: str) -> int:
    value = int(text) if re.fullmatch(r"\d{1,5}", text) else 0
    if value < 1:
        raise ValueError(f"{text!r}; a bin is 1 ms or longer")
    return value


@dataclass(frozen=True)
class ReadOptions:
    """What a person says about a file; None: what the file says, or the usual."""

    format: str | None = None
    """A format's name; None: detected."""
    column: str | None = option(None, str, "the column of the rate: its name, or its number from 1 on")
    unit: str | None = option(None, _unit, "the unit of the rates, such as kbps or MBps")
    time_unit: str | None = option(None, _time_unit, f"the unit of the times: {', '.join(TIME_UNITS)}")
    idle: str | None = option(
        None,
        _idle,
        "what rows without a measurement (-, NaN, blank) carry: hold (the rate before), zero, or drop",
    )
    part: str | None = option(None, str, "which of several runs, sessions or lines that one file holds")
    row_s: float | None = option(None, _row_s, "how long a row lasts, where the file has no times")
    bin_ms: int | None = option(None, _bin_ms, "how long a step of a Mahimahi file is (default: 500)")

    @property
    def rate_unit(self) -> RateUnit | None:
        """The unit asked for."""
        return None if self.unit is None else unit_named(self.unit)

    def given(self) -> list[str]:
        """The names of the options that a person gave."""
        return [name for name in OPTIONS if getattr(self, name) is not None]


OPTIONS: dict[str, Callable[[str], Any]] = {
    each.name: each.metadata["kind"] for each in fields(ReadOptions) if each.metadata
}
"""Each option's name, and what makes its value of a word (ValueError: what is wrong, the way out)."""

AS_FOUND = ReadOptions()
AS_A_WORD = "--format :"
"""How commands take an option that have none of that name: as part of a format's word."""
_NAMED_OPTION = re.compile(rf"--({'|'.join(name.replace('_', '-') for name in OPTIONS)}) (?=\w)")


def as_words(message: str) -> str:
    """A message that names options, for commands that take them as part of a format's word."""
    return _NAMED_OPTION.sub(lambda found: f"{AS_A_WORD}{found[1].replace('-', '_')}=", message)


def reading_of(how: str | ReadOptions | None) -> ReadOptions:
    """The options that a word says; those that are options already are left as they are.

    Raises:
        TraceError: an option that there is not, or a value that it does not take.
    """
    if how is None:
        return AS_FOUND
    if isinstance(how, ReadOptions):
        return how
    name, _, rest = how.partition(":")
    found = ReadOptions(name or None)
    for pair in filter(None, rest.split(",")):
        key, equals, value = pair.partition("=")
        if key not in OPTIONS or not equals:
            near = nearest(key, OPTIONS)
            hint = f"; did you mean {near!r}?" if near else "."
            raise TraceError(
                f"unknown option {pair!r} of format {how!r}{hint} Options: {'=, '.join(OPTIONS)}="
            )
        try:
            found = replace(found, **{key: OPTIONS[key](value)})
        except ValueError as error:
            raise TraceError(f"{how}: {key}: {error}") from None
    return found


def add_reading(group: Any, formats: Sequence[str]) -> None:
    """`--format` and the options, for commands that read files.

    Args:
        formats: their names.
    """
    group.add_argument(
        "--format",
        type=_format_of(formats),
        metavar="NAME",
        help=f"format of the files read (default: detected): {', '.join(formats)}",
    )
    for each in fields(ReadOptions):
        if each.metadata:
            group.add_argument(
                f"--{each.name.replace('_', '-')}",
                type=_refusing(each.metadata["kind"]),
                metavar=each.name.rpartition("_")[2].upper(),
                help=each.metadata["help"],
            )


def reading_in(arguments: argparse.Namespace) -> ReadOptions:
    """What the options of a command say."""
    asked = {name: value for name in OPTIONS if (value := getattr(arguments, name)) is not None}
    return replace(reading_of(arguments.format), **asked)


def _format_of(formats: Sequence[str]) -> Callable[[str], ReadOptions]:
    def read(text: str) -> ReadOptions:
        try:
            found = reading_of(text)
        except TraceError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        if found.format is not None and found.format not in formats:
            near = nearest(found.format, formats)
            hint = f"; did you mean {near}?" if near else ""
            raise argparse.ArgumentTypeError(f"{found.format!r} is none of {', '.join(formats)}{hint}")
        return found

    return read


def _refusing(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read
