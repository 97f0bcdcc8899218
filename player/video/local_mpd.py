"""A video of an MPD file on this machine, with the media beside it where they are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from player.video.byte_range import ByteRange
from player.video.mpd import ESTIMATED, Presentation, read_mpd
from player.video.mpd_xml import MOST_BYTES, MpdError
from player.video.video import Video, VideoError
from traces.safe_reading import read_bytes
from traces.words import counted


def local_video(path: Path) -> Video:
    """A video whose MPD says the sizes, or whose media beside the MPD has them; else they are estimated.

    Raises:
        VideoError: an MPD that can't be used, or media that are not as it says.
        OSError, BadFileError: a file that can't be read.
    """
    text = read_bytes(path, MOST_BYTES)
    try:
        presentation = read_mpd(text, path.resolve().as_uri(), _part_of)
    except MpdError as error:
        raise VideoError(f"{path}: {error}") from None
    video = presentation.video
    if presentation.parts is not None:
        _refuse_cut_off(presentation, path)
    if presentation.sizes_exact:
        return video
    sizes = [
        [_size_at(presentation, level, chunk, path) for level in range(video.levels)]
        for chunk in range(video.chunks)
    ]
    missing = [url for row, urls in zip(sizes, presentation.urls, strict=True) for url in _without(row, urls)]
    if not missing:
        known = tuple(tuple(size or 0 for size in row) for row in sizes)
        notes = tuple(note for note in video.notes if note != ESTIMATED)
        return replace(video, sizes_bytes=known, sizes_exact=True, notes=notes)
    if len(missing) < video.chunks * video.levels:
        raise VideoError(
            f"{path}: {_place_of(missing[0])} is missing ({len(missing)} of"
            f" {counted(video.chunks * video.levels, 'segment')}); add what is, or take all away to have all"
            " sizes estimated"
        )
    return video


def _file_of(url: str) -> Path | None:
    """The file of this machine that a URL names; None where there is none."""
    parts = urlsplit(url)
    file = Path(unquote(parts.path))
    return file if parts.scheme == "file" and file.is_file() else None


def _part_of(url: str, part: ByteRange) -> bytes:
    """Raises MpdError for a file that is not there."""
    file = _file_of(url)
    if file is None:
        raise MpdError(
            f"{_place_of(url)} is not there, and the index of its segments is in it; put it beside the MPD,"
            " or stream the MPD's URL with python -m player"
        )
    with file.open("rb") as opened:
        opened.seek(part.first)
        return opened.read(part.length)


def _refuse_cut_off(presentation: Presentation, mpd: Path) -> None:
    """Raises VideoError where a file beside the MPD ends before a part of it does."""
    assert presentation.parts is not None
    ends: dict[str, int] = {}
    for urls, parts in zip(presentation.urls, presentation.parts, strict=True):
        for url, part in zip(urls, parts, strict=True):
            if part is not None:
                ends[url] = max(ends.get(url, 0), part.last + 1)
    for url, end in ends.items():
        file = _file_of(url)
        if file is not None and file.stat().st_size < end:
            raise VideoError(
                f"{mpd}: {file} has {file.stat().st_size} bytes, and a segment ends at {end}; it is cut off"
            )


def _without(sizes: Sequence[int | None], urls: Sequence[str]) -> list[str]:
    """Of a chunk's segments those that are not there."""
    return [url for size, url in zip(sizes, urls, strict=True) if size is None]


def _place_of(url: str) -> str:
    """How a person calls it."""
    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme == "file" else url


def _size_at(presentation: Presentation, level: int, chunk: int, mpd: Path) -> int | None:
    part = presentation.part(level, chunk)
    return _size_of(presentation.url(level, chunk), mpd) if part is None else part.length


def _size_of(url: str, mpd: Path) -> int | None:
    """Bytes of a segment that an MPD names; None where it is not there, or on another machine.

    Raises:
        VideoError: it is empty.
    """
    file = _file_of(url)
    if file is None:
        return None
    size = file.stat().st_size
    if size == 0:
        raise VideoError(f"{mpd}: {file} is empty; package the video again")
    return size
