"""Live MPDs: when their segments are made (ISO/IEC 23009-1 annex A.3), by which clock, and which are played.

A person joins at the live edge: the segments that are played begin so far behind it as the latency says. What
the MPD does not list yet is taken to go on as the last that it lists, until it is read again
(`player/real/renewal.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from urllib.parse import urljoin
from xml.etree import ElementTree

from player.video.mpd_xml import MpdError, children, duration_s, integer, where

SEGMENTS_BEHIND = 3
"""Where nobody says how far."""
_MOST_RUNS = 100_000

MOVING = "urn:x-streambed:live-begins-ms:1"
"""SupplementalProperty of an MPD: `@value`, which is the stream's beginning in Unix ms, is also a part of its
segments' URLs, and may be another time there."""
ISO_CLOCKS = ("urn:mpeg:dash:utc:http-iso:2014", "urn:mpeg:dash:utc:http-xsdate:2014")


@dataclass(frozen=True)
class LiveRead:
    """What a live MPD is read with."""

    now_s: float
    """Unix time, by our own clock."""
    chunks: int
    """To be played."""
    latency_s: float | None = None
    """Behind the live edge; None: what the MPD suggests, else three segments."""
    clock: Callable[[str], float] | None = None
    """Asks a URL for the time there; how far that is ahead of ours, s."""
    within_s: float | None = None
    """Of an MPD that is read again: Unix time, by the origin's clock, within the first segment wanted."""


@dataclass(frozen=True)
class Timing:
    """When a stream is made, by its MPD."""

    begins_s: float
    """Unix time, by the origin's clock, at which the presentation begins."""
    clock_ahead_s: float
    suggested_s: Fraction | None
    moves_to: str | None
    edge_s: Fraction
    """What of it has been made, since it began."""


def timing(mpd: ElementTree.Element, url: str, live: LiveRead) -> Timing:
    """What an MPD says of when it is made.

    Raises:
        MpdError: it doesn't.
    """
    ahead_s = _clock_ahead_s(mpd, url, live)
    moves_to = next(
        (
            one.get("value")
            for one in children(mpd, "SupplementalProperty")
            if one.get("schemeIdUri") == MOVING
        ),
        None,
    )
    begins_s = _time_s(mpd, "availabilityStartTime")
    edge_s = Fraction(live.now_s + ahead_s - begins_s).limit_denominator(1_000_000)
    return Timing(begins_s, ahead_s, duration_s(mpd, "suggestedPresentationDelay"), moves_to, edge_s)


def _clock_ahead_s(mpd: ElementTree.Element, url: str, live: LiveRead) -> float:
    for element in children(mpd, "UTCTiming"):
        if live.clock is not None and element.get("schemeIdUri") in ISO_CLOCKS and element.get("value"):
            return live.clock(urljoin(url, (element.get("value") or "").split()[0]))
    return 0.0


def _time_s(element: ElementTree.Element, name: str) -> float:
    text = element.get(name)
    if text is None:
        raise MpdError(f"{where(element)} has no @{name}, which says when a live stream begins")
    return time_s(text)


def time_s(text: str) -> float:
    """Unix time of an xs:dateTime; without a zone it is UTC.

    Raises:
        MpdError: it is none.
    """
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise MpdError(f"{text[:40]!r} is no time; expected one such as 2026-11-27T12:00:00Z") from None


def offset_s(element: ElementTree.Element) -> float:
    """`@availabilityTimeOffset`, seconds; 0 where there is none, or all is there at once.

    Raises:
        MpdError: it is no number.
    """
    text = element.get("availabilityTimeOffset")
    try:
        found = float(text or 0)
    except ValueError:
        found = math.nan
    if math.isnan(found) or found < 0:
        raise MpdError(
            f"{where(element)}: @availabilityTimeOffset is {(text or '')[:40]!r}; expected seconds"
        )
    return 0.0 if math.isinf(found) else found


@dataclass(frozen=True)
class Window:
    """The part of a Period that is played. Times are seconds since the Period began."""

    edge_s: Fraction
    """What has been made."""
    behind_s: Fraction | None
    chunks: int
    within_s: Fraction | None = None
    """A time within the first segment that is wanted, wherever the edge is."""


@dataclass(frozen=True)
class Run:
    """Segments of one length."""

    number: int
    time: int
    """Of the first, in units of the timescale, `@presentationTimeOffset` included."""
    start: int
    """Without it."""
    duration: int
    count: int | None
    """None: on and on."""


def runs_of(
    timeline: ElementTree.Element, number: int, offset: int, timescale: int, edge_s: Fraction
) -> list[Run]:
    """Those of a SegmentTimeline; one that is repeated without an end (`@r` -1) ends with the next, or at the
    edge.

    Raises:
        MpdError: there is none, or nonsense.
    """
    elements = children(timeline, "S")
    if not elements:
        raise MpdError("SegmentTimeline has no S")
    if len(elements) > _MOST_RUNS:
        raise MpdError(f"SegmentTimeline has {len(elements)} S; {_MOST_RUNS} are the limit")
    found: list[Run] = []
    time = 0
    for index, element in enumerate(elements):
        time = integer(element, "t", time)
        duration = integer(element, "d")
        if duration == 0:
            raise MpdError(f"SegmentTimeline: S {index} has @d 0")
        if (element.get("r") or "0").strip() == "-1":
            after = elements[index + 1 : index + 2]
            end = integer(after[0], "t") if after else int(edge_s * timescale) + offset
            count = max((end - time) // duration, 0)
        else:
            count = integer(element, "r", 0) + 1
        found.append(Run(number, time, time - offset, duration, count))
        number += count
        time += count * duration
    return found


def in_window(
    runs: Sequence[Run], window: Window, timescale: int
) -> Iterator[tuple[int, int, Fraction, Fraction]]:
    """(number, time, start, length) of the window's segments; after the last run it goes on as that."""
    last = runs[-1]
    made_s = window.edge_s
    if last.count is not None:  # a list holds what can be had
        made_s = Fraction(last.start + last.count * last.duration, timescale)
    behind_s = window.behind_s
    if behind_s is None:
        behind_s = SEGMENTS_BEHIND * Fraction(last.duration, timescale)
    from_s = made_s - behind_s if window.within_s is None else window.within_s
    left = window.chunks
    for index, run in enumerate(runs):
        length_s = Fraction(run.duration, timescale)
        skipped = max(int((from_s - Fraction(run.start, timescale)) / length_s), 0)
        endless = index == len(runs) - 1 or run.count is None
        first = skipped if endless else min(skipped, run.count or 0)
        count = left if endless else min((run.count or 0) - first, left)
        for number in range(first, first + count):
            start = run.start + number * run.duration
            yield run.number + number, run.time + number * run.duration, Fraction(start, timescale), length_s
        left -= count
        if not left:
            return
