"""What the player's tests share: an origin that fails on demand, short videos, small policies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from player.real.session import PlayerState
from player.record import ChunkRow, EndRow
from player.registry import LoadedPolicy
from player.video.mpd import Presentation, read_mpd
from player.video.mpd_write import write_mpd
from player.video.video import Video


@dataclass(frozen=True)
class Fault:
    """How the origin treats one request. The defaults are no fault."""

    status: int | None = None
    """Answer with this and nothing else."""
    break_after: int | None = None
    """Reset the connection after so many body bytes."""
    pause_after: int | None = None
    """Say nothing after so many body bytes …"""
    pause_s: float = 0.0
    """… for so long."""
    ignore_range: bool = False
    etag: str = '"v1"'
    short_by: int = 0
    """Announce and send so many bytes fewer than there are."""


@dataclass
class Origin:
    """A scripted origin: request i is treated as `faults[i]`, later ones as `then`."""

    video: Video
    faults: list[Fault] = field(default_factory=list)
    then: Fault = field(default_factory=Fault)
    url: str = ""
    ranges: list[str | None] = field(default_factory=list)
    """The Range header of every segment request."""
    sent_bytes: int = 0
    peers: set[Any] = field(default_factory=set)
    """The connections that were used."""
    connections: Callable[[], int] = int
    """How many are open now, once it serves."""

    @property
    def mpd_url(self) -> str:
        return f"{self.url}/v/manifest.mpd"

    def presentation(self, sizes_exact: bool = True) -> Presentation:
        described = read_mpd(write_mpd(self.video), self.mpd_url)
        return replace(described, video=replace(described.video, sizes_exact=sizes_exact))

    async def segment(self, request: web.Request) -> web.StreamResponse:
        fault = self.faults[len(self.ranges)] if len(self.ranges) < len(self.faults) else self.then
        self.ranges.append(request.headers.get("Range"))
        self.peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        if fault.status is not None:
            return web.Response(status=fault.status)
        chunk, level = int(request.match_info["chunk"]), int(request.match_info["level"])
        whole = self.video.sizes_bytes[chunk][level]
        start = 0
        same_file = request.headers.get("If-Range", fault.etag) == fault.etag
        if request.http_range.start and same_file and not fault.ignore_range:
            start = request.http_range.start
        response = web.StreamResponse(status=206 if start else 200, headers={"ETag": fault.etag})
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}"
        length = whole - start - fault.short_by
        response.content_length = length
        await response.prepare(request)
        stop = min(n for n in (length, fault.break_after, fault.pause_after) if n is not None)
        await self._send(response, stop)
        if fault.break_after is not None:
            assert request.transport is not None
            await asyncio.sleep(0.05)  # so that what was sent is read before the reset
            request.transport.abort()
            return response
        await asyncio.sleep(fault.pause_s)
        await self._send(response, length - stop)
        return response

    async def _send(self, response: web.StreamResponse, count: int) -> None:
        self.sent_bytes += count
        with suppress(ConnectionError):  # the player has given this connection up
            await response.write(bytes(count))


@asynccontextmanager
async def serving(origin: Origin) -> AsyncIterator[Origin]:
    """The origin on a free port of loopback, with an MPD at /v/manifest.mpd."""

    async def manifest(request: web.Request) -> web.Response:
        return web.Response(text=write_mpd(origin.video))

    async def moved(request: web.Request) -> web.Response:
        raise web.HTTPFound("/v/manifest.mpd")

    app = web.Application()
    app.router.add_get("/moved", moved)
    app.router.add_get("/v/manifest.mpd", manifest)
    app.router.add_get("/v/{level:[0-9]+}/{chunk:[0-9]+}.m4s", origin.segment)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    origin.url = f"http://{host}:{port}"
    listening = runner.server
    assert listening is not None
    origin.connections = lambda: len(listening.connections)
    try:
        yield origin
    finally:
        await runner.cleanup()


def a_video(chunks: int = 4, chunk_s: float = 0.2, size_bytes: int = 20_000) -> Video:
    """Three levels; a size tells its chunk and level."""
    sizes = tuple(tuple(size_bytes * (level + 1) + chunk for level in range(3)) for chunk in range(chunks))
    return Video("short", chunk_s, (300, 750, 1200), sizes)


class Chooses:
    """A policy that does what a function of the observation says; remembers what it saw."""

    def __init__(self, choose: Callable[[Any], Any] = lambda observation: 1) -> None:
        self._choose = choose
        self.seen: list[Any] = []
        self.told: tuple[Any, ...] = ()

    def reset(self, video: Any, seed: int, qoe: Any) -> None:
        self.told = (video, seed, qoe)

    def select(self, observation: Any) -> Any:
        self.seen.append(observation)
        return self._choose(observation)


def loaded(policy: Any) -> LoadedPolicy:
    return LoadedPolicy(policy, "test", "test", {})


@dataclass
class Facts:
    """A sink that keeps all."""

    rows: list[ChunkRow] = field(default_factory=list)
    states: list[PlayerState] = field(default_factory=list)
    ends: list[EndRow] = field(default_factory=list)

    def chunk(self, row: ChunkRow) -> None:
        self.rows.append(row)

    def state(self, state: PlayerState) -> None:
        self.states.append(state)

    def end(self, row: EndRow) -> None:
        self.ends.append(row)
