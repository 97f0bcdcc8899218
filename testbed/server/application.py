"""The origin as an application: GET and HEAD by RFC 9110, a line in the log for each request.

Every answer carries the sender's view of the connection (`player/real/cmsd.py`), and every request leaves a
line with the connection's TCP_INFO at its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from player.real import cmsd
from player.real.tcp_info import TcpInfo, read_tcp_info
from player.video.media.prepared import PreparedMedia
from player.video.video import Video
from testbed.server.http_semantics import RangeNotSatisfiable, asked_range, precondition_failed, unchanged
from testbed.server.pages import PREFIX
from testbed.server.resources import Catalogue
from traces.client_faults import quiet_about_clients

Log = Callable[[dict[str, Any]], None]
"""Takes one finished request."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STOP_S = 1.0
"""Downloads that are under way at the end get this long."""
FIXED_HEADERS = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-cache, no-transform",  # a cache on the way must not answer, or it is what we measure
    "Access-Control-Allow-Origin": "*",
}

CATALOGUE: web.AppKey[Catalogue] = web.AppKey("catalogue", Catalogue)


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
    resource = request.app[CATALOGUE].find(request.match_info["path"])
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


_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")


async def _list(request: web.Request) -> web.Response:
    """What is served, an address of an MPD a line; a browser is led to the page that plays them."""
    if "text/html" in request.headers.get("Accept", ""):
        raise web.HTTPFound(f"/{PREFIX}/", headers=FIXED_HEADERS)
    host = f"{request.scheme}://{request.host}" if _HOST.fullmatch(request.host) else ""
    lines = [f"{host}/{path}\n" for path in await asyncio.to_thread(request.app[CATALOGUE].manifests)]
    return web.Response(text="".join(lines) or "no MPD is served\n", headers=FIXED_HEADERS)


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"ok": True, "videos": list(request.app[CATALOGUE].videos)})


def _logged(log: Log) -> Callable[..., Awaitable[web.StreamResponse]]:
    """A middleware that hands `log` one dictionary for each request, however it ended."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
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
            when = {"time": round(began_s, 6), "monotonic_s": round(monotonic_s, 6)}
            log({**when, **_line(request, status, progress.sent_bytes, monotonic_s), "error": error})
        return response

    return middleware


def _line(request: web.Request, status: int, sent_bytes: int, began_s: float) -> dict[str, Any]:
    """What a finished request's line says of it and of its connection."""
    connection = _connection(request)
    return {
        "client": request.remote,
        "method": request.method,
        "path": request.raw_path,
        "status": status,
        "range": request.headers.get("Range"),
        "bytes": sent_bytes,
        "duration_ms": round((time.monotonic() - began_s) * 1000, 3),
        "rtt_ms": connection.rtt_ms if connection else None,
        "retransmits": connection.retransmits if connection else None,
        "delivery_mbps": connection.delivery_mbps if connection else None,
        "cwnd": connection.cwnd if connection else None,
    }


def make_app(
    videos: Sequence[Video],
    media: Path | None = None,
    log: Log | None = None,
    prepared: Sequence[PreparedMedia] = (),
) -> web.Application:
    """The origin as an aiohttp application.

    `/healthz` answers as soon as it serves; a file of that name in the root of `media` is not reached.

    Args:
        videos: described videos, each served under its name (:func:`url_name`).
        media: a directory of encoded media, served from the root, after the videos.
        prepared: real media of some of the described videos; the segments of others are noise.
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
    app[CATALOGUE] = Catalogue(videos, media, prepared)
    app.router.add_get("/healthz", _health)
    app.router.add_get("/", _list)
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
    quiet_about_clients()
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=STOP_S,
        auto_decompress=False,  # no request's body is wanted: what one says that it is, is not looked at
    )
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
