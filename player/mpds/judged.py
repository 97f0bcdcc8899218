"""What our player makes of MPDs that somebody else wrote: played, or why not, and of which kind each is.

A live one is joined now. Where segments are parts of a file, its index is in the media, which are not here:
one is made up, so that all the rest of such an MPD is judged, too.
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from player.defaults import CHUNKS
from player.video.byte_range import ByteRange
from player.video.mpd import read_mpd
from player.video.mpd_live import LiveRead
from player.video.mpd_xml import MOST_BYTES, MpdError, children, parse, tag
from traces.safe_reading import BadFileError, read_bytes

NO_MPD = "no MPD that can be read"
LIVE_TIMELINE, LIVE_NUMBERS, LIVE_OTHER = "live, SegmentTimeline", "live, numbered", "live, other"
SEVERAL, INDEXED, LISTED, FILES = "several Periods", "one file, index", "one file, listed parts", "files"
KINDS = (FILES, LISTED, INDEXED, SEVERAL, LIVE_NUMBERS, LIVE_TIMELINE, LIVE_OTHER, NO_MPD)
"""In the order in which a table has them."""
ENDINGS = (".mpd", ".mpd.gz")
ORIGIN = "http://origin.example/media/manifest.mpd"
"""Where they are taken to have come from."""


@dataclass(frozen=True)
class Judged:
    """One MPD."""

    path: Path
    """Below the folder."""
    kind: str
    """One of KINDS."""
    refused: str
    """Why it would not be played; empty if it would."""
    levels: int = 0
    chunks: int = 0
    """Of one with made-up indexes they say nothing."""


def found_mpds(folder: Path) -> Iterator[Path]:
    """Files below a folder that are named as MPDs are, in order; of those with the same content the first."""
    seen = set()
    for path in sorted(folder.rglob("*")):
        if path.name.lower().endswith(ENDINGS) and path.is_file():
            try:
                digest = hashlib.sha256(read_bytes(path, MOST_BYTES)).digest()
            except (BadFileError, OSError):
                digest = str(path).encode()
            if digest not in seen:
                seen.add(digest)
                yield path


def judge(path: Path, folder: Path) -> Judged:
    """What comes of an MPD of the folder."""
    name = path.relative_to(folder)
    try:
        text = read_bytes(path, MOST_BYTES)
        kind = kind_of(parse(text))
    except (MpdError, BadFileError, OSError) as error:
        return Judged(name, NO_MPD, str(error))
    try:
        presentation = read_mpd(text, ORIGIN, made_up, LiveRead(time.time(), CHUNKS))
    except MpdError as error:
        return Judged(name, kind, str(error))
    return Judged(name, kind, "", presentation.video.levels, presentation.video.chunks)


def kind_of(mpd: ElementTree.Element) -> str:
    """One of KINDS, by what the MPD has anywhere."""
    if tag(mpd) != "MPD":
        return NO_MPD
    tags = {tag(element) for element in mpd.iter()}
    if mpd.get("type", "static") != "static":
        if "SegmentTimeline" in tags:
            return LIVE_TIMELINE
        return LIVE_NUMBERS if "SegmentTemplate" in tags else LIVE_OTHER
    if len(children(mpd, "Period")) > 1:
        return SEVERAL
    if "SegmentTemplate" in tags:
        return FILES
    if "SegmentList" in tags:
        parts = any(element.get("mediaRange") for element in mpd.iter() if tag(element) == "SegmentURL")
        return LISTED if parts else FILES
    return INDEXED


def made_up(url: str, part: ByteRange) -> bytes:
    """An index of one segment of 1 s, and nothing behind it."""
    index = struct.pack(">I4sIIIIIHHIII", 44, b"sidx", 0, 1, 1, 0, 0, 0, 1, 1000, 1, 0)
    return index.ljust(part.length, b"\0")[: part.length]
