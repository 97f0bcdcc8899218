"""Who may look, and what is sent: nothing that could load or run anything else."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from analysis.watch.access import Access
from analysis.watch.board import Board
from analysis.watch.kept import PAGE
from analysis.watch.page import page_of
from analysis.watch.server import WatchServer
from tests.support.session_records import write_session

Work = Callable[[TestClient[Any, Any]], Awaitable[None]]


def asked(folder: Path, access: Access, work: Work) -> None:
    """Let a client ask a server of a folder."""

    async def main() -> None:
        server = WatchServer(Board(folder), access)
        async with TestClient(TestServer(server.application())) as client:
            await work(client)

    asyncio.run(main())


async def heard(answer: Any) -> list[dict[str, Any]]:
    """The next event."""
    while not (line := await answer.content.readline()).startswith(b"data: "):
        assert line
    messages: list[dict[str, Any]] = json.loads(line[6:])
    return messages


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("localhost:8090", 200), ("127.0.0.1", 200), ("[::1]:1", 200), ("LOCALHOST", 200)),
        *(("evil.example", 403), ("127.0.0.1.evil.example:8090", 403), ("[", 403), ("localhost@evil", 403)),
    ],
)
def test_only_this_machines_names_are_answered(tmp_path: Path, host: str, status: int) -> None:
    async def work(client: TestClient[Any, Any]) -> None:
        for path in ("/", "/page.html", "/events"):
            async with client.get(path, headers={"Host": host}) as answer:
                assert answer.status == status

    asked(tmp_path, Access.to("127.0.0.1"), work)


def test_others_need_the_token(tmp_path: Path) -> None:
    access = Access.to("0.0.0.0")
    assert access.token is not None and len(access.token) >= 24
    assert access != Access.to("0.0.0.0")

    async def work(client: TestClient[Any, Any]) -> None:
        for path in ("/", "/page.html", "/events"):
            for token, status in (("", 403), ("ä", 403), (access.token, 200)):
                async with client.get(path, params={"token": token}) as answer:
                    assert answer.status == status

    asked(tmp_path, access, work)


def test_nothing_loads_from_elsewhere(tmp_path: Path) -> None:
    async def work(client: TestClient[Any, Any]) -> None:
        async with client.get("/") as answer:
            policy, text = answer.headers["Content-Security-Policy"], await answer.text()
            assert answer.headers["Cache-Control"] == "no-store"
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy
        assert "://" not in text
        async with client.post("/") as answer:
            assert answer.status == 405
        async with client.get("/../pyproject.toml") as answer:
            assert answer.status == 404

    asked(tmp_path, Access.to("127.0.0.1"), work)


def test_a_watcher_hears_all_and_then_what_is_new(tmp_path: Path) -> None:
    write_session(tmp_path / "a.jsonl")
    first, *others = (tmp_path / "a.jsonl").read_bytes().splitlines(keepends=True)

    async def work(client: TestClient[Any, Any]) -> None:
        async with client.get("/events") as answer:
            begin, *lanes = await heard(answer)
            assert begin["begin"]
            assert [len(one["rows"]) for one in lanes if "rows" in one] == [3]
            (tmp_path / "b.jsonl.partial").write_bytes(first)
            with (tmp_path / "b.jsonl.partial").open("ab") as file:
                file.write(others[0])
            names: list[str] = []
            while not names:
                names = [one["head"]["name"] for one in await heard(answer) if "head" in one]
            assert names == ["b"]

    asked(tmp_path, Access.to("127.0.0.1"), work)


@pytest.mark.parametrize("fails", [False, True])
def test_a_watcher_hears_that_the_page_is_kept_once_it_is(tmp_path: Path, fails: bool) -> None:
    write_session(tmp_path / "a.jsonl")
    board = Board(tmp_path)
    server = WatchServer(board, Access.to("127.0.0.1"))

    def keep() -> str:
        if fails:
            raise OSError(28, "no space left")
        (tmp_path / PAGE).write_text("kept")
        return PAGE

    async def main() -> None:
        async with TestClient(TestServer(server.application())) as client, client.get("/events") as answer:
            await heard(answer)
            with pytest.raises(OSError) if fails else contextlib.nullcontext():
                await server.over(keep)
            told: list[dict[str, Any]] = []
            while not any("over" in one for one in told):
                told = await heard(answer)
            assert told[-1] == {"over": "" if fails else PAGE}
            assert (tmp_path / PAGE).exists() is not fails

    asyncio.run(main())


def test_what_records_say_is_no_markup() -> None:
    hostile = "</script><script>alert(1)</script><!--"
    page = page_of([{"lane": 1, "head": {"name": hostile}}], live=False)
    assert hostile not in page
    assert page.count("<script") == 2
    inside = page.partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(inside)[0]["head"]["name"] == hostile
