"""HTTP/2 (RFC 9113) for the origin, by the `h2` package: one connection, its streams served by aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from testbed.server.streams import PROTOCOL, BadRequest, Field, StreamTransport

HTTP_2, HTTP_1 = "h2", "http/1.1"
MOST_STREAMS = 100
"""At once; RFC 9113 section 6.5.2 wants no fewer."""
_SAYS = ("peername", "sockname", "socket", "sslcontext")
_BAD_REQUEST: list[Field] = [(b":status", b"400"), (b"content-length", b"0")]


class Stream:
    """What a stream has still to send."""

    def __init__(self, transport: StreamTransport) -> None:
        self.transport = transport
        self.waiting = bytearray()
        self.ends = False
        """Nothing follows what waits."""


class H2Server(asyncio.Protocol):
    """One connection.

    Args:
        handler: makes a handler of aiohttp's.
    """

    def __init__(self, handler: Callable[[], Any]) -> None:
        self._handler = handler
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding=None)
        )
        self._streams: dict[int, Stream] = {}
        self._transport: Any = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is agreed upon."""
        self._transport = transport
        self._h2.initiate_connection()
        self._send()

    def data_received(self, data: bytes) -> None:
        """Whatever has come, as what it means."""
        try:
            for event in self._h2.receive_data(data):
                self._happened(event)
        except h2.exceptions.ProtocolError as error:
            self._send()  # which says what was wrong
            self._lose(ConnectionResetError(f"no HTTP/2: {error}"))
            self._transport.close()
            return
        self._pump()

    def _happened(self, event: Any) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self._serve(event)
        elif isinstance(event, h2.events.DataReceived):  # of a request's body, which nobody reads
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self._lose_one(event.stream_id, ConnectionResetError("the client gave it up"))
        elif isinstance(event, h2.events.ConnectionTerminated):
            self._lose(ConnectionResetError("the client ended the connection"))
            self._transport.close()

    def _serve(self, event: Any) -> None:
        stream = int(event.stream_id)
        facts = {name: self._transport.get_extra_info(name) for name in _SAYS}
        transport = StreamTransport(self, stream, {**facts, PROTOCOL: HTTP_2})
        self._streams[stream] = Stream(transport)
        try:
            transport.serve(self._handler(), event.headers)
        except BadRequest:
            del self._streams[stream]
            self._h2.send_headers(stream, _BAD_REQUEST, end_stream=True)

    def head(self, stream: int, fields: list[Field], end: bool) -> None:
        """See `Frames`."""
        if stream in self._streams:
            self._h2.send_headers(stream, fields, end_stream=end)
            self._send()

    def body(self, stream: int, data: bytes, end: bool) -> None:
        """See `Frames`."""
        if (held := self._streams.get(stream)) is not None:
            held.waiting += data
            held.ends = end
            self._pump()

    def _pump(self) -> None:
        """Send what flow control and TCP take."""
        for stream, held in list(self._streams.items()):
            while (held.waiting or held.ends) and not self._paused:
                room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
                if held.waiting and room <= 0:
                    break
                piece = bytes(held.waiting[:room])
                del held.waiting[: len(piece)]
                last = held.ends and not held.waiting
                self._h2.send_data(stream, piece, end_stream=last)
                if last:
                    del self._streams[stream]
                    break
            held.transport.holds(len(held.waiting))
        self._send()

    def give_up(self, stream: int) -> None:
        """See `Frames`."""
        if self._streams.pop(stream, None) is not None:
            self._h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            self._send()

    def done(self, stream: int) -> None:
        """See `Frames`: what waits is sent all the same."""

    def pause_writing(self) -> None:
        """TCP takes no more."""
        self._paused = True

    def resume_writing(self) -> None:
        """It does again."""
        self._paused = False
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._lose(ConnectionResetError("the connection is gone"))

    def _lose(self, why: Exception) -> None:
        for stream in list(self._streams):
            self._lose_one(stream, why)

    def _lose_one(self, stream: int, why: Exception) -> None:
        if (held := self._streams.pop(stream, None)) is not None:
            held.transport.lost(why)

    def _send(self) -> None:
        waiting = self._h2.data_to_send()
        if waiting and not self._transport.is_closing():
            self._transport.write(waiting)


class ChosenByAlpn(asyncio.Protocol):
    """Gives a connection to the protocol that TLS has agreed upon: HTTP/2, or aiohttp's HTTP/1.1."""

    def __init__(self, handler: Callable[[], Any]) -> None:
        self._handler = handler

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is agreed upon."""
        chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        protocol = H2Server(self._handler) if chosen == HTTP_2 else self._handler()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
