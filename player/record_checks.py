"""What a record's lines may not hold: values of another kind than their fields, figures that no link has.

A field may be missing, or null: older versions lack some. What has another kind than it must is damage, or
somebody's own work, and whoever computes with it would stumble; so a record is refused as it is read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from player.manifest import Manifest
from player.section import JsonSection
from player.video.video import LONGEST_CHUNK_S
from traces.escaping import visible
from traces.numbers import MOST
from traces.safe_reading import shown
from traces.trace import (
    LARGEST_QUEUE_BYTES,
    LONGEST_GRANT_MS,
    LONGEST_QUEUE_MS,
    MOST_DELAY_MS,
    MOST_MBPS,
    delay_fault,
    loss_fault,
)

LEAST = -1e-6
"""No size, time, count or rate of a session is less; it is rounding."""
MEASURES = ("video", "trace", "link", "shared", "player", "told_qoe", "sweep")
"""Sections without seeds, which may be any whole number."""
LINKS_MOST = {
    **dict.fromkeys(("rtt_ms", "jitter_ms", "media_delay_ms", "media_jitter_ms"), MOST_DELAY_MS),
    "queue_ms": LONGEST_QUEUE_MS,
    "queue_bytes": LARGEST_QUEUE_BYTES,
    "grant_ms": LONGEST_GRANT_MS,
}
"""What no link of a record has more of, by the names of `LinkSection`."""


def fault_of(line: Mapping[str, Any], told: Manifest) -> str:
    """What is wrong with the first line of a video's session, with the field's name and its value; empty if
    nothing.

    Args:
        line: as the file has it.
        told: the same, typed.
    """
    return network_fault(line, told) or _video_fault(told)


def network_fault(line: Mapping[str, Any], told: Manifest) -> str:
    """The same of a first line of whatever task: its kinds, its numbers, its link and its trace."""
    fault = _misfit(line, told, "")
    for section in MEASURES:
        fault = fault or far_number(line.get(section), section)
    return fault or _link_fault(told) or _trace_fault(told)


def _misfit(given: Mapping[str, Any], told: JsonSection, place: str) -> str:
    """The first field that is there and could not be read as what it must be."""
    for field in dataclasses.fields(told):
        raw, typed = given.get(field.name), getattr(told, field.name)
        if field.name == "more" or raw is None or raw == {}:
            continue
        here = f"{place}{field.name}"
        if typed is None:
            return f"{here} is {shown(raw)}; expected {_kind(field.type)}"
        fault = _misfit(raw, typed, f"{here}.") if isinstance(typed, JsonSection) else ""
        if fault:
            return fault
    return ""


def _kind(hint: Any) -> str:
    """A field's type in words."""
    name = str(hint).partition(" |")[0].partition("[")[0]
    words = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false"}
    return words.get(name, "a list" if name == "tuple" else "an object")


def far_number(value: Any, place: str) -> str:
    """The first number, at any depth, that is larger than any measure; empty where there is none."""
    if type(value) in (int, float):
        return "" if -MOST <= value <= MOST else f"{place} is {shown(value)}; numbers reach to {MOST:g}"
    if isinstance(value, Mapping):
        for name, one in value.items():
            fault = far_number(one, f"{place}.{name}")
            if fault:
                return fault
    elif isinstance(value, list) and not _near(value):
        for number, one in enumerate(value):
            fault = far_number(one, f"{place}[{number}]")
            if fault:
                return fault
    return ""


def _near(values: list[Any]) -> bool:
    """Whether a list is one of numbers, and none is far: the usual case, told without a loop."""
    return {int, float}.issuperset(map(type, values)) and (
        not values or -MOST <= min(values) <= max(values) <= MOST
    )


def _link_fault(told: Manifest) -> str:
    """What no link is: seconds to wait for a packet, queues that no kernel has."""
    if told.link is None:
        return ""
    for name, most in LINKS_MOST.items():
        value = getattr(told.link, name)
        if value is not None and not 0 <= value <= most:
            return f"link.{name} is {shown(value)}; no link has that: expected 0 to {most:.10g}"
    loss = told.link.loss or {}
    kind, share = loss.get("kind", ""), loss.get("p", 0.0)
    if not isinstance(kind, str):
        return f"link.loss.kind is {shown(kind)}; expected a text"
    if type(share) not in (int, float):
        return f"link.loss.p is {shown(share)}; expected a number"
    if not 0 <= share <= 100:
        return f"link.loss.p is {shown(share)}; expected 0 to 100"
    return ""


def _trace_fault(told: Manifest) -> str:
    """A rate, a delay or a loss that no link has."""
    if (trace := told.trace) is None:
        return ""
    for value in (trace.mean_mbps, trace.cap_mbps, *_ends(trace.rate_mbps)):
        if value is not None and not 0 <= value <= MOST_MBPS:
            return f"trace has {shown(value)} Mbit/s; no link has that: expected 0 to {MOST_MBPS:g}"
    for name, values, told_of in (
        ("delay_ms", trace.delay_ms, delay_fault),
        ("loss_pct", trace.loss_pct, loss_fault),
    ):
        for value in _ends(values):
            if fault := told_of(value):
                return f"trace.{name}: {fault}"
    return ""


def _ends(values: tuple[float, ...] | None) -> tuple[float, ...]:
    """The least and the most."""
    return (min(values), max(values)) if values else ()


def _video_fault(told: Manifest) -> str:
    video = told.video
    if video is None or video.ladder_kbps is None or not video.ladder_kbps:
        return "the manifest has no video.ladder_kbps; this is no session record"
    if min(video.ladder_kbps) <= 0:
        return f"video.ladder_kbps has {min(video.ladder_kbps)}; a bitrate is above 0"
    if video.chunk_s is not None and video.chunk_s <= 0:
        return f"video.chunk_s is {shown(video.chunk_s)}; a chunk has a length"
    if video.chunk_s is not None and video.chunk_s > LONGEST_CHUNK_S:
        return f"video.chunk_s is {shown(video.chunk_s)}; a chunk has at most {LONGEST_CHUNK_S:.0f} s"
    return ""


class RowFault(ValueError):
    """A line that is no such row; the message names the field, the value and what is expected."""


_Row = TypeVar("_Row")


def typed_row(kind: type[_Row], expected: str, line: Mapping[str, Any]) -> _Row:
    """A line after the first, as a dataclass.

    Args:
        expected: what its `line` says.

    Raises:
        RowFault: another kind of line, or a field that is missing, unknown or of the wrong type.
    """
    if line.get("line") != expected:
        raise RowFault(f"{shown(line.get('line'))} line where {expected!r} is due")
    values = {key: value for key, value in line.items() if key != "line"}
    hints: dict[str, Any] = _hints(kind)  # type: ignore[arg-type]
    for key, value in values.items():
        if key in hints and not _fits(value, hints[key]):
            what = f"{_name(hints[key])}, numbers from 0 to {MOST:g}"
            raise RowFault(f"{key} is {shown(value)}; expected {what}")
    try:
        return kind(**values)
    except TypeError as error:
        raise RowFault(_said(error)) from None


def _said(error: TypeError) -> str:
    """`…__init__() got an unexpected keyword argument 'colour'`, without Python's own name for it."""
    return visible(str(error).partition("() ")[2] or str(error))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value can stand in a field of this type (a whole number may be a float)."""
    kinds, kind = _kinds(hint), type(value)
    if kind is float or kind is int:
        return LEAST <= value <= MOST and (float in kinds or kind in kinds)
    return kind in kinds and (kind is not list or _near(value))


@cache
def _kinds(hint: Any) -> tuple[type, ...]:
    """The types that a field's values may have: looked up for each of a million fields."""
    if get_origin(hint) is not None and get_args(hint) and get_origin(hint) in (dict, list):
        return (get_origin(hint),)
    return get_args(hint) or (hint,)
