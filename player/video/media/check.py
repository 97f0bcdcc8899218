"""Do other people's players read a video's real media without a word? MPD and segments are laid out as an
origin serves them, each level is read whole by ffmpeg's DASH demuxer, and ffplay, where it is, plays on.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from player.video.media.boxes import samples_of
from player.video.media.encode import FFPROBE, MediaError, tool
from player.video.media.prepared import PreparedMedia
from player.video.mpd_write import write_mpd

FFPLAY = "ffplay"
PLAYED_S = 0.5
"""Of each level; it plays no faster than a person watches."""
READ_WITHIN_S = 600.0
_OWN_FAULTS = re.compile(
    r"\[dash @ \w+\] (Failed to open fragment of playlist|Error when loading first fragment of playlist)"
    r"|Failed to initialize a hardware accelerated renderer|Last message repeated"
)
"""What it says of itself: libavformat counts one segment too many where an MPD has `@duration`
(`calc_max_seg_no` in dashdec.c), asks for it and wonders; and there is no screen here. That no other segment
is missing, the count of pictures tells."""
_NO_SCREEN = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"}


@dataclass(frozen=True)
class CheckedLevel:
    """What came of one."""

    level: int
    pictures: int
    """That the demuxer reads."""
    said: tuple[str, ...]
    """Errors and warnings, a line each, with who said them."""
    played: bool
    """Whether ffplay was there to be asked, too."""


def check_media(media: PreparedMedia) -> Iterator[CheckedLevel]:
    """Each level of a video, lowest first.

    Raises:
        MediaError: there is no ffprobe, it has no DASH demuxer, or one of them doesn't end.
        OSError: the disk has no room for a level's first bytes.
    """
    _refuse_without_demuxer()
    with tempfile.TemporaryDirectory(prefix="streambed-check-") as made:
        manifest = _laid_out(media, Path(made))
        for level in range(media.video.levels):
            pictures, said = _demuxed(manifest, level)
            if pictures != (due := _pictures(media, level)):
                said += [f"{FFPROBE}: {pictures} pictures of {due}"]
            played = shutil.which(FFPLAY) is not None
            said += _played(manifest, level) if played else []
            yield CheckedLevel(level, pictures, tuple(said), played)


def _refuse_without_demuxer() -> None:
    told = _run([tool(FFPROBE), "-hide_banner", "-demuxers"])
    if not any(line.split()[1:2] == ["dash"] for line in told.stdout.splitlines()):
        raise MediaError(f"{tool(FFPROBE)} has no DASH demuxer; take another ffmpeg")


def _laid_out(media: PreparedMedia, folder: Path) -> Path:
    """Files as an origin serves them. What only fills a segment is a hole in its file: it takes no disk."""
    for level, clip in enumerate(media.clips):
        place = folder / str(level)
        place.mkdir()
        (place / "init.mp4").write_bytes(clip.init)
        for chunk in range(media.video.chunks):
            segment = media.segment(level, chunk)
            with (place / f"{chunk}.m4s").open("wb") as file:
                for at, piece in segment.pieces:
                    file.seek(at)
                    file.write(piece)
                file.truncate(media.video.sizes_bytes[chunk][level])
    manifest = folder / "manifest.mpd"
    manifest.write_text(write_mpd(media.video, media.codecs), encoding="utf-8")
    return manifest


def _pictures(media: PreparedMedia, level: int) -> int:
    """How many there are, by the fragments themselves."""
    return sum(map(samples_of, media.clips[level].fragments))


def _demuxed(manifest: Path, level: int) -> tuple[int, list[str]]:
    words = ["-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"]
    done = _run([tool(FFPROBE), *_LOUD, "-select_streams", f"v:{level}", *words, str(manifest)])
    counts = [int(word) for word in done.stdout.replace(",", " ").split() if word.isdecimal()]
    return (counts[0] if counts else -1), _said(FFPROBE, done)


def _played(manifest: Path, level: int) -> list[str]:
    words = ["-autoexit", "-an", "-t", f"{PLAYED_S:g}", "-vst", f"v:{level}", str(manifest)]
    return _said(FFPLAY, _run([tool(FFPLAY), *_LOUD, "-nostats", *words]))


_LOUD = ("-hide_banner", "-loglevel", "warning")


def _run(words: list[str], within_s: float = READ_WITHIN_S) -> subprocess.CompletedProcess[str]:
    """What a program says.

    Raises:
        MediaError: it has not ended by then; it is ended.
    """
    variables = {**os.environ, **_NO_SCREEN}
    try:
        return subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=within_s, env=variables
        )
    except subprocess.TimeoutExpired:
        raise MediaError(f"{words[0]} has not ended in {within_s:g} s") from None


def _said(who: str, done: subprocess.CompletedProcess[str]) -> list[str]:
    told = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    lines = [f"{who}: {line}" for line in told if not _OWN_FAULTS.match(line)]
    return lines or ([f"{who}: ended with status {done.returncode}"] if done.returncode else [])
