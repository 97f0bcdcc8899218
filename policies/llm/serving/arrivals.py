"""When a request arrived, and who may stay at the door without having asked anything.

A request has arrived when its bytes lie in the socket, not when somebody gets round to them: while the event
loop is busy with others, it waits there unseen. The kernel doesn't say since when. But what one poll of the
sockets finds was not there at the poll before; and where a poll had to wait, it came just then.

What one poll finds is handed out in small portions: between them a batch that is due can begin, which else
would wait until the last of many requests is read.
"""

from __future__ import annotations

import asyncio
import selectors
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

HEAD_WITHIN_S = 10.0
"""A connection that has asked nothing yet has so long for its first request's head."""
BODY_WITHIN_S = 10.0
"""A body has so long after its head."""
MOST_AT_THE_DOOR = 256
"""Connections that have asked nothing yet; beyond them the oldest go."""
LOOK_EVERY_S = 0.5

PORTION = 16
"""Sockets whose turn comes at once."""

_TURNS = 3
"""Of the event loop, at most, from the poll that finds a request's head to its handler's first line."""


class NotingSelector(selectors.DefaultSelector):
    """Notes when the sockets were polled, and hands out what a poll found portion by portion."""

    def __init__(self) -> None:
        super().__init__()
        self._polled_s: deque[float] = deque([time.monotonic()], maxlen=_TURNS + 1)
        self._before_s = self._last_s = self._polled_s[0]
        """When the last poll but one was, and the last."""
        self._left: deque[tuple[selectors.SelectorKey, int]] = deque()
        """Found and not yet handed out."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        portion = self._portion()
        if portion:
            self._polled_s.append(self._before_s)
            return portion
        found = super().select(0.0)
        if not found and (timeout is None or timeout > 0.0):
            found = super().select(timeout)
            self._polled_s.clear()  # it has waited: nothing lay there before
            self._last_s = time.monotonic()
        self._before_s, self._last_s = self._last_s, time.monotonic()
        self._polled_s.append(self._last_s)
        self._left.extend(found)
        return self._portion()

    def _portion(self) -> list[tuple[selectors.SelectorKey, int]]:
        """The next that were found, but those that are not registered any more as they were: what still holds
        of these the next poll finds again.
        """
        portion: list[tuple[selectors.SelectorKey, int]] = []
        known = self.get_map()
        while self._left and len(portion) < PORTION:
            key, events = self._left.popleft()
            if known.get(key.fileobj) == key:
                portion.append((key, events))
        return portion

    @property
    def arrived_s(self) -> float:
        """For a handler that begins now: its request did not arrive before this moment (`time.monotonic`),
        nor long after it."""
        return min(self._polled_s)


def noting_loop() -> asyncio.AbstractEventLoop:
    """An event loop that knows when what it has in hand arrived."""
    return asyncio.SelectorEventLoop(NotingSelector())


def arrived_s() -> float:
    """When the request arrived whose handler begins now, at the earliest; on another loop it is now."""
    selector = getattr(asyncio.get_running_loop(), "_selector", None)
    return selector.arrived_s if isinstance(selector, NotingSelector) else time.monotonic()


class Doorkeeper:
    """Closes connections that ask nothing: those that stay too long, and the oldest when there are many.

    Args:
        connections: all that are open, as `aiohttp.web.Server.connections` lists them.
    """

    def __init__(
        self,
        connections: Callable[[], list[Any]],
        head_within_s: float = HEAD_WITHIN_S,
        most: int = MOST_AT_THE_DOOR,
    ) -> None:
        self._connections, self._head_within_s, self._most = connections, head_within_s, most
        self._asked: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()
        self._since_s: weakref.WeakKeyDictionary[asyncio.BaseTransport, float] = weakref.WeakKeyDictionary()

    def let_in(self, transport: asyncio.BaseTransport) -> None:
        """A whole head has come over this connection."""
        self._asked.add(transport)

    def look(self, now_s: float) -> None:
        """Close whom it is time to close."""
        waiting = [
            connection.transport
            for connection in self._connections()
            if connection.transport is not None and connection.transport not in self._asked
        ]
        since_s = [self._since_s.setdefault(transport, now_s) for transport in waiting]
        oldest_first = sorted(zip(since_s, range(len(waiting)), strict=True))
        for place, (came_s, number) in enumerate(oldest_first):
            if now_s - came_s > self._head_within_s or place < len(waiting) - self._most:
                waiting[number].abort()
