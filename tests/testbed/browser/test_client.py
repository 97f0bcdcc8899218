"""dash.js in a real browser, over loopback: it plays what the origin serves, or says what keeps it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from player.live.parts import parts_of
from player.video.media.prepared import prepare_media
from player.video.mpd_write import write_mpd
from player.video.video import Video
from testbed.server.application import make_app
from testbed.server.dashjs import VERSION
from tests.support.browser import Client, client, needs_dashjs

VIDEO = Video("short", 1.0, (100, 400), ((20_000, 50_000), (21_000, 52_001), (22_003, 51_000)))
LIVE = Video("short", 1.0, (100, 400), tuple((20_000 + k, 50_000 + k) for k in range(6)))


def served(app: Callable[[], web.Application], check: Callable[[str], Awaitable[None]]) -> None:
    """Run `check` with the address of a running server."""

    async def run() -> None:
        async with TestServer(app()) as server:
            await check(str(server.make_url("/")))

    asyncio.run(run())


def descendants(pid: int) -> list[int]:
    """Processes that a process has started, and theirs."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    found = [int(word) for each in tasks for word in each.read_text().split()]
    return [one for child in found for one in [child, *descendants(child)]]


@pytest.mark.parametrize("policy", ["dashjs:throughput", "fixed:1"])
def test_dashjs_plays_and_each_of_its_requests_is_the_origin_s(policy: str) -> None:
    needs_dashjs()
    log: list[dict[str, Any]] = []

    async def check(url: str) -> None:
        async with client(f"{url}short/manifest.mpd", "--policy", policy) as player:
            manifest = await player.ready()
            assert (manifest["player"]["client"], manifest["player"]["client_version"]) == ("dashjs", VERSION)
            assert manifest["policy"]["spec"] == policy and "Chrom" in manifest["versions"]["browser"]
            *chunks, requests, end = await player.played()
        assert (end["outcome"], end["chunks"], end["played_s"]) == ("finished", 3, pytest.approx(3, abs=0.05))
        assert [row["chunk"] for row in chunks] == [0, 1, 2]
        assert [row["size_bytes"] for row in chunks] == [
            VIDEO.sizes_bytes[k][chunks[k]["level"]] for k in range(3)
        ]
        if policy == "fixed:1":
            assert {row["level"] for row in chunks} == {1}
        asked = sorted(line["path"] for line in log if line["path"].endswith((".m4s", "init.mp4")))
        assert sorted(one["path"] for one in requests["requests"]) == asked

    served(lambda: make_app([VIDEO], None, log.append, [prepare_media(VIDEO)]), check)


@pytest.mark.parametrize(
    ("policy", "part_s"), [("dashjs:dynamic", None), ("fixed:1", 0.25), ("dashjs:lolp", 0.25)]
)
def test_dashjs_plays_a_live_stream_behind_its_making(policy: str, part_s: float | None) -> None:
    """Asked for once it is made, or its first part; nothing twice, nothing left out."""
    needs_dashjs()
    log: list[dict[str, Any]] = []
    latency_s = 3.0 if part_s is None else 1.5

    async def check(url: str) -> None:
        asked = ("--live", "--latency-s", str(latency_s), "--policy", policy)
        async with client(f"{url}short/live/manifest.mpd", *asked) as player:
            manifest = await player.ready()
            assert manifest["player"]["live"]["latency_s"] == latency_s
            assert "latency" in manifest["told_qoe"]
            began_s = time.time() + 0.1
            *chunks, requests, end = await player.played()
        assert (end["outcome"], end["chunks"]) == ("finished", LIVE.chunks), end
        assert [row["chunk"] for row in chunks] == list(range(LIVE.chunks))
        assert [row["size_bytes"] for row in chunks] == [
            LIVE.sizes_bytes[k][row["level"]] for k, row in enumerate(chunks)
        ]
        first_s = LIVE.chunk_s if part_s is None else part_s
        for row in chunks:  # the stream began so long before the session
            assert row["request_s"] >= row["chunk"] * LIVE.chunk_s + first_s - latency_s - 0.6
            assert row["latency_s"] > first_s - 0.6
        asked_for = [line for line in log if line["path"].endswith((".m4s", "init.mp4"))]
        assert sorted(one["path"] for one in requests["requests"]) == sorted(one["path"] for one in asked_for)
        assert {one["status"] for one in asked_for} == {200}
        begins_ms = {int(one["path"].split("/")[3]) for one in asked_for}
        assert len(begins_ms) == 1 and abs(begins_ms.pop() / 1000 - (began_s - latency_s)) < 60.0
        assert any(line["path"] == "/clock" for line in log)

    parts = parts_of(LIVE.chunk_s, part_s)
    media, in_parts = [prepare_media(LIVE)], [prepare_media(LIVE, parts)]
    served(lambda: make_app([LIVE], None, log.append, media, part_s, in_parts), check)


async def failed(player: Client) -> tuple[str, str]:
    """How a session that can't be played ends."""
    await player.ready()
    *_, end = await player.played()
    return end["outcome"], end["reason"]


def test_a_killed_browser_ends_the_session_in_a_line() -> None:
    needs_dashjs()

    async def check(url: str) -> None:
        async with client(f"{url}short/manifest.mpd", "--policy", "fixed:0") as player:
            await player.ready()
            playing = asyncio.create_task(player.played())
            await asyncio.sleep(0.7)
            os.kill(descendants(player.process.pid)[0], signal.SIGKILL)
            *_, end = await playing
        assert end["outcome"] == "browser-lost"
        assert end["reason"] == "the browser has gone: signal 9"

    served(lambda: make_app([VIDEO], None, None, [prepare_media(VIDEO)]), check)


def test_a_codec_that_is_not_there_and_a_page_that_is_not_are_told(tmp_path: Path) -> None:
    needs_dashjs()
    text = write_mpd(VIDEO, ["hvc1.9.9.L300.B0"] * 2)
    (tmp_path / "other.mpd").write_text(text)

    async def without_codec(url: str) -> None:
        async with client(f"{url}other.mpd", "--policy", "fixed:0") as player:
            outcome, reason = await failed(player)
        assert (outcome, reason.partition(" codecs=")[0]) == (
            "page-failed",
            "this browser plays no video/mp4;",
        )

    async def only_mpd(request: web.Request) -> web.Response:
        return web.Response(text=text if request.path == "/other.mpd" else "nothing here")

    async def without_page(url: str) -> None:
        async with client(f"{url}other.mpd", "--policy", "fixed:0") as player:
            assert await failed(player) == ("page-failed", f"{url}player/ is not the origin's page")

    def elsewhere() -> web.Application:
        app = web.Application()
        app.router.add_get("/{path:.*}", only_mpd)
        return app

    served(lambda: make_app([], tmp_path), without_codec)
    served(elsewhere, without_page)


def test_a_machine_without_a_browser_gets_a_record_all_the_same(tmp_path: Path) -> None:
    async def check(url: str) -> None:
        async with client(f"{url}short/manifest.mpd", "--policy", "fixed:0", PATH=str(tmp_path)) as player:
            outcome, reason = await failed(player)
        assert (outcome, reason) == (
            "no-browser",
            "no Chromium on this machine; testbed/setup.sh players installs it",
        )

    served(lambda: make_app([VIDEO]), check)
