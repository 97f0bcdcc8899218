"""Which Representations of an MPD make the ladder, and what each holds.

Packagers differ: most put all qualities of a video into one AdaptationSet, ffmpeg gives each one of its
own. Sets that differ in nothing but bitrate and size of the picture are one video; others are
alternatives to it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from urllib.parse import urljoin
from xml.etree import ElementTree

from player.video.mpd_segments import Addressing, Segment, expand
from player.video.mpd_xml import (
    XLINK_HREF,
    MpdError,
    children,
    duration_s,
    integer,
    refuse_elsewhere,
    where,
)
from traces.words import counted, is_or_are

SIZES_SCHEME = "urn:x-streambed:chunk-sizes-bytes:1"
"""SupplementalProperty of a Representation: `@value` lists the exact size of every chunk in bytes,
separated by spaces. A parser that does not know a SupplementalProperty ignores it (5.8.4.9)."""

_TRICK_MODE = "http://dashif.org/guidelines/trickmode"
_DIGITS = 19
"""Most that a size may have."""

_CODECS = {
    **dict.fromkeys(("avc1", "avc2", "avc3", "avc4"), "H.264"),
    **dict.fromkeys(("hvc1", "hev1"), "H.265"),
    **dict.fromkeys(("dvh1", "dvhe", "dva1", "dvav"), "Dolby Vision"),
    **dict.fromkeys(("vp08", "vp8"), "VP8"),
    **dict.fromkeys(("vp09", "vp9"), "VP9"),
    **dict.fromkeys(("vvc1", "vvi1"), "H.266"),
    "av01": "AV1",
    "mp4v": "MPEG-4",
}
"""The word before the first dot of `@codecs`: what plays it."""


@dataclass(frozen=True)
class Level:
    """One Representation, resolved."""

    kbps: int
    bandwidth: int
    segments: tuple[Segment, ...]
    urls: tuple[str, ...]
    init_url: str | None
    sizes_bytes: tuple[int, ...] | None

    def estimated_sizes(self) -> tuple[int, ...]:
        """(chunks,) bytes when every segment has exactly the nominal bandwidth."""
        return tuple(max(round(self.bandwidth * s.duration_s / 8), 1) for s in self.segments)

    @property
    def boundaries(self) -> tuple[Fraction, ...]:
        """(chunks,) where its segments end, s."""
        return tuple(round(each.start_s + each.duration_s, 3) for each in self.segments)


@dataclass(frozen=True)
class _Place:
    """Where in an MPD a set of Representations stands."""

    mpd: ElementTree.Element
    period: ElementTree.Element
    url: str
    """Of the MPD."""

    def levels(self, video_set: ElementTree.Element, notes: list[str]) -> list[Level]:
        """The levels of an AdaptationSet, lowest first.

        Raises:
            MpdError: it holds none, or one that cannot be used.
        """
        found = [self._level(video_set, one, notes) for one in _representations(video_set, notes)]
        counts = [len(level.segments) for level in found]
        if len(set(counts)) != 1:
            raise MpdError(f"the levels have {', '.join(map(str, counts))} segments; they must be aligned")
        return found

    def _level(
        self, video_set: ElementTree.Element, representation: ElementTree.Element, notes: list[str]
    ) -> Level:
        chain = (self.period, video_set, representation)
        base = self.url
        for holder in (self.mpd, *chain):
            bases = children(holder, "BaseURL")
            if bases:
                base = _resolve(base, (bases[0].text or "").strip(), holder)
        addressing, segments, names = _segments(chain, _period_s(self.mpd, self.period), notes)
        if not segments:
            raise MpdError(f"{where(representation)} has 0 segments")
        start = addressing.initialization
        return Level(
            _kbps(representation),
            integer(representation, "bandwidth"),
            tuple(segments),
            tuple(_resolve(base, name, representation) for name in names),
            _resolve(base, expand(start, representation, None), representation) if start else None,
            _exact_sizes(representation, len(segments)),
        )


def ladder(mpd: ElementTree.Element, period: ElementTree.Element, url: str, notes: list[str]) -> list[Level]:
    """The levels to stream, lowest first: those of the first video, however many sets they are spread over.

    Args:
        url: of the MPD.
        notes: is told what was assumed and left out.

    Raises:
        MpdError: there is no video, or what is there cannot be used.
    """
    place = _Place(mpd, period, url)
    first, *others = _video_sets(period, notes)
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
    place: _Place, first: ElementTree.Element, levels: Sequence[Level], other: ElementTree.Element
) -> tuple[list[Level], str | None]:
    """Levels that another set adds to the first one's, or why it is another video."""
    why = _difference(first, other)
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


def _difference(first: ElementTree.Element, other: ElementTree.Element) -> str | None:
    """By what two AdaptationSets say themselves to be different videos; None if they don't."""
    for facts, name in (
        (_codecs, "codec"),
        (_container, "container"),
        (_language, "language"),
        (_descriptors, "role or view"),
    ):
        mine, theirs = facts(first), facts(other)
        if mine != theirs and (facts is _descriptors or (mine and theirs)):
            return f"another {name}"
    return None


def _codecs(video_set: ElementTree.Element) -> frozenset[str]:
    """What plays it, as far as it is said."""
    holders = [video_set, *children(video_set, "Representation")]
    words = [re.split(r"[.,\s]", (holder.get("codecs") or "").strip())[0].lower() for holder in holders]
    return frozenset(_CODECS.get(word, word) for word in words if word)


def _container(video_set: ElementTree.Element) -> frozenset[str]:
    holders = [video_set, *children(video_set, "Representation")]
    return frozenset(kind for holder in holders if (kind := holder.get("mimeType")))


def _language(video_set: ElementTree.Element) -> frozenset[str]:
    return frozenset(filter(None, [video_set.get("lang")]))


def _descriptors(video_set: ElementTree.Element) -> frozenset[tuple[str, str, str]]:
    """Roles, viewpoints, and what a player has to understand."""
    names = ("Role", "Viewpoint", "Accessibility", "EssentialProperty")
    return frozenset(
        (name, each.get("schemeIdUri") or "", each.get("value") or "")
        for name in names
        for each in children(video_set, name)
    )


def _is_video(video_set: ElementTree.Element) -> bool:
    if any(p.get("schemeIdUri") == _TRICK_MODE for p in children(video_set, "EssentialProperty")):
        return False
    holders = [video_set, *children(video_set, "ContentComponent"), *children(video_set, "Representation")]
    kinds = {holder.get("contentType") or "" for holder in holders}
    kinds |= {(holder.get("mimeType") or "").partition("/")[0] for holder in holders}
    if "video" in kinds:
        return True
    return not kinds - {""} and bool(_codecs(video_set) & set(_CODECS.values()))


def _video_sets(period: ElementTree.Element, notes: list[str]) -> list[ElementTree.Element]:
    """The AdaptationSets that are video (and no trick mode), in their order."""
    every = children(period, "AdaptationSet")
    elsewhere = [each for each in every if each.get(XLINK_HREF) and len(each) == 0]
    videos = [each for each in every if each not in elsewhere and _is_video(each)]
    if not videos:
        for each in elsewhere:
            refuse_elsewhere(each, notes)
        raise MpdError(
            f"no video among {counted(len(every), 'AdaptationSet')}: none has @contentType video or @mimeType"
            " video/…"
        )
    for each in videos:
        refuse_elsewhere(each, notes)
    if elsewhere:
        count = counted(len(elsewhere), "AdaptationSet")
        notes.append(
            f"{count} that {'lies' if len(elsewhere) == 1 else 'lie'} elsewhere (xlink:href) left out"
        )
    if others := len(every) - len(videos) - len(elsewhere):
        verb = is_or_are(others)
        notes.append(f"{counted(others, 'AdaptationSet')} that {verb} not video {verb} left out")
    return videos


def _representations(video_set: ElementTree.Element, notes: list[str]) -> list[ElementTree.Element]:
    """Representations, lowest bandwidth first; of those with equal kbit/s the first."""
    found = children(video_set, "Representation")
    if not found:
        raise MpdError(f"{where(video_set)} has no Representation")
    by_kbps: dict[int, ElementTree.Element] = {}
    for representation in found:
        by_kbps.setdefault(_kbps(representation), representation)
    if left := len(found) - len(by_kbps):
        notes.append(f"{counted(left, 'Representation')} of the same bandwidth {is_or_are(left)} left out")
    return [by_kbps[kbps] for kbps in sorted(by_kbps)]


def _kbps(representation: ElementTree.Element) -> int:
    bandwidth = integer(representation, "bandwidth")
    if bandwidth == 0:
        raise MpdError(f"{where(representation)}: @bandwidth is 0")
    return max(round(bandwidth / 1000), 1)


def _segments(
    chain: tuple[ElementTree.Element, ...], period_s: Fraction | None, notes: list[str]
) -> tuple[Addressing, list[Segment], list[str]]:
    """How a Representation's segments are addressed, the segments, and a relative URL for each."""
    representation = chain[-1]
    if any(children(holder, "SegmentTemplate") for holder in chain):
        addressing = Addressing.merged("SegmentTemplate", chain)
        segments = addressing.segments(period_s, None, notes)
        return addressing, segments, [expand(addressing.media, representation, one) for one in segments]
    if any(children(holder, "SegmentList") for holder in chain):
        addressing = Addressing.merged("SegmentList", chain)
        listed = addressing.listed()
        segments = addressing.segments(period_s, len(listed), notes)
        before = integer(addressing.attributes, "startNumber", 1)
        return addressing, segments, [listed[one.number - before] for one in segments]
    raise MpdError(
        f"{where(representation)} has neither SegmentTemplate nor SegmentList: one file with"
        " an index cannot be streamed; package the video with a file for each segment"
    )


def _resolve(base: str, reference: str, holder: ElementTree.Element) -> str:
    try:
        return urljoin(base, reference)
    except ValueError as error:
        raise MpdError(f"{where(holder)}: {reference[:80]!r} is no URL ({error})") from None


def _period_s(mpd: ElementTree.Element, period: ElementTree.Element) -> Fraction | None:
    length_s = duration_s(period, "duration")
    if length_s is not None:
        return length_s
    whole_s = duration_s(mpd, "mediaPresentationDuration")
    return None if whole_s is None else whole_s - (duration_s(period, "start") or 0)


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
