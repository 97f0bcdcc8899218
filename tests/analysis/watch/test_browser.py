"""The page in a real browser: live, and as the file that is kept."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestServer

from analysis.watch.access import Access
from analysis.watch.board import Board
from analysis.watch.command import keep
from analysis.watch.server import WatchServer
from tests.support.chromium import Tab, find_browser, opened
from tests.support.session_records import write_session

HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
SEEN = """JSON.stringify({
    title: document.title,
    lanes: [...document.querySelectorAll(".lane")].map(one => one.innerText),
    drawn: [...document.querySelectorAll("canvas")].map(one => one.toDataURL("image/png").length),
    scripts: document.scripts.length,
    images: document.images.length,
    status: document.getElementById("connection").textContent,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
})"""
EMPTY = 2500
"""Letters of a picture of the axes alone, and more."""
COMPLAINTS = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")


HOVER = """(() => {
    scrollTo(0, 0);
    const box = document.querySelector("canvas").getBoundingClientRect();
    const place = {clientX: box.left + box.width / 2, clientY: box.top + 20};
    document.querySelector("canvas").dispatchEvent(new MouseEvent("mousemove", place));
})()"""


async def seen(tab: Tab, words: str, drawn: int = 2) -> dict[str, Any]:
    """What is on the page, once the first lane says so, and so many lanes are drawn."""
    async with asyncio.timeout(30):
        while True:
            answer = await tab.ask("Runtime.evaluate", expression=SEEN)
            if "value" in answer["result"]:
                found: dict[str, Any] = json.loads(answer["result"]["value"])
                pictures = sum(length > EMPTY for length in found["drawn"])
                if found["lanes"] and words in found["lanes"][0] and pictures >= drawn:
                    return found
            await asyncio.sleep(0.05)


def test_the_page_draws_lanes_and_runs_nothing_of_records(tmp_path: Path) -> None:
    browser = find_browser()
    folder = tmp_path / "run"
    folder.mkdir()
    write_session(folder / "a.jsonl", policy=HOSTILE, trace=HOSTILE, stalls_s=(0.0, 1.5, 0.0))
    write_session(folder / "b.jsonl", by=("policy", "fallback", "llm"))
    lines = (folder / "a.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "a.jsonl").unlink()
    (folder / "a.jsonl.partial").write_bytes(b"".join(lines[:2]))

    async def main() -> None:
        server = TestServer(WatchServer(Board(folder), Access.to("127.0.0.1")).application())
        async with server, opened(browser, tmp_path / "profile") as tab:
            for domain in ("Page", "Runtime", "Log", "Network"):
                await tab.ask(f"{domain}.enable")
            own = (str(server.make_url("/")), "file://", "data:")
            await tab.ask("Page.navigate", url=own[0])
            live = await seen(tab, "chunk 1/3")
            with (folder / "a.jsonl.partial").open("ab") as file:
                file.write(b"".join(lines[2:]))
            later = await seen(tab, "chunk 3/3")
            assert keep(Board(folder), tmp_path / "kept.html")
            small = {"width": 500, "height": 300, "deviceScaleFactor": 1, "mobile": False}
            await tab.ask("Emulation.setDeviceMetricsOverride", **small)
            await tab.ask("Page.navigate", url=(tmp_path / "kept.html").as_uri())
            await seen(tab, "chunk 3/3", drawn=1)
            await tab.ask("Runtime.evaluate", expression="scrollTo(0, 1e6)")
            kept = await seen(tab, "chunk 3/3")
            await tab.ask("Runtime.evaluate", expression=HOVER)
            await seen(tab, "chunk 3: level 1 at 2.0 s, 1.00 s at 1.00 Mbit/s")
        for found in (live, later, kept):
            assert len(found["lanes"]) == 2
            assert HOSTILE in found["lanes"][0]
            assert (found["scripts"], found["images"], found["overflow"]) == (2, 0, 0)
            assert found["title"] == "run · Streambed"
        assert "decided by policy 1, fallback 1, llm 1" in kept["lanes"][1]
        assert live["drawn"] != later["drawn"]
        assert "1.50 s" in kept["lanes"][0]
        assert (later["status"], kept["status"]) == ("live", "")
        events = [event for event in tab.events if event.get("method") in COMPLAINTS]
        assert events == []
        asked = [
            event["params"]["request"]["url"] for event in tab.events if "request" in event.get("params", {})
        ]
        assert asked
        assert [url for url in asked if not url.startswith(own)] == []

    asyncio.run(main())
