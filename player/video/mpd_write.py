"""Writing a video as a DASH MPD (ISO/IEC 23009-1) that any parser reads.

A static presentation of the ISO BMFF live profile: SegmentTemplate with `$RepresentationID$` and
`$Number$`, both counted from 0, so that level 2 of chunk 7 is `2/7.m4s` beside the manifest. Where
the segments are real media, each level has an initialization segment too, `2/init.mp4`: players that
decode fetch it besides. Ours doesn't: its session fetches exactly the described bytes and nothing else.
The exact chunk sizes ride in a SupplementalProperty (`player/video/mpd_ladder.py`), which parsers that do
not know it ignore.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from xml.etree import ElementTree

from player.video.mpd_ladder import SIZES_SCHEME
from player.video.mpd_live import ISO_CLOCKS, MOVING, SEGMENTS_BEHIND
from player.video.mpd_segments import MAX_CHUNKS
from player.video.mpd_xml import MpdError
from player.video.pictures import Pictures
from player.video.video import Video

NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
LIVE_PROFILE = "urn:mpeg:dash:profile:isoff-live:2011"
"""The profile of segment templates; it serves static presentations too."""
MEDIA_TEMPLATE = "$RepresentationID$/$Number$.m4s"
INIT_TEMPLATE = "$RepresentationID$/init.mp4"
CLOCK_PATH = "/clock"
"""Of the origin: its time, as ISO 8601."""

H264_HIGH = ((12_500, "1E"), (25_000, "28"), (300_000, "33"), (1_000_000, "3E"))
"""Largest bitrate in kbit/s of H.264 High profile and its level (3.0, 4.0, 5.1, 6.2) in hex as in
a codecs string (ITU-T H.264 table A-1, factor 1.25 of the High profile)."""

_LARGEST_TIMESCALE = 2**32 - 1
"""xs:unsignedInt."""
_COMMON_TIMESCALES = (1_000, 90_000, _LARGEST_TIMESCALE)


VIDEO_SET = {
    "id": "0",
    "contentType": "video",
    "mimeType": "video/mp4",
    "segmentAlignment": "true",
    "startWithSAP": "1",
}


def write_mpd(video: Video, codecs: Sequence[str] | None = None, pictures: Sequence[Pictures] = ()) -> str:
    """The MPD of a video, as XML text. :func:`player.video.mpd.read_mpd` gives back the identical video.

    Args:
        codecs: [level] of real media, which have initialization segments; None: the segments are bytes of the
            described sizes, and codecs are those that such a ladder would have.
        pictures: [level] of real media; empty: not said.

    `@bandwidth` is the nominal ladder; `@minBufferTime` is the least for which that is true of the
    real sizes, as 5.3.5.2 defines the pair.

    Raises:
        MpdError: a name that is empty, padded or has control characters, too many chunks, or a
            chunk length that no 32-bit timescale expresses.
    """
    mpd = _described(video, codecs, INIT_TEMPLATE, MEDIA_TEMPLATE)
    for representation, shown in zip(mpd.iter("Representation"), pictures, strict=False):
        representation.set("width", str(shown.width))
        representation.set("height", str(shown.height))
        representation.set("frameRate", str(shown.rate))
    return _text(mpd)


def write_live_mpd(
    video: Video, begins_ms: int, part_s: float | None = None, codecs: Sequence[str] | None = None
) -> str:
    """The MPD of a video as a live stream that begins at a time, and ends with the video.

    Sizes are not in it: they are not known before a chunk is made.

    Args:
        begins_ms: Unix time in ms; chunk k is made from then + k chunks on. Segments lie in a folder of that
            name, or of any other beginning (`player.video.mpd_live.MOVING`).
        part_s: chunks come in parts so long as they are made; None: whole.

    Raises:
        MpdError: as `write_mpd`, or a part that is longer than a chunk.
    """
    if part_s is not None and not 0 < part_s <= video.chunk_s:
        raise MpdError(f"parts of {part_s:g} s: expected up to a chunk's {video.chunk_s:g} s")
    mpd = _described(video, codecs, f"{begins_ms}/{INIT_TEMPLATE}", f"{begins_ms}/{MEDIA_TEMPLATE}")
    begins = datetime.fromtimestamp(begins_ms / 1000, UTC).isoformat(timespec="milliseconds")
    mpd.set("type", "dynamic")
    mpd.set("availabilityStartTime", begins.replace("+00:00", "Z"))
    mpd.set("publishTime", begins.replace("+00:00", "Z"))
    mpd.set("suggestedPresentationDelay", _xs_duration(SEGMENTS_BEHIND * video.chunk_s))
    for representation in mpd.iter("Representation"):
        for item in list(representation):
            representation.remove(item)
    if part_s is not None and part_s < video.chunk_s:
        for template in mpd.iter("SegmentTemplate"):
            template.set("availabilityTimeOffset", f"{video.chunk_s - part_s:.9f}".rstrip("0").rstrip("."))
            template.set("availabilityTimeComplete", "false")
    ElementTree.SubElement(mpd, "SupplementalProperty", {"schemeIdUri": MOVING, "value": str(begins_ms)})
    ElementTree.SubElement(mpd, "UTCTiming", {"schemeIdUri": ISO_CLOCKS[0], "value": CLOCK_PATH})
    return _text(mpd)


def _text(mpd: ElementTree.Element) -> str:
    ElementTree.indent(mpd)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(mpd, encoding="unicode") + "\n"


def _described(video: Video, codecs: Sequence[str] | None, init: str, media: str) -> ElementTree.Element:
    """A static presentation, with exact sizes."""
    if not video.name or not video.name.isprintable() or video.name.strip() != video.name:
        raise MpdError(f"video name {video.name!r} cannot be written into an MPD; give it a plain one")
    if video.chunks > MAX_CHUNKS:
        raise MpdError(f"{video.name}: {video.chunks} chunks; {MAX_CHUNKS} are the limit")
    length_s = _chunk_fraction(video)
    mpd = ElementTree.Element(
        "MPD",
        {
            "xmlns": NAMESPACE,
            "profiles": LIVE_PROFILE,
            "type": "static",
            "mediaPresentationDuration": _xs_duration(float(video.chunks * length_s)),
            "maxSegmentDuration": _xs_duration(video.chunk_s),
            "minBufferTime": _xs_duration(math.ceil(_min_buffer_s(video) * 1000) / 1000),
        },
    )
    information = ElementTree.SubElement(mpd, "ProgramInformation")
    ElementTree.SubElement(information, "Title").text = video.name
    period = ElementTree.SubElement(mpd, "Period", {"id": "0", "start": "PT0S"})
    video_set = ElementTree.SubElement(
        period,
        "AdaptationSet",
        VIDEO_SET,
    )
    initialization = {} if codecs is None else {"initialization": init}
    numbered = {
        "startNumber": "0",
        "timescale": str(length_s.denominator),
        "duration": str(length_s.numerator),
    }
    ElementTree.SubElement(video_set, "SegmentTemplate", {**initialization, "media": media, **numbered})
    for level in range(video.levels):
        _add_level(
            video_set, video, level, codecs[level] if codecs is not None else _usual_codec(video, level)
        )
    return mpd


def _add_level(video_set: ElementTree.Element, video: Video, level: int, codec: str) -> None:
    """A Representation with its chunk sizes."""
    sizes = [row[level] for row in video.sizes_bytes]
    representation = ElementTree.SubElement(
        video_set,
        "Representation",
        {
            "id": str(level),
            "bandwidth": str(video.ladder_kbps[level] * 1000),
            "codecs": codec,
        },
    )
    ElementTree.SubElement(
        representation,
        "SupplementalProperty",
        {"schemeIdUri": SIZES_SCHEME, "value": " ".join(map(str, sizes))},
    )


def _chunk_fraction(video: Video) -> Fraction:
    """The chunk length as duration / timescale that divides back to the identical float."""
    for largest in _COMMON_TIMESCALES:
        fraction = Fraction(video.chunk_s).limit_denominator(largest)
        if fraction > 0 and float(fraction) == video.chunk_s:
            return fraction
    raise MpdError(f"{video.name}: no 32-bit timescale expresses chunks of {video.chunk_s!r} s; round it")


def _min_buffer_s(video: Video) -> float:
    """Seconds of `@bandwidth` to gather first, so that from any chunk on playback never starves.

    With b bits for `chunk_s` seconds each, the need is the largest excess of any run of chunks:
    max over runs of (bits of the run / bandwidth - length of all but its last chunk).
    """
    need_s = 0.0
    for level, kbps in enumerate(video.ladder_kbps):
        behind_s = 0.0  # largest need of a run that ends with the chunk before
        for row in video.sizes_bytes:
            chunk_need_s = row[level] * 8 / (kbps * 1000)
            behind_s = max(behind_s - video.chunk_s, 0.0) + chunk_need_s
            need_s = max(need_s, behind_s)
    return need_s


def _xs_duration(seconds: float) -> str:
    return "PT" + f"{seconds:.9f}".rstrip("0").rstrip(".") + "S"


def _usual_codec(video: Video, level: int) -> str:
    """What an encode of this bitrate would be, for parsers: nobody decodes random bytes."""
    peak_bytes = max(row[level] for row in video.sizes_bytes)
    return f"avc1.6400{_h264_level(peak_bytes * 8 / 1000 / video.chunk_s)}"


def _h264_level(peak_kbps: float) -> str:
    return next((level for largest, level in H264_HIGH if peak_kbps <= largest), H264_HIGH[-1][1])
