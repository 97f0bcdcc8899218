"""Requests that come while the server is busy, in part, encoded, or not at all."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from policies.llm.serving import server as serving_module
from policies.llm.serving.arrivals import Doorkeeper, noting_loop
from policies.llm.serving.protocol import DECIDE, Request, dump_request
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import VideoStep
from tests.support.llm_server_fakes import FACTS, observations, run, serving, until

STEPS = tuple(VideoStep.of(seen) for seen in observations(0))


def _request(deadline_ms: float, name: str = "s") -> bytes:
    body = dump_request(Request("ladder", name, 0, STEPS[:1], FACTS, deadline_ms), TASK)
    return body if isinstance(body, bytes) else str(body).encode()


def _http(body: bytes, *fields: str, length: int | None = None) -> bytes:
    head = [
        f"POST {DECIDE} HTTP/1.1",
        "Host: x",
        f"Content-Length: {len(body) if length is None else length}",
    ]
    return "\r\n".join([*head, *fields, "", ""]).encode() + body


async def _answer(path: Path, sent: bytes) -> str:
    """The first line of what comes back."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        writer.write(sent)
        return (await reader.readline()).decode()
    finally:
        writer.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "s.sock"


def test_a_deadline_counts_from_when_the_request_lay_in_the_socket(place: Path) -> None:
    async def whole() -> None:
        async with serving(place):
            assert "200" in await _answer(place, _http(_request(5000.0, "a")))
            reader, writer = await asyncio.open_unix_connection(str(place))
            await asyncio.sleep(0.05)  # it has been let in
            writer.write(_http(_request(100.0, "b")))
            time.sleep(0.5)  # as a server that is busy with somebody else's body
            said = (await reader.readline()).decode()
            writer.close()
            assert "504" in said

    with asyncio.Runner(loop_factory=noting_loop) as runner:
        runner.run(whole())


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "nonsense", "gzip, gzip"])
def test_an_encoded_body_is_refused_by_its_name(place: Path, encoding: str) -> None:
    async def whole() -> None:
        async with serving(place):
            assert "415" in await _answer(place, _http(_request(5000.0), f"Content-Encoding: {encoding}"))
            assert "200" in await _answer(place, _http(_request(5000.0), "Content-Encoding: identity"))

    run(whole())


def test_a_body_that_does_not_come_is_not_waited_for(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_module, "BODY_WITHIN_S", 0.1)

    async def whole() -> None:
        async with serving(place):
            assert "408" in await _answer(place, _http(b"{", length=100))

    run(whole())


def test_half_sent_bodies_are_limited_and_whole_ones_are_answered_beside_them(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_module, "MOST_BODIES", 3)

    async def whole() -> None:
        async with serving(place) as server:
            half = [await asyncio.open_unix_connection(str(place)) for _ in range(3)]
            for _, writer in half:
                writer.write(_http(b"{", length=100))
            await until(lambda: server._bodies == 3)
            assert "429" in await _answer(place, _http(b"{", length=100))
            assert "200" in await _answer(place, _http(_request(5000.0)))
            for _, writer in half:
                writer.close()

    run(whole())


def test_a_body_that_is_framed_wrongly_is_the_clients_fault(place: Path) -> None:
    async def whole() -> None:
        head = f"POST {DECIDE} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        async with serving(place):
            assert "400" in await _answer(place, head + b"zz\r\nabc\r\n0\r\n\r\n")

    run(whole())


def test_small_requests_are_answered_beside_large_ones(place: Path) -> None:
    async def whole() -> None:
        large = b'{"task": "ladder", "steps": [' + b"[[[1]]]," * 200_000 + b"1]}"
        async with serving(place), aiohttp.ClientSession(
            "http://policy-server", connector=aiohttp.UnixConnector(str(place))
        ) as session:  # fmt: skip
            sending = [asyncio.create_task(session.post(DECIDE, data=large)) for _ in range(4)]
            async with session.post(DECIDE, data=_request(60_000.0)) as response:
                assert response.status == 200
            assert [each.status for each in await asyncio.gather(*sending)] == [422] * 4

    run(whole())


@dataclass(eq=False)
class _Transport:
    aborted: bool = False

    def abort(self) -> None:
        self.aborted = True


@dataclass
class _Connection:
    transport: _Transport = field(default_factory=_Transport)


def test_who_asks_nothing_has_to_go_and_of_many_the_oldest() -> None:
    connections = [_Connection() for _ in range(3)]
    keeper = Doorkeeper(lambda: list(connections), head_within_s=10.0, most=4)
    keeper._asked.add(connections[0].transport)  # type: ignore[arg-type]
    keeper.look(0.0)
    keeper.look(10.0)
    assert not any(each.transport.aborted for each in connections)
    connections += [_Connection() for _ in range(4)]
    keeper.look(10.0)
    assert [each.transport.aborted for each in connections] == [False, True, True] + [False] * 4
    keeper.look(20.1)
    assert [each.transport.aborted for each in connections] == [False] + [True] * 6
