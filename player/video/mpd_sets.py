"""Which AdaptationSets of a Period are video, which of them are the same one, and their Representations."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from player.video.mpd_xml import XLINK_HREF, MpdError, children, integer, refuse_elsewhere, where
from traces.words import counted, is_or_are

_TRICK_MODE = "http://dashif.org/guidelines/trickmode"

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


def difference(first: ElementTree.Element, other: ElementTree.Element) -> str | None:
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


OTHER_INDEXES = ("video/webm", "video/mp2t", "application/x-matroska", "video/x-matroska")
"""Containers whose index, where a file has one, is not MP4's."""


def unread_index(video_set: ElementTree.Element) -> bool:
    """Whether a set is of files with indexes that are not read: another one is rather taken."""
    holders = [video_set, *children(video_set, "Representation")]
    listed = any(children(holder, name) for holder in holders for name in ("SegmentTemplate", "SegmentList"))
    return not listed and any((holder.get("mimeType") or "").lower() in OTHER_INDEXES for holder in holders)


def video_sets(period: ElementTree.Element, notes: list[str]) -> list[ElementTree.Element]:
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


def representations(video_set: ElementTree.Element, notes: list[str]) -> list[ElementTree.Element]:
    """Representations, lowest bandwidth first; of those with equal kbit/s the first."""
    found = children(video_set, "Representation")
    if not found:
        raise MpdError(f"{where(video_set)} has no Representation")
    by_kbps: dict[int, ElementTree.Element] = {}
    for representation in found:
        by_kbps.setdefault(kbps_of(representation), representation)
    if left := len(found) - len(by_kbps):
        notes.append(f"{counted(left, 'Representation')} of the same bandwidth {is_or_are(left)} left out")
    return [by_kbps[kbps] for kbps in sorted(by_kbps)]


def kbps_of(representation: ElementTree.Element) -> int:
    bandwidth = integer(representation, "bandwidth")
    if bandwidth == 0:
        raise MpdError(f"{where(representation)}: @bandwidth is 0")
    return max(round(bandwidth / 1000), 1)
