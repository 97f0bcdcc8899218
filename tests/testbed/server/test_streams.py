"""A stream as a connection to aiohttp: answers taken apart however they are cut, and requests that lie."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.server.streams import HIGH_BYTES, BadRequest, StreamTransport, request_text


class FakeFrames:
    """What a connection was told."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.data = b""
        self.ended = self.given_up = False

    def head(self, stream: int, fields: list[tuple[bytes, bytes]], end: bool) -> None:
        self.fields, self.ended = fields, end

    def body(self, stream: int, data: bytes, end: bool) -> None:
        assert not self.ended
        self.data += data
        self.ended = end

    def give_up(self, stream: int) -> None:
        self.given_up = True

    def done(self, stream: int) -> None: ...


class FakeHandler:
    """A handler of aiohttp's that only remembers."""

    def __init__(self) -> None:
        self.said = b""
        self.waits = 0
        self.lost: list[Any] = []

    def connection_made(self, transport: Any) -> None: ...

    def data_received(self, data: bytes) -> None:
        self.said += data

    def pause_writing(self) -> None:
        self.waits += 1

    def resume_writing(self) -> None:
        self.waits -= 1

    def connection_lost(self, why: Any) -> None:
        self.lost.append(why)


GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a:1"), (b":path", b"/x?y=1")]


def written(*pieces: bytes, fields: Any = GET) -> FakeFrames:
    """What goes out where aiohttp writes these pieces."""

    async def work() -> FakeFrames:
        frames = FakeFrames()
        transport = StreamTransport(frames, 1, {})
        transport.serve(FakeHandler(), fields)
        for piece in pieces:
            transport.write(piece)
        transport.close()
        await asyncio.sleep(0)
        return frames

    return asyncio.run(work())


PLAIN = b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nETag: "a"\r\n\r\nhello'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n"


@given(st.sampled_from([PLAIN, CHUNKED]), st.lists(st.integers(1, 120), max_size=8))
def test_an_answer_comes_out_whole_however_it_is_cut(answer: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(answer), *(cut for cut in cuts if cut < len(answer))})
    frames = written(*(answer[begin:end] for begin, end in itertools.pairwise(places)))
    assert frames.data == b"hello" and frames.ended and not frames.given_up
    names = [name for name, _ in frames.fields]
    assert frames.fields[0] == (b":status", b"200")
    assert b"connection" not in names and b"transfer-encoding" not in names


def test_a_head_alone_ends_the_stream() -> None:
    unchanged = written(b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n")
    asked_head = written(PLAIN[: -len(b"hello")], fields=[(b":method", b"HEAD"), *GET[1:]])
    empty = written(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert unchanged.ended and asked_head.ended and empty.ended
    assert dict(asked_head.fields)[b"content-length"] == b"5"


def test_an_answer_that_stops_short_is_given_up() -> None:
    assert written(PLAIN[:-2]).given_up
    assert written(CHUNKED[:-5]).given_up
    assert written().given_up


def test_a_handler_waits_while_much_is_unsent() -> None:
    async def work() -> None:
        handler, transport = FakeHandler(), StreamTransport(FakeFrames(), 1, {"peername": ("p", 1)})
        transport.serve(handler, GET)
        for unsent, waits in ((HIGH_BYTES + 1, 1), (HIGH_BYTES + 1, 1), (HIGH_BYTES // 2, 1), (0, 0)):
            transport.holds(unsent)
            assert handler.waits == waits
        assert transport.get_extra_info("peername") == ("p", 1)
        transport.lost(ConnectionResetError("gone"))
        transport.holds(HIGH_BYTES + 1)
        assert handler.waits == 0 and len(handler.lost) == 1 and transport.is_closing()

    asyncio.run(work())


def test_a_request_is_said_in_http_1() -> None:
    text, method = request_text(
        [*GET, (b"range", b"bytes=0-1"), (b"connection", b"upgrade"), (b"host", b"b")]
    )
    assert method == b"GET"
    assert text.split(b"\r\n") == [
        b"GET /x?y=1 HTTP/1.1",
        b"Host: a:1",
        b"Connection: close",
        b"range: bytes=0-1",
        b"",
        b"",
    ]


@pytest.mark.parametrize(
    "field",
    [
        (b"x", b"a\r\nb: c"),
        (b"x\n", b"a"),
        (b":path", b"/ HTTP/1.1\r\nHost: evil"),
        (b":path", b"/a b"),
        (b":path", b""),
        (b":method", b"GET /"),
        (b":authority", b"a\0"),
    ],
)
def test_a_request_that_would_be_two_is_refused(field: tuple[bytes, bytes]) -> None:
    others = [one for one in GET if one[0] != field[0]]
    with pytest.raises(BadRequest):
        request_text([*others, field])
