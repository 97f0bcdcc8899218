"""HTTP/2 (RFC 9113) over TLS, by the `h2` package on asyncio: one connection, one stream at a time.

A request that is given up resets its stream and leaves the connection as it is; one that nothing comes for
is asked again on a new one, as ever over HTTP/1.1. A server that chooses
HTTP/1.1 when TLS is agreed upon gets HTTP/1.1.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from h2.settings import SettingCodes

from player.faults import one_line
from player.transport.answer import Answer, Broken, SaidNo, Unusable
from player.transport.client_h1 import PlainCarrier, congestion_control_of, said_no
from player.transport.names import ASKED, H2, NEGOTIATED
from player.transport.place import Place
from player.transport.stream_answer import StreamAnswer
from player.transport.tcp_info import TcpInfo, read_tcp_info
from player.transport.trust import client_context, distrusted

HTTP_2, HTTP_1 = "h2", "http/1.1"
"""By ALPN (RFC 7301)."""
WINDOW_BYTES = 1 << 24
"""Of a stream and of the connection: more than any path here holds; TCP alone decides what is sent."""
DEFAULT_WINDOW_BYTES = 65_535
MOST_HEAD_BYTES = 1 << 16
"""Of an answer's head, as the peer is told."""


class H2Connection(asyncio.Protocol):
    """One connection, from TLS on."""

    def __init__(self) -> None:
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding=None)
        )
        self._answers: dict[int, StreamAnswer] = {}
        self.transport: Any = None
        self.alpn: str | None = None
        self.fault: Exception | None = None
        """Why nothing more can be asked."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is agreed upon."""
        self.transport = transport
        self.alpn = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        if self.alpn != HTTP_2:
            return
        self._h2.initiate_connection()
        self._h2.update_settings(
            {
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
                SettingCodes.MAX_HEADER_LIST_SIZE: MOST_HEAD_BYTES,
            }
        )
        self._h2.increment_flow_control_window(WINDOW_BYTES - DEFAULT_WINDOW_BYTES)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Whatever has come, as what it means."""
        try:
            for event in self._h2.receive_data(data):
                self._happened(event)
        except h2.exceptions.ProtocolError as error:
            self.lose(Unusable(f"not usable HTTP/2: {one_line(error)}"))
            self.transport.abort()
            return
        self._send()

    def _happened(self, event: Any) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            code = _named(event.error_code)
            self.lose(Broken(f"the server ended the connection (GOAWAY, {code})"))
        answer = self._answers.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, h2.events.DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if answer is not None:
                answer.data(event.data)
        elif answer is None:
            return
        elif isinstance(event, h2.events.ResponseReceived):
            answer.head(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            answer.end()
        elif isinstance(event, h2.events.StreamReset):
            answer.fail(Broken(f"the server reset the stream ({_named(event.error_code)})"))

    def ask(self, place: Place, headers: Mapping[str, str], answer: StreamAnswer) -> int:
        """Send a request; its stream.

        Raises:
            Broken: the connection takes none any more.
        """
        try:
            stream = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream, place.head(headers), end_stream=True)
        except h2.exceptions.ProtocolError as error:
            raise Broken(f"the connection takes no more requests: {one_line(error)}") from None
        self._answers[stream] = answer
        self._send()
        return stream

    def forget(self, stream: int) -> None:
        """Nobody waits for the answer any more: give it up where it isn't over."""
        answer = self._answers.pop(stream)
        if answer.over or self.fault is not None:
            return
        try:
            self._h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        except h2.exceptions.ProtocolError:  # it has ended meanwhile
            return
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.lose(Broken("the server closed the connection" if exc is None else one_line(exc)))

    def lose(self, fault: Exception) -> None:
        """Nothing more can be asked."""
        self.fault = self.fault or fault
        for answer in self._answers.values():
            answer.fail(fault)

    def _send(self) -> None:
        waiting = self._h2.data_to_send()
        if waiting and not self.transport.is_closing():
            self.transport.write(waiting)

    def close(self) -> None:
        """Say so, and close."""
        if self.alpn == HTTP_2 and self.fault is None:
            self._h2.close_connection()
            self._send()
        self.transport.close()


def _named(code: Any) -> str:
    return getattr(code, "name", None) or f"code {code}"


class H2Carrier:
    """A `Carrier`.

    Args:
        trusted: the certificate to believe, as PEM; None: the system's authorities.

    Raises:
        TransportError: a certificate that is none.
    """

    datagrams: tuple[int, int] | None = None

    def __init__(self, trusted: str | None = None) -> None:
        self._trusted = trusted
        self._context = client_context(trusted, HTTP_2, HTTP_1)
        self._connection: H2Connection | None = None
        self._place: Place | None = None
        self._lesser: PlainCarrier | None = None
        """Of a server that chose HTTP/1.1."""
        self._agreed: dict[str, Any] | None = None

    @asynccontextmanager
    async def get(
        self, url: str, headers: Mapping[str, str], connect_s: float, read_s: float
    ) -> AsyncIterator[Answer]:
        """See `Carrier`."""
        place = Place.of(url, "HTTP/2")
        connection = await self._connected(place, connect_s)
        if self._lesser is not None:
            async with self._lesser.get(url, headers, connect_s, read_s) as plain:
                yield plain
            return
        assert connection is not None
        answer = StreamAnswer(url, read_s)
        stream = connection.ask(place, headers, answer)
        try:
            await answer.begun()
            yield answer
        finally:
            connection.forget(stream)
            if answer.silent:
                connection.lose(Broken("the connection fell silent"))

    async def _connected(self, place: Place, connect_s: float) -> H2Connection | None:
        """The connection, a new one where there is none that can be used; None of a server that chose
        HTTP/1.1.

        Raises:
            Broken, Unusable: there is none to be had.
        """
        if self._lesser is not None:
            return None
        now = self._connection
        if now is not None and now.fault is None and place.same_server(self._place):
            return now
        if now is not None:
            now.close()
        made = await self._connect(place, connect_s)
        self._agree(made)
        if made.alpn != HTTP_2:
            made.transport.abort()
            self._lesser, self._connection = PlainCarrier(self._trusted), None
            return None
        self._connection, self._place = made, place
        return made

    async def _connect(self, place: Place, connect_s: float) -> H2Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(connect_s):
                _, made = await loop.create_connection(
                    H2Connection, place.host, place.port, ssl=self._context, server_hostname=place.host
                )
        except TimeoutError:
            raise Broken(f"no connection to {place.authority} within {connect_s:.3g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise Unusable(distrusted(error, place.host)) from None
        except ssl.SSLError as error:
            why = error.reason or one_line(error)
            raise Unusable(f"{place.authority} does not speak TLS: {why}") from None
        except OSError as error:
            answer = said_no(error, place.host, place.port)
            raise (Broken(one_line(error)) if answer is None else SaidNo(answer)) from None
        return made

    def _agree(self, made: H2Connection) -> None:
        """Hold on to what was agreed upon.

        Raises:
            Unusable: something else than before.
        """
        spoken = made.transport.get_extra_info("ssl_object")
        now = {ASKED: H2, NEGOTIATED: made.alpn or HTTP_1, "tls": spoken.version()}
        if self._agreed is not None and now != self._agreed:
            made.transport.abort()
            raise Unusable(f"the server now speaks {now[NEGOTIATED]}, {self._agreed[NEGOTIATED]} before")
        self._agreed = now

    @property
    def negotiated(self) -> Mapping[str, Any] | None:
        return self._agreed

    @property
    def _socket(self) -> Any:
        return None if self._connection is None else self._connection.transport.get_extra_info("socket")

    @property
    def connection(self) -> TcpInfo | None:
        return read_tcp_info(self._socket) if self._lesser is None else self._lesser.connection

    @property
    def congestion_control(self) -> str | None:
        if self._lesser is not None:
            return self._lesser.congestion_control
        return congestion_control_of(self._socket)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._lesser is not None:
            await self._lesser.close()
