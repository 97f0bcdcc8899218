"""The Periods of a presentation: when each begins and ends (5.3.2.1), and one ladder for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from xml.etree import ElementTree

from player.video.mpd_ladder import Level
from player.video.mpd_segments import MAX_CHUNKS
from player.video.mpd_xml import MpdError, children, duration_s, refuse_elsewhere
from traces.words import counted


@dataclass(frozen=True)
class Period:
    """One of them."""

    element: ElementTree.Element
    number: int
    """From 1."""
    length_s: Fraction | None
    """None where the MPD doesn't say."""

    @property
    def name(self) -> str:
        """For messages."""
        return f"Period {self.element.get('id') or self.number}"


def periods(mpd: ElementTree.Element, notes: list[str]) -> list[Period]:
    """Those that have something to play, in their order.

    Raises:
        MpdError: there is none, one that lies elsewhere, or one that ends before it begins.
    """
    elements = children(mpd, "Period")
    if not elements:
        raise MpdError("the MPD has 0 Periods; there is nothing to stream")
    for element in elements:
        refuse_elsewhere(element, notes)
    if len(elements) == 1:
        return [Period(elements[0], 1, _only_s(mpd, elements[0]))]
    found = []
    for number, (element, length_s) in enumerate(zip(elements, _lengths_s(mpd, elements), strict=True), 1):
        one = Period(element, number, length_s)
        if length_s is not None and length_s < 0:
            raise MpdError(f"{one.name} of {len(elements)} ends {float(-length_s):g} s before it begins")
        if length_s == 0:
            notes.append(f"{one.name} lasts 0 s and is left out")
        else:
            found.append(one)
    if not found:
        raise MpdError(f"all {len(elements)} Periods last 0 s; there is nothing to stream")
    return found


def period_now(mpd: ElementTree.Element, edge_s: Fraction, notes: list[str]) -> tuple[Period, Fraction]:
    """The Period of a live presentation in which its edge is, and when it began.

    Args:
        edge_s: since the presentation began.

    Raises:
        MpdError: there is none, or it lies elsewhere.
    """
    elements = children(mpd, "Period")
    if not elements:
        raise MpdError("the MPD has 0 Periods; there is nothing to stream")
    starts, lengths = _starts_s(elements), _lengths_s(mpd, elements)
    begun = [index for index, start_s in enumerate(starts) if start_s is not None and start_s <= edge_s]
    index = begun[-1] if begun else 0
    refuse_elsewhere(elements[index], notes)
    if len(elements) > 1:
        notes.append(f"of {len(elements)} Periods the one is played in which the live edge is")
    return Period(elements[index], index + 1, lengths[index]), starts[index] or Fraction(0)


def _only_s(mpd: ElementTree.Element, period: ElementTree.Element) -> Fraction | None:
    length_s = duration_s(period, "duration")
    if length_s is not None:
        return length_s
    whole_s = duration_s(mpd, "mediaPresentationDuration")
    return None if whole_s is None else whole_s - (duration_s(period, "start") or 0)


def _lengths_s(mpd: ElementTree.Element, elements: Sequence[ElementTree.Element]) -> list[Fraction | None]:
    """[period] how long: until the next one begins, else as it says; the last until all is over."""
    starts = _starts_s(elements)
    whole_s = duration_s(mpd, "mediaPresentationDuration")
    found: list[Fraction | None] = []
    for element, start_s, next_s in zip(elements, starts, [*starts[1:], whole_s], strict=True):
        said_s = duration_s(element, "duration")
        last = element is elements[-1]
        if last and said_s is not None:
            found.append(said_s)
        elif start_s is not None and next_s is not None:
            found.append(next_s - start_s)
        else:
            found.append(said_s)
    return found


def _starts_s(elements: Sequence[ElementTree.Element]) -> list[Fraction | None]:
    """[period] when it begins, where that can be told."""
    starts: list[Fraction | None] = []
    after_s: Fraction | None = Fraction(0)
    for element in elements:
        said_s = duration_s(element, "start")
        start_s = after_s if said_s is None else said_s
        length_s = duration_s(element, "duration")
        after_s = None if start_s is None or length_s is None else start_s + length_s
        starts.append(start_s)
    return starts


def in_sequence(ladders: Sequence[tuple[Period, list[Level]]], notes: list[str]) -> list[Level]:
    """One ladder for Periods that are played one after the other: that of the longest one. In another one a
    level is the highest bitrate not above it, or the lowest.

    Raises:
        MpdError: too many segments in all.
    """
    if len(ladders) == 1:
        return ladders[0][1]
    total = sum(len(levels[0].segments) for _, levels in ladders)
    if total > MAX_CHUNKS:
        raise MpdError(f"the Periods have {total} segments in all; {MAX_CHUNKS} are the limit")
    longest, common = max(ladders, key=lambda one: sum(s.duration_s for s in one[1][0].segments))
    notes.append(f"{len(ladders)} Periods are played one after the other")
    kbps = [level.kbps for level in common]
    others = [period.name for period, levels in ladders if [one.kbps for one in levels] != kbps]
    if others:
        also = f" and {counted(len(others) - 1, 'other')}" if len(others) > 1 else ""
        notes.append(
            f"the ladder is that of {longest.name}; in {others[0]}{also} a level is the highest bitrate not"
            " above it, or the lowest"
        )
    return [_joined(level, [_nearest(levels, level.kbps) for _, levels in ladders]) for level in common]


def _nearest(levels: Sequence[Level], kbps: int) -> Level:
    return next((level for level in reversed(levels) if level.kbps <= kbps), levels[0])


def _joined(level: Level, pieces: Sequence[Level]) -> Level:
    """A level whose segments are those of one level in each Period."""
    sizes = [piece.sizes_bytes for piece in pieces]
    known = [size for size in sizes if size is not None]
    return replace(
        level,
        segments=tuple(chain.from_iterable(piece.segments for piece in pieces)),
        urls=tuple(chain.from_iterable(piece.urls for piece in pieces)),
        parts=tuple(chain.from_iterable(piece.parts for piece in pieces)),
        init_url=pieces[0].init_url,
        sizes_bytes=tuple(chain.from_iterable(known)) if len(known) == len(sizes) else None,
        estimated_bytes=tuple(chain.from_iterable(piece.estimated_bytes for piece in pieces)),
    )


def named(period: Period, of: int) -> str:
    """How an error's message begins; empty where there is one Period."""
    return f"{period.name} of {of}: " if of > 1 else ""
