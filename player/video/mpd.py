"""Reading a DASH MPD (ISO/IEC 23009-1): which URL holds which chunk, and how large each one is.

Read are static presentations, plain or gzipped (`mpd_xml.py`), of one Period or several (`mpd_periods.py`),
whose segments are files of their own or parts of one (`mpd_segments.py`, `mpd_indexed.py`); of the
AdaptationSets the first video, which may be spread over several (`mpd_ladder.py`). An MPD of our own
(`mpd_write.py`) carries exact chunk sizes, and so do parts of files; else a size is what `@bandwidth` says,
and `Video.sizes_exact` is False.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from player.live.stream import LiveStream
from player.video.byte_range import ByteRange, ReadPart
from player.video.mpd_indexed import NeedsIndexError
from player.video.mpd_ladder import Level, Place, ladder
from player.video.mpd_live import LiveRead, Window, timing
from player.video.mpd_periods import Period, in_sequence, named, period_now, periods
from player.video.mpd_xml import MpdError, children, duration_s, parse, tag
from player.video.pictures import Pictures
from player.video.video import Video, VideoError, plain_name

ESTIMATED = "chunk sizes are estimated as @bandwidth x duration"
"""The note on a video whose sizes nobody knows."""


@dataclass(frozen=True)
class Presentation:
    """A video and where its chunks lie."""

    video: Video
    """Its `notes` say what had to be assumed or left out."""
    urls: tuple[tuple[str, ...], ...]
    """[chunk][level], absolute when the MPD's own URL was."""
    init_urls: tuple[str | None, ...]
    """[level] initialization segment of the first Period, None where the media segments need none, or it is a
    part of their file."""
    parts: tuple[tuple[ByteRange | None, ...], ...] | None = None
    """[chunk][level] which part of the file at the URL a chunk is; None: all of it, of every one."""
    live: LiveStream | None = None
    """When its chunks are made; None: they are there."""
    mpd_url: str = ""
    """Of a live one, where its MPD was read …"""
    update_s: float | None = None
    """… and after how long it may say something new; None: never."""

    @property
    def sizes_exact(self) -> bool:
        """False: the sizes are `@bandwidth` x duration, for want of better."""
        return self.video.sizes_exact

    @property
    def notes(self) -> tuple[str, ...]:
        """What had to be assumed or left out, a sentence each."""
        return self.video.notes

    def url(self, level: int, chunk: int) -> str:
        """Where chunk `chunk` (from 0) of level `level` lies."""
        return self.urls[chunk][level]

    def moved(self, live: LiveStream) -> Presentation:
        """A live one that begins at another time, as its URLs may say (`LiveStream.moves_to`)."""
        assert self.live is not None and self.live.moves_to is not None and live.moves_to is not None
        old, new = f"/{self.live.moves_to}/", f"/{live.moves_to}/"
        urls = tuple(tuple(url.replace(old, new) for url in row) for row in self.urls)
        return replace(self, urls=urls, live=live)

    def renewed(self, chunk: int, new: Presentation) -> Presentation:
        """A live one as an MPD that was read again has it.

        Args:
            chunk: where `new` begins; a level is its highest bitrate not above ours, or its lowest.

        Raises:
            MpdError: it is no live stream any more.
        """
        if self.live is None or new.live is None:
            raise MpdError("the MPD, read again, is of no live stream")
        taken = [
            max((at for at, other in enumerate(new.video.ladder_kbps) if other <= kbps), default=0)
            for kbps in self.video.ladder_kbps
        ]
        later = tuple(tuple(row[level] for level in taken) for row in new.urls)
        urls = (*self.urls[:chunk], *later[: len(self.urls) - chunk])
        live = replace(self.live, begins_s=new.live.begins_s - chunk * self.video.chunk_s)
        return replace(self, urls=(*urls, *self.urls[len(urls) :]), live=live, update_s=new.update_s)

    def part(self, level: int, chunk: int) -> ByteRange | None:
        """Which part of the file there; None: all of it."""
        return None if self.parts is None else self.parts[chunk][level]


def read_mpd(
    text: str | bytes, url: str = "", read: ReadPart | None = None, live: LiveRead | None = None
) -> Presentation:
    """Read an MPD.

    Args:
        text: the XML; bytes may be gzipped.
        url: where it came from (http, https or file); segment URLs are resolved against it.
        read: reads a part of a media file that an index of segments is in; it may raise what it likes, which
            passes. None: such an MPD is refused.
        live: with what a live stream is joined; None: one is refused.

    Raises:
        NeedsIndexError: an index is needed, and there is no `read`.
        MpdError: not XML, a DOCTYPE, a live presentation, a Period that lies elsewhere, no video, an index
            that can't be used, or an attribute that is missing or nonsense.
    """
    mpd = parse(text)
    if tag(mpd) != "MPD":
        raise MpdError(f"the root element is {tag(mpd)}, not MPD; this is no DASH manifest")
    if mpd.get("type", "static") != "static":
        return _joined(mpd, url, read, live)
    notes: list[str] = []
    found = periods(mpd, notes)
    ladders = [(one, _ladder(mpd, one, len(found), url, read, notes)) for one in found]
    levels = in_sequence(ladders, notes)
    video = _video(_name(mpd, url), levels, notes)
    whole = all(part is None for level in levels for part in level.parts)
    return Presentation(
        video,
        tuple(zip(*(level.urls for level in levels), strict=True)),
        tuple(level.init_url for level in levels),
        None if whole else tuple(zip(*(level.parts for level in levels), strict=True)),
    )


def _joined(mpd: ElementTree.Element, url: str, read: ReadPart | None, live: LiveRead | None) -> Presentation:
    """A live stream from its edge on."""
    if live is None:
        raise MpdError(f"MPD@type is {mpd.get('type')}: a live stream, which is played with --live")
    notes: list[str] = []
    made = timing(mpd, url, live)
    at_s = made.edge_s
    if live.within_s is not None:
        at_s = Fraction(live.within_s - made.begins_s).limit_denominator(1_000_000)
    period, start_s = period_now(mpd, at_s, notes)
    behind_s = made.suggested_s if live.latency_s is None else Fraction(live.latency_s)
    update_s = duration_s(mpd, "minimumUpdatePeriod")
    within_s = None if live.within_s is None else at_s - start_s
    window = Window(made.edge_s - start_s, behind_s, live.chunks, within_s) if made.moves_to is None else None
    levels = ladder(Place(mpd, period.element, period.length_s, url, read, window), notes)
    video = _video(_name(mpd, url), levels, notes)
    first_s = float(start_s + levels[0].segments[0].start_s)
    stream = LiveStream(
        made.begins_s + first_s - made.clock_ahead_s,
        min(min(level.ahead_s for level in levels), video.chunk_s),
        None if made.suggested_s is None else float(made.suggested_s),
        made.clock_ahead_s,
        made.moves_to,
    )
    return Presentation(
        video,
        tuple(zip(*(level.urls for level in levels), strict=True)),
        tuple(level.init_url for level in levels),
        live=stream,
        mpd_url=url,
        update_s=None if update_s is None else float(update_s),
    )


def _ladder(
    mpd: ElementTree.Element, period: Period, of: int, url: str, read: ReadPart | None, notes: list[str]
) -> list[Level]:
    """A Period's; errors name it where there are several."""
    try:
        return ladder(Place(mpd, period.element, period.length_s, url, read), notes)
    except NeedsIndexError:
        raise
    except MpdError as error:
        raise MpdError(f"{named(period, of)}{error}") from None


def _video(name: str, levels: Sequence[Level], notes: list[str]) -> Video:
    sizes_exact = all(level.sizes_bytes is not None for level in levels)
    sizes = [level.sizes_bytes if sizes_exact else level.estimated_bytes for level in levels]
    chunk_s = _chunk_s(levels[0], notes)
    if not sizes_exact:
        notes.append(ESTIMATED)
    try:
        return Video(
            name,
            chunk_s,
            tuple(level.kbps for level in levels),
            tuple(zip(*(size for size in sizes if size is not None), strict=True)),
            sizes_exact=sizes_exact,
            notes=tuple(dict.fromkeys(notes)),  # levels say the same
            pictures=_pictures(levels),
        )
    except VideoError as error:
        raise MpdError(str(error)) from None


def _pictures(levels: Sequence[Level]) -> tuple[Pictures, ...]:
    """What is shown, where the MPD says it of all levels."""
    known = tuple(level.pictures for level in levels if level.pictures is not None)
    return known if len(known) == len(levels) else ()


def _name(mpd: ElementTree.Element, url: str) -> str:
    """The title, or else the folder that the manifest lies in."""
    for information in children(mpd, "ProgramInformation"):
        for title in children(information, "Title"):
            if title.text and title.text.strip():
                return plain_name(title.text)
    parts = [part for part in unquote(urlsplit(url).path).split("/") if part]
    return plain_name(parts[-2]) if len(parts) > 1 else "video"


def _chunk_s(level: Level, notes: list[str]) -> float:
    """The length of a chunk: the mean over all but the last, which may be short."""
    durations = [segment.duration_s for segment in level.segments]
    full = durations[:-1] or durations
    if min(full) != max(full):
        notes.append(
            f"segments last {float(min(full)):g} to {float(max(full)):g} s; each counts as their mean"
        )
    return float(sum(full, Fraction(0)) / len(full))
