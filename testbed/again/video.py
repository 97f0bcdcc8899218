"""The video of a record's session: where it still is, or else laid out anew from the sizes in the record."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from player.video.built_in import load_video
from player.video.mpd_write import write_mpd
from player.video.mpd_xml import MpdError
from player.video.video import Video, VideoError
from testbed.again.told import Told
from testbed.process.errors import TestbedError
from traces.files import write_aside
from traces.ownership import give_to_caller, make_directory

FOLDER = "video"
"""In the new record's folder."""


@dataclass(frozen=True)
class HadVideo:
    """A video, and where an origin finds it."""

    whole: Video
    """As the policy is told it; what was streamed, where the rest is nowhere."""
    streamed: Video
    spec: str | None
    """None: it is gone, and has to be laid out."""


def had_video(told: Told, streamed: Video) -> HadVideo:
    """The whole video, if it is where the record says, and still the same; else what of it was streamed.

    Raises:
        TestbedError: it was a live stream, of which a record holds no sizes, and it is not there.
    """
    served, live = told.optional("video.served_sha256"), told.has("player.live")
    specs = [spec for spec in (told.optional("video.spec"), streamed.name) if spec is not None]
    for spec in dict.fromkeys(specs):
        with contextlib.suppress(VideoError, OSError, ValueError):
            whole = load_video(spec)
            if whole.first(streamed.chunks).sha256 == (served if live else streamed.sha256):
                return HadVideo(whole, streamed, spec)
    if live:
        raise told.fault(
            f"a live stream of video {streamed.name}, whose sizes no record holds, and the video is not there"
        )
    return HadVideo(streamed, streamed, None)


def check_servable(told: Told, video: Video) -> None:
    """Refuse a video that no origin could serve.

    Raises:
        TestbedError: it can't be described by an MPD.
    """
    try:
        write_mpd(video)
    except MpdError as error:
        raise told.fault(f"video: {error}") from None


def laid_out(video: Video, folder: Path) -> Path:
    """Write a video's sizes as files that an origin reads; what is made here, and no more, is the caller's.

    Args:
        video: with a name that a folder can have (`check_name`).
        folder: of the new record.

    Raises:
        TestbedError: there is something of that name already.
        OSError: they cannot be written; nothing is left behind then.
    """
    make_directory(folder)
    parent = folder / FOLDER
    try:
        parent.mkdir()
    except FileExistsError:
        raise TestbedError(f"--out {folder} holds {FOLDER} already; name another folder") from None
    try:
        give_to_caller(parent)
        place = make_directory(parent / video.name)
        for level in range(video.levels):
            _write(place / f"video_size_{level}", [row[level] for row in video.sizes_bytes])
        _write(place / "ladder_kbps", video.ladder_kbps)
        _write(place / "chunk_s", [video.chunk_s])
        if video.pictures:
            write_aside(place / "pictures", "".join(f"{each}\n" for each in video.pictures))
    except BaseException:
        shutil.rmtree(parent, ignore_errors=True)
        raise
    return place


def _write(path: Path, values: Sequence[float]) -> None:
    write_aside(path, "".join(f"{value!r}\n" for value in values))
