"""dash.js over HTTP/2 and HTTP/3: what the browser's own network stack says that it spoke."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from player.transport.trust import CERTIFICATE_VARIABLE
from player.video.media.prepared import prepare_media
from testbed.browser.chromium import NO_QUIC, BrowserError
from testbed.browser.speaking import speaking
from tests.support.browser import client, needs_dashjs
from tests.support.stream_servers import need_transport, origin
from tests.testbed.browser.test_client import VIDEO


@pytest.mark.parametrize("transport", ["h2", "h3"])
def test_dashjs_speaks_what_was_asked_for(transport: str) -> None:
    need_transport()
    needs_dashjs()
    lines: list[dict[str, Any]] = []

    async def play() -> list[dict[str, Any]]:
        async with origin(transport, lines, (VIDEO,), [prepare_media(VIDEO)]) as (url, trusted):
            words = ("--policy", "fixed:1", "--transport", transport)
            told = {CERTIFICATE_VARIABLE: trusted}
            async with client(f"{url}/short/manifest.mpd", *words, **told) as player:
                return [await player.ready(), *await player.played()]

    manifest, *chunks, requests, end = asyncio.run(play())
    assert end["outcome"] == "finished", end["reason"]
    assert manifest["player"]["transport"] == {"asked": transport, "negotiated": transport}
    assert [row["size_bytes"] for row in chunks] == [50_000, 52_001, 51_000]
    assert requests["protocols"] == {transport: len(requests["requests"])}
    assert {line["protocol"] for line in lines} == {transport}
    asked = sorted(line["path"] for line in lines if line["path"].endswith((".m4s", "init.mp4")))
    assert sorted(one["path"] for one in requests["requests"]) == asked


def test_a_browser_is_told_whom_to_believe_and_by_what_to_speak() -> None:
    need_transport()
    from testbed.server.certificate import made_certificate

    url, public = "https://10.0.1.2:8080/a/manifest.mpd", made_certificate(("10.0.1.2",)).public
    assert speaking("h1", url, None) == NO_QUIC
    trust, *rest = speaking("h2", url, public)
    assert trust.startswith("--ignore-certificate-errors-spki-list=") and tuple(rest) == NO_QUIC
    assert "--disable-quic" not in speaking("h3", url, public)
    assert "--origin-to-force-quic-on=10.0.1.2:8080" in speaking("h3", url, public)
    with pytest.raises(BrowserError, match="which certificate"):
        speaking("h3", url, None)
