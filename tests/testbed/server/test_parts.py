"""Parts of files over loopback: our player, the origin that serves them, and servers that don't."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from player.real.fetch import Fetcher, OriginError
from player.real.reading import read_presentation
from player.real.session import play
from player.real.settings import PlayerSettings, Timeouts
from player.video.byte_range import ByteRange
from player.video.mpd import Presentation
from player.video.mpd_xml import MpdError
from testbed.server.application import make_app
from tests.support.one_file import write_one_file_video
from tests.support.player_fakes import Chooses, Facts, loaded

SIZES = [[3_000 + chunk for chunk in range(4)], [9_000 + chunk for chunk in range(4)]]
TIMEOUTS = Timeouts(connect_s=5.0, read_s=10.0, give_up_s=20.0)
Job = Callable[[Fetcher, str], Awaitable[Any]]


def over_loopback(app: web.Application, job: Job) -> Any:
    """What `job` gives, which has a fetcher and the origin's URL."""

    async def work() -> Any:
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        try:
            async with Fetcher(TIMEOUTS) as fetcher:
                return await job(fetcher, f"http://{host}:{port}")
        finally:
            await runner.cleanup()

    return asyncio.run(asyncio.wait_for(work(), 60))


def test_a_file_with_an_index_is_streamed_by_its_parts(tmp_path: Path) -> None:
    write_one_file_video(tmp_path, SIZES, units=1)
    log: list[dict[str, Any]] = []

    async def job(fetcher: Fetcher, url: str) -> Facts:
        presentation = await read_presentation(fetcher, f"{url}/one-file.mpd", 5.0)
        facts, policy = Facts(), loaded(Chooses(lambda seen: seen.chunk % 2))
        await play(presentation, policy, PlayerSettings(chunks=3), facts, fetcher=fetcher)
        return facts

    facts = over_loopback(make_app([], tmp_path, log.append), job)
    assert facts.ends[0].outcome == "finished"
    assert [(row.level, row.size_bytes, row.retries) for row in facts.rows] == [
        (0, 3_000, 0),
        (1, 9_001, 0),
        (0, 3_002, 0),
    ]
    first = 16 + 32 + 12 * 4
    assert [(line["path"], line["range"], line["status"], line["bytes"]) for line in log[-3:]] == [
        ("/v0.mp4", f"bytes={first}-{first + 2_999}", 206, 3_000),
        ("/v1.mp4", f"bytes={first + 9_000}-{first + 18_000}", 206, 9_001),
        ("/v0.mp4", f"bytes={first + 6_001}-{first + 9_002}", 206, 3_002),
    ]
    assert [line["bytes"] for line in log[1:3]] == [32 + 12 * 4] * 2  # the indexes, no byte more


def test_an_index_that_is_not_there_or_damaged_ends_it_before_it_begins(tmp_path: Path) -> None:
    write_one_file_video(tmp_path, SIZES)

    async def job(fetcher: Fetcher, url: str) -> Presentation:
        return await read_presentation(fetcher, f"{url}/one-file.mpd", 5.0)

    (tmp_path / "v1.mp4").write_bytes(bytes(200))
    with pytest.raises(MpdError, match=r"Representation 1: the index of .*v1.mp4: what is at byte 16 is no"):
        over_loopback(make_app([], tmp_path), job)
    (tmp_path / "v1.mp4").write_bytes(bytes(50))
    with pytest.raises(MpdError, match="go beyond the end of the file, which has 50"):
        over_loopback(make_app([], tmp_path), job)
    (tmp_path / "v1.mp4").unlink()
    with pytest.raises(OriginError, match=r"v1\.mp4: bytes 16-95: 404"):
        over_loopback(make_app([], tmp_path), job)


def fetched(handler: Callable[[web.Request], Awaitable[web.StreamResponse]], part: ByteRange) -> Any:
    async def job(fetcher: Fetcher, url: str) -> Any:
        return await fetcher.fetch(f"{url}/x", part.length, part)

    app = web.Application()
    app.router.add_get("/x", handler)
    return over_loopback(app, job)


@pytest.mark.parametrize(
    ("status", "content_range", "said"),
    [
        (200, None, "got the whole file; its server serves no byte ranges"),
        (206, None, "206 with Content-Range ''"),
        (206, "bytes 0-9/100", "asked for bytes 10-29, got bytes 0-9/100"),
        (206, "bytes 10-99/100", "asked for bytes 10-29, got bytes 10-99/100"),
        (206, "bytes 10-19/20", "ends at byte 19, before its bytes 10-29 do"),
        (416, None, "bytes 10-29: 416"),
    ],
)
def test_what_is_not_the_part_is_refused_in_one_line(
    status: int, content_range: str | None, said: str
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        headers = {} if content_range is None else {"Content-Range": content_range}
        return web.Response(status=status, headers=headers, body=bytes(20))

    with pytest.raises(OriginError) as caught:
        fetched(handler, ByteRange(10, 29))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_part_that_breaks_off_is_resumed_within_it() -> None:
    asked: list[str | None] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Range"))
        start = request.http_range.start or 0
        response = web.StreamResponse(
            status=206,
            headers={
                "Content-Range": f"bytes {start}-29/100",
                "ETag": '"1"',
                "Content-Length": str(30 - start),
            },
        )
        await response.prepare(request)
        await response.write(bytes(5 if start == 10 else 15))
        if start == 10:
            await asyncio.sleep(0.05)
            assert request.transport is not None
            request.transport.abort()
        return response

    result = fetched(handler, ByteRange(10, 29))
    assert (result.size_bytes, result.retries) == (20, 1)
    assert asked == ["bytes=10-29", "bytes=15-29"]
