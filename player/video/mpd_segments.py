"""Which segments a Representation of an MPD has: their numbers, times, lengths and URLs (5.3.9).

SegmentTemplate with `$Number$` or with `$Time$`, by `@duration` or by a SegmentTimeline, and SegmentList, of
files or of parts of one. What is played is what lies within the Period.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from xml.etree import ElementTree

from player.video.byte_range import ByteRange, byte_range
from player.video.mpd_live import Run, Window, in_window, runs_of
from player.video.mpd_xml import MpdError, children, integer, refuse_elsewhere, tag
from traces.words import counted, is_or_are

MAX_CHUNKS = 100_000
"""More segments than this (four days of 4 s) is a mistake or an attack, not a video."""

SLOWEST_FRAME_S = Fraction(1, 24)
"""A frame of film, which is shown longest."""
ABOUT_A_FRAME = Fraction(6, 5)
"""Of a frame: what a duration that was rounded, or taken from the sound, is longer than the pictures."""

_SAME = Fraction(1, 1000)
"""A rest of less than this share of a segment is rounding of @mediaPresentationDuration: not worth a word."""
_MAX_WIDTH = 32
"""Widest `%0Nd` taken in a template."""

_SLOT = re.compile(r"\$(?:Number|Time)(?:%0[0-9]+d)?\$", re.ASCII)
_IDENTIFIER = re.compile(r"\$(?P<name>[A-Za-z]*)(?:%0(?P<width>[0-9]{1,3})d)?\$", re.ASCII)
_FRAME_RATE = re.compile(r"\s*([0-9]{1,9})(?:/([0-9]{1,9}))?\s*", re.ASCII)


@dataclass(frozen=True)
class Segment:
    """One media segment."""

    number: int
    time: int
    """What `$Time$` stands for, in units of the timescale."""
    start_s: Fraction
    """After the Period's beginning."""
    duration_s: Fraction


@dataclass(frozen=True)
class Addressing:
    """SegmentTemplate or SegmentList with what the levels above hand down (5.3.9.1)."""

    attributes: ElementTree.Element
    """An element that holds the merged attributes, for messages too."""
    timeline: ElementTree.Element | None
    urls: tuple[ElementTree.Element, ...]
    initialization: str | None
    frame_s: Fraction

    @classmethod
    def merged(cls, name: str, chain: tuple[ElementTree.Element, ...]) -> Addressing:
        """The `name` elements of Period, AdaptationSet and Representation in one; the innermost counts.

        Raises:
            MpdError: one lies elsewhere.
        """
        merged = ElementTree.Element(name)
        timeline: ElementTree.Element | None = None
        urls: tuple[ElementTree.Element, ...] = ()
        initialization: str | None = None
        for holder in chain:
            for element in children(holder, name)[:1]:
                refuse_elsewhere(element, [])
                merged.attrib.update(element.attrib)
                timeline = next(iter(children(element, "SegmentTimeline")), timeline)
                urls = tuple(children(element, "SegmentURL")) or urls
                for start in children(element, "Initialization"):
                    initialization = start.get("sourceURL")
        return cls(merged, timeline, urls, merged.get("initialization") or initialization, _frame_s(chain))

    @property
    def media(self) -> str:
        """The URL template of media segments.

        Raises:
            MpdError: there is none, or it is the same for all segments.
        """
        media = self.attributes.get("media")
        if not media:
            raise MpdError("SegmentTemplate has no @media")
        if not _SLOT.search(media):
            raise MpdError(f"SegmentTemplate@media {media[:80]!r} has neither $Number$ nor $Time$")
        return media

    def listed(self) -> list[tuple[str, ByteRange | None]]:
        """A URL for each segment of a SegmentList, empty for that of the Representation, and which part
        of the file it is, if not all.

        Raises:
            MpdError: there are none, or a segment that is nowhere.
        """
        found = []
        for number, element in enumerate(self.urls, start=1):
            name, text = element.get("media"), element.get("mediaRange")
            if not name and text is None:
                raise MpdError(f"SegmentURL {number} has neither @media nor @mediaRange")
            try:
                found.append((name or "", None if text is None else byte_range(text)))
            except ValueError as error:
                raise MpdError(f"SegmentURL {number}: @mediaRange {error}") from None
        if not found:
            raise MpdError("SegmentList has no SegmentURL")
        return found

    def segments(
        self,
        period_s: Fraction | None,
        listed: int | None,
        notes: list[str],
        window: Window | None = None,
    ) -> list[Segment]:
        """The segments within the Period, in order.

        Args:
            period_s: None where the MPD doesn't say.
            listed: how many URLs a SegmentList has.
            notes: is told what was assumed.
            window: which of a live stream; None: all.

        Raises:
            MpdError: what is missing or nonsense, or too many.
        """
        timescale = integer(self.attributes, "timescale", 1)
        if timescale == 0:
            raise MpdError(f"{tag(self.attributes)}: @timescale is 0")
        if window is not None:
            return self._in_window(window, timescale, period_s)
        if self.timeline is not None:
            timed = _limited(self._timed(self.timeline, timescale, period_s, notes))
            if listed not in (None, len(timed)):
                raise MpdError(
                    f"{tag(self.attributes)} has {counted(len(timed), 'segment')} for {listed} URLs"
                )
            return within(timed, period_s, notes)
        length_s = self._length_s(timescale, period_s, listed)
        count = listed if listed is not None else self._end_count()
        if count is not None:
            return within(_limited(self._even(count, length_s, timescale)), period_s, notes)
        if period_s is None:
            raise MpdError("MPD has no @mediaPresentationDuration, which says how many segments there are")
        count = _count(period_s, length_s, self.frame_s, notes)
        return _last_cut(_limited(self._even(count, length_s, timescale)), period_s)

    def _in_window(self, window: Window, timescale: int, period_s: Fraction | None) -> list[Segment]:
        """Those of a live stream that are played."""
        number = integer(self.attributes, "startNumber", 1)
        if self.timeline is None:
            duration = integer(self.attributes, "duration")
            if duration == 0:
                raise MpdError(f"{tag(self.attributes)}: @duration is 0")
            runs = [Run(number, 0, 0, duration, None)]
        else:
            offset = integer(self.attributes, "presentationTimeOffset", 0)
            runs = runs_of(self.timeline, number, offset, timescale, window.edge_s)
        found = [Segment(*one) for one in in_window(runs, window, timescale)]
        if period_s is not None:
            found = [one for one in found if one.start_s < period_s]
        if not found:
            raise MpdError("the live stream has ended: nothing of it is still to come")
        return found

    def _end_count(self) -> int | None:
        """How many segments `@endNumber` asks for."""
        if self.attributes.get("endNumber") is None:
            return None
        return integer(self.attributes, "endNumber") - integer(self.attributes, "startNumber", 1) + 1

    def _length_s(self, timescale: int, period_s: Fraction | None, listed: int | None) -> Fraction:
        """Of one segment; a list without a length shares the Period out."""
        if listed is not None and self.attributes.get("duration") is None and period_s:
            return period_s / listed
        duration = integer(self.attributes, "duration")
        if duration == 0:
            raise MpdError(f"{tag(self.attributes)}: @duration is 0")
        return Fraction(duration, timescale)

    def _even(self, count: int, length_s: Fraction, timescale: int) -> Iterator[Segment]:
        """`count` segments of one length."""
        if count > MAX_CHUNKS:
            raise MpdError(f"the MPD describes {count} segments; {MAX_CHUNKS} are the limit")
        number = integer(self.attributes, "startNumber", 1)
        for index in range(count):
            start_s = index * length_s
            yield Segment(number + index, int(start_s * timescale), start_s, length_s)

    def _timed(
        self, timeline: ElementTree.Element, timescale: int, period_s: Fraction | None, notes: list[str]
    ) -> Iterator[Segment]:
        """The segments of a SegmentTimeline: runs of `@r` + 1 segments of `@d`, from `@t` on (5.3.9.6)."""
        runs = children(timeline, "S")
        if not runs:
            raise MpdError("SegmentTimeline has no S")
        offset = integer(self.attributes, "presentationTimeOffset", 0)
        number, time = integer(self.attributes, "startNumber", 1), 0
        for index, run in enumerate(runs):
            time = integer(run, "t", time)
            duration = integer(run, "d")
            if duration == 0:
                raise MpdError(f"SegmentTimeline: S {index} has @d 0")
            length_s = Fraction(duration, timescale)
            if (run.get("r") or "0").strip() == "-1":
                following = runs[index + 1 : index + 2]
                rest_s = _run_end_s(following, timescale, offset, period_s) - Fraction(
                    time - offset, timescale
                )
                repeats = _count(rest_s, length_s, self.frame_s, [] if following else notes)
            else:
                repeats = integer(run, "r", 0) + 1
            for _ in range(repeats):
                yield Segment(number, time, Fraction(time - offset, timescale), length_s)
                number += 1
                time += duration


def _run_end_s(
    following: list[ElementTree.Element], timescale: int, offset: int, period_s: Fraction | None
) -> Fraction:
    """Where a run that is repeated until the next one, or the Period's end, is over."""
    if following:
        return Fraction(integer(following[0], "t") - offset, timescale)
    if period_s is None:
        raise MpdError("SegmentTimeline ends in @r -1 but the MPD has no @mediaPresentationDuration")
    return period_s


def _frame_s(chain: tuple[ElementTree.Element, ...]) -> Fraction:
    """How long a frame is shown, by `@frameRate`, else as long as any."""
    frame_s = SLOWEST_FRAME_S
    for holder in chain:
        match = _FRAME_RATE.fullmatch(holder.get("frameRate") or "")
        if match and int(match[1]) and int(match[2] or 1):
            frame_s = Fraction(int(match[2] or 1), int(match[1]))
    return frame_s


def _count(whole_s: Fraction, length_s: Fraction, frame_s: Fraction, notes: list[str]) -> int:
    """How many segments of a length fill a time; a rest of about a frame is none."""
    if whole_s <= 0:
        return 0
    full, rest_s = divmod(whole_s, length_s)
    count = int(full)
    if rest_s <= _SAME * length_s:
        return max(count, 1)
    if count and rest_s <= min(max(frame_s, SLOWEST_FRAME_S) * ABOUT_A_FRAME, length_s / 2):
        notes.append(
            f"the Period lasts {float(rest_s):.3g} s longer than {counted(count, 'whole segment')};"
            " so short a rest counts as none"
        )
        return count
    return count + 1


def _last_cut(segments: list[Segment], period_s: Fraction) -> list[Segment]:
    """The same, the last no longer than the Period."""
    if not segments:
        return segments
    last = segments[-1]
    rest_s = period_s - last.start_s
    if not _SAME * last.duration_s < rest_s < (1 - _SAME) * last.duration_s:
        return segments
    return [*segments[:-1], Segment(last.number, last.time, last.start_s, rest_s)]


def within(segments: list[Segment], period_s: Fraction | None, notes: list[str]) -> list[Segment]:
    """Those that lie within the Period, if only in part."""
    if not period_s or not segments:
        return segments
    kept = [
        each
        for each in segments
        if each.start_s + each.duration_s > _SAME * each.duration_s
        and each.start_s < period_s - _SAME * each.duration_s
    ]
    period = f"the Period of {float(period_s):g} s"
    if not kept:
        notes.append(f"all segments have times outside {period}; they are streamed as they are listed")
        return segments
    if left := len(segments) - len(kept):
        notes.append(f"{left} of {len(segments)} segments {is_or_are(left)} outside {period} and left out")
    covered_s = kept[-1].start_s + kept[-1].duration_s
    if period_s - covered_s > kept[-1].duration_s / 2:
        notes.append(
            f"the segments end at {float(covered_s):g} s of {period}; no more than they are streamed"
        )
    return kept


def _limited(segments: Iterator[Segment]) -> list[Segment]:
    """All of them, refused when there are too many."""
    found = []
    for index, segment in enumerate(segments):
        if index >= MAX_CHUNKS:
            raise MpdError(f"the MPD describes more than {MAX_CHUNKS} segments")
        found.append(segment)
    return found


def expand(template: str, representation: ElementTree.Element, segment: Segment | None) -> str:
    """A URL template with its identifiers replaced (5.3.9.4.4); `$$` is a dollar sign.

    Raises:
        MpdError: an identifier that has no meaning here.
    """

    def value(match: re.Match[str]) -> str:
        name, width = match["name"], int(match["width"] or 1)
        if width > _MAX_WIDTH:
            raise MpdError(f"template {template[:80]!r}: width {width} is above {_MAX_WIDTH}")
        if name == "":
            return "$"
        if name == "RepresentationID":
            identity = representation.get("id")
            if identity is None:
                raise MpdError("a Representation has no @id, which its template asks for")
            return identity
        if name == "Bandwidth":
            return f"{integer(representation, 'bandwidth'):0{width}d}"
        if segment is not None and name in ("Number", "Time"):
            return f"{segment.number if name == 'Number' else segment.time:0{width}d}"
        raise MpdError(f"template {template[:80]!r}: ${name}$ has no meaning here")

    return _IDENTIFIER.sub(value, template)
