"""Plain requests are answered directly, all else by the framework, with the same words."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.llm.serving.plain_http import (
    MOST_AHEAD_BYTES,
    PLAIN_BODY_BYTES,
    PlainConnection,
    PlainConnections,
    PlainRequest,
    plain_request,
)
from policies.llm.serving.protocol import DECIDE, HEALTH, SESSIONS, Outcome, Request, dump_request
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import VideoStep
from tests.support.llm_server_fakes import FACTS, FakeEngine, observations, released, run, serving, until

STEPS = tuple(VideoStep.of(seen) for seen in observations(0))


def http(body: bytes, *fields: str, first: str = f"POST {DECIDE} HTTP/1.1", length: str = "") -> bytes:
    """A request as bytes."""
    head = [first, "Host: x", f"Content-Length: {length or len(body)}", *fields]
    return "\r\n".join([*head, "", ""]).encode() + body


def decide(name: str, held: int = 0, deadline_ms: float = 3e4) -> bytes:
    """A request for the step after those that are held."""
    context = None if held else FACTS
    return dump_request(Request("ladder", name, held, STEPS[held : held + 1], context, deadline_ms), TASK)


def ended(name: str) -> bytes:
    return http(b"", first=f"DELETE {SESSIONS}/{name} HTTP/1.1")


def test_what_a_player_says_is_plain() -> None:
    assert plain_request(http(b"{}", "User-Agent: x", "Accept: */*")) == PlainRequest(None, b"{}", "")
    assert plain_request(http(b"", "AUTHORIZATION:  Bearer t ")) == PlainRequest(None, b"", "Bearer t")
    assert plain_request(ended("a-1_b")) == PlainRequest("a-1_b", b"", "")
    assert plain_request(f"DELETE {SESSIONS}/s HTTP/1.1\r\nHost: x\r\n\r\n".encode()) is not None


GOOD = http(b"{}")


@pytest.mark.parametrize(
    "data",
    [
        GOOD[:-1], GOOD + b"x", GOOD + GOOD, GOOD[:20], b"", b"\r\n\r\n", b"\0" + GOOD,
        http(b"{}", "Content-Length: 2"), http(b"{}", length="+2"), http(b"{}", length="2, 2"),
        http(b"{}", length="0x2"), http(b"{}", "Transfer-Encoding: chunked"),
        http(b"{}", "Expect: 100-continue"),
        http(b"{}", "Content-Encoding: gzip"), http(b"{}", "Connection: close"), http(b"{}", "Host: y"),
        http(b"{}", "Accept: a\tb"), http(b"{}", "Accept: a\nb: c"),
        http(b"{}", " folded: x"), http(b"{}", "none"),
        http(b"{}", "Content-Length : 2"), http("{\u00e4}".encode()), http(b"x" * PLAIN_BODY_BYTES),
        http(b"{}", first=f"POST {DECIDE} HTTP/1.0"), http(b"{}", first=f"POST {DECIDE}?a=1 HTTP/1.1"),
        http(b"{}", first=f"GET {HEALTH} HTTP/1.1"), http(b"x", first=f"DELETE {SESSIONS}/s HTTP/1.1"),
        ended("a/b"), ended("a?task=ladder"),
        ended("a" * 65), f"POST {DECIDE} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    ],
)  # fmt: skip
def test_all_else_is_the_frameworks(data: bytes) -> None:
    assert plain_request(data) is None


@given(st.binary(max_size=60), st.integers(0, len(GOOD)), st.integers(0, len(GOOD)))
def test_no_bytes_break_it(noise: bytes, begin: int, end: int) -> None:
    asked = plain_request(GOOD[:begin] + noise + GOOD[end:])
    assert asked is None or asked.body.isascii()


async def heard(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], Any]:
    """Status, fields and object of the next answer."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(fields["content-length"]))
    return int(first.split()[1]), fields, json.loads(body)


def test_one_connection_is_answered_alike_by_both(tmp_path: Path) -> None:
    """First plainly, then, from a field on that isn't plain, by the framework."""

    async def whole() -> None:
        async with serving(tmp_path / "s", token="t" * 20) as server:
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
            known = f"Authorization: Bearer {'t' * 20}"
            for more in ((), ("X-More: 1",)):
                name = f"s{len(more)}"
                for held in range(2):
                    writer.write(http(decide(name, held), known, *more))
                    status, fields, said = await heard(reader)
                    assert (status, said["steps"], said["by"]) == (200, held + 1, "llm")
                    assert fields["content-type"] == "application/json; charset=utf-8" and fields["date"]
                writer.write(http(decide(name, 3), known, *more))
                status, _, said = await heard(reader)
                assert (status, said["steps"]) == (409, 2)
                writer.write(http(b"{}", known, *more))
                status, _, said = await heard(reader)
                assert (status, said["field"]) == (422, "session")
                writer.write(http(decide(name, 2), *more))
                status, fields, said = await heard(reader)
                assert (status, said, fields["www-authenticate"]) == (
                    401,
                    {"error": "wrong or no token"},
                    "Bearer",
                )
                writer.write(http(decide(name, 2, 0.0), known, *more))
                status, _, said = await heard(reader)
                assert (status, said["late"], said["steps"]) == (504, True, 2)
                gone = f"DELETE {SESSIONS}/{name} HTTP/1.1"
                for status in (200, 404):
                    writer.write(http(b"", known, *more, first=gone))
                    assert (await heard(reader))[0] == status
            writer.close()
            text = server.metrics.text().decode()
            for status in (401, 404, 409, 422, 504):
                assert f'refusals_total{{status="{status}"}} 2.0' in text
            assert 'decisions_total{by="llm",task="ladder"} 4.0' in text

    run(whole())


def test_what_comes_before_the_answer_waits_for_it(tmp_path: Path) -> None:
    async def whole() -> None:
        engine = FakeEngine()
        async with serving(tmp_path / "s", engine):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
            with released(engine):
                writer.write(http(decide("a")))
                await until(lambda: engine.begun == 1)
                writer.write(http(decide("a", 1)))
                writer.write(http(b"", first=f"GET {HEALTH} HTTP/1.1"))
                await asyncio.sleep(0.05)
            answers = [await heard(reader) for _ in range(3)]
            assert [said.get("steps") for _, _, said in answers] == [1, 2, None]
            assert answers[2][2]["status"] == "ok"
            writer.close()

    run(whole())


def test_a_model_that_fails_is_told_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def whole() -> None:
        engine = FakeEngine()
        engine.fail_once = True
        async with serving(tmp_path / "s", engine):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
            writer.write(http(decide("a")))
            status, _, said = await heard(reader)
            assert (status, said["error"]) == (500, "the model failed; see the server's log")
            writer.close()

    run(whole())
    assert "out of memory" in caplog.text


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.reading = self.open = True

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return not self.open

    def close(self) -> None:
        self.open = False


class Hearing:
    """A server that answers when it is told to."""

    def __init__(self) -> None:
        self.tells: list[Callable[[Outcome], None]] = []
        self.transports: list[asyncio.BaseTransport] = []

    def plainly(self, asked: PlainRequest, tell: Callable[[Outcome], None]) -> None:
        self.tells.append(tell)

    def came(self, transport: asyncio.BaseTransport) -> None:
        self.transports.append(transport)


def test_what_lies_ahead_is_bounded() -> None:
    server, wire = Hearing(), Wire()
    connection = PlainConnection(server, asyncio.Protocol())
    connection.connection_made(wire)
    connection.data_received(GOOD)
    assert server.transports == [wire] and connection.asking
    connection.data_received(b"x" * MOST_AHEAD_BYTES)
    assert wire.reading
    connection.data_received(b"x")
    assert not wire.reading
    server.tells[0](Outcome(200, {}))
    assert wire.reading and len(wire.written) == 1 and not connection.asking
    connection.data_received(GOOD)
    assert len(server.tells) == 1, "handed over for good"


def test_an_answer_that_comes_after_the_client_has_left_is_nobodys() -> None:
    server, wire = Hearing(), Wire()
    connections = PlainConnections(server, asyncio.Protocol, keep_alive_s=60.0)
    connection = connections()
    connection.connection_made(wire)
    connection.data_received(GOOD)
    connection.connection_lost(None)
    server.tells[0](Outcome(200, {}))
    assert not wire.written
    connections.close_idle(math.inf)
    assert wire.open


def test_a_connection_that_asks_no_more_is_closed() -> None:
    server, wires = Hearing(), [Wire() for _ in range(4)]
    connections = PlainConnections(server, asyncio.Protocol, keep_alive_s=60.0)
    made = [connections() for _ in wires]
    for connection, wire in zip(made, wires, strict=True):
        connection.connection_made(wire)
    for connection in made[:2]:
        connection.data_received(GOOD)
    server.tells[0](Outcome(200, {}))
    made[2].data_received(b"GET / HTTP/1.1\r\n\r\n")  # the framework's to close
    connections.close_idle(time.monotonic() + 59.0)
    assert all(wire.open for wire in wires)
    connections.close_idle(time.monotonic() + 61.0)
    assert [wire.open for wire in wires] == [False, True, True, True]
