"""Live streams over loopback: the origin makes chunks by the clock, our player plays them as they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from player.buffer import BufferThresholds
from player.live.stream import LiveSettings
from player.real.fetch import Fetcher, OriginError, OriginLost
from player.real.reading import read_presentation
from player.real.session import play
from player.real.settings import PlayerSettings, Timeouts
from player.video.mpd import read_mpd
from player.video.mpd_live import LiveRead, time_s
from player.video.mpd_write import write_live_mpd
from player.video.mpd_xml import MpdError
from testbed.server.application import make_app
from tests.support.player_fakes import Chooses, Facts, a_video, loaded

CHUNK_S, CHUNKS = 0.4, 5
VIDEO = a_video(chunks=CHUNKS, chunk_s=CHUNK_S, size_bytes=20_000)
Client = TestClient[web.Request, web.Application]


def asked(check: Callable[[Client], Awaitable[None]], part_s: float | None = None) -> None:
    async def work() -> None:
        async with TestClient(TestServer(make_app([VIDEO], Path("/"), part_s=part_s))) as client:
            await check(client)

    asyncio.run(asyncio.wait_for(work(), 30))


def begun(ago_s: float) -> int:
    return round(1000 * (time.time() - ago_s))


def test_what_is_made_is_there_and_what_is_not_is_not() -> None:
    async def check(client: Client) -> None:
        whole = await client.get(f"/short/live/{begun(10.0)}/2/3.m4s")
        assert whole.status == 200 and len(await whole.read()) == VIDEO.sizes_bytes[3][2]
        assert await whole.read() == await (await client.get("/short/2/3.m4s")).read()
        early = await client.get(f"/short/live/{begun(-10.0)}/0/0.m4s")
        assert early.status == 404 and "is being made in 10." in await early.text()
        assert (await client.get(f"/short/live/{begun(9.0)}/0/{CHUNKS}.m4s")).status == 404
        assert (await client.get(f"/short/live/{10**15}/0/0.m4s")).status == 404
        assert (await client.get("/short/live/5/0/init.mp4")).status == 404  # random bytes have none
        assert (await client.get("/other/live/5/0/0.m4s")).status == 404

    asked(check)


def test_what_is_nearly_made_is_waited_for() -> None:
    async def check(client: Client) -> None:
        begins_ms = begun(0.1)
        answer = await client.get(f"/short/live/{begins_ms}/0/0.m4s")
        assert answer.status == 200 and "Content-Length" in answer.headers
        assert time.time() >= begins_ms / 1000 + CHUNK_S

    asked(check)


def test_parts_come_as_they_are_made() -> None:
    async def check(client: Client) -> None:
        begins_ms = begun(0.0)
        answer = await client.get(f"/short/live/{begins_ms}/1/0.m4s")
        came = []
        parts, part = [], b""
        async for data, ends in answer.content.iter_chunks():
            part += data
            if ends:
                came.append(time.time() - begins_ms / 1000)
                parts, part = [*parts, part], b""
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert [len(one) for one in parts] == [10_000] * 4
        assert b"".join(parts) == await (await client.get("/short/1/0.m4s")).read()
        assert all(at_s >= 0.1 * number - 0.002 for number, at_s in enumerate(came, start=1))
        late = await client.get(f"/short/live/{begun(60.0)}/1/0.m4s")  # all made: as any file
        assert late.headers["Content-Length"] == "40000"
        some = await client.get(f"/short/live/{begun(0.0)}/1/0.m4s", headers={"Range": "bytes=5-9"})
        assert some.status == 206 and len(await some.read()) == 5

    asked(check, part_s=0.1)


def test_a_download_that_broke_off_goes_on_in_parts_while_the_chunk_is_made() -> None:
    """However long the chunk still takes: the rest is no chunk that is not there yet."""

    async def check(client: Client) -> None:
        begins_ms, etag = begun(0.1), (await client.get(f"/short/live/{begun(9.0)}/1/0.m4s")).headers["ETag"]
        asked_for = {"Range": "bytes=10100-", "If-Range": etag}
        answer = await client.get(f"/short/live/{begins_ms}/1/0.m4s", headers=asked_for)
        assert (answer.status, answer.headers["Content-Range"]) == (206, "bytes 10100-39999/40000")
        parts, part = [], b""
        async for data, ends in answer.content.iter_chunks():
            part += data
            parts, part = ([*parts, part], b"") if ends else (parts, part)
        assert [len(one) for one in parts] == [9_900, 10_000, 10_000]
        assert time.time() - begins_ms / 1000 >= CHUNK_S - 0.002
        assert b"".join(parts) == (await (await client.get("/short/1/0.m4s")).read())[10100:]
        other = {**asked_for, "If-Range": '"another"'}
        whole = await client.get(f"/short/live/{begun(0.2)}/1/0.m4s", headers=other)
        assert whole.status == 200 and len(await whole.read()) == 40_000

    asked(check, part_s=0.1)


def test_a_session_outlives_a_break_in_a_chunk_that_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the chunk takes longer than one that is not there is waited for."""
    monkeypatch.setattr("player.real.fetch.AWAITED_S", 0.05)
    monkeypatch.setattr("testbed.server.live.EARLY_S", 0.02)
    broken: list[str] = []

    @web.middleware
    async def breaking(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path.endswith("/2.m4s") and not broken:
            broken.append(request.path)
            transport = request.transport
            assert transport is not None
            asyncio.get_running_loop().call_later(0.15, transport.abort)
        return await handler(request)

    facts = session(0.1, 0.25, breaking=breaking)
    assert broken and facts.rows[2].retries == 1


def clocked(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
    """What is said of a stream whose clock answers so."""
    app = web.Application()

    async def manifest(request: web.Request) -> web.Response:
        return web.Response(text=write_live_mpd(VIDEO, begun(1.0)))

    app.router.add_get("/live.mpd", manifest)
    app.router.add_get("/clock", answer)

    async def work() -> str:
        async with TestServer(app) as server, Fetcher() as fetcher:
            url = str(server.make_url("/live.mpd"))
            with pytest.raises((OriginLost, OriginError)) as caught:
                await read_presentation(fetcher, url, 60.0, LiveRead(0.0, 4))
            return str(caught.value)

    return asyncio.run(asyncio.wait_for(work(), 30))


def test_a_clock_that_tells_for_ever_is_not_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("player.real.reading.CLOCK_S", 0.2)

    async def trickling(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(50):
            await response.write(b"2")
            await asyncio.sleep(0.05)
        return response

    async def long(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"2" * 100_000)

    assert "its clock has not answered in 0.2 s" in clocked(trickling)
    assert "over 100 bytes where a few were due" in clocked(long)


@pytest.mark.parametrize(("part_s", "ahead_s"), [(None, 0.0), (0.1, 0.3), (0.15, CHUNK_S - CHUNK_S / 3)])
def test_the_mpd_says_when_it_begins_and_what_can_be_had_early(part_s: float | None, ahead_s: float) -> None:
    async def check(client: Client) -> None:
        before = time.time()
        text = await (await client.get("/short/live/manifest.mpd")).text()
        got = read_mpd(text, "http://o/short/live/manifest.mpd", live=LiveRead(time.time(), 48))
        assert got.live is not None and before - 0.01 <= got.live.begins_s <= time.time() + 0.01
        assert got.live.ahead_s == pytest.approx(ahead_s)
        assert got.video.chunks == CHUNKS and not got.sizes_exact
        assert got.url(1, 2) == f"http://o/short/live/{got.live.moves_to}/1/2.m4s"
        moved = got.moved(got.live.beginning(7.0))
        assert moved.url(1, 2) == "http://o/short/live/7000/1/2.m4s" and moved.live is not None
        with pytest.raises(MpdError, match="a live stream, which is played with --live"):
            read_mpd(text, "http://o/x")

    asked(check, part_s)


def test_the_clock_tells_the_time() -> None:
    async def check(client: Client) -> None:
        said = await (await client.get("/clock")).text()
        assert abs(time_s(said) - time.time()) < 1.0

    asked(check)


def session(part_s: float | None, latency_s: float, level: int = 1, breaking: Any = None) -> Facts:
    """A whole session, live.

    Args:
        breaking: a middleware of the origin's.
    """
    facts = Facts()
    settings = PlayerSettings(
        timeouts=Timeouts(connect_s=5.0, read_s=10.0, give_up_s=20.0),
        live=LiveSettings(latency_s),
        thresholds=BufferThresholds(),
    )
    policy = Chooses(lambda seen: level)

    async def work() -> None:
        app = make_app([VIDEO], part_s=part_s)
        if breaking is not None:
            app.middlewares.append(breaking)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = "http://{}:{}/short/live/manifest.mpd".format(*runner.addresses[0][:2])
        async with Fetcher(settings.timeouts) as fetcher:
            presentation = await read_presentation(fetcher, url, 5.0, LiveRead(0.0, 48))
            end = await play(presentation, loaded(policy), settings, facts, fetcher=fetcher)
        await runner.cleanup()
        assert end.outcome == "finished", end.reason

    asyncio.run(asyncio.wait_for(work(), 60))
    assert [one.latency_s is not None for one in policy.seen] == [True] * CHUNKS
    assert [row.size_bytes for row in facts.rows] == [row[level] for row in VIDEO.sizes_bytes]
    return facts


def test_chunks_are_asked_for_once_they_are_made_and_latency_is_recorded() -> None:
    facts = session(None, 0.9)
    for row in facts.rows:  # the stream began 0.9 s before the session
        assert row.request_s >= (row.chunk + 1) * CHUNK_S - 0.9 - 0.005
        assert row.latency_s is not None and row.latency_s >= 0.85
    assert sum(row.wait_s > 0 for row in facts.rows) >= 2


def test_with_parts_one_is_behind_by_less_than_a_chunk() -> None:
    facts = session(0.1, 0.25)
    assert facts.rows[0].latency_s is not None and facts.rows[0].latency_s >= 0.2
    for row in facts.rows:
        assert row.request_s >= row.chunk * CHUNK_S + 0.1 - 0.25 - 0.005
        assert row.download_s <= CHUNK_S + 1.0
    assert facts.ends[0].startup_s < CHUNK_S  # shown from the first part on
