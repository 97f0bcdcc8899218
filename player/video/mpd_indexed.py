"""SegmentBase: a Representation that is one file, whose segments an index in it lists (5.3.9.2)."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from xml.etree import ElementTree

from player.video.byte_range import ByteRange, ReadPart, byte_range, overlapping
from player.video.mpd_segments import MAX_CHUNKS, Segment
from player.video.mpd_sets import OTHER_INDEXES
from player.video.mpd_xml import MpdError, children, integer, refuse_elsewhere, where
from player.video.sidx import Indexed, IndexFault, IndexReader


class NeedsIndexError(MpdError):
    """What an MPD doesn't say lies in the media, which nobody can read here."""


def indexed_segments(
    chain: tuple[ElementTree.Element, ...], url: str, read: ReadPart | None
) -> tuple[list[Segment], list[ByteRange]]:
    """The segments of a file, numbered from 1, and where in it they lie.

    Args:
        chain: Period, AdaptationSet and Representation.
        url: of the file.
        read: how its parts are read.

    Raises:
        NeedsIndexError: no `read`.
        MpdError: no index, one that can't be used, or too many segments.
    """
    representation = chain[-1]
    merged, place = _merged(chain)
    mime = next((kind for one in reversed(chain) if (kind := one.get("mimeType"))), "")
    if mime.lower() in OTHER_INDEXES:
        raise MpdError(
            f"{where(representation)}: one file of {mime} with an index; only MP4's (sidx) is read"
        )
    if read is None:
        raise NeedsIndexError(
            f"{where(representation)}: its segments are parts of one file, and the index that lists them is"
            " in it, which is not read here"
        )
    found = _index(representation, url, place, read)
    refuse_overlaps(where(representation), (one.part for one in found))
    return _segments(merged, representation, found), [one.part for one in found]


def _merged(chain: Iterable[ElementTree.Element]) -> tuple[ElementTree.Element, ByteRange | None]:
    """The attributes of all SegmentBase in one, and where the index is."""
    merged = ElementTree.Element("SegmentBase")
    elsewhere = None
    for holder in chain:
        for element in children(holder, "SegmentBase")[:1]:
            refuse_elsewhere(element, [])
            merged.attrib.update(element.attrib)
            for index in children(element, "RepresentationIndex"):
                elsewhere = index.get("sourceURL") or elsewhere
                if index.get("range"):
                    merged.set("indexRange", index.get("range") or "")
    if elsewhere is not None:
        raise MpdError(
            f"the index lies in a file of its own (RepresentationIndex {elsewhere[:80]!r}); only one in the"
            " media's file is read"
        )
    text = merged.get("indexRange")
    try:
        return merged, None if text is None else byte_range(text)
    except ValueError as error:
        raise MpdError(f"SegmentBase: @indexRange {error}") from None


def _index(
    representation: ElementTree.Element, url: str, place: ByteRange | None, read: ReadPart
) -> list[Indexed]:
    reader = IndexReader(lambda part: read(url, part), MAX_CHUNKS)
    try:
        return reader.from_start() if place is None else reader.at(place)
    except IndexFault as error:
        raise MpdError(f"{where(representation)}: the index of {url[-120:]}: {error}") from None


def _segments(
    merged: ElementTree.Element, representation: ElementTree.Element, found: list[Indexed]
) -> list[Segment]:
    timescale = integer(merged, "timescale", 1)
    if timescale == 0:
        raise MpdError(f"{where(representation)}: SegmentBase@timescale is 0")
    begins_s = Fraction(integer(merged, "presentationTimeOffset", 0), timescale)
    return [
        Segment(number, int(one.start_s * timescale), one.start_s - begins_s, one.duration_s)
        for number, one in enumerate(found, start=1)
    ]


def refuse_overlaps(name: str, parts: Iterable[ByteRange]) -> None:
    """Raises MpdError where two segments of a file share bytes."""
    shared = overlapping(parts)
    if shared is not None:
        raise MpdError(f"{name}: bytes {shared[0]} and {shared[1]} of one file overlap; segments may not")
