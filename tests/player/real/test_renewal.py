"""A live MPD is read again: what it lists by then is asked for, not what one took to come."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from player.live.stream import LiveSettings
from player.real.fetch import Fetcher
from player.real.reading import read_presentation
from player.real.session import play
from player.real.settings import PlayerSettings, Timeouts
from player.video.mpd_live import LiveRead
from tests.support.player_fakes import Chooses, Facts, loaded

CHUNKS, MS = 8, 200


@dataclass
class Encoder:
    """Makes segments of 200 ms, now and then some ms more or less, as encoders do; they are named by their
    times, and listed once they are made."""

    times_ms: tuple[int, ...]
    begins_s: float = field(default_factory=lambda: time.time() - 1.0)
    read: int = 0
    fails: bool = False
    asked: list[str] = field(default_factory=list)

    @property
    def made(self) -> int:
        now_ms = 1000 * (time.time() - self.begins_s)
        return sum(end_ms <= now_ms for end_ms in self.times_ms[1:])

    async def mpd(self, request: web.Request) -> web.Response:
        self.read += 1
        if self.fails and self.read > 1:
            raise web.HTTPNotFound
        begin = datetime.fromtimestamp(self.begins_s, UTC).isoformat()
        pairs = list(zip(self.times_ms, self.times_ms[1:], strict=False))[: max(self.made, 1)]
        listed = "".join(f'<S t="{at}" d="{end - at}"/>' for at, end in pairs)
        levels = "".join(f'<Representation id="{n}" bandwidth="{(n + 1) * 100_000}"/>' for n in range(2))
        text = f"""<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic" availabilityStartTime="{begin}"
            minimumUpdatePeriod="PT0.1S"><Period start="PT0S"><AdaptationSet contentType="video">
            <SegmentTemplate timescale="1000" media="$RepresentationID$-$Time$.m4s">
            <SegmentTimeline>{listed}</SegmentTimeline></SegmentTemplate>{levels}</AdaptationSet></Period></MPD>"""
        return web.Response(text=text)

    async def segment(self, request: web.Request) -> web.Response:
        level, _, at_ms = request.path[1:].removesuffix(".m4s").partition("-")
        self.asked.append(at_ms)
        if int(at_ms) not in self.times_ms[: self.made]:
            raise web.HTTPNotFound
        return web.Response(body=bytes(1_000 * (int(level) + 1)))


def watched(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Facts:
    """A session of it."""
    monkeypatch.setattr("player.real.fetch.AWAITED_S", 0.3)
    facts = Facts()
    settings = PlayerSettings(
        chunks=CHUNKS, timeouts=Timeouts(connect_s=2.0, read_s=2.0, give_up_s=2.0), live=LiveSettings(0.5)
    )
    app = web.Application()
    app.router.add_get("/live.mpd", encoder.mpd)
    app.router.add_get("/{name}", encoder.segment)

    async def work() -> None:
        async with TestServer(app) as server, Fetcher(settings.timeouts) as fetcher:
            url = str(server.make_url("/live.mpd"))
            presentation = await read_presentation(fetcher, url, 2.0, LiveRead(0.0, CHUNKS, 0.5))
            await play(presentation, loaded(Chooses(lambda seen: 1)), settings, facts, fetcher=fetcher)

    asyncio.run(asyncio.wait_for(work(), 30))
    return facts


def uneven() -> tuple[int, ...]:
    times = [0]
    for number in range(40):
        times.append(times[-1] + MS + (17 if number % 3 == 0 else -6))
    return tuple(times)


def test_what_the_mpd_lists_by_then_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder(uneven())
    facts = watched(encoder, monkeypatch)
    assert facts.ends[0].outcome == "finished", facts.ends[0].reason
    assert encoder.read > 3
    places = [encoder.times_ms.index(int(at_ms)) for at_ms in dict.fromkeys(encoder.asked) if at_ms]
    known = [place for place in places if place >= 0]
    assert known == list(range(known[0], known[0] + CHUNKS))  # each once, in order, none left out


def test_a_stream_without_a_list_that_can_be_read_again_goes_on_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = Encoder(tuple(MS * number for number in range(60)), fails=True)
    facts = watched(encoder, monkeypatch)
    assert facts.ends[0].outcome == "finished", facts.ends[0].reason
    assert encoder.read > 2
