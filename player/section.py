"""Frozen dataclasses from and to JSON by the types of their fields."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class JsonSection:
    """Fields from and to JSON by their types."""

    NULLS: ClassVar[bool] = False
    """Whether what is not known stands in the JSON, as null."""

    @classmethod
    def from_json(cls, given: object) -> Self | None:
        """A section; None where there is none."""
        if not isinstance(given, Mapping) or not given:
            return None
        kinds = _kinds(cls)  # type: ignore[arg-type]
        values = {name: _read(kind, given.get(name)) for name, kind in kinds.items() if name != "more"}
        more = {name: value for name, value in given.items() if name not in kinds}
        return cls(**values, **({"more": more} if "more" in kinds else {}))

    def to_json(self) -> dict[str, Any]:
        """What is known, as the record holds it."""
        held: dict[str, Any] = {}
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if each.name == "more":
                held = {**value, **held}
            elif value is not None or self.NULLS:
                held[each.name] = _plain(value)
        return held


@cache
def _kinds(section: type) -> dict[str, Any]:
    return {each.name: get_type_hints(section)[each.name] for each in dataclasses.fields(section)}


def _read(hint: Any, given: object) -> Any:
    """A value of a field's type; None for any other."""
    for kind in get_args(hint) if isinstance(hint, types.UnionType) else (hint,):
        value = _as(kind, given)
        if value is not None:
            return value
    return None


def _as(kind: Any, given: object) -> Any:
    if kind is type(None) or given is None:
        return None
    if isinstance(kind, type) and issubclass(kind, JsonSection):
        return kind.from_json(given)
    origin = get_origin(kind)
    if origin is tuple:
        (item, _) = get_args(kind)
        values = tuple(_as(item, each) for each in given) if isinstance(given, list | tuple) else (None,)
        return None if any(value is None for value in values) else values
    if origin is not None:  # a mapping
        return dict(given) if isinstance(given, Mapping) else None
    if kind is float:
        return given if isinstance(given, int | float) and not isinstance(given, bool) else None
    if kind is int:
        return given if isinstance(given, int) and not isinstance(given, bool) else None
    return given if isinstance(given, kind) else None


def _plain(value: Any) -> Any:
    """As JSON holds it."""
    if isinstance(value, JsonSection):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return dict(value) if isinstance(value, Mapping) else value
