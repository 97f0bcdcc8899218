"""A stream of HTTP/2 or HTTP/3 as a connection of its own to aiohttp: one application serves all protocols.

Each request of a connection that carries many gets a handler of aiohttp's and a transport that is only a
stream. aiohttp writes HTTP/1.1 into it: the head is taken apart, chunked coding (RFC 9112 section 7.1) is
taken off, and both leave as the protocol's own frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

HIGH_BYTES, LOW_BYTES = 1 << 16, 1 << 14
"""Of a stream's unsent bytes: from there on its handler waits, and goes on below. As asyncio has it."""
OF_ONE_CONNECTION = frozenset((b"connection", b"keep-alive", b"transfer-encoding", b"proxy-connection"))
"""Fields of HTTP/1.1 that other versions may not have (RFC 9113 section 8.2.2)."""
_WITHOUT_BODY = (204, 304)
_REFUSED = b"\r\n\0"
PROTOCOL, CONNECTION = "http_protocol", "quic_connection"
"""What `get_extra_info` knows besides: which protocol it is, and of QUIC the state of its connection."""

Field = tuple[bytes, bytes]


class Frames(Protocol):
    """A connection of many streams, as one of them needs it."""

    def head(self, stream: int, fields: list[Field], end: bool) -> None:
        """Send the head of an answer."""

    def body(self, stream: int, data: bytes, end: bool) -> None:
        """Send a piece of the body."""

    def give_up(self, stream: int) -> None:
        """Nothing more will come: reset the stream."""

    def done(self, stream: int) -> None:
        """The handler has gone."""


class BadRequest(ValueError):
    """A request that HTTP/1.1 can't say."""


class StreamTransport(asyncio.Transport):
    """One stream.

    Args:
        facts: what `get_extra_info` gives.
    """

    def __init__(self, frames: Frames, stream: int, facts: Mapping[str, Any]) -> None:
        super().__init__(dict(facts))
        self._frames, self._stream = frames, stream
        self._handler: Any = None
        self._held = b""
        self._headed = self._ended = self._closing = self._chunked = self._to_head = self._paused = False
        self._left: int | None = None
        """Bytes of the body, or of its present chunk, that are still to come."""

    def serve(self, handler: Any, fields: Iterable[Field]) -> None:
        """Hand a request to aiohttp.

        Raises:
            BadRequest: nobody can say it in HTTP/1.1.
        """
        text, method = request_text(fields)
        self._to_head = method == b"HEAD"
        self._handler = handler
        handler.connection_made(self)
        handler.data_received(text)

    def write(self, data: Any) -> None:
        """What aiohttp writes."""
        if self._closing or self._ended:
            return
        self._held += bytes(data)
        if not self._headed:
            self._take_head()
        if self._headed and not self._ended:
            self._take_body()

    def _take_head(self) -> None:
        head, found, rest = self._held.partition(b"\r\n\r\n")
        if not found:
            return
        self._held, self._headed = rest, True
        first, *lines = head.split(b"\r\n")
        status = first.split(b" ", 2)[1]
        fields = [(name.lower(), value.strip()) for name, _, value in (one.partition(b":") for one in lines)]
        told = dict(fields)
        self._chunked = told.get(b"transfer-encoding") == b"chunked"
        if b"content-length" in told and not self._chunked:
            self._left = int(told[b"content-length"])
        self._ended = self._to_head or int(status) in _WITHOUT_BODY or self._left == 0
        kept = [field for field in fields if field[0] not in OF_ONE_CONNECTION]
        self._frames.head(self._stream, [(b":status", status), *kept], self._ended)

    def _take_body(self) -> None:
        if not self._chunked:
            self._pass(self._held)
            self._held = b""
            return
        while self._held and not self._ended:
            if self._left is None:
                line, found, rest = self._held.partition(b"\r\n")
                if not found:
                    return
                if line:  # (between two chunks there is an empty one)
                    self._left = int(line.partition(b";")[0], 16)
                self._held = rest
                if self._left == 0:
                    self._ended = True
                    self._frames.body(self._stream, b"", True)
                continue
            piece, self._held = self._held[: self._left], self._held[self._left :]
            self._left -= len(piece)
            self._frames.body(self._stream, piece, False)
            if self._left == 0:
                self._left = None

    def _pass(self, piece: bytes) -> None:
        if not piece:
            return
        if self._left is not None:
            self._left -= len(piece)
            self._ended = self._left <= 0
        self._frames.body(self._stream, piece, self._ended)

    def holds(self, unsent_bytes: int) -> None:
        """So much of the stream waits to be sent: let the handler wait, or go on."""
        if self._closing:
            return
        if not self._paused and unsent_bytes > HIGH_BYTES:
            self._paused = True
            self._handler.pause_writing()
        elif self._paused and unsent_bytes < LOW_BYTES:
            self._paused = False
            self._handler.resume_writing()

    def lost(self, why: Exception) -> None:
        """The peer has given the stream up, or is gone."""
        if not self._closing:
            self._closing = True
            self._handler.connection_lost(why)
            self._frames.done(self._stream)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """aiohttp is through with it."""
        if self._closing:
            return
        self._closing = True
        if not self._ended:
            if self._headed and self._left is None and not self._chunked:
                self._frames.body(self._stream, b"", True)  # as long as its connection, says HTTP/1.1
            else:
                self._frames.give_up(self._stream)
        asyncio.get_running_loop().call_soon(self._handler.connection_lost, None)
        self._frames.done(self._stream)

    def abort(self) -> None:
        """aiohttp gives it up."""
        self._headed, self._left = True, 1
        self.close()

    def pause_reading(self) -> None:
        """Nothing is read: a request has no body here."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""


def request_text(fields: Iterable[Field]) -> tuple[bytes, bytes]:
    """A request in HTTP/1.1, without its body, and its method.

    Raises:
        BadRequest: its head can't be said so.
    """
    told = [(bytes(name), bytes(value)) for name, value in fields]
    pseudo = {name: value for name, value in told if name.startswith(b":")}
    method, path = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
    for text in (*pseudo.values(), *(part for field in told for part in field)):
        if any(byte in _REFUSED for byte in text):
            raise BadRequest("a line break within a field")
    if not method.isalpha() or not path or b" " in path:
        raise BadRequest(f"method {method[:20]!r}, path {path[:100]!r}")
    host = pseudo.get(b":authority") or dict(told).get(b"host", b"")
    lines = [b"%s %s HTTP/1.1" % (method, path), b"Host: " + host, b"Connection: close"]
    left_out = OF_ONE_CONNECTION | {b"host", b"content-length", b"expect", b"upgrade"}
    lines += [b"%s: %s" % field for field in told if field[0] not in left_out and field[0][:1] != b":"]
    return b"\r\n".join((*lines, b"", b"")), method
