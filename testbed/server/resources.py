"""What an origin has: segments of described videos, their manifests, and files of encoded media.

A segment has exactly the described size. Where clips have been made it is real media (`player/video/media`)
with a filling; else it is all filling: noise that no link can compress, a function of video, level, chunk
and position alone, so that a download resumed with Range fits its first part.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import itertools
import os
import re
import stat
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from player.video.media.prepared import PreparedMedia
from player.video.mpd_write import write_mpd
from player.video.video import Video, VideoError
from testbed.server.http_semantics import Validators
from testbed.server.names import url_name
from testbed.server.pages import page

Pieces = AsyncGenerator[bytes | memoryview, None]

PIECE_BYTES = 64 * 1024
"""Handed to the transport at a time; it asks us to wait while more than that is unsent."""
NOISE_BYTES = 1024 * 1024
"""Period of a segment's content: longer than the window of any usual compressor (deflate: 32 KiB)."""
MPD_TYPE = "application/dash+xml"
SEGMENT_TYPE = "video/iso.segment"
INIT_TYPE = "video/mp4"
MEDIA_TYPES = {
    ".mpd": MPD_TYPE,
    ".m4s": SEGMENT_TYPE,
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".m4a": "audio/mp4",
    ".webm": "video/webm",
    ".ts": "video/mp2t",
    ".vtt": "text/vtt",
}


@dataclass(frozen=True)
class Resource:
    """Something with a size and content that can be read from anywhere."""

    size_bytes: int
    content_type: str
    validators: Validators
    read: Callable[[int, int], Pieces]
    """(first byte, number of bytes) -> the content in pieces."""


@functools.cache
def _noise() -> memoryview:
    """The block that every segment's content is cut from: the same on every machine."""
    return memoryview(hashlib.shake_256(b"streambed segment noise").digest(NOISE_BYTES))


def segment(video: Video, level: int, chunk: int, prepared: PreparedMedia | None = None) -> Resource:
    """A described segment. Byte i is `noise[(start + i) % NOISE_BYTES]`, but for the real media that stand in
    it, if any; start depends on the segment."""
    pieces = () if prepared is None else prepared.segment(level, chunk).pieces
    media = b"".join(piece for _, piece in pieces)
    digest = hashlib.sha256(f"{video.sha256}/{level}/{chunk}".encode() + media).digest()
    start = int.from_bytes(digest[:8], "big") % NOISE_BYTES

    async def read(first: int, count: int) -> Pieces:
        position, end = first, first + count
        for place, media in (*pieces, (end, b"")):
            while position < min(place, end):
                offset = (start + position) % NOISE_BYTES
                noise = _noise()[offset : offset + min(PIECE_BYTES, place - position, end - position)]
                yield noise
                position += len(noise)
            if place <= position < min(place + len(media), end):
                yield memoryview(media)[position - place : end - place]
                position = min(place + len(media), end)

    size_bytes = video.sizes_bytes[chunk][level]
    return Resource(size_bytes, SEGMENT_TYPE, Validators(f'"{digest.hex()[:32]}"'), read)


def held(body: bytes, content_type: str) -> Resource:
    """A small resource that is held whole."""

    async def read(first: int, count: int) -> Pieces:
        yield body[first : first + count]

    return Resource(len(body), content_type, Validators(f'"{hashlib.sha256(body).hexdigest()[:32]}"'), read)


def media_file(root: Path, path: str) -> Resource:
    """A file below `root`, which is resolved.

    Raises:
        web.HTTPException: 403 for what lies outside or may not be read, 404 for what is no file, or hidden: a
            folder of media may be a checkout, or somebody's home.
    """
    try:
        file = root.joinpath(path).resolve(strict=True)
        if not file.is_relative_to(root):
            raise web.HTTPForbidden(text=f"/{path} leads out of the media directory\n")
        if any(part.startswith(".") for part in (*Path(path).parts, *file.relative_to(root).parts)):
            raise web.HTTPNotFound(text=f"no file /{path}\n")
        status = file.stat()
        readable = os.access(file, os.R_OK)
    except (OSError, RuntimeError, ValueError):  # missing, a loop of links, a NUL in the name
        raise web.HTTPNotFound(text=f"no file /{path}\n") from None
    if not stat.S_ISREG(status.st_mode):
        raise web.HTTPNotFound(text=f"/{path} is not a file\n")
    if not readable:
        raise web.HTTPForbidden(text=f"/{path} may not be read by the server\n")

    async def read(first: int, count: int) -> Pieces:
        with file.open("rb") as opened:
            opened.seek(first)
            while count:
                piece = await asyncio.to_thread(opened.read, min(PIECE_BYTES, count))
                if not piece:
                    raise ConnectionAbortedError(f"{file} got shorter while it was served")
                yield piece
                count -= len(piece)

    etag = f'"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"'
    content_type = MEDIA_TYPES.get(file.suffix.lower(), "application/octet-stream")
    return Resource(status.st_size, content_type, Validators(etag, int(status.st_mtime)), read)


MOST_LISTED = 1000
"""MPDs of a media folder."""


class Catalogue:
    """Finds what a path asks for.

    Raises:
        VideoError: two videos with the same name.
        MpdError: a video that no MPD can describe.

    Args:
        prepared: real media of some of the videos; the segments of others are noise.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        media: Path | None,
        prepared: Sequence[PreparedMedia] = (),
    ) -> None:
        self.videos: dict[str, Video] = {}
        for video in videos:
            name = url_name(video)
            if name in self.videos:
                raise VideoError(f"two videos are called {name}; rename the directory of one")
            self.videos[name] = video
        self.media = media.resolve() if media is not None else None
        self.prepared = {url_name(one.video): one for one in prepared}
        self._manifests = {name: self._manifest(name) for name in self.videos}

    def _manifest(self, name: str) -> Resource:
        real = self.prepared.get(name)
        return held(write_mpd(self.videos[name], None if real is None else real.codecs).encode(), MPD_TYPE)

    def manifests(self) -> list[str]:
        """Paths of the MPDs that are served, as a URL has them: of videos, and of media not deep down."""
        found = [f"{quote(name)}/manifest.mpd" for name in self.videos]
        if self.media is not None:
            media = itertools.chain(self.media.glob("*.mpd"), self.media.glob("*/*.mpd"))
            paths = [path.relative_to(self.media) for path in itertools.islice(media, MOST_LISTED)]
            shown = [path for path in paths if not any(part.startswith(".") for part in path.parts)]
            found += [quote(path.as_posix()) for path in sorted(shown)]
        return found

    def find(self, path: str) -> Resource:
        """What lies at `path` (decoded, without its first slash).

        Raises:
            web.HTTPException: 4xx with one line of text.
        """
        parts = path.split("/")
        if any(part in ("..", ".") for part in parts) or "\\" in path or "\0" in path:
            raise web.HTTPForbidden(text="a path may not hold . or .. or a backslash or NUL\n")
        video = self.videos.get(parts[0])
        if video is not None and parts[1:] == ["manifest.mpd"]:
            return self._manifests[parts[0]]
        if video is not None and len(parts) == 3 and parts[2].endswith(".m4s"):
            level = index_of(parts[1], "level", video.levels, parts[0])
            chunk = index_of(parts[2].removesuffix(".m4s"), "chunk", video.chunks, parts[0])
            return segment(video, level, chunk, self.prepared.get(parts[0]))
        if video is not None and parts[0] in self.prepared and len(parts) == 3 and parts[2] == "init.mp4":
            level = index_of(parts[1], "level", video.levels, parts[0])
            return held(self.prepared[parts[0]].clips[level].init, INIT_TYPE)
        found = page(path)
        if found is not None:
            return held(*found)
        if self.media is not None:
            return media_file(self.media, path)
        raise web.HTTPNotFound(
            text=f"no /{path[:200]}; there are /NAME/manifest.mpd and /NAME/LEVEL/CHUNK.m4s"
            f" for NAME in {', '.join(self.videos)}\n"
        )


def index_of(word: str, what: str, count: int, name: str) -> int:
    """A level or chunk number of a path."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,8}", word, re.ASCII) or int(word) >= count:
        raise web.HTTPNotFound(text=f"{name} has no {what} {word[:40]}; there are 0 to {count - 1}\n")
    return int(word)
