"""Fetching over connections that break, hang and lie."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest

import player.real.fetch
from player.real.fetch import Fetcher, FetchResult, OriginError, OriginLost
from player.real.settings import Timeouts
from tests.support.player_fakes import Fault, Origin, a_video, serving

SIZE = 400_000
QUICK = Timeouts(connect_s=5.0, read_s=0.8, give_up_s=20.0)
HASTY = Timeouts(connect_s=0.5, read_s=0.3, give_up_s=0.8)


class FakeClock:
    """`time`, which passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def monotonic(self) -> float:
        return self.time_s


def fetch(
    *faults: Fault,
    then: Fault | None = None,
    timeouts: Timeouts = QUICK,
    expected_bytes: int | None = SIZE,
    times: int = 1,
) -> tuple[Origin, list[FetchResult]]:
    """Fetch chunk 0 of the lowest level, `times` times."""

    async def work() -> tuple[Origin, list[FetchResult]]:
        async with (
            serving(Origin(a_video(size_bytes=SIZE), list(faults), then or Fault())) as origin,
            Fetcher(timeouts) as fetcher,
        ):
            results = [
                await fetcher.fetch(origin.presentation().url(0, 0), expected_bytes) for _ in range(times)
            ]
            assert fetcher.progress_bytes == 0
            return origin, results

    return asyncio.run(asyncio.wait_for(work(), 60))


def test_one_connection_serves_all() -> None:
    origin, results = fetch(times=3)
    assert [result.size_bytes for result in results] == [SIZE] * 3
    assert [result.retries for result in results] == [0] * 3
    assert len(origin.peers) == 1
    for result in results:
        assert 0 < result.ttfb_s <= result.download_s
    if hasattr(socket, "TCP_INFO"):
        assert results[-1].rtt_ms is not None and 0 < results[-1].rtt_ms < 1000


def test_a_broken_connection_resumes_where_it_broke_and_counts_bytes_once() -> None:
    origin, (result,) = fetch(Fault(break_after=100_000), Fault(break_after=50_000))
    assert (result.size_bytes, result.retries) == (SIZE, 2)
    assert origin.ranges[0] is None
    starts = [int(str(each).removeprefix("bytes=").removesuffix("-")) for each in origin.ranges[1:]]
    assert 0 < starts[0] <= 100_000
    assert starts[0] < starts[1] <= starts[0] + 50_000
    assert origin.sent_bytes == 100_000 + 50_000 + (SIZE - starts[1])


def test_a_silent_connection_is_replaced() -> None:
    origin, (result,) = fetch(Fault(pause_after=100_000, pause_s=5.0))
    assert (result.size_bytes, result.retries) == (SIZE, 1)
    assert origin.ranges == [None, "bytes=100000-"]
    assert len(origin.peers) == 2


def test_a_slow_connection_is_left_alone() -> None:
    origin, (result,) = fetch(
        Fault(pause_after=100_000, pause_s=0.5), timeouts=Timeouts(connect_s=2, read_s=20, give_up_s=30)
    )
    assert (result.size_bytes, result.retries) == (SIZE, 0)
    assert result.download_s > 0.45
    assert len(origin.peers) == 1


def test_a_server_that_ignores_range() -> None:
    origin, (result,) = fetch(Fault(break_after=100_000), Fault(ignore_range=True))
    assert (result.size_bytes, result.retries) == (SIZE, 1)
    assert origin.ranges[1] is not None


def test_a_file_that_changed_meanwhile_is_taken_from_its_start() -> None:
    origin, (result,) = fetch(Fault(break_after=100_000), Fault(etag='"v2"'))
    assert (result.size_bytes, result.retries) == (SIZE, 1)
    assert origin.sent_bytes == 100_000 + SIZE


def test_starting_over_again_and_again_is_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player.real.fetch, "BACKOFF_FIRST_S", 0.02)
    monkeypatch.setattr(player.real.fetch, "BACKOFF_LONGEST_S", 0.05)
    with pytest.raises(OriginLost, match=r"no byte for 0.8 s; last: "):
        fetch(then=Fault(break_after=100_000, ignore_range=True), timeouts=HASTY)


def test_busy_is_tried_again() -> None:
    origin, (result,) = fetch(Fault(status=503), Fault(status=429))
    assert (result.size_bytes, result.retries) == (SIZE, 2)
    assert origin.ranges == [None] * 3


def test_a_chunk_that_is_about_to_be_made_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player.real.fetch, "BACKOFF_FIRST_S", 0.02)

    async def work(origin: Origin) -> FetchResult:
        async with serving(origin), Fetcher(QUICK) as fetcher:
            return await fetcher.fetch(origin.presentation().url(0, 0), SIZE, awaited=True)

    made = Origin(a_video(size_bytes=SIZE), [Fault(status=404), Fault(status=404)])
    result = asyncio.run(asyncio.wait_for(work(made), 60))
    assert (result.size_bytes, result.retries) == (SIZE, 2)
    monkeypatch.setattr(player.real.fetch, "AWAITED_S", 0.1)
    with pytest.raises(OriginError, match="404 Not Found"):
        asyncio.run(asyncio.wait_for(work(Origin(a_video(), then=Fault(status=404))), 60))


def test_always_busy_is_lost_and_named() -> None:
    with pytest.raises(OriginLost, match="503 Service Unavailable"):
        fetch(then=Fault(status=503), timeouts=HASTY)


@pytest.mark.parametrize(
    ("status", "name"), [(404, "404 Not Found"), (403, "403 Forbidden"), (204, "204 No")]
)
def test_a_wrong_answer_is_an_error_at_once(status: int, name: str) -> None:
    with pytest.raises(OriginError, match=name):
        fetch(Fault(status=status))


def test_206_unasked() -> None:
    with pytest.raises(OriginError, match="206 Partial Content"):
        fetch(Fault(status=206))


def test_a_body_shorter_than_the_mpd_says() -> None:
    with pytest.raises(OriginError, match=f"has {SIZE - 10} bytes where the MPD says {SIZE}"):
        fetch(Fault(short_by=10))


def test_sizes_that_are_estimates_are_not_checked() -> None:
    _, (result,) = fetch(Fault(short_by=10), expected_bytes=None)
    assert result.size_bytes == SIZE - 10


def test_a_dark_origin_is_given_up() -> None:
    with pytest.raises(OriginLost, match=r"no byte for 0.8 s; last: .*Timeout"):
        fetch(then=Fault(pause_after=0, pause_s=20.0), timeouts=HASTY)


def test_nobody_listens() -> None:
    async def work() -> None:
        with socket.socket() as taken:  # bound, but it does not listen
            taken.bind(("127.0.0.1", 0))
            async with Fetcher(HASTY) as fetcher:
                await fetcher.fetch(f"http://127.0.0.1:{taken.getsockname()[1]}/x")

    with pytest.raises(OriginLost, match="connection refused"):
        asyncio.run(work())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "nobody.invalid"])
def test_a_host_that_says_no_is_not_waited_for(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed port, one of two addresses, a name that nobody has: four tries; a chunk has more patience."""
    waits_s: list[float] = []
    clock = FakeClock()

    async def passes(seconds: float) -> None:
        waits_s.append(seconds)
        clock.time_s += seconds

    def no_such_name(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(player.real.fetch, "asyncio", SimpleNamespace(sleep=passes))
    monkeypatch.setattr(player.real.fetch, "time", clock)
    if host == "nobody.invalid":  # the answer of a machine without a network would be another
        monkeypatch.setattr(socket, "getaddrinfo", no_such_name)

    async def work() -> None:
        with socket.socket() as taken:  # bound, but it does not listen
            taken.bind(("127.0.0.1", 0))
            async with Fetcher(Timeouts(connect_s=5.0, read_s=5.0, give_up_s=120.0)) as fetcher:
                url = f"http://{host}:{taken.getsockname()[1]}/x"
                with pytest.raises(
                    OriginLost,
                    match=r"no byte for 2 s; last: (connection refused|no host is named nobody.invalid)",
                ):
                    await fetcher.read(url, give_up_s=10.0)
                assert waits_s == [0.25, 0.5, 1.0]
                with pytest.raises(OriginLost, match="no byte for 120 s"):
                    await fetcher.fetch(url)
                assert sum(waits_s[3:]) > 100.0

    asyncio.run(work())


@pytest.mark.parametrize("url", ["http://", "nonsense", "http://[::1/x"])
def test_a_bad_url(url: str) -> None:
    async def work() -> None:
        async with Fetcher(HASTY) as fetcher:
            await fetcher.fetch(url)

    with pytest.raises(OriginError, match="not a URL"):
        asyncio.run(work())


def test_what_is_no_http() -> None:
    async def gibberish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"SSH-2.0-nonsense\r\n\r\n")
        await writer.drain()
        writer.close()

    async def work() -> None:
        server = await asyncio.start_server(gibberish, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Fetcher(HASTY) as fetcher:
            await fetcher.fetch(f"http://127.0.0.1:{port}/x")

    with pytest.raises(OriginError, match="not a usable HTTP answer"):
        asyncio.run(work())


def test_progress_can_be_watched() -> None:
    async def work() -> list[int]:
        async with (
            serving(Origin(a_video(size_bytes=SIZE), [Fault(pause_after=100_000, pause_s=0.4)])) as origin,
            Fetcher() as fetcher,
        ):
            task = asyncio.create_task(fetcher.fetch(origin.presentation().url(0, 0)))
            seen = []
            while not task.done():
                seen.append(fetcher.progress_bytes)
                await asyncio.sleep(0.02)
            return seen

    seen = asyncio.run(work())
    assert seen == sorted(seen)
    assert 100_000 in seen


def test_reading_an_mpd_follows_redirects_and_says_where_it_came_from() -> None:
    async def work() -> Any:
        async with serving(Origin(a_video())) as origin, Fetcher() as fetcher:
            return origin, await fetcher.read(f"{origin.url}/moved", 5.0)

    origin, (body, url) = asyncio.run(work())
    assert body.startswith(b"<?xml")
    assert url == origin.mpd_url


def test_a_body_without_end_is_not_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player.real.fetch, "MOST_KEPT_BYTES", 100_000)

    async def work() -> tuple[Origin, FetchResult]:
        async with serving(Origin(a_video(size_bytes=SIZE))) as origin, Fetcher() as fetcher:
            url = origin.presentation().url(0, 0)
            with pytest.raises(OriginError, match="that is no MPD"):
                await fetcher.read(url, 5.0)
            return origin, await fetcher.fetch(url, SIZE)

    origin, result = asyncio.run(work())
    assert result.size_bytes == SIZE, "what is not kept has no limit"
    assert len(origin.ranges) == 2, "it is not tried again"


@pytest.mark.parametrize("bad", [{"connect_s": 0}, {"read_s": -1}, {"give_up_s": float("inf")}])
def test_timeouts_must_be_some(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Timeouts(**bad)
