"""Servers that are not as they should be: each costs a line, none a traceback."""

from __future__ import annotations

import asyncio
import functools
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from player.real.fetch import Fetcher, OriginError, OriginLost
from player.real.settings import Timeouts
from tests.support.stream_servers import LOCAL, free_udp_port, need_transport, over_quic, over_tls

need_transport()

import h2.config  # noqa: E402
import h2.connection  # noqa: E402
import h2.errors  # noqa: E402
import h2.events  # noqa: E402
from aioquic.asyncio.protocol import QuicConnectionProtocol  # noqa: E402
from aioquic.h3.connection import ErrorCode, H3Connection  # noqa: E402
from aioquic.h3.events import HeadersReceived  # noqa: E402

PATIENT = Timeouts(connect_s=10.0, read_s=10.0, give_up_s=20.0)
HASTY = Timeouts(connect_s=0.5, read_s=0.3, give_up_s=0.8)
SOON = Timeouts(connect_s=2.0, read_s=2.0, give_up_s=1.0)
BODY = b"x" * 1000
OK = [(":status", "200"), ("content-length", "1000")]


def fetched(
    transport: str, serving: AbstractAsyncContextManager[tuple[str, str]], timeouts: Timeouts = PATIENT
) -> Any:
    """What comes of fetching from a server."""

    async def work() -> Any:
        async with serving as (url, trusted), Fetcher(timeouts, transport, trusted) as fetcher:
            return await fetcher.fetch(f"{url}/a"), fetcher.negotiated

    return asyncio.run(asyncio.wait_for(work(), 30))


class H2Enemy(asyncio.Protocol):
    """Answers each request by `answer(connection, stream, number of the request)`."""

    def __init__(self, answer: Any, numbers: list[int]) -> None:
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._answer, self._numbers = answer, numbers

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._h2.initiate_connection()
        transport.write(self._h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self._numbers.append(event.stream_id)
                raw = self._answer(self._h2, event.stream_id, len(self._numbers))
                self._transport.write(self._h2.data_to_send() + (raw or b""))


def h2_enemy(answer: Any) -> tuple[AbstractAsyncContextManager[tuple[str, str]], list[int]]:
    numbers: list[int] = []
    return over_tls(functools.partial(H2Enemy, answer, numbers), "h2"), numbers


def whole(connection: Any, stream: int) -> None:
    connection.send_headers(stream, OK)
    connection.send_data(stream, BODY, end_stream=True)


def test_a_server_that_says_goaway_is_asked_again_on_a_new_connection() -> None:
    def answer(connection: Any, stream: int, number: int) -> None:
        if number == 1:
            connection.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
        else:
            whole(connection, stream)

    serving, numbers = h2_enemy(answer)
    result, _ = fetched("h2", serving)
    assert (result.size_bytes, result.retries, numbers) == (1000, 1, [1, 1])


def test_one_that_only_says_goaway_is_lost_in_the_end() -> None:
    serving, _ = h2_enemy(lambda connection, stream, number: connection.close_connection())
    with pytest.raises(OriginLost, match="no byte for 1 s; last: "):
        fetched("h2", serving, SOON)


def test_a_stream_that_is_reset_goes_on_where_it_broke() -> None:
    def answer(connection: Any, stream: int, number: int) -> None:
        if number == 1:
            connection.send_headers(stream, OK)
            connection.send_data(stream, BODY[:400])
            connection.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        else:
            head = [(":status", "206"), ("content-range", "bytes 400-999/1000"), ("content-length", "600")]
            connection.send_headers(stream, head)
            connection.send_data(stream, BODY[400:], end_stream=True)

    serving, numbers = h2_enemy(answer)
    result, _ = fetched("h2", serving)
    assert (result.size_bytes, result.retries, numbers) == (1000, 1, [1, 3])


def test_a_head_that_is_too_large_is_no_usable_answer() -> None:
    def answer(connection: Any, stream: int, number: int) -> None:
        connection.send_headers(stream, [*OK, *((f"x-{n}", "y" * 4000) for n in range(40))])

    with pytest.raises(OriginError, match="not usable HTTP/2"):
        fetched("h2", h2_enemy(answer)[0])


def test_what_is_no_http_2_is_said_so() -> None:
    with pytest.raises(OriginError, match="not usable HTTP/2"):
        fetched("h2", h2_enemy(lambda connection, stream, number: b"\0\0\x08\0\0\0\0\0\0DATA of 0")[0])


class Silent(asyncio.Protocol):
    """Says nothing."""


def test_a_silent_server_is_given_up() -> None:
    with pytest.raises(OriginLost, match=r"no byte for .*; last: no (answer|connection)"):
        fetched("h2", over_tls(Silent, "h2"), HASTY)


IMPATIENT = Timeouts(connect_s=10.0, read_s=0.2, give_up_s=20.0)


def test_a_connection_that_falls_silent_is_left_for_a_new_one() -> None:
    serving, numbers = h2_enemy(lambda connection, stream, number: number > 1 and whole(connection, stream))
    result, _ = fetched("h2", serving, IMPATIENT)
    assert (result.size_bytes, result.retries, numbers) == (1000, 1, [1, 1])


class Plain(asyncio.Protocol):
    """HTTP/1.1 over TLS, and nothing better."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + BODY)


@pytest.mark.parametrize("alpn", [("http/1.1",), ()])
def test_a_server_that_chooses_http_1_is_taken_at_its_word(alpn: tuple[str, ...]) -> None:
    result, negotiated = fetched("h2", over_tls(Plain, *alpn))
    assert result.size_bytes == 1000
    assert (negotiated["asked"], negotiated["negotiated"]) == ("h2", "http/1.1")


class H3Enemy(QuicConnectionProtocol):
    """Answers each request by `answer(QUIC, HTTP/3, stream, number of the request)`."""

    def __init__(self, quic: Any, stream_handler: Any = None, *, answer: Any, numbers: list[int]) -> None:
        super().__init__(quic, stream_handler)
        self._h3 = H3Connection(quic)
        self._answer, self._numbers = answer, numbers

    def quic_event_received(self, event: Any) -> None:
        for told in self._h3.handle_event(event):
            if isinstance(told, HeadersReceived):
                self._numbers.append(told.stream_id)
                self._answer(self._quic, self._h3, told.stream_id, len(self._numbers))
                self.transmit()


def h3_enemy(answer: Any) -> tuple[AbstractAsyncContextManager[tuple[str, str]], list[int]]:
    numbers: list[int] = []
    return over_quic(functools.partial(H3Enemy, answer=answer, numbers=numbers)), numbers


def whole_h3(http: Any, stream: int) -> None:
    http.send_headers(stream, [(name.encode(), value.encode()) for name, value in OK])
    http.send_data(stream, BODY, end_stream=True)


def test_an_h3_stream_that_is_reset_is_asked_for_again() -> None:
    def answer(quic: Any, http: Any, stream: int, number: int) -> None:
        if number == 1:
            quic.reset_stream(stream, ErrorCode.H3_INTERNAL_ERROR)
        else:
            whole_h3(http, stream)

    serving, numbers = h3_enemy(answer)
    result, negotiated = fetched("h3", serving)
    assert (result.size_bytes, result.retries, numbers) == (1000, 1, [0, 4])
    assert negotiated["negotiated"] == "h3"


def test_an_h3_server_that_only_resets_is_lost_in_the_end() -> None:
    def answer(quic: Any, http: Any, stream: int, number: int) -> None:
        quic.reset_stream(stream, ErrorCode.H3_REQUEST_REJECTED)

    with pytest.raises(OriginLost, match="no byte for 1 s; last: "):
        fetched("h3", h3_enemy(answer)[0], SOON)


def test_an_h3_connection_that_is_closed_is_opened_again() -> None:
    def answer(quic: Any, http: Any, stream: int, number: int) -> None:
        if number == 1:
            quic.close(error_code=ErrorCode.H3_EXCESSIVE_LOAD, reason_phrase="too much")
        else:
            whole_h3(http, stream)

    result, _ = fetched("h3", h3_enemy(answer)[0])
    assert (result.size_bytes, result.retries) == (1000, 1)


def test_an_h3_connection_that_falls_silent_is_left_for_a_new_one() -> None:
    def answer(quic: Any, http: Any, stream: int, number: int) -> None:
        if number > 1:
            whole_h3(http, stream)

    serving, numbers = h3_enemy(answer)
    result, _ = fetched("h3", serving, IMPATIENT)
    assert (result.size_bytes, result.retries, numbers) == (1000, 1, [0, 0])


def test_what_is_no_http_3_is_said_so() -> None:
    def answer(quic: Any, http: Any, stream: int, number: int) -> None:
        quic.send_stream_data(stream, b"\x04\x00 no frame that belongs here", end_stream=True)

    with pytest.raises(OriginError, match=r"not usable HTTP/3 \(H3_FRAME_UNEXPECTED\)"):
        fetched("h3", h3_enemy(answer)[0])


def test_nobody_on_the_udp_port_is_said_at_once() -> None:
    async def work() -> None:
        async with Fetcher(PATIENT, "h3") as fetcher:
            await fetcher.read(f"https://{LOCAL}:{free_udp_port()}/a", 1.0)

    with pytest.raises(OriginLost, match="connection refused; does a server listen on UDP port"):
        asyncio.run(work())


def test_who_hears_and_speaks_no_quic_is_given_up() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, (LOCAL, 0))
        try:
            port = transport.get_extra_info("sockname")[1]
            async with Fetcher(HASTY, "h3") as fetcher:
                await fetcher.read(f"https://{LOCAL}:{port}/a", 0.4)
        finally:
            transport.close()

    with pytest.raises(OriginLost, match=r"no QUIC answer from 127\.0\.0\.1:[0-9]+ .*; does it speak HTTP/3"):
        asyncio.run(work())
