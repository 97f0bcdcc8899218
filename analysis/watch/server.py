"""Serves the page of a folder, and tells it what is new: server-sent events, a few of them a second.

While nobody looks, nothing is read. It is a process of its own and steps back for whatever else runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from analysis.watch.access import Access
from analysis.watch.board import Board
from analysis.watch.kept import PAGE
from analysis.watch.page import content_policy, page_of

TURN_S = 0.25
MOST_WATCHERS = 16
MOST_WAITING = 40
"""Turns that a slow watcher may be behind; then it is let go, and begins anew by itself."""
BREATH_S = 15.0
"""A word now and then keeps connections open that somebody forwards."""
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
SAVED = f"/{PAGE}"

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WatchServer:
    """The board of a folder, for those who look at it."""

    def __init__(self, board: Board, access: Access) -> None:
        self._board, self._access = board, access
        self._watchers: set[asyncio.Queue[str]] = set()

    def application(self) -> web.Application:
        """What answers; its board is read as long as it runs."""
        app = web.Application(client_max_size=1024)
        for path, answer in (("/", self._page), (SAVED, self._saved), ("/events", self._events)):
            app.router.add_get(path, self._guarded(answer))
        app.cleanup_ctx.append(self._turning)
        return app

    def _guarded(self, answer: _Handler) -> _Handler:
        async def answered(request: web.Request) -> web.StreamResponse:
            fault = self._access.fault(request.headers.get("Host", ""), request.query.get("token", ""))
            if fault:
                return web.Response(status=403, text=f"{fault}\n", headers=HEADERS)
            return await answer(request)

        return answered

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return self._html([], live=True)

    async def _saved(self, request: web.Request) -> web.StreamResponse:
        """All as one file, to be kept or sent to somebody."""
        self._tell(_event(self._board.turn()))
        name = {"Content-Disposition": f'attachment; filename="{PAGE}"'}
        return self._html(self._board.whole(), live=False, **name)

    def _html(self, messages: list[dict[str, Any]], live: bool, **headers: str) -> web.Response:
        policy = {"Content-Security-Policy": f"{content_policy(live)}; frame-ancestors 'none'"}
        text = page_of(messages, live)
        return web.Response(text=text, content_type="text/html", headers=HEADERS | policy | headers)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if len(self._watchers) >= MOST_WATCHERS:
            return web.Response(
                status=503, text=f"{MOST_WATCHERS} pages are open; close one\n", headers=HEADERS
            )
        if not self._watchers:
            self._board.turn(whole=True)  # nobody has looked for a while
        response = web.StreamResponse(headers=HEADERS | {"Content-Type": "text/event-stream"})
        await response.prepare(request)
        mine: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)
        mine.put_nowait(_event(self._board.whole()))
        self._watchers.add(mine)
        try:
            with contextlib.suppress(ConnectionError):
                while text := await self._next(mine):
                    await response.write(text.encode())
        finally:
            self._watchers.discard(mine)
        return response

    async def _next(self, mine: asyncio.Queue[str]) -> str:
        """What a watcher is told next; empty when it is let go."""
        if mine not in self._watchers and mine.empty():
            return ""
        try:
            return await asyncio.wait_for(mine.get(), BREATH_S)
        except TimeoutError:
            return ":\n\n"

    async def _turning(self, app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._turns())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _turns(self) -> None:
        while True:
            begun_s = time.monotonic()
            if self._watchers and (news := self._board.turn()):
                self._tell(_event(news))
            await asyncio.sleep(max(TURN_S - (time.monotonic() - begun_s), TURN_S / 10))

    def _tell(self, event: str) -> None:
        for one in list(self._watchers):
            try:
                one.put_nowait(event)
            except asyncio.QueueFull:
                self._watchers.discard(one)

    async def over(self, keep: Callable[[], str]) -> None:
        """Nothing more will come: keep the page, tell those who look, and let them go.

        Args:
            keep: gives the name under which it was kept; empty where there was nothing to keep.

        Raises:
            OSError: it can't be kept; they are told so, too.
        """
        news, kept = self._board.turn(whole=True), ""
        while self._board.behind:
            news += self._board.turn()
        try:
            kept = keep()
        finally:
            self._tell(_event([*news, {"over": kept}]))
            await self._let_go()

    async def _let_go(self) -> None:
        for one in list(self._watchers):
            self._tell_last(one)
        await asyncio.sleep(TURN_S)

    def _tell_last(self, one: asyncio.Queue[str]) -> None:
        self._watchers.discard(one)
        with contextlib.suppress(asyncio.QueueFull):
            one.put_nowait("")


def _event(messages: list[dict[str, Any]]) -> str:
    return f"data: {json.dumps(messages, separators=(',', ':'), allow_nan=False)}\n\n"
