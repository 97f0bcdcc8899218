"""HTTP/3 (RFC 9114) over QUIC, by aioquic on asyncio: one connection, one stream at a time.

A request that is given up resets its stream and leaves the connection as it is; one that nothing comes for
is asked again on a new one, for QUIC itself never says that its peer has begun anew. Who doesn't answer QUIC
is asked nothing else: what was to be measured would be something else then.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import ErrorCode, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, ProtocolNegotiated, StreamReset

from player.faults import one_line
from player.transport.answer import Broken, SaidNo, Unusable
from player.transport.client_h1 import said_no
from player.transport.names import ASKED, H3, NEGOTIATED
from player.transport.place import Place
from player.transport.quic import cipher_of, configuration, quic_info, roomy, trust, version_of
from player.transport.quic_names import CONGESTION_CONTROL
from player.transport.stream_answer import StreamAnswer
from player.transport.tcp_info import TcpInfo

_TLS_ALERTS = range(0x100, 0x200)
"""A connection's error codes that are TLS's own (RFC 9001 section 4.8)."""


class _Counted:
    """A datagram transport that counts what it is given."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.sent = 0

    def sendto(self, data: bytes, address: Any = None) -> None:
        self.sent += 1
        self._transport.sendto(data, address)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class H3ClientConnection(QuicConnectionProtocol):
    """One connection."""

    def __init__(self, quic: QuicConnection) -> None:
        super().__init__(quic)
        self._h3: H3Connection | None = None
        self._answers: dict[int, StreamAnswer] = {}
        self.alpn: str | None = None
        self.received = 0
        self.agreed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """The handshake is over."""
        self.fault: Exception | None = None

    @property
    def sent(self) -> int:
        return self._transport.sent if self._transport is not None else 0

    @property
    def quic(self) -> Any:
        return self._quic

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        super().connection_made(cast(Any, _Counted(transport)))

    def datagram_received(self, data: Any, addr: Any) -> None:
        """A datagram has come."""
        self.received += 1
        super().datagram_received(data, addr)

    def error_received(self, exc: Exception) -> None:
        """The host of the server says that nobody listens; once the connection stands, a router may."""
        if not self.agreed.done():
            self.lose(exc)

    def quic_event_received(self, event: Any) -> None:
        """Something has happened on the connection, or on one of its streams."""
        if isinstance(event, ProtocolNegotiated):
            self.alpn = event.alpn_protocol
            self._h3 = H3Connection(self._quic)
            if not self.agreed.done():
                self.agreed.set_result(None)
        elif isinstance(event, ConnectionTerminated):
            self.lose(_ended(event))
        elif isinstance(event, StreamReset) and event.stream_id in self._answers:
            code = _named(event.error_code)
            self._answers[event.stream_id].fail(Broken(f"the server reset the stream ({code})"))
        if self._h3 is not None:
            for told in self._h3.handle_event(event):
                self._happened(told)

    def _happened(self, event: Any) -> None:
        answer = self._answers.get(event.stream_id)
        if answer is None:
            return
        if isinstance(event, HeadersReceived):
            answer.head(event.headers)
        elif isinstance(event, DataReceived):
            answer.data(event.data)
        if getattr(event, "stream_ended", False):
            answer.end()

    def ask(self, place: Place, headers: Mapping[str, str], answer: StreamAnswer) -> int:
        """Send a request; its stream."""
        assert self._h3 is not None
        stream = self._quic.get_next_available_stream_id()
        head = [(name.encode(), text.encode()) for name, text in place.head(headers)]
        self._answers[stream] = answer
        self._h3.send_headers(stream, head, end_stream=True)
        self.transmit()
        return int(stream)

    def forget(self, stream: int) -> None:
        """Nobody waits for the answer any more: give it up where it isn't over."""
        answer = self._answers.pop(stream)
        if answer.over or self.fault is not None:
            return
        self._quic.stop_stream(stream, ErrorCode.H3_REQUEST_CANCELLED)
        self.transmit()

    def leave(self) -> None:
        """Close the socket."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()

    def lose(self, fault: Exception) -> None:
        """Nothing more can be asked."""
        self.fault = self.fault or fault
        if not self.agreed.done():
            self.agreed.set_exception(fault)
        for answer in self._answers.values():
            answer.fail(fault)


def _named(code: int) -> str:
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"code {code:#x}"


def _ended(event: ConnectionTerminated) -> Exception:
    """Why a connection is over: by a breach of the protocol, or by somebody's will."""
    said = f": {event.reason_phrase}" if event.reason_phrase else ""
    of_quic = event.frame_type is not None  # an application's codes have the same numbers
    if of_quic and event.error_code in _TLS_ALERTS:
        return Unusable(f"QUIC's TLS failed (alert {event.error_code - _TLS_ALERTS.start}){said}")
    name = _named(event.error_code)
    if name in _BREACHES:
        return Unusable(f"not usable HTTP/3 ({name}){said}")
    return Broken(f"the connection was closed ({name}){said}")


_BREACHES = {
    "H3_FRAME_UNEXPECTED",
    "H3_FRAME_ERROR",
    "H3_MESSAGE_ERROR",
    "H3_SETTINGS_ERROR",
    "H3_MISSING_SETTINGS",
    "H3_STREAM_CREATION_ERROR",
    "QPACK_DECOMPRESSION_FAILED",
    "QPACK_ENCODER_STREAM_ERROR",
    "QPACK_DECODER_STREAM_ERROR",
}


class H3Carrier:
    """A `Carrier`.

    Args:
        trusted: the certificate to believe, as PEM; None: the system's authorities.

    Raises:
        TransportError: a certificate that is none.
    """

    def __init__(self, trusted: str | None = None) -> None:
        self._trusted = trusted
        trust(configuration(is_client=True), trusted)
        self._connection: H3ClientConnection | None = None
        self._place: Place | None = None
        self._agreed: dict[str, Any] | None = None
        self._before = (0, 0)
        """Datagrams of connections that are closed."""

    @asynccontextmanager
    async def get(
        self, url: str, headers: Mapping[str, str], connect_s: float, read_s: float
    ) -> AsyncIterator[StreamAnswer]:
        """See `Carrier`."""
        place = Place.of(url, "HTTP/3")
        connection = await self._connected(place, connect_s)
        answer = StreamAnswer(url, read_s)
        stream = connection.ask(place, headers, answer)
        try:
            await answer.begun()
            yield answer
        finally:
            connection.forget(stream)
            if answer.silent:
                connection.lose(Broken("the connection fell silent"))

    async def _connected(self, place: Place, connect_s: float) -> H3ClientConnection:
        """The connection, a new one where there is none that can be used.

        Raises:
            Broken, Unusable: there is none to be had.
        """
        now = self._connection
        if now is not None and now.fault is None and place.same_server(self._place):
            return now
        await self.close()
        made = await self._connect(place, connect_s)
        self._agreed = {
            ASKED: H3,
            NEGOTIATED: made.alpn,
            "quic": version_of(made.quic),
            "tls": f"TLSv1.3 in QUIC, {cipher_of(made.quic)}",
        }
        self._connection, self._place = made, place
        return made

    async def _connect(self, place: Place, connect_s: float) -> H3ClientConnection:
        made: H3ClientConnection | None = None
        try:
            async with asyncio.timeout(connect_s):
                made = await self._opened(place)
                await asyncio.shield(made.agreed)
            return made
        except TimeoutError:
            fault: Exception = Broken(
                f"no QUIC answer from {place.authority} within {connect_s:.3g} s; does it speak HTTP/3?"
            )
        except (Broken, Unusable) as error:
            fault = error
        except OSError as error:
            answer = said_no(error, place.host, place.port)
            udp = "" if answer is None else answer.replace("port", "UDP port")
            fault = SaidNo(udp) if udp else Broken(one_line(error))
        if made is not None:
            self._shut(made)
        raise fault

    async def _opened(self, place: Place) -> H3ClientConnection:
        """A socket that has sent the first packet."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_DGRAM)
        family, _, _, _, address = found[0]
        opened = socket.socket(family, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            roomy(opened)
            opened.connect(address)
        except OSError:
            opened.close()
            raise
        settings = configuration(is_client=True)
        settings.server_name = place.host
        trust(settings, self._trusted)
        _, protocol = await loop.create_datagram_endpoint(
            lambda: H3ClientConnection(QuicConnection(configuration=settings)), sock=opened
        )
        protocol.connect(address)
        return protocol

    def _shut(self, connection: H3ClientConnection) -> None:
        """Say that it is over, and close the socket."""
        connection.close()
        self._before = (self._before[0] + connection.sent, self._before[1] + connection.received)
        connection.leave()

    @property
    def negotiated(self) -> Mapping[str, Any] | None:
        return self._agreed

    @property
    def connection(self) -> TcpInfo | None:
        return None if self._connection is None else quic_info(self._connection.quic)

    @property
    def congestion_control(self) -> str | None:
        return None if self._connection is None else CONGESTION_CONTROL

    @property
    def datagrams(self) -> tuple[int, int] | None:
        now = self._connection
        sent, received = (0, 0) if now is None else (now.sent, now.received)
        return self._before[0] + sent, self._before[1] + received

    async def close(self) -> None:
        now, self._connection = self._connection, None
        if now is not None:
            self._shut(now)
