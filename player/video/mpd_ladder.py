"""Which Representations of an MPD make the ladder, and what each holds.

Packagers differ: most put all qualities of a video into one AdaptationSet, ffmpeg gives each one of its
own. Sets that differ in nothing but bitrate and size of the picture are one video; others are
alternatives to it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

from player.video.byte_range import ByteRange, ReadPart
from player.video.mpd_indexed import indexed_segments, refuse_overlaps
from player.video.mpd_live import Window, offset_s
from player.video.mpd_segments import Addressing, Segment, expand, within
from player.video.mpd_sets import difference, kbps_of, representations, unread_index, video_sets
from player.video.mpd_xml import MpdError, children, integer, where
from player.video.pictures import Pictures, codec_named, pictures_of
from traces.words import counted

SIZES_SCHEME = "urn:x-streambed:chunk-sizes-bytes:1"
"""SupplementalProperty of a Representation: `@value` lists the exact size of every chunk in bytes,
separated by spaces. A parser that does not know a SupplementalProperty ignores it (5.8.4.9)."""

_NETWORK = ("http", "https")
_DIGITS = 19
"""Most that a size may have."""


@dataclass(frozen=True)
class Level:
    """One Representation, resolved."""

    kbps: int
    segments: tuple[Segment, ...]
    urls: tuple[str, ...]
    parts: tuple[ByteRange | None, ...]
    """Of the file at the URL; None: all of it."""
    init_url: str | None
    sizes_bytes: tuple[int, ...] | None
    """None: the MPD doesn't say."""
    estimated_bytes: tuple[int, ...]
    """What the nominal bandwidth comes to."""
    ahead_s: float = 0.0
    """How long before it is whole a segment of a live stream can be asked for."""
    pictures: Pictures | None = None
    """What is shown; None: the MPD doesn't say."""

    @property
    def boundaries(self) -> tuple[Fraction, ...]:
        """(chunks,) where its segments end, s."""
        return tuple(round(each.start_s + each.duration_s, 3) for each in self.segments)


@dataclass(frozen=True)
class Place:
    """Where in an MPD a set of Representations stands."""

    mpd: ElementTree.Element
    period: ElementTree.Element
    period_s: Fraction | None
    """How long the Period is; None where the MPD doesn't say."""
    url: str
    """Of the MPD."""
    read: ReadPart | None
    """How parts of media are read, where that has to be."""
    window: Window | None = None
    """Which segments of a live stream; None: all."""

    def levels(self, video_set: ElementTree.Element, notes: list[str]) -> list[Level]:
        """The levels of an AdaptationSet, lowest first.

        Raises:
            MpdError: it holds none, or one that cannot be used.
        """
        found = [self._level(video_set, one, notes) for one in representations(video_set, notes)]
        counts = [len(level.segments) for level in found]
        if len(set(counts)) != 1:
            raise MpdError(f"the levels have {', '.join(map(str, counts))} segments; they must be aligned")
        return found

    def _level(
        self, video_set: ElementTree.Element, representation: ElementTree.Element, notes: list[str]
    ) -> Level:
        chain = (self.period, video_set, representation)
        base = self.url
        for one in self._bases(chain):
            base = _resolve(base, (one.text or "").strip(), one)
        listed = self._listed(chain, base, notes)
        if not listed.segments:
            raise MpdError(f"{where(representation)} has 0 segments")
        bandwidth = integer(representation, "bandwidth")
        return Level(
            kbps_of(representation),
            tuple(listed.segments),
            tuple(_resolve(base, name, representation) for name in listed.names),
            tuple(listed.parts),
            _resolve(base, listed.init, representation) if listed.init else None,
            _exact_sizes(representation, len(listed.segments)) or listed.sizes_bytes,
            tuple(max(round(bandwidth * one.duration_s / 8), 1) for one in listed.segments),
            listed.ahead_s,
            _pictures(chain),
        )

    def _bases(self, chain: tuple[ElementTree.Element, ...]) -> list[ElementTree.Element]:
        """The first BaseURL at each depth."""
        return [bases[0] for holder in (self.mpd, *chain) if (bases := children(holder, "BaseURL"))]

    def _listed(self, chain: tuple[ElementTree.Element, ...], base: str, notes: list[str]) -> _Listed:
        """How a Representation's segments are addressed, and which there are."""
        representation = chain[-1]
        if any(children(holder, "SegmentTemplate") for holder in chain):
            addressing = Addressing.merged("SegmentTemplate", chain)
            segments = addressing.segments(self.period_s, None, notes, self.window)
            names = [expand(addressing.media, representation, one) for one in segments]
            start = addressing.initialization
            init = expand(start, representation, None) if start else None
            ahead_s = max(map(offset_s, (addressing.attributes, *self._bases(chain))))
            return _Listed(segments, names, [None] * len(segments), init, ahead_s)
        if self.window is not None:
            raise MpdError(f"{where(representation)}: a live stream without a SegmentTemplate")
        if any(children(holder, "SegmentList") for holder in chain):
            addressing = Addressing.merged("SegmentList", chain)
            files = addressing.listed()
            segments = addressing.segments(self.period_s, len(files), notes)
            before = integer(addressing.attributes, "startNumber", 1)
            found = [files[one.number - before] for one in segments]
            for name, parts in itertools.groupby(sorted(found, key=_name), key=_name):
                refuse_overlaps(f"SegmentList {name}".strip(), [part for _, part in parts if part])
            init = addressing.initialization
            return _Listed(segments, [name for name, _ in found], [part for _, part in found], init)
        every, ranges = indexed_segments(chain, base, self.read)
        segments = within(every, self.period_s, notes)
        names = [""] * len(segments)
        return _Listed(segments, names, [ranges[one.number - 1] for one in segments], None)


def _name(file: tuple[str, ByteRange | None]) -> str:
    return file[0]


@dataclass(frozen=True)
class _Listed:
    """The segments of a Representation; URLs relative to its own."""

    segments: Sequence[Segment]
    names: Sequence[str]
    parts: Sequence[ByteRange | None]
    init: str | None
    ahead_s: float = 0.0

    @property
    def sizes_bytes(self) -> tuple[int, ...] | None:
        """Those of the parts, where all are parts."""
        lengths = [part.length for part in self.parts if part is not None]
        return tuple(lengths) if len(lengths) == len(self.segments) else None


def ladder(place: Place, notes: list[str]) -> list[Level]:
    """The levels to stream, lowest first: those of the first video, however many sets they are spread over.

    Args:
        place: the Period.
        notes: is told what was assumed and left out.

    Raises:
        MpdError: there is no video, or what is there cannot be used.
    """
    first, *others = sorted(video_sets(place.period, notes), key=unread_index)
    levels = place.levels(first, notes)
    joined, left_out = 1, []
    for other in others:
        more, why = _more_of_it(place, first, levels, other)
        if why is None:
            joined, levels = joined + 1, levels + more
        else:
            left_out.append(f"{where(other)} ({why})")
    if joined > 1:
        notes.append(
            f"{joined} video AdaptationSets with the same segments count as one video of"
            f" {counted(len(levels), 'level')}"
        )
    if left_out:
        notes.append(f"of {1 + len(others)} video AdaptationSets not streamed: {', '.join(left_out)}")
    return sorted(levels, key=lambda level: level.kbps)


def _more_of_it(
    place: Place, first: ElementTree.Element, levels: Sequence[Level], other: ElementTree.Element
) -> tuple[list[Level], str | None]:
    """Levels that another set adds to the first one's, or why it is another video."""
    why = difference(first, other)
    if why is not None:
        return [], why
    try:
        more = place.levels(other, [])
    except MpdError as error:
        return [], str(error)
    if any(level.boundaries != levels[0].boundaries for level in more):
        return [], "other segments"
    if twice := {level.kbps for level in more} & {level.kbps for level in levels}:
        return [], f"a second one of {min(twice)} kbit/s"
    return more, None


def _resolve(base: str, reference: str, holder: ElementTree.Element) -> str:
    """A URL; what came over a network leads nowhere but to a network.

    Raises:
        MpdError: it is none, or leads elsewhere.
    """
    try:
        url = urljoin(base, reference)
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise MpdError(f"{where(holder)}: {reference[:80]!r} is no URL ({error})") from None
    if scheme not in _NETWORK and urlsplit(base).scheme in _NETWORK:
        raise MpdError(f"{where(holder)}: {reference[:80]!r} leads away from http to {scheme}")
    return url


def _pictures(chain: tuple[ElementTree.Element, ...]) -> Pictures | None:
    """What is shown, by the attributes of a Representation or of what it stands in; None: they don't say."""
    names = ("width", "height", "frameRate", "codecs")
    told = {name: next(filter(None, (one.get(name) for one in reversed(chain))), None) for name in names}
    if None in told.values():
        return None
    try:
        found = pictures_of(f"{told['width']}x{told['height']}@{told['frameRate']}")
    except ValueError:  # nonsense there stops nobody who only streams
        return None
    return replace(found, codec=codec_named(str(told["codecs"])))


def _exact_sizes(representation: ElementTree.Element, segments: int) -> tuple[int, ...] | None:
    """What our own SupplementalProperty says, None where there is none."""
    for item in children(representation, "SupplementalProperty"):
        if item.get("schemeIdUri") != SIZES_SCHEME:
            continue
        words = (item.get("value") or "").split()
        for word in words:
            if not re.fullmatch(rf"[0-9]{{1,{_DIGITS}}}", word, re.ASCII):
                raise MpdError(
                    f"{where(representation)}: chunk size {word[:40]!r} is no whole number of bytes"
                )
        if len(words) != segments:
            raise MpdError(f"{where(representation)}: {len(words)} chunk sizes for {segments} segments")
        return tuple(map(int, words))
    return None
