"""Numbers as files have them: plain ones, and those with a decimal comma or marks between thousands."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_MISSING = frozenset(
    (
        "",
        "-",
        "--",
        "---",
        "n/a",
        "#n/a",
        "na",
        "nan",
        "-nan",
        "null",
        "none",
        "nil",
        "?",
        "*",
        "missing",
        "<na>",
    )
)
"""How logs write that nothing was measured."""
_LONGEST_MISSING = max(map(len, _MISSING))
MAX_VALUE = 1e19
"""Nanoseconds since 1970 are 2e18."""
_GROUP_MARKS = re.compile("(?<=\\d)[ '\u00a0\u2009\u202f\u2019](?=\\d{3}(?:\\D|$))")
"""A space or an apostrophe before three digits."""
_MARKS = frozenset(", '\u00a0\u2009\u202f\u2019")


def is_number(field: str) -> bool:
    """Whether a field is a plain decimal number."""
    return _NUMBER.fullmatch(field) is not None


def is_missing(field: str) -> bool:
    """Whether a field says that nothing was measured."""
    return len(field) <= _LONGEST_MISSING and field.lower() in _MISSING


def number(field: str, what: str, least: float = 0.0) -> tuple[float, str]:
    """(value, fault) of a field; the fault is empty when the value is finite and not under `least`."""
    if not is_number(field):
        if _NOT_FINITE.fullmatch(field):
            return math.nan, f"{what} is not finite ({field}); drop the line or write the value measured"
        return math.nan, f"{what} is not a number ({field[:40]!r}); write a plain decimal number"
    value = float(field)
    if abs(value) > MAX_VALUE:
        return (
            math.nan,
            f"{what} is beyond all sense ({field[:40]}); drop the line or write the value measured",
        )
    if value < least:
        return value, f"{what} is negative ({field[:40]}); times and rates are 0 or more"
    return value, ""


@dataclass(frozen=True)
class NumberStyle:
    """How a column writes its numbers."""

    decimal: str = "."
    is_usual: bool = False
    """No field has any marks: all are as they are."""
    assumed: str = ""
    """What was taken for granted to tell it."""
    unclear: bool = False
    """A comma before three digits may be either."""

    def plain(self, field: str) -> str:
        """The field as a plain decimal number, where it is one of this style."""
        if self.is_usual or (self.decimal == "." and is_number(field)):
            return field
        bare = _GROUP_MARKS.sub("", field)
        other = "." if self.decimal == "," else ","
        if other in bare and _grouped(bare.partition(self.decimal)[0], other):
            bare = bare.replace(other, "")
        return bare.replace(",", ".") if self.decimal == "," else bare


def _grouped(whole: str, mark: str) -> bool:
    """Whether marks stand between threes of digits, as between thousands."""
    first, *others = whole.lstrip("+-").split(mark)
    return 1 <= len(first) <= 3 and first.isdigit() and all(len(o) == 3 and o.isdigit() for o in others)


def style_of(fields: Sequence[str], comma_separates: bool) -> NumberStyle:
    """The style of a column's numbers.

    Args:
        comma_separates: commas stand between columns, so that one within a field was quoted.
    """
    if not _MARKS.intersection("".join(fields)) and not any(field.count(".") > 1 for field in fields):
        return NumberStyle(is_usual=True)
    threes = False
    for field in fields:
        comma, dot = field.rfind(","), field.rfind(".")
        if comma < 0:
            if field.count(".") > 1 and _grouped(field, "."):
                return NumberStyle(",")
            continue
        if dot >= 0:
            return NumberStyle("," if comma > dot else ".")
        if field.count(",") > 1:
            return NumberStyle(".")
        if len(field) - comma - 1 != 3 or field.startswith(("0,", "-0,", ",")):
            return NumberStyle(",")
        threes = True
    if not threes:
        return NumberStyle()
    if comma_separates:
        return NumberStyle(".", unclear=True)
    return NumberStyle(
        ",", assumed="commas before three digits are taken for decimal commas, not for thousands"
    )
