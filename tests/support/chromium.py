"""A page as headless Chromium sees it, asked by its DevTools protocol.

Where there is no browser tests are skipped and say why; under STREAMBED_REQUIRE_BROWSER=1 (CI) they fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

BROWSERS = ("chromium", "chromium-browser", "chromium-headless-shell", "google-chrome", "chrome")
START_S, LOAD_S = 60.0, 60.0
WIDTH, PRINT_WIDTH = 1366, 700
"""Pixels: a laptop, and a window so narrow that the layout of small screens is taken."""

FOUND_ON_PAGE = """JSON.stringify({
    title: document.title,
    pictures: [...document.images].map(
        one => [one.complete, one.naturalWidth, one.getBoundingClientRect().width]),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    scripts: document.scripts.length,
    fetched: performance.getEntriesByType("resource").filter(one => !one.name.startsWith("data:")).length,
    broken: [...document.querySelectorAll('nav a')].filter(one => !document.querySelector(one.hash)).length,
})"""


def find_browser() -> str:
    """A browser's path; where there is none the test is skipped, or fails where one is required."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        reason = "no Chromium here; `testbed/setup.sh test-tools` installs it where apt-get has it"
        if os.environ.get("STREAMBED_REQUIRE_BROWSER") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


class Tab:
    """A page in the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.events: list[dict[str, Any]] = []

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A method's result; what happens meanwhile is kept."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=LOAD_S)
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    async def until(self, method: str) -> None:
        """Wait for an event."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(await self._socket.receive_json(timeout=LOAD_S))


@contextlib.asynccontextmanager
async def opened(browser: str, profile: Path) -> AsyncIterator[Tab]:
    """A browser with one empty tab."""
    options = [
        "--headless",
        "--disable-gpu",
        "--no-first-run",
        "--remote-debugging-port=0",
        "--hide-scrollbars",
    ]
    if os.geteuid() == 0:
        options.append("--no-sandbox")  # its sandbox refuses root
    process = subprocess.Popen(
        [browser, *options, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port = profile / "DevToolsActivePort"
        async with asyncio.timeout(START_S):
            while not port.exists() or len(port.read_text().split()) < 2:
                assert process.poll() is None, "the browser did not start"
                await asyncio.sleep(0.05)
        where = f"http://127.0.0.1:{port.read_text().split()[0]}/json/list"
        async with aiohttp.ClientSession() as session:
            async with session.get(where) as answer:
                pages = [one for one in await answer.json() if one["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # /usr/bin/chromium may be a script, which is not the browser
        process.wait(START_S)


async def look(browser: str, profile: Path, page: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What is on the page, and what the browser complained of.

    Returns:
        `FOUND_ON_PAGE`'s object with `narrow_overflow` (pixels, in a narrow window) and `requests` (URLs,
        none of data); and the events of errors and of the console.
    """
    async with opened(browser, profile) as tab:
        for domain in ("Page", "Runtime", "Log", "Network"):
            await tab.ask(f"{domain}.enable")
        await tab.ask(
            "Emulation.setDeviceMetricsOverride", width=WIDTH, height=900, deviceScaleFactor=1, mobile=False
        )
        await tab.ask("Page.navigate", url=page.as_uri())
        await tab.until("Page.loadEventFired")
        answer = await tab.ask("Runtime.evaluate", expression=FOUND_ON_PAGE)
        found: dict[str, Any] = json.loads(answer["result"]["value"])
        await tab.ask(
            "Emulation.setDeviceMetricsOverride",
            width=PRINT_WIDTH,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        narrow = await tab.ask("Runtime.evaluate", expression=FOUND_ON_PAGE)
        found["narrow_overflow"] = json.loads(narrow["result"]["value"])["overflow"]
        requests = [
            event["params"]["request"]["url"]
            for event in tab.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
        found["requests"] = [url for url in requests if not url.startswith("data:")]
        wrong = [
            event
            for event in tab.events
            if event.get("method")
            in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        ]
        return found, wrong
