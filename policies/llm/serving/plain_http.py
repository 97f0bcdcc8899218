"""A player's requests without a framework between: who asks for nothing but decisions is read here.

Of all that HTTP allows, a player's client uses little: a whole request comes in one piece, with a few fields
that everybody knows, over a connection that is kept. Such a one is taken in and answered directly, in a third
of the time that a framework takes for it. The first that is anything else hands its connection over to the
framework, for good: there everything is judged as HTTP wants it.
"""

from __future__ import annotations

import asyncio
import http
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import Protocol

from policies.llm.serving.protocol import DECIDE, SESSIONS, Outcome

PLAIN_BODY_BYTES = 64 * 1024
"""Read within a few milliseconds: a step takes some 400 bytes."""
LOOK_EVERY_S = 0.01
MOST_AHEAD_BYTES = 256 * 1024
"""That lie here while an answer is being made; the rest waits in the socket."""
_FIELDS = frozenset(("host", "content-type", "accept", "accept-encoding", "user-agent"))
"""Which say nothing here; with these and two more a request is plain."""
_ASKS = f"POST {DECIDE} HTTP/1.1"
_ENDS = re.compile(rf"DELETE {re.escape(SESSIONS)}/([A-Za-z0-9_-]{{1,64}}) HTTP/1\.1")


@dataclass(frozen=True)
class PlainRequest:
    """What a player asks."""

    ends: str | None
    """The session that is over; None asks for a decision."""
    body: bytes
    authorization: str


def plain_request(data: bytes) -> PlainRequest | None:
    """The one whole request that bytes are; None for all that is not certainly one, and plain."""
    end = data.find(b"\r\n\r\n")
    if end < 0 or len(data) - end > PLAIN_BODY_BYTES or not data.isascii():
        return None
    first, *lines = data[:end].decode("ascii").split("\r\n")
    ends = _ENDS.fullmatch(first)
    if first != _ASKS and not ends:
        return None
    given = {"content-length": "0"} if ends else {}
    given = _fields(lines, given)
    length = given.get("content-length", "")
    if "other" in given or not length.isdigit() or len(data) - end - 4 != int(length):
        return None
    body, authorization = data[end + 4 :], given.get("authorization", "")
    if ends and body:
        return None
    return PlainRequest(ends.group(1) if ends else None, body, authorization)


def _fields(lines: list[str], given: dict[str, str]) -> dict[str, str]:
    """The fields that count, by their lower names; `other` where there is one that isn't plain."""
    seen = set()
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not line.isprintable() or name in seen:
            return {"other": line}
        seen.add(name)
        if name in ("content-length", "authorization"):
            given[name] = value.strip(" ")
        elif name not in _FIELDS:
            return {"other": line}
    return given


class AnswersPlainly(Protocol):
    """The server, as connections see it."""

    def plainly(self, asked: PlainRequest, tell: Callable[[Outcome], None]) -> None:
        """Call `tell` once with what a request comes to, now or later."""

    def came(self, transport: asyncio.BaseTransport) -> None:
        """A whole request has come over this connection."""


class PlainConnection(asyncio.Protocol):
    """One connection: plain requests are the server's, the first other one and all after it `framework`'s.

    Args:
        lost: told once it is closed.
    """

    def __init__(
        self,
        server: AnswersPlainly,
        framework: asyncio.Protocol,
        lost: Callable[[PlainConnection], None] = lambda connection: None,
    ) -> None:
        self._server, self._framework, self._lost = server, framework, lost
        self._transport: asyncio.Transport | None = None
        self._handed_over = self._paused = False
        self._ahead = b""
        """What came before the last answer was out."""
        self.asking = False
        """A plain request waits for its answer."""
        self.used_s: float | None = None
        """When the last plain request came or was answered (time.monotonic()); None where there was none, or
        the connection isn't ours any more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._framework.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._handed_over:
            self._framework.data_received(data)
        elif self.asking:
            self._ahead += data
            if len(self._ahead) > MOST_AHEAD_BYTES and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()
        elif (asked := plain_request(data)) is not None:
            assert self._transport is not None
            self.asking, self.used_s = True, time.monotonic()
            self._server.came(self._transport)
            self._server.plainly(asked, self._tell)
        else:
            self._handed_over, self.used_s = True, None
            self._framework.data_received(data)

    def _tell(self, outcome: Outcome) -> None:
        self.asking, self.used_s = False, time.monotonic()
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(rendered(outcome))
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        if self._ahead:
            data, self._ahead = self._ahead, b""
            self.data_received(data)

    def close(self) -> None:
        """Nobody has asked for long."""
        if self._transport is not None:
            self._transport.close()

    def eof_received(self) -> bool | None:
        return self._framework.eof_received()

    def pause_writing(self) -> None:
        self._framework.pause_writing()

    def resume_writing(self) -> None:
        self._framework.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._lost(self)
        self._framework.connection_lost(error)


def rendered(outcome: Outcome) -> bytes:
    """What goes over the wire."""
    more = "".join(f"{name}: {value}\r\n" for name, value in outcome.headers.items())
    return (
        f"HTTP/1.1 {_status(outcome.status)}\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(outcome.body)}\r\nDate: {_date(int(time.time()))}\r\n{more}\r\n"
    ).encode() + outcome.body


@lru_cache(maxsize=64)
def _status(status: int) -> str:
    return f"{status} {http.HTTPStatus(status).phrase}"


@lru_cache(maxsize=2)
def _date(now_s: int) -> str:
    return formatdate(now_s, usegmt=True)


class PlainConnections:
    """Makes the connections of a listening socket, and knows those that there are.

    Args:
        framework: makes what takes a connection over.
        keep_alive_s: one that asked plainly and then nothing for so long is closed.
    """

    def __init__(
        self, server: AnswersPlainly, framework: Callable[[], asyncio.Protocol], keep_alive_s: float
    ) -> None:
        self._server, self._framework, self._keep_alive_s = server, framework, keep_alive_s
        self._open: set[PlainConnection] = set()

    def __call__(self) -> PlainConnection:
        """A new connection's."""
        made = PlainConnection(self._server, self._framework(), self._open.discard)
        self._open.add(made)
        return made

    def close_idle(self, now_s: float) -> None:
        """Close those who have not asked for long."""
        for each in list(self._open):
            if not each.asking and each.used_s is not None and now_s - each.used_s > self._keep_alive_s:
                each.close()

    async def answered(self, within_s: float) -> None:
        """Until nobody waits for an answer, or that long."""
        until_s = time.monotonic() + within_s
        while any(each.asking for each in self._open) and time.monotonic() < until_s:
            await asyncio.sleep(LOOK_EVERY_S)
