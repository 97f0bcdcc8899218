"""The origin's page in a browser: opened, prepared, begun; and its clock held against ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from testbed.browser.chromium import NO_QUIC, Browser, BrowserError
from testbed.browser.devtools import Answer, Tab
from testbed.server.pages import PREFIX
from traces.safe_reading import json_object

LOAD_S = 120.0
"""For the page with dash.js (0.8 MB), which comes over the link at its mean rate."""
_CLOCK_TRIES = 8
TELL = "streambedTell"
DECIDE = f"{PREFIX}/decide"
"""Asked of the origin as the page sees it; it never gets there."""


@dataclass(frozen=True)
class Prepared:
    """What the page found when it was prepared."""

    dashjs: str
    agent: str
    kind: str
    """The media's type and codec."""
    protocol: str
    """By which the page came, by its name in ALPN."""


class Page:
    """A page that plays one session."""

    def __init__(self, tab: Tab) -> None:
        self._tab = tab

    async def load(
        self, url: str, tell: Callable[[dict[str, Any]], None], decide: Answer | None = None
    ) -> None:
        """Open the player's page of the origin that has the MPD at `url`.

        Args:
            tell: is handed what the page tells.
            decide: answers its questions for a level, if it asks any.

        Raises:
            BrowserError: it does not come.
        """
        parts = urlsplit(url)
        await self._tab.ask("Page.enable")
        await self._tab.ask("Runtime.enable")
        await self._tab.ask("Network.enable", maxTotalBufferSize=0, maxResourceBufferSize=0)
        await self._tab.ask("Network.setCacheDisabled", cacheDisabled=True)
        await self._tab.offer(TELL, lambda text: tell(json_object(text, "the page")))
        if decide is not None:
            await self._tab.answer(f"*/{DECIDE}", decide)
        address = f"{parts.scheme}://{parts.netloc}/{PREFIX}/"
        answer = await self._tab.ask("Page.navigate", url=address)
        if answer.get("errorText"):
            raise BrowserError(f"the page {address} does not load: {answer['errorText']}", "page-failed")
        try:
            async with asyncio.timeout(LOAD_S):
                while await self._tab.value("document.readyState") != "complete":
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise BrowserError(f"the page {address} has not loaded in {LOAD_S:g} s", "page-failed") from None
        if await self._tab.value("typeof streambed") != "object":
            raise BrowserError(f"{address} is not the origin's page", "page-failed")

    async def prepare(self, options: dict[str, Any]) -> Prepared:
        """Let it read the MPD and set dash.js up.

        Raises:
            BrowserError: dash.js, the MPD or the codec is not there.
        """
        found = await self._tab.value(f"streambed.prepare({json.dumps(options)})")
        told = (str(found[name]) for name in ("version", "agent", "kind", "protocol"))
        return Prepared(*told)

    async def offset_s(self) -> float:
        """What to add to a time of the page, in s, to have it on the scale of time.monotonic()."""
        found = []
        for _ in range(_CLOCK_TRIES):
            before = time.monotonic()
            at_ms = await self._tab.value("streambed.now()")
            after = time.monotonic()
            found.append((after - before, (before + after) / 2 - at_ms / 1000.0))
        return min(found)[1]

    async def begin(self, live_begins_ms: int | None = None) -> float:
        """Play; the page's time at which it began, ms.

        Args:
            live_begins_ms: when a live stream began, Unix time in ms.
        """
        return float(await self._tab.value(f"streambed.begin({json.dumps(live_begins_ms)})"))


@contextlib.asynccontextmanager
async def opened(
    hosts: tuple[str, ...], speaking: tuple[str, ...] = NO_QUIC
) -> AsyncIterator[tuple[Page, asyncio.Task[str]]]:
    """A browser with one empty page, and a task that ends when the browser does.

    Args:
        hosts, speaking: see `Browser.start`.

    Raises:
        BrowserError: there is none, or it does not start.
    """
    browser = await Browser.start(hosts, speaking)
    try:
        tab = Tab(browser)
        listening = asyncio.create_task(tab.listen())
        try:
            await tab.attach()
            yield Page(tab), listening
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    finally:
        await browser.close()
