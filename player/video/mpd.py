"""Reading a DASH MPD (ISO/IEC 23009-1): which URL holds which chunk, and how large each one is.

Read are static presentations of one Period whose segments are files of their own: SegmentTemplate
with `$Number$` or with `$Time$` and a SegmentTimeline, and SegmentList. An MPD of our own
(`player/video/mpd_write.py`) carries exact chunk sizes; another's does not, and then a size is what
`@bandwidth` says, and :attr:`Presentation.sizes_exact` is False.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from urllib.parse import unquote, urljoin, urlsplit
from xml.etree import ElementTree

from player.video.video import Video, VideoError

SIZES_SCHEME = "urn:x-streambed:chunk-sizes-bytes:1"
"""SupplementalProperty of a Representation: `@value` lists the exact size of every chunk in bytes,
separated by spaces. A parser that does not know a SupplementalProperty ignores it (5.8.4.9)."""

MAX_CHUNKS = 100_000
"""More segments than this (four days of 4 s) is a mistake or an attack, not a video."""

_TRICK_MODE = "http://dashif.org/guidelines/trickmode"
_MAX_WIDTH = 32
"""Widest `%0Nd` taken in a template."""
_MAX_INTEGER_DIGITS = 19
"""xs:unsignedLong has no more than 20; nobody needs the last one."""


class MpdError(ValueError):
    """An MPD that cannot be used; the message names what is missing or wrong."""


@dataclass(frozen=True)
class Presentation:
    """A video and where its chunks lie."""

    video: Video
    sizes_exact: bool
    """False: the sizes are `@bandwidth` x duration, for want of better."""
    urls: tuple[tuple[str, ...], ...]
    """[chunk][level], absolute when the MPD's own URL was."""
    init_urls: tuple[str | None, ...]
    """[level] initialization segment, None where the media segments need none."""
    notes: tuple[str, ...] = ()
    """What had to be assumed or left out, a sentence each."""

    def url(self, level: int, chunk: int) -> str:
        """Where chunk `chunk` (from 0) of level `level` lies."""
        return self.urls[chunk][level]


def read_mpd(text: str | bytes, url: str = "") -> Presentation:
    """Read an MPD.

    Args:
        text: the XML, UTF-8 if bytes.
        url: where it came from (http, https or file); segment URLs are resolved against it.

    Raises:
        MpdError: not XML, a DOCTYPE, a live presentation, several Periods, no video, segments that
            are byte ranges of one file, or an attribute that is missing or nonsense.
    """
    mpd = _parse(text)
    if _tag(mpd) != "MPD":
        raise MpdError(f"the root element is {_tag(mpd)}, not MPD; this is no DASH manifest")
    if mpd.get("type", "static") != "static":
        raise MpdError(f"MPD@type is {mpd.get('type')}: live streams cannot be measured, only static ones")
    periods = _children(mpd, "Period")
    if len(periods) != 1:
        raise MpdError(f"the MPD has {len(periods)} Periods; exactly one can be streamed")
    period = periods[0]
    notes: list[str] = []
    video_set = _video_set(period, notes)
    levels = [
        _Level.read(mpd, period, video_set, representation, url)
        for representation in _representations(video_set, notes)
    ]
    counts = [len(level.segments) for level in levels]
    if len(set(counts)) != 1:
        raise MpdError(f"the levels have {', '.join(map(str, counts))} segments; they must be aligned")
    sizes_exact = all(level.sizes_bytes is not None for level in levels)
    sizes = [level.sizes_bytes if sizes_exact else level.estimated_sizes() for level in levels]
    try:
        video = Video(
            _name(mpd, url),
            _chunk_s(levels[0], notes),
            tuple(level.kbps for level in levels),
            tuple(zip(*(size for size in sizes if size is not None), strict=True)),
        )
    except VideoError as error:
        raise MpdError(str(error)) from None
    if not sizes_exact:
        notes.append("chunk sizes are estimated as @bandwidth x duration")
    return Presentation(
        video,
        sizes_exact,
        tuple(zip(*(level.urls for level in levels), strict=True)),
        tuple(level.init_url for level in levels),
        tuple(notes),
    )


def _parse(text: str | bytes) -> ElementTree.Element:
    """The XML tree. A DOCTYPE is refused, so that no entity can be defined nor expanded."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise MpdError(f"byte {error.start} is not UTF-8; save the MPD as UTF-8") from None
    if "<!DOCTYPE" in text:
        raise MpdError("the MPD has a DOCTYPE, which DASH has no use for and entity attacks need; remove it")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise MpdError(f"not well-formed XML: {error}") from None


def _tag(element: ElementTree.Element) -> str:
    """Name without namespace: manifests in the wild get the namespace wrong."""
    return element.tag.rpartition("}")[2]


def _children(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [child for child in element if _tag(child) == name]


def _where(element: ElementTree.Element) -> str:
    """How a message names an element."""
    identity = element.get("id")
    return f"{_tag(element)} {identity}" if identity is not None else _tag(element)


def _integer(element: ElementTree.Element, name: str, default: int | None = None) -> int:
    """A non-negative integer attribute."""
    text = element.get(name)
    if text is None:
        if default is None:
            raise MpdError(f"{_where(element)} has no @{name}")
        return default
    if not re.fullmatch(rf"\s*\+?[0-9]{{1,{_MAX_INTEGER_DIGITS}}}\s*", text, re.ASCII):
        raise MpdError(f"{_where(element)}: @{name} is {text[:40]!r}; expected a whole number, 0 or more")
    return int(text)


_DURATION = re.compile(
    r"P(?:(?P<D>[0-9]{1,9})D)?(?:T(?:(?P<H>[0-9]{1,9})H)?(?:(?P<M>[0-9]{1,9})M)?"
    r"(?:(?P<S>[0-9]{1,12}(?:\.[0-9]{1,20})?)S)?)?"
)
_UNIT_S = {"D": 86_400, "H": 3_600, "M": 60, "S": 1}


def _duration(element: ElementTree.Element, name: str) -> Fraction | None:
    """An xs:duration attribute in seconds (years and months, whose length varies, are refused)."""
    text = element.get(name)
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        raise MpdError(f"{_where(element)}: @{name} is {text[:40]!r}; expected a duration such as PT192S")
    return sum((Fraction(match[unit]) * _UNIT_S[unit] for unit in _UNIT_S if match[unit]), Fraction(0))


def _name(mpd: ElementTree.Element, url: str) -> str:
    """The title, or else the folder that the manifest lies in."""
    for information in _children(mpd, "ProgramInformation"):
        for title in _children(information, "Title"):
            if title.text and title.text.strip():
                return title.text.strip()
    parts = [part for part in unquote(urlsplit(url).path).split("/") if part]
    return parts[-2] if len(parts) > 1 else "video"


def _is_video(video_set: ElementTree.Element) -> bool:
    if any(p.get("schemeIdUri") == _TRICK_MODE for p in _children(video_set, "EssentialProperty")):
        return False
    holders = [video_set, *_children(video_set, "ContentComponent"), *_children(video_set, "Representation")]
    return any(
        holder.get("contentType") == "video" or (holder.get("mimeType") or "").startswith("video/")
        for holder in holders
    )


def _video_set(period: ElementTree.Element, notes: list[str]) -> ElementTree.Element:
    """The AdaptationSet to stream: the first that is video (and no trick mode)."""
    every = _children(period, "AdaptationSet")
    videos = [video_set for video_set in every if _is_video(video_set)]
    if not videos:
        raise MpdError(
            f"none of the {len(every)} AdaptationSets is video: no @contentType video, no @mimeType video/…"
        )
    if len(videos) > 1:
        notes.append(f"of {len(videos)} video AdaptationSets the first is streamed")
    if len(every) > len(videos):
        notes.append(f"{len(every) - len(videos)} AdaptationSets that are not video are left out")
    return videos[0]


def _representations(video_set: ElementTree.Element, notes: list[str]) -> list[ElementTree.Element]:
    """Representations, lowest bandwidth first; of those with equal kbit/s the first."""
    found = _children(video_set, "Representation")
    if not found:
        raise MpdError(f"{_where(video_set)} has no Representation")
    by_kbps: dict[int, ElementTree.Element] = {}
    for representation in found:
        by_kbps.setdefault(_kbps(representation), representation)
    if len(by_kbps) < len(found):
        notes.append(f"{len(found) - len(by_kbps)} Representations of the same bandwidth are left out")
    return [by_kbps[kbps] for kbps in sorted(by_kbps)]


def _kbps(representation: ElementTree.Element) -> int:
    bandwidth = _integer(representation, "bandwidth")
    if bandwidth == 0:
        raise MpdError(f"{_where(representation)}: @bandwidth is 0")
    return max(round(bandwidth / 1000), 1)


@dataclass(frozen=True)
class _Segment:
    number: int
    time: int
    """Start in units of the timescale."""
    duration_s: Fraction


@dataclass(frozen=True)
class _Level:
    """One Representation, resolved."""

    kbps: int
    bandwidth: int
    segments: tuple[_Segment, ...]
    urls: tuple[str, ...]
    init_url: str | None
    sizes_bytes: tuple[int, ...] | None

    @classmethod
    def read(
        cls,
        mpd: ElementTree.Element,
        period: ElementTree.Element,
        video_set: ElementTree.Element,
        representation: ElementTree.Element,
        url: str,
    ) -> _Level:
        base = url
        for holder in (mpd, period, video_set, representation):
            bases = _children(holder, "BaseURL")
            if bases:
                base = _resolve(base, (bases[0].text or "").strip(), holder)
        chain = (period, video_set, representation)
        period_s = _period_s(mpd, period)
        if any(_children(holder, "SegmentTemplate") for holder in chain):
            addressing = _Addressing.merged("SegmentTemplate", chain)
            segments = tuple(_limited(addressing.segments(period_s, None)))
            names = [_expand(addressing.media, representation, segment) for segment in segments]
        elif any(_children(holder, "SegmentList") for holder in chain):
            addressing = _Addressing.merged("SegmentList", chain)
            names = addressing.listed()
            segments = tuple(_limited(addressing.segments(period_s, len(names))))
        else:
            raise MpdError(
                f"{_where(representation)} has neither SegmentTemplate nor SegmentList: one file with"
                " an index cannot be streamed; package the video with a file for each segment"
            )
        if not segments or len(names) != len(segments):
            raise MpdError(f"{_where(representation)} has {len(segments)} segments for {len(names)} URLs")
        start = addressing.initialization
        return cls(
            _kbps(representation),
            _integer(representation, "bandwidth"),
            segments,
            tuple(_resolve(base, name, representation) for name in names),
            _resolve(base, _expand(start, representation, None), representation) if start else None,
            _exact_sizes(representation, len(segments)),
        )

    def estimated_sizes(self) -> tuple[int, ...]:
        """(chunks,) bytes when every segment has exactly the nominal bandwidth."""
        return tuple(max(round(self.bandwidth * s.duration_s / 8), 1) for s in self.segments)


def _resolve(base: str, reference: str, holder: ElementTree.Element) -> str:
    try:
        return urljoin(base, reference)
    except ValueError as error:
        raise MpdError(f"{_where(holder)}: {reference[:80]!r} is no URL ({error})") from None


def _period_s(mpd: ElementTree.Element, period: ElementTree.Element) -> Fraction | None:
    duration_s = _duration(period, "duration")
    if duration_s is not None:
        return duration_s
    whole_s = _duration(mpd, "mediaPresentationDuration")
    return None if whole_s is None else whole_s - (_duration(period, "start") or 0)


def _exact_sizes(representation: ElementTree.Element, segments: int) -> tuple[int, ...] | None:
    """What our own SupplementalProperty says, None where there is none."""
    for item in _children(representation, "SupplementalProperty"):
        if item.get("schemeIdUri") != SIZES_SCHEME:
            continue
        words = (item.get("value") or "").split()
        for word in words:
            if not re.fullmatch(rf"[0-9]{{1,{_MAX_INTEGER_DIGITS}}}", word, re.ASCII):
                raise MpdError(
                    f"{_where(representation)}: chunk size {word[:40]!r} is no whole number of bytes"
                )
        if len(words) != segments:
            raise MpdError(f"{_where(representation)}: {len(words)} chunk sizes for {segments} segments")
        return tuple(map(int, words))
    return None


def _chunk_s(level: _Level, notes: list[str]) -> float:
    """The length of a chunk: the mean over all but the last, which may be short."""
    durations = [segment.duration_s for segment in level.segments]
    full = durations[:-1] or durations
    if min(full) != max(full):
        notes.append(
            f"segments last {float(min(full)):g} to {float(max(full)):g} s; each counts as their mean"
        )
    return float(sum(full, Fraction(0)) / len(full))


@dataclass(frozen=True)
class _Addressing:
    """SegmentTemplate or SegmentList with what the levels above hand down (5.3.9.1)."""

    attributes: ElementTree.Element
    """An element that holds the merged attributes, for messages too."""
    timeline: ElementTree.Element | None
    urls: tuple[ElementTree.Element, ...]
    initialization: str | None

    @classmethod
    def merged(cls, tag: str, chain: tuple[ElementTree.Element, ...]) -> _Addressing:
        merged = ElementTree.Element(tag)
        timeline: ElementTree.Element | None = None
        urls: tuple[ElementTree.Element, ...] = ()
        initialization: str | None = None
        for holder in chain:
            for element in _children(holder, tag)[:1]:
                merged.attrib.update(element.attrib)
                timeline = next(iter(_children(element, "SegmentTimeline")), timeline)
                urls = tuple(_children(element, "SegmentURL")) or urls
                for start in _children(element, "Initialization"):
                    initialization = start.get("sourceURL")
        return cls(merged, timeline, urls, merged.get("initialization") or initialization)

    @property
    def media(self) -> str:
        media = self.attributes.get("media")
        if not media:
            raise MpdError("SegmentTemplate has no @media")
        if not re.search(r"\$(?:Number|Time)(?:%0[0-9]+d)?\$", media, re.ASCII):
            raise MpdError(f"SegmentTemplate@media {media[:80]!r} has neither $Number$ nor $Time$")
        return media

    def listed(self) -> list[str]:
        """The URLs of a SegmentList."""
        names = []
        for element in self.urls:
            name = element.get("media")
            if not name or element.get("mediaRange"):
                raise MpdError(
                    "SegmentList addresses byte ranges of one file; it needs SegmentURL@media,"
                    " a file for each segment"
                )
            names.append(name)
        if not names:
            raise MpdError("SegmentList has no SegmentURL")
        return names

    def segments(self, period_s: Fraction | None, listed: int | None) -> Iterator[_Segment]:
        """The segments in order; `listed` is how many URLs a SegmentList has."""
        timescale = _integer(self.attributes, "timescale", 1)
        if timescale == 0:
            raise MpdError(f"{_tag(self.attributes)}: @timescale is 0")
        number = _integer(self.attributes, "startNumber", 1)
        if self.timeline is not None:
            yield from _timed(
                self.timeline,
                timescale,
                number,
                period_s,
                _integer(self.attributes, "presentationTimeOffset", 0),
            )
            return
        count, duration = self._count_and_duration(timescale, number, period_s, listed)
        if count > MAX_CHUNKS:
            raise MpdError(f"the MPD describes {count} segments; {MAX_CHUNKS} are the limit")
        full_s = duration / timescale
        for index in range(count):
            rest_s = full_s if period_s is None or listed is not None else period_s - index * full_s
            is_short = _SAME * full_s < rest_s < (1 - _SAME) * full_s
            yield _Segment(number + index, int(index * duration), rest_s if is_short else full_s)

    def _count_and_duration(
        self, timescale: int, number: int, period_s: Fraction | None, listed: int | None
    ) -> tuple[int, Fraction]:
        """How many segments, and the length of one in units of the timescale."""
        if listed is not None and self.attributes.get("duration") is None and period_s is not None:
            return listed, period_s * timescale / listed
        duration = _integer(self.attributes, "duration")
        if duration == 0:
            raise MpdError(f"{_tag(self.attributes)}: @duration is 0")
        if listed is not None:
            return listed, Fraction(duration)
        if self.attributes.get("endNumber") is not None:
            return _integer(self.attributes, "endNumber") - number + 1, Fraction(duration)
        if period_s is None:
            raise MpdError("MPD has no @mediaPresentationDuration, which says how many segments there are")
        return math.ceil(period_s * timescale / duration - _SAME), Fraction(duration)


_SAME = Fraction(1, 1000)
"""A rest of less than this share of a segment is rounding of @mediaPresentationDuration."""


def _timed(
    timeline: ElementTree.Element, timescale: int, number: int, period_s: Fraction | None, offset: int
) -> Iterator[_Segment]:
    """The segments of a SegmentTimeline: runs of `@r` + 1 segments of `@d`, from `@t` on (5.3.9.6)."""
    runs = _children(timeline, "S")
    if not runs:
        raise MpdError("SegmentTimeline has no S")
    time = 0
    for index, run in enumerate(runs):
        time = _integer(run, "t", time)
        duration = _integer(run, "d")
        if duration == 0:
            raise MpdError(f"SegmentTimeline: S {index} has @d 0")
        if (run.get("r") or "0").strip() == "-1":
            if index + 1 < len(runs):
                end: Fraction | int = _integer(runs[index + 1], "t")
            elif period_s is not None:
                end = period_s * timescale + offset
            else:
                raise MpdError("SegmentTimeline ends in @r -1 but the MPD has no @mediaPresentationDuration")
            repeats = math.ceil(Fraction(end - time) / duration - _SAME) - 1
        else:
            repeats = _integer(run, "r", 0)
        for _ in range(repeats + 1):
            yield _Segment(number, time, Fraction(duration, timescale))
            number += 1
            time += duration


def _limited(segments: Iterator[_Segment]) -> Iterator[_Segment]:
    """The same, refused when there are too many."""
    for index, segment in enumerate(segments):
        if index >= MAX_CHUNKS:
            raise MpdError(f"the MPD describes more than {MAX_CHUNKS} segments")
        yield segment


_IDENTIFIER = re.compile(r"\$(?P<name>[A-Za-z]*)(?:%0(?P<width>[0-9]{1,3})d)?\$", re.ASCII)


def _expand(template: str, representation: ElementTree.Element, segment: _Segment | None) -> str:
    """A URL template with its identifiers replaced (5.3.9.4.4); `$$` is a dollar sign."""

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
            return f"{_integer(representation, 'bandwidth'):0{width}d}"
        if segment is not None and name in ("Number", "Time"):
            return f"{segment.number if name == 'Number' else segment.time:0{width}d}"
        raise MpdError(f"template {template[:80]!r}: ${name}$ has no meaning here")

    return _IDENTIFIER.sub(value, template)
