"""Described videos as live streams: a chunk can be had once it has been made.

`/NAME/live/manifest.mpd` is a stream that begins now; `/NAME/live/BEGIN/LEVEL/CHUNK.m4s` are its segments,
BEGIN in Unix ms. Whoever asks may put another time there: the stream then begins at it, so that sessions
begin alike, wherever a trace does. Chunk k is made from then + k chunks on. With parts it comes as it is
made, a part a chunk of HTTP (RFC 9112 section 7.1): a low-latency ladder.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import HttpVersion11, web

from player.live.parts import part_end, parts_of
from player.video.media.prepared import PreparedMedia
from player.video.mpd_write import write_live_mpd
from player.video.video import Video
from testbed.server.answering import PROGRESS, Progress, answer, headers_of
from testbed.server.http_semantics import RangeNotSatisfiable, asked_range
from testbed.server.names import url_name
from testbed.server.resources import INIT_TYPE, MPD_TYPE, Catalogue, Resource, held, index_of, segment

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

EARLY_S = 0.5
"""What is asked for so long before it is made is waited for: clocks differ."""
MOST_BEGIN_MS = 10**14
"""The year 5138."""


class LiveStreams:
    """Answers for the live streams of all described videos of a catalogue.

    Args:
        part_s: chunks come in parts so long; None: whole.
        prepared: real media of some of the videos in such parts; others have the catalogue's.
        now: Unix time.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        part_s: float | None = None,
        prepared: Sequence[PreparedMedia] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._catalogue = catalogue
        self._prepared = {**catalogue.prepared, **{url_name(one.video): one for one in prepared}}
        self._part_s = part_s
        self._now = now

    def route(self, router: web.UrlDispatcher) -> None:
        """Be asked for what is live."""
        router.add_get("/{name}/live/manifest.mpd", self._or_file(self.manifest))
        router.add_get(r"/{name}/live/{begins:[0-9]+}/{level}/init.mp4", self._or_file(self.init))
        router.add_get(r"/{name}/live/{begins:[0-9]+}/{level}/{chunk}.m4s", self._or_file(self.segment))

    def _or_file(self, handler: Handler) -> Handler:
        """For what is no video's, the files of media."""

        async def either(request: web.Request) -> web.StreamResponse:
            if request.match_info["name"] in self._catalogue.videos:
                return await handler(request)
            return await answer(request, self._catalogue.find(request.path.removeprefix("/")))

        return either

    async def manifest(self, request: web.Request) -> web.StreamResponse:
        """The MPD of a stream that begins now."""
        video = self._video(request)
        real = self._prepared.get(request.match_info["name"])
        codecs = None if real is None else real.codecs
        part_s = None if self._part_s is None else video.chunk_s / parts_of(video.chunk_s, self._part_s)
        text = write_live_mpd(video, round(1000 * self._now()), part_s, codecs)
        return await answer(request, held(text.encode(), MPD_TYPE))

    async def init(self, request: web.Request) -> web.StreamResponse:
        """An initialization segment, which is there from the beginning on."""
        video, real = self._video(request), self._prepared.get(request.match_info["name"])
        if real is None:
            raise web.HTTPNotFound(text=f"{video.name} is random bytes, which have no init.mp4\n")
        return await answer(request, held(real.clips[self._level(request, video)].init, INIT_TYPE))

    async def segment(self, request: web.Request) -> web.StreamResponse:
        """A chunk, once it is made, or as it is."""
        video, name = self._video(request), request.match_info["name"]
        level = self._level(request, video)
        chunk = index_of(request.match_info["chunk"], "chunk", video.chunks, name)
        resource = segment(video, level, chunk, self._prepared.get(name))
        begun_s = self._begins_s(request) + chunk * video.chunk_s
        whole_s = begun_s + video.chunk_s
        parts = self._parts(request, video, resource)
        early_s = begun_s + video.chunk_s / parts - self._now()
        if early_s > EARLY_S:
            raise web.HTTPNotFound(
                text=f"chunk {chunk} of {name} is being made in {early_s:.3f} s; ask for it then\n",
                headers=headers_of(request),
            )
        if parts == 1 or self._now() >= whole_s:
            await asyncio.sleep(max(whole_s - self._now(), 0.0))
            return await answer(request, resource)
        return await self._as_made(request, resource, parts, begun_s, video.chunk_s)

    def _rest(self, request: web.Request, resource: Resource) -> int | None:
        """The byte from which on all of a resource is asked for: 0, or where a download goes on; None of
        any other part."""
        try:
            part = asked_range(request.headers, resource.validators, resource.size_bytes)
        except RangeNotSatisfiable:
            return None
        if part is None:
            return 0
        return part.first if part.last == resource.size_bytes - 1 else None

    async def _as_made(
        self, request: web.Request, resource: Resource, parts: int, begun_s: float, chunk_s: float
    ) -> web.StreamResponse:
        """A part a chunk of HTTP; what is made already at once. A download that goes on has the rest of its
        part first."""
        first, size_bytes = self._rest(request, resource) or 0, resource.size_bytes
        headers = {
            **headers_of(request),
            "Content-Type": resource.content_type,
            "ETag": resource.validators.etag,
        }
        if first:
            headers["Content-Range"] = f"bytes {first}-{size_bytes - 1}/{size_bytes}"
        response = web.StreamResponse(status=206 if first else 200, headers=headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        progress = PROGRESS.get(Progress())
        done = first
        for number in range(1, parts + 1):
            end = part_end(size_bytes, number, parts)
            if end <= done:
                continue
            await asyncio.sleep(max(begun_s + number * chunk_s / parts - self._now(), 0.0))
            pieces = [bytes(piece) async for piece in resource.read(done, end - done)]
            await response.write(b"".join(pieces))
            progress.sent_bytes += end - done
            done = end
        await response.write_eof()
        return response

    def _parts(self, request: web.Request, video: Video, resource: Resource) -> int:
        """Of a chunk; 1 for who asks for a part of it, or can't be told in parts."""
        plain = request.method == "GET" and request.version >= HttpVersion11
        told = plain and self._rest(request, resource) is not None
        return parts_of(video.chunk_s, self._part_s) if told else 1

    def _video(self, request: web.Request) -> Video:
        return self._catalogue.videos[request.match_info["name"]]

    def _level(self, request: web.Request, video: Video) -> int:
        return index_of(request.match_info["level"], "level", video.levels, request.match_info["name"])

    @staticmethod
    def _begins_s(request: web.Request) -> float:
        text = request.match_info["begins"]
        if not re.fullmatch(r"[0-9]{1,15}", text, re.ASCII) or int(text) > MOST_BEGIN_MS:
            raise web.HTTPNotFound(text=f"{text[:40]} is no beginning; expected Unix time in ms\n")
        return int(text) / 1000
