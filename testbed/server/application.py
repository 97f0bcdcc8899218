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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from player.transport.names import H1
from player.transport.quic_names import CONGESTION_CONTROL
from player.video.media.prepared import PreparedMedia
from player.video.mpd_write import CLOCK_PATH
from player.video.video import Video
from testbed.server.answering import (
    FIXED_HEADERS,
    PROGRESS,
    Progress,
    answer,
    connection_of,
    headers_of,
    protocol_of,
)
from testbed.server.certificate import Certificate
from testbed.server.live import LiveStreams
from testbed.server.pages import PREFIX
from testbed.server.resources import Catalogue
from testbed.server.serving import serve_streams
from traces.listening.client_faults import quiet_about_clients

Log = Callable[[dict[str, Any]], None]
"""Takes one finished request."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STOP_S = 1.0
"""Downloads that are under way at the end get this long."""
CATALOGUE: web.AppKey[Catalogue] = web.AppKey("catalogue", Catalogue)


_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")


async def _answer(request: web.Request) -> web.StreamResponse:
    """What lies at a path."""
    return await answer(request, request.app[CATALOGUE].find(request.match_info["path"]))


async def _clock(request: web.Request) -> web.Response:
    """Our time, for players of live streams."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return web.Response(text=now, headers={**headers_of(request), "Cache-Control": "no-store"})


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
        progress, protocol = Progress(), protocol_of(request)
        PROGRESS.set(progress)
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
            line = _line(request, status, progress.sent_bytes, monotonic_s)
            log({**when, "protocol": protocol, **line, "error": error})
        return response

    return middleware


def _line(request: web.Request, status: int, sent_bytes: int, began_s: float) -> dict[str, Any]:
    """What a finished request's line says of it and of its connection."""
    connection = connection_of(request)
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
    part_s: float | None = None,
    in_parts: Sequence[PreparedMedia] = (),
) -> web.Application:
    """The origin as an aiohttp application.

    `/healthz` answers as soon as it serves; a file of that name in the root of `media` is not reached.

    Args:
        videos: described videos, each served under its name (:func:`url_name`).
        media: a directory of encoded media, served from the root, after the videos.
        prepared: real media of some of the described videos; the segments of others are noise.
        part_s: of live streams: chunks come in parts so long, as they are made; None: whole.
        in_parts: real media of some of the described videos in such parts.
        log: takes a dictionary for each finished request: time (Unix s), monotonic_s, protocol (its name
            in ALPN), client, method, path, status (499: the connection broke), range, bytes (of a
            resource's content, handed to the transport; 0 for HEAD and refusals), duration_ms (until
            then), error, and of the connection at the end (TCP_INFO, or what QUIC knows of it) rtt_ms,
            retransmits, delivery_mbps, cwnd (packets). Of
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
    app.router.add_get(CLOCK_PATH, _clock)
    LiveStreams(app[CATALOGUE], part_s, in_parts).route(app.router)
    app.router.add_get("/{path:.*}", _answer)
    return app


async def serve(
    app: web.Application,
    host: str,
    port: int,
    on_listening: Callable[[str, int], None] | None = None,
    stop: asyncio.Event | None = None,
    congestion_control: str | None = None,
    transport: str = H1,
    certificate: Certificate | None = None,
) -> None:
    """Serve until `stop` is set (or for ever), then end cleanly.

    asyncio sets TCP_NODELAY on every connection, so that the head of an answer leaves at once.

    Args:
        port: 0 takes a free one.
        transport: `h2`: HTTP/2 over TLS, and HTTP/1.1 to whom chooses that; `h3`: HTTP/3 on the UDP port of
            the same number besides.
        certificate: of these two.
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
        async with contextlib.AsyncExitStack() as stack:
            listening = listen(host, port, congestion_control)
            address = listening.getsockname()[:2]
            if transport == H1:
                await web.SockSite(runner, listening).start()
            else:
                assert certificate is not None and runner.server is not None
                control = congestion_control or CONGESTION_CONTROL
                opened = serve_streams(transport, listening, certificate, control, runner.server)
                await stack.enter_async_context(opened)
            if on_listening is not None:
                on_listening(*address)
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
