"""HTTP/3 (RFC 9114) for the origin, by aioquic: its connections' streams are served by aiohttp."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer, serve
from aioquic.h3.connection import ErrorCode, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.events import ConnectionTerminated, ProtocolNegotiated, StopSendingReceived, StreamReset

from player.transport.quic import configuration, quic_info, roomy, unsent_bytes
from testbed.server.certificate import Certificate
from testbed.server.streams import CONNECTION, PROTOCOL, BadRequest, Field, StreamTransport

_BAD_REQUEST: list[Field] = [(b":status", b"400"), (b"content-length", b"0")]


class H3Server(QuicConnectionProtocol):
    """One connection.

    Args:
        handler: makes a handler of aiohttp's.
    """

    def __init__(self, quic: Any, stream_handler: Any = None, *, handler: Callable[[], Any]) -> None:
        super().__init__(quic, stream_handler)
        self._handler = handler
        self._h3: H3Connection | None = None
        self._streams: dict[int, StreamTransport] = {}
        self._alpn = ""
        self._peer: Any = None

    def datagram_received(self, data: Any, addr: Any) -> None:
        """A datagram has come."""
        self._peer = addr
        super().datagram_received(data, addr)

    def quic_event_received(self, event: Any) -> None:
        """Something has happened on the connection, or on one of its streams."""
        if isinstance(event, ProtocolNegotiated):
            self._alpn = event.alpn_protocol
            self._h3 = H3Connection(self._quic)
        elif isinstance(event, ConnectionTerminated):
            for stream in list(self._streams):
                self._lose_one(stream, "the connection is gone")
        elif isinstance(event, StopSendingReceived | StreamReset):
            self._lose_one(event.stream_id, "the client gave it up")
        if self._h3 is not None:
            for told in self._h3.handle_event(event):
                if isinstance(told, HeadersReceived):
                    self._serve(told)

    def _lose_one(self, stream: int, why: str) -> None:
        if (transport := self._streams.pop(stream, None)) is not None:
            transport.lost(ConnectionResetError(why))

    def _serve(self, event: HeadersReceived) -> None:
        stream = int(event.stream_id)
        if stream in self._streams or self._h3 is None:  # (trailers of a request's body)
            return
        facts = {"peername": self._peer, PROTOCOL: self._alpn, CONNECTION: lambda: quic_info(self._quic)}
        transport = StreamTransport(self, stream, {**facts, "sslcontext": True})
        self._streams[stream] = transport
        try:
            transport.serve(self._handler(), event.headers)
        except BadRequest:
            del self._streams[stream]
            self._h3.send_headers(stream, _BAD_REQUEST, end_stream=True)

    def head(self, stream: int, fields: list[Field], end: bool) -> None:
        """See `Frames`."""
        if stream in self._streams and self._h3 is not None:
            self._h3.send_headers(stream, fields, end_stream=end)
            self.transmit()

    def body(self, stream: int, data: bytes, end: bool) -> None:
        """See `Frames`."""
        if stream in self._streams and self._h3 is not None:
            self._h3.send_data(stream, data, end_stream=end)
            self.transmit()

    def give_up(self, stream: int) -> None:
        """See `Frames`."""
        if self._streams.pop(stream, None) is not None:
            self._quic.reset_stream(stream, ErrorCode.H3_INTERNAL_ERROR)
            self.transmit()

    def done(self, stream: int) -> None:
        """See `Frames`: what was written is sent all the same."""
        self._streams.pop(stream, None)

    def transmit(self) -> None:
        """Send what congestion control lets go; whose stream has room again goes on writing."""
        super().transmit()
        for stream, transport in list(self._streams.items()):
            transport.holds(unsent_bytes(self._quic, stream))


async def listen_quic(
    host: str, port: int, certificate: Certificate, congestion_control: str, handler: Callable[[], Any]
) -> QuicServer:
    """A server that `close` ends.

    Raises:
        OSError: the address cannot be had.
    """
    from aioquic.tls import load_pem_private_key, load_pem_x509_certificates

    settings = configuration(is_client=False, congestion_control=congestion_control)
    settings.certificate, *settings.certificate_chain = load_pem_x509_certificates(
        certificate.public.encode()
    )
    settings.private_key = load_pem_private_key(certificate.key.encode())
    server = await serve(
        host, port, configuration=settings, create_protocol=functools.partial(H3Server, handler=handler)
    )
    roomy(server._transport.get_extra_info("socket"))
    return server
