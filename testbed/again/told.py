"""What a record's first line says, asked for field by field: whoever wrote the record may be anybody.

A field that is missing, or holds something else than its kind, is one line: the record, the field, the value.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_type_hints

from analysis.sessions import FirstLine
from player.record import RecordError
from player.section import JsonSection
from testbed.process.errors import TestbedError
from traces.safe_reading import shown

LONGEST_VALUE = 60
"""Characters of a value that a message shows."""

WORDS = {
    float: "a number",
    int: "a whole number",
    str: "text",
    bool: "true or false",
    tuple: "a list of numbers",
    dict: "an object",
}
Made = TypeVar("Made")


class Told:
    """A record's manifest, by the names of its fields (`trace.start_s`).

    Args:
        record: as `read_record` or `read_call` read it.

    Raises:
        TestbedError: it is no manifest that this version reads.
    """

    def __init__(self, record: FirstLine) -> None:
        self.path = record.path
        self._line = record.manifest
        try:
            self._manifest = record.told
        except RecordError as error:
            raise TestbedError(str(error)) from None

    def has(self, place: str) -> bool:
        """Whether anything but null stands there."""
        return self._written(place) is not None

    def needed(self, place: str) -> Any:
        """The value of a field, of the kind that the manifest gives it; numbers are finite.

        Raises:
            TestbedError: it is missing, or something else.
        """
        value: Any = self._manifest
        for name in place.split("."):
            value = getattr(value, name, None)
        written = self._written(place)
        if written is None:
            raise self.fault(f"{place} is missing")
        if value is None or not _finite(value):
            raise self.fault(f"{place} is {shown(written)}; expected {self._kind(place)}")
        return value

    def optional(self, place: str) -> Any:
        """The same; None where the record does not say.

        Raises:
            TestbedError: it is something else than its kind.
        """
        return self.needed(place) if self.has(place) else None

    def object(self, place: str) -> dict[str, Any]:
        """An object as the line has it, fields that this version does not know among them.

        Raises:
            TestbedError: it is missing, or no object.
        """
        written = self._written(place)
        if written is None:
            raise self.fault(f"{place} is missing")
        if not isinstance(written, dict):
            raise self.fault(f"{place} is {shown(written)}; expected an object")
        return dict(written)

    def at_least(self, place: str, least: float, most: float = math.inf) -> Any:
        """A number, needed, within bounds.

        Raises:
            TestbedError: it is missing, no number, or out of them.
        """
        value = self.needed(place)
        if not least <= value <= most:
            upper = "or more" if most == math.inf else f"to {most:g}"
            raise self.fault(f"{place} is {shown(value)}; expected {least:g} {upper}")
        return value

    def positive(self, place: str) -> float:
        """A number above 0, needed.

        Raises:
            TestbedError: it is missing, or none.
        """
        value = float(self.needed(place))
        if value <= 0:
            raise self.fault(f"{place} is {shown(value)}; expected a number above 0")
        return value

    def built(self, kind: Callable[..., Made], place: str, values: Mapping[str, Any]) -> Made:
        """A frozen dataclass from an object of the manifest, every value of its field's kind.

        Args:
            place: the object's name, for messages.

        Raises:
            TestbedError: a field too many, one missing that has no default, a value that makes none.
        """
        hints = get_type_hints(kind)
        fields = {each.name: each for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
        for name, value in values.items():
            if name not in fields:
                raise self.fault(f"{place}.{name} is {shown(value)}; this version knows no such setting")
            if not _fits(value, hints[name]):
                raise self.fault(f"{place}.{name} is {shown(value)}; expected {_words(hints[name])}")
        try:
            return kind(**values)
        except (ValueError, TestbedError) as error:
            raise self.fault(f"{place}: {error}") from None

    def fault(self, what: str) -> TestbedError:
        """What is wrong with the record, in its file's and line's name."""
        return TestbedError(f"{self.path}:1: {what}; the session can't be run again from this record")

    def _written(self, place: str) -> Any:
        """What the line itself holds there."""
        value: Any = self._line
        for name in place.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def _kind(self, place: str) -> str:
        """A field's kind in words."""
        section: Any = type(self._manifest)
        for name in place.split("."):
            section = get_type_hints(section)[name]
            parts = [part for part in get_args(section) if isinstance(part, type) and _is_section(part)]
            section = parts[0] if parts else section
        return _words(section)


def plain(text: str) -> str:
    """A text from a record as a terminal may have it."""
    return text if text.isprintable() else ascii(text)


def _is_section(kind: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, JsonSection)


def _plain_kind(hint: Any) -> type:
    """The type that a field's values have, None apart."""
    for kind in get_args(hint) if isinstance(hint, types.UnionType) else (hint,):
        if kind is not type(None):
            origin = getattr(kind, "__origin__", kind)
            return tuple if origin is tuple else origin if origin in WORDS else dict
    return dict


def _words(hint: Any) -> str:
    return WORDS[_plain_kind(hint)]


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value can stand in a field of this type (a whole number may be a float)."""
    if value is None:
        return type(None) in get_args(hint)
    kind = _plain_kind(hint)
    if kind in (int, float):
        return type(value) in (int, kind) and _finite(value)
    return type(value) is kind or dataclasses.is_dataclass(value)


def _finite(value: Any) -> bool:
    """Whether every number in a value can be counted with: finite, and not beyond a float."""
    if isinstance(value, tuple):
        return all(map(_finite, value))
    if isinstance(value, int | float):
        try:
            return math.isfinite(value)
        except OverflowError:
            return False
    return True
