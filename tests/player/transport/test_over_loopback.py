"""Each protocol over loopback, from the origin to the fetcher: same bytes, its facts, requests given up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from player.real.fetch import Fetcher, OriginError
from player.video.byte_range import ByteRange
from player.video.mpd import read_mpd
from tests.support.stream_servers import SMALL, need_transport, origin

need_transport()

H2_H3 = pytest.mark.parametrize("transport", ["h2", "h3"])


async def all_of_it(transport: str) -> dict[str, bytes]:
    """Every segment, and a part of one, as the fetcher gets it."""
    found = {}
    async with origin(transport) as (url, trusted), Fetcher(None, transport, trusted) as fetcher:
        text, final = await fetcher.read(f"{url}/small/manifest.mpd", 5.0)
        assert final == f"{url}/small/manifest.mpd" and read_mpd(text, final).video == SMALL
        for level in range(SMALL.levels):
            for chunk in range(SMALL.chunks):
                path = f"/small/{level}/{chunk}.m4s"
                found[path] = (await fetcher.read(url + path, 5.0))[0]
        found["part"] = (await fetcher.read(f"{url}/small/1/1.m4s", 5.0, ByteRange(700_001, 800_000)))[0]
    return found


@H2_H3
def test_the_bytes_are_those_of_http_1(transport: str) -> None:
    plain, other = asyncio.run(all_of_it("h1")), asyncio.run(all_of_it(transport))
    assert {path: len(body) for path, body in other.items() if path != "part"} == {
        f"/small/{level}/{chunk}.m4s": SMALL.sizes_bytes[chunk][level] for level in (0, 1) for chunk in (0, 1)
    }
    assert other == plain
    assert other["part"] == plain["/small/1/1.m4s"][700_001:800_001]


@H2_H3
def test_what_was_negotiated_is_told_at_both_ends(transport: str) -> None:
    async def work() -> tuple[Any, Any, list[dict[str, Any]]]:
        lines: list[dict[str, Any]] = []
        async with origin(transport, lines) as (url, trusted), Fetcher(None, transport, trusted) as fetcher:
            assert fetcher.negotiated is None
            result = await fetcher.fetch(f"{url}/small/1/1.m4s", 3_000_000)
            return fetcher.negotiated, result, lines

    negotiated, result, lines = asyncio.run(work())
    assert (negotiated["asked"], negotiated["negotiated"]) == (transport, transport)
    assert "TLSv1.3" in negotiated["tls"]
    assert negotiated.get("quic") == {"h2": None, "h3": "1"}[transport]
    assert [(line["protocol"], line["status"], line["bytes"]) for line in lines] == [
        (transport, 200, 3_000_000)
    ]
    assert lines[0]["client"] == "127.0.0.1" and lines[0]["rtt_ms"] > 0 and lines[0]["cwnd"] > 0
    assert 0 < result.ttfb_s <= result.download_s and result.retries == 0
    assert result.rtt_ms is not None and result.size_bytes == 3_000_000


@H2_H3
def test_a_request_that_is_given_up_leaves_the_connection(transport: str) -> None:
    async def work() -> tuple[list[dict[str, Any]], Any]:
        lines: list[dict[str, Any]] = []
        async with origin(transport, lines) as (url, trusted), Fetcher(None, transport, trusted) as fetcher:
            await fetcher.read(f"{url}/small/manifest.mpd", 5.0)
            connection = fetcher._carrier._connection  # type: ignore[union-attr]
            giving_up = asyncio.create_task(fetcher.fetch(f"{url}/small/1/1.m4s"))
            while not fetcher.progress_bytes:
                await asyncio.sleep(0)
            giving_up.cancel()
            await asyncio.gather(giving_up, return_exceptions=True)
            lower = await fetcher.fetch(f"{url}/small/0/1.m4s", 1)
            assert fetcher._carrier._connection is connection  # type: ignore[union-attr]
            return lines, lower

    lines, lower = asyncio.run(asyncio.wait_for(work(), 30))
    assert lower.size_bytes == 1
    by_path = {line["path"]: line for line in lines}
    assert by_path["/small/1/1.m4s"]["status"] in (200, 499)
    assert by_path["/small/0/1.m4s"]["status"] == 200


@H2_H3
def test_what_is_not_there_is_said_as_ever(transport: str) -> None:
    async def work() -> None:
        async with origin(transport) as (url, trusted), Fetcher(None, transport, trusted) as fetcher:
            await fetcher.fetch(f"{url}/small/7/1.m4s")

    with pytest.raises(OriginError, match="404 Not Found"):
        asyncio.run(work())


def test_quic_counts_its_datagrams_and_tcp_has_none() -> None:
    async def work(transport: str) -> list[Any]:
        async with origin(transport) as (url, trusted), Fetcher(None, transport, trusted) as fetcher:
            before = fetcher.datagrams
            await fetcher.read(f"{url}/small/1/0.m4s", 5.0)
            return [before, fetcher.datagrams]

    assert asyncio.run(work("h1")) == asyncio.run(work("h2")) == [None, None]
    before, after = asyncio.run(work("h3"))
    assert before == (0, 0)
    assert after[0] > 5 and after[1] > 300_000 // 1452


def test_who_is_not_trusted_is_named_with_the_way_out() -> None:
    async def work(transport: str) -> None:
        async with origin(transport) as (url, _), Fetcher(None, transport) as fetcher:
            await fetcher.read(f"{url}/small/manifest.mpd", 3.0)

    with pytest.raises(
        OriginError, match=r"certificate of 127\.0\.0\.1 is not trusted: .*; give it by --ca FILE"
    ):
        asyncio.run(work("h2"))
    with pytest.raises(OriginError, match="QUIC's TLS failed"):
        asyncio.run(work("h3"))
