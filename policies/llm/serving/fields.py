"""Reads what others sent, field by field: each taken once, checked, and named where it is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from traces.safe_reading import BadFileError, decoded, json_value

MOST = 1e15
"""No size, time or rate of a client is larger; beyond it arithmetic in single precision breaks."""


class FieldError(ValueError):
    """A message that is not as it must be; `field` says where, as `steps[2].past.rtt_ms`."""

    def __init__(self, field: str, fault: str) -> None:
        super().__init__(f"{field}: {fault}")
        self.field = field


def load_json(body: bytes) -> Any:
    """A body as JSON, without the numbers that JSON has not.

    Raises:
        FieldError: it is none.
    """
    try:
        return json_value(decoded(body, "body"), "body")
    except BadFileError as error:
        raise FieldError("body", error.fault) from None


_NEEDED = object()


class Fields:
    """The fields of one JSON object, each taken once."""

    def __init__(self, given: Mapping[str, Any], where: str) -> None:
        self._left = dict(given)
        self._prefix = f"{where}." if where else ""

    @classmethod
    def of(cls, given: object, where: str) -> Fields:
        if not isinstance(given, dict):
            raise FieldError(where or "body", f"{shown(given)}; expected an object")
        return cls(given, where)

    def take(self, name: str, default: object = _NEEDED) -> Any:
        if name not in self._left and default is _NEEDED:
            raise FieldError(f"{self._prefix}{name}", "missing")
        return self._left.pop(name, default)

    def number(self, name: str, low: float, high: float = MOST) -> float:
        return number(self.take(name), f"{self._prefix}{name}", low, high)

    def whole(self, name: str, low: int, high: int = int(MOST)) -> int:
        value = self.take(name)
        if not is_whole(value) or not low <= value <= high:
            expected = f"a whole number from {low} to {high}"
            raise FieldError(f"{self._prefix}{name}", f"{shown(value)}; expected {expected}")
        return int(value)

    def nothing_else(self) -> None:
        if self._left:
            name = next(iter(self._left))
            raise FieldError(f"{self._prefix}{name[:64]}", "no such field")


def number(value: object, where: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise FieldError(where, f"{shown(value)}; expected a number from {low:g} to {high:g}")
    return float(value)


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def wholes(given: object, where: str, most: int) -> tuple[int, ...]:
    """A list of 1 to `most` positive whole numbers."""
    if not (isinstance(given, list) and 1 <= len(given) <= most):
        raise FieldError(where, f"{length(given)}; expected a list of 1 to {most}")
    if set(map(type, given)) == {int} and min(given) >= 1 and max(given) <= MOST:
        return tuple(given)
    for place, value in enumerate(given):
        if not is_whole(value) or not 1 <= value <= MOST:
            expected = f"a whole number from 1 to {MOST:g}"
            raise FieldError(f"{where}[{place}]", f"{shown(value)}; expected {expected}")
    return tuple(given)


def length(given: object) -> str:
    return f"a list of {len(given)}" if isinstance(given, list) else shown(given)


def shown(value: object) -> str:
    """A value on one line of bounded length."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    text = json.dumps(value, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."
