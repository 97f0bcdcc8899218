"""The origin server: videos over HTTP/1.1, streamed, with what a measurement wants to know.

    python testbed/origin.py --port 8080
    python testbed/origin.py --video envivio --video DIR_OF_SIZES --media DIR_OF_DASH --log origin.jsonl

A described video `NAME` is `/NAME/manifest.mpd` and `/NAME/LEVEL/CHUNK.m4s`, both counted from 0.
A segment has exactly the described size; its bytes are noise that no link can compress, a function
of video, level, chunk and position alone, so that a download resumed with Range fits its first
part. A directory of encoded media is served as it is, beside the videos.

Every answer carries the sender's view of the connection (`player/real/cmsd.py`), and every request
leaves a line in the log with the connection's TCP_INFO at its end.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from testbed.process.handover import hand_over

    hand_over()

import argparse
import asyncio
import contextlib
import functools
import hashlib
import json
import os
import re
import signal
import socket
import stat
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

from aiohttp import web

from player.real import cmsd
from player.real.tcp_info import TcpInfo, read_tcp_info
from player.video.built_in import builtin_names, load_video
from player.video.mpd import MpdError
from player.video.mpd_write import write_mpd
from player.video.video import Video, VideoError
from testbed.server.http_semantics import (
    RangeNotSatisfiable,
    Validators,
    asked_range,
    precondition_failed,
    unchanged,
)
from traces.commands import BAD_INPUT, Parser

Log = Callable[[dict[str, Any]], None]
"""Takes one finished request."""

Pieces = AsyncGenerator[bytes | memoryview, None]

PIECE_BYTES = 64 * 1024
"""Handed to the transport at a time; it asks us to wait while more than that is unsent."""
NOISE_BYTES = 1024 * 1024
"""Period of a segment's content: longer than the window of any usual compressor (deflate: 32 KiB)."""
STOP_S = 1.0
"""Downloads that are under way at the end get this long."""

MPD_TYPE = "application/dash+xml"
SEGMENT_TYPE = "video/iso.segment"
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

FIXED_HEADERS = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-cache, no-transform",  # a cache on the way must not answer, or it is what we measure
    "Access-Control-Allow-Origin": "*",
}

# ---------------------------------------------------------------- what can be asked for


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


def segment(video: Video, level: int, chunk: int) -> Resource:
    """A described segment. Byte i is `noise[(start + i) % NOISE_BYTES]`; start depends on the segment."""
    digest = hashlib.sha256(f"{video.sha256}/{level}/{chunk}".encode()).digest()
    start = int.from_bytes(digest[:8], "big") % NOISE_BYTES

    async def read(first: int, count: int) -> Pieces:
        position, end = first, first + count
        while position < end:
            offset = (start + position) % NOISE_BYTES
            piece = _noise()[offset : offset + min(PIECE_BYTES, end - position)]
            yield piece
            position += len(piece)

    size_bytes = video.sizes_bytes[chunk][level]
    return Resource(size_bytes, SEGMENT_TYPE, Validators(f'"{digest.hex()[:32]}"'), read)


def _text(text: str, content_type: str) -> Resource:
    """A small resource that is held whole."""
    body = text.encode()

    async def read(first: int, count: int) -> Pieces:
        yield body[first : first + count]

    return Resource(len(body), content_type, Validators(f'"{hashlib.sha256(body).hexdigest()[:32]}"'), read)


def media_file(root: Path, path: str) -> Resource:
    """A file below `root`, which is resolved.

    Raises:
        web.HTTPException: 403 for what lies outside or may not be read, 404 for what is no file.
    """
    try:
        file = root.joinpath(path).resolve(strict=True)
        if not file.is_relative_to(root):
            raise web.HTTPForbidden(text=f"/{path} leads out of the media directory\n")
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


def url_name(video: Video) -> str:
    """The video's name as one part of a path."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", video.name).strip(".-") or "video"


class Catalogue:
    """Finds what a path asks for.

    Raises:
        VideoError: two videos with the same name.
        MpdError: a video that no MPD can describe.
    """

    def __init__(self, videos: Sequence[Video], media: Path | None) -> None:
        self.videos: dict[str, Video] = {}
        for video in videos:
            name = url_name(video)
            if name in self.videos:
                raise VideoError(f"two videos are called {name}; rename the directory of one")
            self.videos[name] = video
        self.media = media.resolve() if media is not None else None
        self._manifests = {name: _text(write_mpd(video), MPD_TYPE) for name, video in self.videos.items()}

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
            level = _index(parts[1], "level", video.levels, parts[0])
            chunk = _index(parts[2].removesuffix(".m4s"), "chunk", video.chunks, parts[0])
            return segment(video, level, chunk)
        if self.media is not None:
            return media_file(self.media, path)
        raise web.HTTPNotFound(
            text=f"no /{path[:200]}; there are /NAME/manifest.mpd and /NAME/LEVEL/CHUNK.m4s"
            f" for NAME in {', '.join(self.videos)}\n"
        )


def _index(word: str, what: str, count: int, name: str) -> int:
    """A level or chunk number of a path."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,8}", word, re.ASCII) or int(word) >= count:
        raise web.HTTPNotFound(text=f"{name} has no {what} {word[:40]}; there are 0 to {count - 1}\n")
    return int(word)


# ---------------------------------------------------------------- how it is answered

_CATALOGUE: web.AppKey[Catalogue] = web.AppKey("catalogue", Catalogue)


@dataclass
class _Progress:
    """How far the answer to one request has come."""

    sent_bytes: int = 0
    """Of its body, handed to the transport."""


_PROGRESS: ContextVar[_Progress] = ContextVar("progress")
"""The request in hand; aiohttp answers each one in a task, and so in a context, of its own."""


def _connection(request: web.Request) -> TcpInfo | None:
    transport = request.transport
    return read_tcp_info(None if transport is None else transport.get_extra_info("socket"))


async def _answer(request: web.Request) -> web.StreamResponse:
    """GET and HEAD of a resource, by RFC 9110: conditions first, then the range, then the body."""
    resource = request.app[_CATALOGUE].find(request.match_info["path"])
    validators = resource.validators
    headers = {**FIXED_HEADERS, "ETag": validators.etag, cmsd.HEADER: cmsd.encode(_connection(request))}
    if validators.last_modified is not None:
        headers["Last-Modified"] = validators.last_modified
    if precondition_failed(request.headers, validators):
        raise web.HTTPPreconditionFailed(text="this version is not the one in If-Match\n", headers=headers)
    if unchanged(request.headers, validators):
        return web.Response(status=304, headers=headers)
    first, count, status = 0, resource.size_bytes, 200
    if request.method == "GET":  # a range is defined for GET alone
        try:
            part = asked_range(request.headers, validators, resource.size_bytes)
        except RangeNotSatisfiable as error:
            headers["Content-Range"] = f"bytes */{resource.size_bytes}"
            raise web.HTTPRequestRangeNotSatisfiable(text=f"{error}\n", headers=headers) from None
        if part is not None:
            first, count, status = part.first, part.length, 206
            headers["Content-Range"] = f"bytes {part.first}-{part.last}/{resource.size_bytes}"
    response = web.StreamResponse(
        status=status,
        headers={**headers, "Content-Type": resource.content_type, "Content-Length": str(count)},
    )
    await response.prepare(request)
    progress = _PROGRESS.get(_Progress())
    if request.method == "GET":
        async with contextlib.aclosing(resource.read(first, count)) as pieces:
            async for piece in pieces:
                await response.write(piece)  # waits while the client is slow
                progress.sent_bytes += len(piece)
    await response.write_eof()
    return response


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"ok": True, "videos": list(request.app[_CATALOGUE].videos)})


def _logged(log: Log) -> Callable[..., Awaitable[web.StreamResponse]]:
    """A middleware that hands `log` one dictionary for each request, however it ended."""

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        began_s, monotonic_s = time.time(), time.monotonic()
        progress = _Progress()
        _PROGRESS.set(progress)
        status, error = 500, ""
        try:
            response = await handler(request)
            status = response.status
        except web.HTTPException as refusal:
            status = refusal.status
            raise
        except (ConnectionError, asyncio.CancelledError) as broken:
            status, error = 499, str(broken) or "the server stopped"
            if isinstance(broken, ConnectionAbortedError) and request.transport is not None:
                request.transport.abort()
            raise
        except Exception as fault:
            error = f"{type(fault).__name__}: {fault}"
            raise
        finally:
            connection = _connection(request)
            log(
                {
                    "time": round(began_s, 6),
                    "monotonic_s": round(monotonic_s, 6),
                    "client": request.remote,
                    "method": request.method,
                    "path": request.raw_path,
                    "status": status,
                    "range": request.headers.get("Range"),
                    "bytes": progress.sent_bytes,
                    "duration_ms": round((time.monotonic() - monotonic_s) * 1000, 3),
                    "rtt_ms": connection.rtt_ms if connection else None,
                    "retransmits": connection.retransmits if connection else None,
                    "delivery_mbps": connection.delivery_mbps if connection else None,
                    "cwnd": connection.cwnd if connection else None,
                    "error": error,
                }
            )
        return response

    return middleware


def make_app(videos: Sequence[Video], media: Path | None = None, log: Log | None = None) -> web.Application:
    """The origin as an aiohttp application.

    `/healthz` answers as soon as it serves; a file of that name in the root of `media` is not reached.

    Args:
        videos: described videos, each served under its name (:func:`url_name`).
        media: a directory of encoded media, served from the root, after the videos.
        log: takes a dictionary for each finished request: time (Unix s), monotonic_s, client,
            method, path, status (499: the connection broke), range, bytes (of a resource's content,
            handed to asyncio's transport; 0 for HEAD and refusals), duration_ms (until then), error,
            and of the connection's TCP_INFO at the end rtt_ms, retransmits, delivery_mbps, cwnd. Of
            `bytes` up to some 128 KiB (PIECE_BYTES that wait and a piece that came on top) may not
            have reached the kernel, and more not the client, when the line is written: only what the
            player received tells what crossed the link.

    Raises:
        VideoError, MpdError: videos that cannot be served together or at all.
    """
    app = web.Application(middlewares=[_logged(log)] if log else [])
    app[_CATALOGUE] = Catalogue(videos, media)
    app.router.add_get("/healthz", _health)
    app.router.add_get("/{path:.*}", _answer)
    return app


async def serve(
    app: web.Application,
    host: str,
    port: int,
    on_listening: Callable[[str, int], None] | None = None,
    stop: asyncio.Event | None = None,
    congestion_control: str | None = None,
) -> None:
    """Serve until `stop` is set (or for ever), then end cleanly.

    asyncio sets TCP_NODELAY on every connection, so that the head of an answer leaves at once.

    Args:
        port: 0 takes a free one.
        on_listening: is told the address and the real port.
        congestion_control: pinned on the listening socket, which every connection inherits (a network
            namespace may not set it by sysctl when the machine restricts it); None keeps the kernel's.

    Raises:
        UnknownCongestionControl: the kernel has none of this name, or not for us.
        OSError: the address cannot be had.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S)
    await runner.setup()
    try:
        await web.SockSite(runner, listen(host, port, congestion_control)).start()
        if on_listening is not None:
            on_listening(*runner.addresses[0][:2])
        await (stop or asyncio.Event()).wait()
    finally:
        await runner.cleanup()


class UnknownCongestionControl(OSError):
    """One that this kernel doesn't have, or lets only root choose."""


def listen(host: str, port: int, congestion_control: str | None = None) -> socket.socket:
    """A listening socket whose connections all use one congestion control.

    Raises:
        UnknownCongestionControl: the kernel has none of this name, or not for us.
        OSError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=128)
    if congestion_control is not None:
        try:
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion_control.encode())
        except OSError as error:
            listening.close()
            raise UnknownCongestionControl(
                f"{congestion_control}: {error.strerror}; this kernel offers {_offered()}"
            ) from None
    return listening


def _offered() -> str:
    """The congestion controls that are there without loading a module."""
    listed = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
    return ", ".join(listed.read_text().split()) if listed.is_file() else "its own"


# ---------------------------------------------------------------- the command


class RequestLog:
    """Writes a JSON line for each request. A log that fails is reported once; serving goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream

    def __call__(self, line: Mapping[str, Any]) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(json.dumps(line, separators=(",", ":")) + "\n")
            self._stream.flush()
        except OSError as error:
            self._stream = None
            print(f"origin: the log ends here: {error.strerror}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.media is not None and not options.media.is_dir():
            raise VideoError(
                f"{options.media}: no such directory; --media takes the folder that holds the MPD"
            )
        specs = options.video or (() if options.media is not None else builtin_names())
        videos = [load_video(spec) for spec in specs]
        with contextlib.ExitStack() as files:
            stream = sys.stderr
            if options.log is not None:
                stream = files.enter_context(options.log.open("a", encoding="utf-8"))
            app = make_app(videos, options.media, RequestLog(stream))
            return asyncio.run(_until_signalled(app, options))
    except (VideoError, MpdError) as error:
        return _refuse(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{where}{error.strerror or error}")


def _refuse(reason: str) -> int:
    print(f"origin: {reason}", file=sys.stderr)
    return BAD_INPUT


async def _until_signalled(app: web.Application, options: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit status."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def announce(host: str, port: int) -> None:
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        catalogue = app[_CATALOGUE]
        if options.json:
            print(json.dumps(_announcement(catalogue, url, host, port)), flush=True)
            return
        what = [*catalogue.videos, *([str(catalogue.media)] if catalogue.media else [])]
        print(f"serving {', '.join(what)} at {url}", flush=True)

    try:
        await serve(app, options.host, options.port, announce, stop, options.cc)
    except UnknownCongestionControl as error:
        return _refuse(f"--cc {error}")
    except OSError as error:
        return _refuse(
            f"cannot listen on {options.host} port {options.port}: {error.strerror or error}; choose another"
        )
    return 0


def _announcement(catalogue: Catalogue, url: str, host: str, port: int) -> dict[str, Any]:
    videos = [
        {
            "name": name,
            "manifest": f"{url}{quote(name)}/manifest.mpd",
            "levels": video.levels,
            "chunks": video.chunks,
            "chunk_s": video.chunk_s,
            "sha256": video.sha256,
        }
        for name, video in catalogue.videos.items()
    ]
    media = str(catalogue.media) if catalogue.media else None
    return {"host": host, "port": port, "url": url, "videos": videos, "media": media}


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; expected 0 to 65535 (0: a free one)")
    return int(text)


def _parser() -> Parser:
    parser = Parser(
        prog="origin.py", description="Serve videos over HTTP to a player, ours or any DASH player."
    )
    address = parser.add_argument_group("address")
    address.add_argument("--host", default="0.0.0.0", help="address to listen on (default: %(default)s)")
    address.add_argument("--port", type=_port, default=8080, help="0 takes a free one (default: %(default)s)")
    address.add_argument(
        "--cc", metavar="NAME", help="TCP congestion control of every connection (default: the kernel's)"
    )
    content = parser.add_argument_group("content")
    content.add_argument(
        "--video",
        action="append",
        metavar="VIDEO",
        help="a built-in name, a directory of video_size_N files or an MPD; may be repeated"
        " (default: every built-in, unless --media is given)",
    )
    content.add_argument("--media", type=Path, metavar="DIR", help="encoded DASH media to serve as it is")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--log", type=Path, metavar="FILE", help="append the request lines (JSON) here (default: stderr)"
    )
    output.add_argument("--json", action="store_true", help="print one JSON object once it listens")
    return parser


if __name__ == "__main__":
    sys.exit(main())
