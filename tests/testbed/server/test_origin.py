"""The origin: HTTP semantics, streaming without copies, its log, its command."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from player.real import cmsd
from player.transport.tcp_info import TcpInfo, parse_tcp_info, read_tcp_info
from player.video.built_in import load_video
from player.video.media.boxes import box, boxes
from player.video.media.clip import Clip
from player.video.media.prepared import PreparedMedia
from player.video.mpd import read_mpd
from player.video.video import Video, VideoError
from testbed import origin
from testbed.server import application, names
from testbed.server.http_semantics import ByteRange, RangeNotSatisfiable, Validators, asked_range

ROOT = Path(__file__).resolve().parents[3]
SMALL = Video("small", 4.0, (100, 400), ((1000, 300_000), (1, 3_000_000)))
Client = TestClient[web.Request, web.Application]


def with_client(
    check: Callable[[Client, list[dict[str, Any]]], Awaitable[None]],
    videos: tuple[Video, ...] = (SMALL,),
    media: Path | None = None,
    prepared: Sequence[PreparedMedia] = (),
) -> None:
    """Run `check` against a running origin on loopback; it gets the log lines too."""

    async def run() -> None:
        lines: list[dict[str, Any]] = []
        async with TestClient(
            TestServer(application.make_app(videos, media, lines.append, prepared))
        ) as client:
            await check(client, lines)

    asyncio.run(run())


async def logged(lines: list[dict[str, Any]], count: int = 1) -> dict[str, Any]:
    """The newest log line once there are `count`: the client may be done before the server is."""
    async with asyncio.timeout(10):
        while len(lines) < count:
            await asyncio.sleep(0.005)
    return lines[-1]


def test_manifest_and_every_segment_as_described() -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        answer = await client.get("/small/manifest.mpd")
        assert answer.content_type == "application/dash+xml"
        presentation = read_mpd(await answer.read(), str(answer.url))
        assert presentation.video == SMALL
        for chunk, row in enumerate(SMALL.sizes_bytes):
            for level, size in enumerate(row):
                answer = await client.get(URL(presentation.url(level, chunk)).raw_path)
                assert answer.status == 200
                assert answer.content_type == "video/iso.segment"
                assert answer.headers["Content-Length"] == str(size)
                assert "Transfer-Encoding" not in answer.headers
                assert "no-transform" in answer.headers["Cache-Control"]
                assert len(await answer.read()) == size

    with_client(check)


def test_content_is_a_function_of_the_segment_alone_and_does_not_compress() -> None:
    bodies: list[bytes] = []

    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        for path in ("1/1", "1/0", "1/1"):
            bodies.append(await (await client.get(f"/small/{path}.m4s")).read())

    with_client(check)
    assert bodies[0] == bodies[2]
    assert bodies[1] != bodies[0][: len(bodies[1])]
    assert len(zlib.compress(bodies[0])) > len(bodies[0])
    digest = hashlib.sha256(bodies[1]).hexdigest()[:12]
    assert digest == "4dcf44b94e12"


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=299999-", 299_999, 299_999),
        ("bytes=70000-", 70_000, 299_999),
        ("bytes=5-99999999999999999999999", 5, 299_999),
        ("bytes=-1", 299_999, 299_999),
        ("bytes=-999999999", 0, 299_999),
        ("BYTES= 7-8 ", 7, 8),
    ],
)
def test_a_range_gives_exactly_those_bytes(header: str, first: int, last: int) -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        whole = await (await client.get("/small/1/0.m4s")).read()
        part = await client.get("/small/1/0.m4s", headers={"Range": header})
        assert part.status == 206
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/300000"
        assert part.headers["Content-Length"] == str(last - first + 1)
        assert await part.read() == whole[first : last + 1]
        line = await logged(lines, 2)
        assert line["range"] == header.strip() and line["bytes"] == last - first + 1

    with_client(check)


@pytest.mark.parametrize(
    "header", ["bytes=300000-", "bytes=-0", "bytes=9-3", "bytes=x-y", "bytes=", "bytes=-", "bytes", "bytes=1"]
)
def test_a_range_that_cannot_be_met_is_416_with_the_size(header: str) -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        answer = await client.get("/small/1/0.m4s", headers={"Range": header})
        assert answer.status == 416
        assert answer.headers["Content-Range"] == "bytes */300000"
        assert (await answer.text()).count("\n") == 1
        assert (await client.get("/small/1/0.m4s")).status == 200  # the connection goes on

    with_client(check)


@pytest.mark.parametrize("header", ["bytes=0-1,5-6", "bytes=0-1, 400000-", "lines=1-2"])
def test_several_ranges_and_other_units_get_the_whole(header: str) -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        answer = await client.get("/small/1/0.m4s", headers={"Range": header})
        assert answer.status == 200 and "Content-Range" not in answer.headers
        assert len(await answer.read()) == 300_000

    with_client(check)


@given(st.text(alphabet="0123456789-,= bytes*x", max_size=40), st.integers(1, 10**12))
@settings(max_examples=300)
def test_any_range_header_is_within_the_resource_or_refused(header: str, size: int) -> None:
    for text in (header, "bytes=" + header):
        try:
            part = asked_range({"Range": text}, Validators('"a"'), size)
        except RangeNotSatisfiable as error:
            assert "\n" not in str(error)
        else:
            assert part is None or 0 <= part.first <= part.last < size


@given(st.data(), st.integers(1, 10**9))
def test_well_formed_ranges_mean_what_they_say(data: st.DataObject, size: int) -> None:
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.integers(first, 2 * size))
    tail = data.draw(st.integers(1, 2 * size))
    none = Validators('"a"')
    assert asked_range({"Range": f"bytes={first}-{last}"}, none, size) == ByteRange(
        first, min(last, size - 1)
    )
    assert asked_range({"Range": f"bytes={first}-"}, none, size) == ByteRange(first, size - 1)
    assert asked_range({"Range": f"bytes=-{tail}"}, none, size) == ByteRange(max(size - tail, 0), size - 1)


def test_if_range_resumes_only_the_same_version() -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        tag = (await client.get("/small/1/0.m4s")).headers["ETag"]
        other = (await client.get("/small/0/0.m4s")).headers["ETag"]
        assert tag != other
        for value, status in {tag: 206, other: 200, f"W/{tag}": 200, "yesterday": 200}.items():
            answer = await client.get("/small/1/0.m4s", headers={"Range": "bytes=9-", "If-Range": value})
            assert answer.status == status, value

    with_client(check)


def test_conditions() -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        for path in ("/small/1/0.m4s", "/small/manifest.mpd"):
            tag = (await client.get(path)).headers["ETag"]
            for value in (tag, f'"other", W/{tag}', "*"):
                answer = await client.get(path, headers={"If-None-Match": value, "Range": "bytes=0-1"})
                assert answer.status == 304 and await answer.read() == b""
                assert answer.headers["ETag"] == tag
            assert (await client.get(path, headers={"If-None-Match": '"other"'})).status == 200
            assert (await client.get(path, headers={"If-Match": tag})).status == 200
            assert (await client.get(path, headers={"If-Match": '"other"'})).status == 412

    with_client(check)


def test_head_has_the_headers_and_no_body() -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        get, head = await client.get("/small/1/0.m4s"), await client.head("/small/1/0.m4s")
        assert head.status == 200 and await head.read() == b""
        for name in ("Content-Length", "Content-Type", "ETag", "Accept-Ranges"):
            assert head.headers[name] == get.headers[name]
        ranged = await client.head("/small/1/0.m4s", headers={"Range": "bytes=0-1"})
        assert ranged.status == 200 and ranged.headers["Content-Length"] == "300000"
        assert (await logged(lines, 3))["bytes"] == 0

    with_client(check)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/small/2/0.m4s", "no level 2; there are 0 to 1"),
        ("/small/-1/0.m4s", "no level -1"),
        ("/small/01/0.m4s", "no level 01"),
        ("/small/0/2.m4s", "no chunk 2; there are 0 to 1"),
        ("/small/0/x.m4s", "no chunk x"),
        ("/small/0/٣.m4s", "no chunk"),
        ("/small/0/0.mp4", "no /small/0/0.mp4"),
        ("/other/manifest.mpd", "for NAME in small"),
        ("/small", "there are /NAME/manifest.mpd"),
    ],
)
def test_what_is_not_there_is_404_in_one_line(path: str, said: str) -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        answer = await client.get(path)
        text = await answer.text()
        assert answer.status == 404 and answer.content_type == "text/plain"
        assert said in text and text.count("\n") == 1
        assert (await logged(lines))["status"] == 404

    with_client(check)


def test_the_root_lists_what_is_served(tmp_path: Path) -> None:
    for name in ("top.mpd", "sub dir/x.mpd", ".hidden/x.mpd", "deep/er/x.mpd"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("<MPD/>")

    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        answer = await client.get("/", headers={"Host": "here:8080"})
        paths = ("small/manifest.mpd", "sub%20dir/x.mpd", "top.mpd")
        assert (await answer.text()).splitlines() == [f"http://here:8080/{path}" for path in paths]
        odd = await client.get("/", headers={"Host": "a<b"})
        assert odd.status == 400 or "<" not in await odd.text()

    with_client(check, media=tmp_path)


def test_other_methods_are_405() -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        answer = await client.post("/small/0/0.m4s", data=b"x")
        assert answer.status == 405 and "GET" in answer.headers["Allow"]

    with_client(check)


def test_health() -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        assert await (await client.get("/healthz")).json() == {"ok": True, "videos": ["small"]}

    with_client(check)


def test_names_become_one_part_of_a_path_and_must_differ() -> None:
    assert names.url_name(Video("../a b/ü", 4.0, (1,), ((1,),))) == "a-b"
    with pytest.raises(VideoError, match="two videos are called small"):
        application.make_app([SMALL, SMALL])


# ---------------------------------------------------------------- the connection


async def raw_request(port: int, head: bytes, receive_buffer: int = 0) -> socket.socket:
    """A bare connection that has sent a request and reads nothing yet."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    await asyncio.get_running_loop().sock_sendall(sock, head)
    return sock


def test_requests_share_a_connection_and_carry_the_sender_s_view() -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        ports = set()
        for _ in range(3):
            async with client.get("/small/1/1.m4s") as answer:
                assert answer.connection is not None and answer.connection.transport is not None
                ports.add(answer.connection.transport.get_extra_info("sockname"))
                sender = cmsd.decode(answer.headers[cmsd.HEADER])
                await answer.read()
        assert len(ports) == 1
        assert sender.rtt_ms is not None and 0 < sender.rtt_ms < 10_000
        assert sender.retransmits is not None
        assert sender.delivery_mbps is not None and sender.delivery_mbps > 0

    with_client(check)


def test_the_log_line_says_what_happened() -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        before = time.time()
        await (await client.get("/small/1/1.m4s?x=%20y")).read()
        line = await logged(lines)
        assert set(line) == {
            "time", "monotonic_s", "protocol", "client", "method", "path", "status", "range", "bytes",
            "duration_ms", "rtt_ms", "retransmits", "delivery_mbps", "cwnd", "error",
        }  # fmt: skip
        assert (line["method"], line["path"], line["status"]) == ("GET", "/small/1/1.m4s?x=%20y", 200)
        assert line["bytes"] == 3_000_000 and line["range"] is None and line["error"] == ""
        assert line["protocol"] == "http/1.1"
        assert before - 1 <= line["time"] <= time.time()
        assert line["client"] == "127.0.0.1"
        assert line["rtt_ms"] > 0 and line["cwnd"] > 0 and line["duration_ms"] > 0
        assert json.loads(json.dumps(line, allow_nan=False)) == line

    with_client(check)


def test_nagle_is_off() -> None:
    seen: list[int] = []

    async def run() -> None:
        app = application.make_app([SMALL])

        async def look(request: web.Request, response: web.StreamResponse) -> None:
            assert request.transport is not None
            sock = request.transport.get_extra_info("socket")
            seen.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

        app.on_response_prepare.append(look)
        async with TestClient(TestServer(app)) as client:
            await client.get("/small/0/0.m4s")

    asyncio.run(run())
    assert len(seen) == 1 and seen[0] != 0


def test_a_slow_client_holds_the_server_back_and_20_mb_cost_no_memory() -> None:
    """Of a segment of some 20 MB whose client reads nothing, only socket buffers are filled."""
    uhd = load_video("uhd")
    size = uhd.sizes_bytes[0][5]
    assert size > 15_000_000

    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        await (await client.get("/uhd/0/0.m4s")).read()  # what is made once
        tracemalloc.start()
        assert client.port is not None
        sock = await raw_request(client.port, b"GET /uhd/5/0.m4s HTTP/1.1\r\nHost: o\r\n\r\n", 65_536)
        with sock:
            await asyncio.sleep(0.3)
            assert len(lines) == 1  # the answer is not done
            held = tracemalloc.get_traced_memory()[1]
            loop, buffer, got = asyncio.get_running_loop(), bytearray(65_536), 0
            while got < size:
                got += await loop.sock_recv_into(sock, buffer)
            line = await logged(lines, 2)
            peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert line["bytes"] == size and line["status"] == 200
        assert held < 4_000_000 and peak < 4_000_000

    with_client(check, (uhd,))


def test_a_client_that_goes_away_is_logged_and_harms_nobody() -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        assert client.port is not None
        sock = await raw_request(client.port, b"GET /uhd/5/0.m4s HTTP/1.1\r\nHost: o\r\n\r\n", 65_536)
        await asyncio.get_running_loop().sock_recv(sock, 1000)
        sock.close()
        line = await logged(lines)
        assert line["status"] == 499 and line["error"] != ""
        assert 0 < line["bytes"] < load_video("uhd").sizes_bytes[0][5]
        assert (await client.get("/uhd/0/0.m4s")).status == 200

    with_client(check, (load_video("uhd"),))


def test_tcp_info_of_older_kernels_and_of_none() -> None:
    raw = bytearray(256)
    raw[68:72] = (80_472).to_bytes(4, sys.byteorder)
    raw[80:84] = (10).to_bytes(4, sys.byteorder)
    raw[100:104] = (3).to_bytes(4, sys.byteorder)
    raw[160:168] = (539_000).to_bytes(8, sys.byteorder)
    full = parse_tcp_info(bytes(raw))
    assert (full.rtt_ms, full.cwnd, full.retransmits, full.delivery_mbps) == (80.472, 10, 3, 4.312)
    assert full.rcv_rtt_ms is None and full.rttvar_ms is None  # 0: no sample yet
    short = parse_tcp_info(bytes(raw[:104]))
    assert (short.rtt_ms, short.retransmits, short.delivery_mbps, short.min_rtt_ms) == (80.472, 3, None, None)
    assert parse_tcp_info(b"") == TcpInfo(*[None] * 8)
    assert read_tcp_info(None) is None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        assert read_tcp_info(udp) is None


def test_cmsd_round_trip_and_foreign_headers() -> None:
    info = parse_tcp_info(b"")
    assert cmsd.decode(cmsd.encode(info)) == cmsd.decode(cmsd.encode(None)) == cmsd.SenderInfo()
    known = TcpInfo(80.472, 1.0, 80.0, None, 3, 10, 1448, 4.312)
    assert cmsd.encode(known) == ('"streambed";etp=4312;rtt=80;streambed-rtt=80.472;streambed-retransmits=3')
    assert cmsd.decode(cmsd.encode(known)) == cmsd.SenderInfo(80.472, 3, 4.312)
    assert cmsd.decode('"CDN-A";etp=96;rtt=8, "CDN-B";etp=115;rtt=12') == cmsd.SenderInfo(12.0, None, 0.115)
    assert cmsd.decode('"streambed";rtt=5, "proxy, near";rtt=1') == cmsd.SenderInfo(5.0)
    assert cmsd.decode('"x";rtt=-1;etp=nan;streambed-retransmits=many') == cmsd.SenderInfo()
    assert cmsd.decode(None) == cmsd.decode("") == cmsd.decode(";;;=") == cmsd.SenderInfo()


@given(st.text(max_size=60))
def test_no_header_breaks_the_decoder(value: str) -> None:
    assert isinstance(cmsd.decode(value), cmsd.SenderInfo)
    assert isinstance(cmsd.decode('"streambed";' + value), cmsd.SenderInfo)


# ---------------------------------------------------------------- encoded media


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A directory of media with a secret beside it."""
    (tmp_path / "secret").write_text("hidden words")
    root = tmp_path / "media"
    (root / "sub dir").mkdir(parents=True)
    (root / "sub dir" / "1.m4s").write_bytes(bytes(range(256)) * 1000)
    (root / "stream.mpd").write_text("<MPD/>")
    (root / "empty.bin").write_bytes(b"")
    (root / "inside").symlink_to(root / "stream.mpd")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "up").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    return root


def test_media_is_served_as_it_is(media: Path) -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        body = (media / "sub dir" / "1.m4s").read_bytes()
        answer = await client.get("/sub%20dir/1.m4s")
        assert answer.status == 200 and await answer.read() == body
        assert answer.content_type == "video/iso.segment" and cmsd.HEADER in answer.headers
        part = await client.get("/sub%20dir/1.m4s", headers={"Range": "bytes=-70000"})
        assert part.status == 206 and await part.read() == body[-70_000:]
        assert (await client.get("/stream.mpd")).content_type == "application/dash+xml"
        assert await (await client.get("/inside")).text() == "<MPD/>"
        empty = await client.get("/empty.bin")
        assert empty.status == 200 and await empty.read() == b""
        assert (await client.get("/empty.bin", headers={"Range": "bytes=0-"})).status == 416
        assert (await client.get("/small/0/1.m4s")).headers["Content-Length"] == "1"

    with_client(check, media=media)


def test_media_conditions_follow_the_file(media: Path) -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        first = await client.get("/stream.mpd")
        changed, tag = first.headers["Last-Modified"], first.headers["ETag"]
        assert (await client.get("/stream.mpd", headers={"If-Modified-Since": changed})).status == 304
        ranged = {"Range": "bytes=0-1", "If-Range": changed}
        assert (await client.get("/stream.mpd", headers=ranged)).status == 206
        (media / "stream.mpd").write_text("<MPD>new</MPD>")
        os.utime(media / "stream.mpd", (2_000_000_000, 2_000_000_000))
        assert (await client.get("/stream.mpd", headers={"If-None-Match": tag})).status == 200
        assert (await client.get("/stream.mpd", headers={"If-Modified-Since": changed})).status == 200
        assert (await client.get("/stream.mpd", headers=ranged)).status == 200

    with_client(check, media=media)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/../secret", 403),
        ("/sub%20dir/../../secret", 403),
        ("/%2e%2e/secret", 403),
        ("/..%2fsecret", 403),
        ("/%2e%2e%2fsecret", 403),
        ("/sub%20dir/..%5c..%5csecret", 403),
        ("/stream.mpd%00.m4s", 403),
        ("//etc/passwd", 403),
        ("/%2fetc/passwd", 403),
        ("/out", 403),
        ("/up/secret", 403),
        ("/%252e%252e/secret", 404),
        ("/loop", 404),
        ("/pipe", 404),
        ("/sub%20dir", 404),
        ("/sub%20dir/", 404),
        ("/none", 404),
        ("/" + "x" * 3000, 404),
        ("/stream.mpd/x", 404),
        ("/%ff%fe", 404),
    ],
)
def test_no_path_leads_out_of_the_media_directory(media: Path, path: str, status: int) -> None:
    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        assert client.port is not None
        head = f"GET {path} HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n"  # no client tidies the path
        with await raw_request(client.port, head.encode()) as sock:
            loop, answer = asyncio.get_running_loop(), b""
            while piece := await loop.sock_recv(sock, 65_536):
                answer += piece
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]
        body = answer.partition(b"\r\n\r\n")[2]
        assert b"hidden words" not in body
        assert body.count(b"\n") == 1

    with_client(check, media=media)


def test_a_file_that_shrinks_breaks_the_connection_not_the_server(media: Path) -> None:
    big = media / "big.mp4"
    with big.open("wb") as file:
        file.truncate(30_000_000)

    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        assert client.port is not None
        sock = await raw_request(client.port, b"GET /big.mp4 HTTP/1.1\r\nHost: o\r\n\r\n", 65_536)
        with sock:
            loop = asyncio.get_running_loop()
            await loop.sock_recv(sock, 1000)
            os.truncate(big, 1000)
            with contextlib.suppress(ConnectionError):
                while await loop.sock_recv(sock, 65_536):
                    pass
        line = await logged(lines)
        assert line["status"] == 499 and "got shorter" in line["error"]
        assert (await client.get("/stream.mpd")).status == 200

    with_client(check, media=media)


def test_real_media_have_the_described_sizes_and_any_part_fits_the_whole() -> None:
    fragment = box(b"moof", bytes(100)) + box(b"mdat", bytes(500))
    video = Video("real", 4.0, (100, 400), ((1000, 300_000), (660, 3_000_000)))
    entry = box(b"avc1", bytes(78) + box(b"avcC", b"\1\x42\xc0\x0c"))
    described = functools.reduce(
        lambda content, kind: box(kind, content),
        (b"stbl", b"minf", b"mdia", b"trak", b"moov"),
        box(b"stsd", bytes(8) + entry),
    )
    clip = Clip(box(b"ftyp", b"isom") + described, (fragment, fragment))

    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        assert await (await client.get("/real/1/init.mp4")).read() == clip.init
        assert (await client.get("/real/2/init.mp4")).status == 404
        for level, chunk in itertools.product(range(2), range(2)):
            path, size = f"/real/{level}/{chunk}.m4s", video.sizes_bytes[chunk][level]
            whole = await (await client.get(path)).read()
            assert len(whole) == size and whole[24 : 24 + len(fragment)] == fragment
            assert sum(one.end - one.start for one in boxes(whole)) == size
            for first, last in ((0, 9), (600, 659), (650, size - 1), (640, 640)):
                part = await client.get(path, headers={"Range": f"bytes={first}-{last}"})
                assert await part.read() == whole[first : last + 1]

    with_client(check, (video,), prepared=[PreparedMedia(video, (clip, clip))])


# ---------------------------------------------------------------- the command


@contextlib.asynccontextmanager
async def command(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The origin as a user starts it; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "testbed/origin.py", "--host", "127.0.0.1", "--segments", "kept", *arguments,
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def run(job: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(job, 30))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_serves_says_so_logs_and_stops(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "origin.jsonl"

    async def job() -> None:
        async with command("--port", "0", "--json", "--log", str(log)) as process:
            assert process.stdout is not None and process.stderr is not None
            said = json.loads(await process.stdout.readline())
            assert said["host"] == "127.0.0.1" and said["port"] > 0 and said["media"] is None
            assert [video["name"] for video in said["videos"]] == ["envivio", "envivio-hi", "uhd"]
            async with ClientSession() as session:
                async with session.get(said["videos"][0]["manifest"]) as answer:
                    presentation = read_mpd(await answer.read(), str(answer.url))
                assert presentation.video.sha256 == said["videos"][0]["sha256"]
                async with session.get(said["videos"][2]["manifest"].replace("manifest.mpd", "5/0.m4s")):
                    process.send_signal(number)  # in the middle of a download
                    assert await process.wait() == 0
            assert await process.stdout.read() == b"" and await process.stderr.read() == b""

    run(job())
    paths = [json.loads(line)["path"] for line in log.read_text().splitlines()]
    assert paths == ["/envivio/manifest.mpd", "/uhd/5/0.m4s"]


def test_command_without_json_says_one_line_and_logs_to_stderr(media: Path) -> None:
    async def job() -> None:
        async with command("--port", "0", "--media", str(media)) as process:
            assert process.stdout is not None and process.stderr is not None
            line = (await process.stdout.readline()).decode()
            assert line.startswith(f"serving {media} at http://127.0.0.1:") and line.endswith("/\n")
            url = line.split(" at ")[1].strip()
            async with ClientSession() as session, session.get(f"{url}stream.mpd") as answer:
                assert answer.status == 200
            assert json.loads(await process.stderr.readline())["path"] == "/stream.mpd"

    run(job())


def test_a_busy_port_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert origin.main(["--host", "127.0.0.1", "--port", str(port)]) == 2
    out, err = capsys.readouterr()
    (said,) = [
        line for line in err.splitlines() if not line.startswith("making a small clip")
    ]  # the first time
    assert out == "" and f"port {port}: Address already in use" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--video", "enviv"], "did you mean envivio?"),
        (["--media", "/no/such/dir"], "/no/such/dir: no such directory"),
        (["--video", "uhd", "--video", "uhd"], "two videos are called uhd"),
        (["--log", "/no/such/dir/log"], "/no/such/dir/log: No such file or directory"),
        (["--host", "999.1.1.1"], "cannot listen on 999.1.1.1"),
        (["--host", "127.0.0.1", "--cc", "nosuch"], "origin.py: --cc nosuch: No such file or directory;"),
    ],
)
def test_bad_options_are_one_line_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert origin.main(["--port", "0", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1
    assert ("choose another" in err) == ("cannot listen" in err)


@pytest.mark.parametrize("port", ["65536", "-1", "http", "1e3"])
def test_a_bad_port_is_status_2(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        origin.main([f"--port={port}"])
    assert ended.value.code == 2
    assert "is no port; expected 0 to 65535" in capsys.readouterr().err


def test_a_full_disk_ends_the_log_and_not_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    with Path("/dev/full").open("w") as full:
        log = origin.RequestLog(full)
        log({"a": 1})
        log({"a": 2})
        with contextlib.suppress(OSError):
            full.close()
    assert capsys.readouterr().err == "origin.py: the log ends here: No space left on device\n"


@pytest.mark.parametrize(
    "path",
    [
        "/.git/config",
        "/%2egit/config",
        "/sub%20dir/.env",
        "/shown",
        "/.hidden.mpd",
    ],
)
def test_what_is_hidden_stays_hidden(media: Path, path: str) -> None:
    (media / ".git").mkdir()
    for hidden in (".git/config", ".env", "sub dir/.env", ".hidden.mpd"):
        (media / hidden).write_text("hidden words")
    (media / "shown").symlink_to(media / ".git" / "config")

    async def check(client: Client, lines: list[dict[str, Any]]) -> None:
        assert client.port is not None
        head = f"GET {path} HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n"
        with await raw_request(client.port, head.encode()) as sock:
            answer = await asyncio.get_running_loop().sock_recv(sock, 65_536)
        assert answer.startswith(b"HTTP/1.1 404 ") and b"hidden words" not in answer

    with_client(check, media=media)


GONE = (
    b"GET /envivio/manifest.mpd HTTP/1.1\r\nHost: o\r\n\r\n",
    b"GET /envivio/5/1.m4s HTTP/1.1\r\nHost: o\r\n\r\n",
    b"GET / HT",
    b"POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 500\r\n\r\nabc",
    b"GET /%00\x1b[2J HTTP/1.1\r\nHost: o\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
)


def test_clients_that_leave_or_send_no_http_cost_no_traceback(tmp_path: Path) -> None:
    async def job() -> None:
        async with command("--port", "0", "--json", "--log", str(tmp_path / "log")) as process:
            assert process.stdout is not None and process.stderr is not None
            port = json.loads(await process.stdout.readline())["port"]
            for sent in GONE * 4:
                with socket.create_connection(("127.0.0.1", port)) as sock:
                    sock.sendall(sent)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/healthz") as answer:
                assert answer.status == 200
            process.terminate()
            said = (await process.stderr.read()).decode()
        assert "Traceback" not in said and "\x1b" not in said
        assert all("no HTTP" in line for line in said.splitlines()), said

    run(job())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: o\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"GET / HTTP/1.1\r\nHost: o\r\nContent-Encoding: deflate\r\nContent-Length: 3\r\n\r\nabc", 200),
        (b"PUT /x HTTP/1.1\r\nHost: o\r\nContent-Encoding: zstd\r\nContent-Length: 3\r\n\r\nabc", 405),
    ],
)
def test_a_body_that_nobody_wants_is_not_decoded(sent: bytes, status: int) -> None:
    async def job() -> None:
        async with command("--port", "0", "--json", "--log", os.devnull) as process:
            assert process.stdout is not None and process.stderr is not None
            port = json.loads(await process.stdout.readline())["port"]
            with await raw_request(port, sent) as sock:
                answer = await asyncio.get_running_loop().sock_recv(sock, 65_536)
                assert answer.startswith(f"HTTP/1.1 {status} ".encode())
                await asyncio.get_running_loop().sock_sendall(
                    sock, b"GET /healthz HTTP/1.1\r\nHost: o\r\n\r\n"
                )
                answer = await asyncio.get_running_loop().sock_recv(sock, 65_536)
                assert b"HTTP/1.1 200 " in answer  # the body was drained
            process.terminate()
            assert await process.stderr.read() == b""

    run(job())
