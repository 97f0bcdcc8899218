"""The policy server over its socket, with an engine whose answers show every step that it was fed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from policies.llm.serving.batch_by_arrival import ArrivalQueue
from policies.llm.serving.batcher import Hopeless, WaitingSteps
from policies.llm.serving.client import Address, Client, RemoteSession, ask_health
from policies.llm.serving.conversation import Conversation, ServerError, StepsLost
from policies.llm.serving.desks import Limits, TaskEngine
from policies.llm.serving.local import LocalSession
from policies.llm.serving.protocol import Answer, Request, dump_answer, dump_request
from policies.llm.serving.serve import ServeError, listening
from policies.llm.serving.server import Server
from policies.llm.serving.step_time import StepTime
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import VideoStep
from tests.support.llm_server_fakes import (
    CHUNKS,
    FACTS,
    FakeEngine,
    blocking,
    observations,
    released,
    remote,
    run,
    serving,
    until,
)

STEPS = [[VideoStep.of(seen) for seen in observations(number)] for number in range(6)]


def facts(answer: Answer) -> tuple[int, float | None]:
    return answer.value, answer.margin


def alone(steps: Sequence[VideoStep]) -> list[tuple[int, float | None]]:
    """What the engine in one's own process decides, step by step."""
    session = LocalSession(FakeEngine(), TASK, FACTS)
    return [facts(session.decide(steps[: count + 1])) for count in range(len(steps))]


@contextlib.asynccontextmanager
async def http(path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        "http://policy-server", connector=aiohttp.UnixConnector(str(path))
    ) as session:
        yield session


async def post(session: aiohttp.ClientSession, request: Request) -> tuple[int, dict[str, Any], Any]:
    async with session.post("/v1/decide", data=dump_request(request, TASK)) as response:
        return response.status, await response.json(), response.headers


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "s.sock"


def test_sessions_side_by_side_share_forwards_and_decide_as_each_alone(place: Path) -> None:
    async def whole() -> None:
        engine = FakeEngine()
        async with serving(place, engine) as server:
            sessions = [remote(place) for _ in STEPS]
            got: list[list[tuple[int, float | None]]] = [[] for _ in STEPS]
            for count in range(1, CHUNKS + 1):
                with released(engine):
                    asking = [
                        asyncio.create_task(blocking(lambda s=s, some=steps[:count]: s.decide(some)))
                        for s, steps in zip(sessions, STEPS, strict=True)
                    ]
                    await until(lambda: len(server._desks["ladder"].asking) == len(STEPS))
                for answers, answer in zip(got, await asyncio.gather(*asking), strict=True):
                    answers.append(facts(answer))
                    assert answer.by == "llm" and answer.steps == count
        assert got == [alone(steps) for steps in STEPS]
        assert max(map(len, engine.batches)) > 1

    run(whole())


def test_a_request_that_comes_during_a_forward_joins_the_next(place: Path) -> None:
    async def whole() -> None:
        engine = FakeEngine()
        async with serving(place, engine) as server:
            sessions = [remote(place) for _ in range(3)]
            for session, steps in zip(sessions, STEPS, strict=False):
                await blocking(lambda s=session, all=steps: s.decide(all[:1]))
            engine.batches.clear()
            engine.begun = 0
            with released(engine):
                first = asyncio.create_task(blocking(lambda: sessions[0].decide(STEPS[0][:2])))
                await until(lambda: engine.begun == 1)
                rest = [
                    asyncio.create_task(blocking(lambda n=n: sessions[n].decide(STEPS[n][:2])))
                    for n in (1, 2)
                ]
                await until(lambda: len(server._desks["ladder"].counter.queue) == 2)
            answers = [await first, *await asyncio.gather(*rest)]
        assert [len(batch) for batch in engine.batches] == [1, 2]
        assert [answer.batch for answer in answers] == [1, 2, 2]

    run(whole())


def test_chunks_that_others_decided_come_with_the_next_request(place: Path) -> None:
    async def whole() -> None:
        async with serving(place):
            session = remote(place)
            got = [facts(await blocking(lambda n=n: session.decide(STEPS[1][:n]))) for n in (2, 3, 7, 8)]
        expected = alone(STEPS[1])
        assert got == [expected[n - 1] for n in (2, 3, 7, 8)]

    run(whole())


def test_a_server_that_was_restarted_rebuilds_and_decides_the_same(place: Path) -> None:
    async def whole() -> None:
        session, got = remote(place), []
        for begin, end in ((1, 5), (5, 9), (9, CHUNKS + 1)):
            engine = FakeEngine()
            async with serving(place, engine):
                got += [
                    facts(await blocking(lambda n=n: session.decide(STEPS[2][:n]))) for n in range(begin, end)
                ]
            assert engine.batches[0][0][1] == begin, "all steps at once"
        assert got == alone(STEPS[2])

    run(whole())


def test_a_request_whose_answer_was_lost_may_come_again(place: Path) -> None:
    async def whole() -> None:
        engine = FakeEngine()
        request = Request("ladder", "again", 0, tuple(STEPS[0][:3]), FACTS, 5e3)
        async with serving(place, engine), http(place) as session:
            first = await post(session, request)
            second = await post(session, request)
            grown = await post(session, replace(request, start=2, steps=tuple(STEPS[0][2:4]), context=None))
        assert first[0] == second[0] == grown[0] == 200
        assert [first[1][key] for key in ("answer", "margin", "steps")] == [
            second[1][key] for key in ("answer", "margin", "steps")
        ]
        assert (grown[1]["answer"], grown[1]["margin"]) == alone(STEPS[0])[3]
        assert [new for batch in engine.batches for _, new in batch] == [3, 1]

    run(whole())


def test_a_client_that_builds_on_what_the_server_has_not_gets_409_with_what_it_has(place: Path) -> None:
    async def whole() -> None:
        async with serving(place), http(place) as session:
            unknown = Request("ladder", "s", 4, tuple(STEPS[0][4:5]), None, 5e3)
            status, body, _ = await post(session, unknown)
            assert (status, body["steps"]) == (409, 0)
            assert (await post(session, Request("ladder", "s", 0, tuple(STEPS[0][:2]), FACTS, 5e3)))[0] == 200
            status, body, _ = await post(session, unknown)
            assert (status, body["steps"]) == (409, 2)
            other = Request("ladder", "s", 1, tuple(STEPS[1][1:3]), None, 5e3)
            assert (await post(session, other))[0] == 409, "another history under the same name"

    run(whole())


def test_a_conversation_says_what_the_server_lacks_and_begins_again_where_it_lost_it() -> None:
    talk = Conversation("w", TASK, FACTS)

    def says(count: int) -> tuple[int, int, bool]:
        told = json.loads(talk.says(STEPS[0][:count], time.monotonic() + 1))
        return told["from"], len(told["steps"]), told.get("context") is not None

    def answered(steps: int) -> bytes:
        return json.dumps(dump_answer(Answer(0, 0.5, "llm", 1, 1.0, 1.0, steps), TASK)).encode()

    assert says(2) == (0, 2, True)
    talk.hears(200, answered(2), 2)
    assert says(5) == (2, 3, False)
    with pytest.raises(StepsLost, match=r"^policy server w: it lacks them \(status 409\)$"):
        talk.hears(409, b'{"error": "it lacks them"}', 5)
    assert says(5) == (0, 5, True)
    talk.hears(200, answered(5), 5)
    with pytest.raises(ServerError, match="it holds 4 steps of 6"):
        talk.hears(200, answered(4), 6)
    assert says(6) == (0, 6, True)
    for body in (b"not json", b"{}", b"[]"):
        with pytest.raises(ServerError, match=r"^policy server w: status 500, "):
            talk.hears(500, body, 6)


def test_refusals_name_the_field_also_where_only_the_session_tells(place: Path) -> None:
    async def whole() -> None:
        async with serving(place, limits=Limits(body_bytes=200_000)), http(place) as session:
            good = Request("ladder", "s", 0, tuple(STEPS[0][:2]), FACTS, 5e3)
            message = json.loads(dump_request(good, TASK))
            message["steps"][1]["past"]["level"] = 6
            async with session.post("/v1/decide", json=message) as response:
                assert (response.status, (await response.json())["field"]) == (422, "steps[1].past.level")
            narrow = replace(STEPS[0][0], next_sizes_bytes=((1, 2, 3),))
            status, body, _ = await post(session, replace(good, steps=(narrow,)))
            assert (status, body["field"]) == (422, "steps[0].next_sizes_bytes[0]")
            assert (await post(session, good))[0] == 200
            status, body, _ = await post(session, replace(good, context=replace(FACTS, chunk_s=2.0)))
            assert (status, body["field"]) == (422, "context")
            async with session.post("/v1/decide", data=b" " * 400_000) as response:
                assert response.status == 413 and "error" in await response.json()
            async with session.get("/v1/decide") as response:
                assert response.status == 405 and response.headers["Allow"] == "POST"
            async with session.get("/nothing") as response:
                assert response.status == 404 and "error" in await response.json()

    run(whole())


def test_no_answer_comes_after_its_deadline_and_the_session_goes_on(place: Path) -> None:
    async def whole() -> None:
        engine = FakeEngine()
        async with serving(place, engine) as server:
            session, hurried = remote(place), RemoteSession(Client(Address.of(str(place))), TASK, FACTS, 0.05)
            await blocking(lambda: session.decide(STEPS[0][:1]))
            await blocking(lambda: hurried.decide(STEPS[1][:1]))
            with released(engine):
                before = engine.begun
                waiting = asyncio.create_task(blocking(lambda: session.decide(STEPS[0][:2])))
                await until(lambda: engine.begun == before + 1)
                for count in (2, 3):
                    with pytest.raises(ServerError, match=r"not decided within|no answer within"):
                        await blocking(lambda n=count: hurried.decide(STEPS[1][:n]))
            assert facts(await waiting) == alone(STEPS[0])[1]
            await until(lambda: not server._desks["ladder"].asking)
            patient = hurried
            patient._deadline_s = 30.0
            assert facts(await blocking(lambda: patient.decide(STEPS[1][:4]))) == alone(STEPS[1])[3]
        mine = engine.batches[1][0][0]
        fed = [new for batch in engine.batches for slot, new in batch if slot == mine]
        assert fed[0] == 1 and sum(fed) == 4  # also what was too late, and nothing twice

    run(whole())


def test_steps_that_were_in_a_forward_at_the_deadline_are_not_taken_in_twice(place: Path) -> None:
    async def whole() -> None:
        engine = FakeEngine()
        async with serving(place, engine), http(place) as session:
            begun = Request("ladder", "s", 0, tuple(STEPS[0][:2]), FACTS, 40.0)
            with released(engine):
                engine.go.set()
                assert (await post(session, replace(begun, steps=begun.steps[:1], deadline_ms=5e3)))[0] == 200
                engine.go.clear()
                status, body, _ = await post(session, begun)
                assert (status, body["late"], body["steps"]) == (504, True, 1)
                again = asyncio.create_task(
                    post(session, replace(begun, steps=tuple(STEPS[0][:3]), deadline_ms=3e4))
                )
                await asyncio.sleep(0.02)
            status, body, _ = await again
            assert (status, body["steps"]) == (200, 3)
            assert (body["answer"], body["margin"]) == alone(STEPS[0])[2]
        assert [new for batch in engine.batches for _, new in batch] == [1, 1, 1]

    run(whole())


def test_sessions_are_bounded_and_idle_ones_give_way(place: Path) -> None:
    async def whole() -> None:
        async with serving(place, limits=Limits(sessions=2, idle_s=600.0)) as server, http(place) as session:
            first = Request("ladder", "s0", 0, tuple(STEPS[0][:1]), FACTS, 5e3)
            for name in ("s0", "s1"):
                assert (await post(session, replace(first, session=name)))[0] == 200
            status, _, headers = await post(session, replace(first, session="s2"))
            assert status == 429 and 1 <= int(headers["Retry-After"]) <= 600
            async with session.get("/readyz") as response:
                assert response.status == 503
            assert (await post(session, first))[0] == 200, "who is in stays in"
            async with session.delete("/v1/sessions/s0") as response:
                assert response.status == 200
            async with session.delete("/v1/sessions/s0") as response:
                assert response.status == 404
            assert (await post(session, replace(first, session="s2")))[0] == 200
            server.sessions("ladder")._idle_s = 0.0
            assert (await post(session, replace(first, session="s3")))[0] == 200
            assert len(server.sessions("ladder")) == 1

    run(whole())


def test_a_slot_is_given_back_once_whoever_lets_go_of_it_last(place: Path) -> None:
    class Refusing(ArrivalQueue):
        def push(self, work: WaitingSteps) -> None:
            raise Hopeless

    async def whole() -> None:
        engine = FakeEngine()
        async with serving(place, engine) as server:
            first = Request("ladder", "twin", 0, tuple(STEPS[0][:1]), FACTS, 3e4)
            twins = [server.sessions("ladder").decide(first, time.monotonic()) for _ in range(2)]
            one, other = await asyncio.gather(*twins)
            assert facts(one) == facts(other) == alone(STEPS[0])[0]
            server.sessions("ladder").end("twin")
            assert len(engine.closed) == 1
            server._desks["ladder"].counter.batcher.queue = Refusing()
            with pytest.raises(Hopeless):
                await server.sessions("ladder").decide(replace(first, session="kept"), time.monotonic())
            server.sessions("ladder").end("kept")  # what keeps its steps has not begun yet
            await until(lambda: not server.sessions("ladder")._working)
        assert len(engine.closed) == 2

    run(whole())


def test_slots_of_sessions_that_are_over_but_in_a_forward_are_no_fault_of_the_model(place: Path) -> None:
    async def whole() -> None:
        engine = FakeEngine(slots=1)
        async with serving(place, engine, Limits(sessions=1)) as server, http(place) as session:
            first = Request("ladder", "s0", 0, tuple(STEPS[0][:1]), FACTS, 3e4)
            assert (await post(session, first))[0] == 200
            held = server.sessions("ladder")._open["s0"]
            held.asking += 1
            server.sessions("ladder").end("s0")
            status, _, headers = await post(session, replace(first, session="s1"))
            assert status == 429 and int(headers["Retry-After"]) == 1
            held.asking -= 1
            server.sessions("ladder")._give_back(held)
            assert (await post(session, replace(first, session="s1")))[0] == 200

    run(whole())


def test_what_no_finite_number_can_be_made_of_never_reaches_the_model(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def whole() -> None:
        engine = FakeEngine()
        async with serving(place, engine) as server, http(place) as session:
            good = Request("ladder", "s", 0, tuple(STEPS[0][:3]), FACTS, 3e4)
            assert (await post(session, replace(good, steps=good.steps[:1])))[0] == 200
            real = server.sessions("ladder")._task.vectors_of  # type: ignore[attr-defined]

            def broken(clients: Any) -> Any:
                vectors = real(clients)
                vectors[1, 5] = np.nan  # the third step: the first is held
                return vectors

            monkeypatch.setattr(server.sessions("ladder")._task, "vectors_of", broken)
            status, body, _ = await post(session, good)
            assert (status, body["field"]) == (422, "steps[2]")
            monkeypatch.undo()
            assert (await post(session, good))[0] == 200
        assert [new for batch in engine.batches for _, new in batch] == [1, 2]

    run(whole())


def test_the_queue_is_bounded(place: Path) -> None:
    async def whole() -> None:
        engine = FakeEngine()
        async with serving(place, engine, Limits(waiting=2)) as server, http(place) as session:
            ask = [Request("ladder", f"s{n}", 0, tuple(STEPS[n][:1]), FACTS, 3e4) for n in range(3)]
            with released(engine):
                taken = [asyncio.create_task(post(session, request)) for request in ask[:2]]
                await until(lambda: len(server._desks["ladder"].asking) == 2)
                status, _, headers = await post(session, ask[2])
                assert status == 429 and int(headers["Retry-After"]) >= 1
            assert [status for status, *_ in await asyncio.gather(*taken)] == [200, 200]
            assert (await post(session, ask[2]))[0] == 200

    run(whole())


def test_a_model_that_fails_costs_one_answer_and_no_state(place: Path) -> None:
    async def whole() -> None:
        engine = FakeEngine(slots=1)
        async with serving(place, engine) as server:
            session = remote(place)
            await blocking(lambda: session.decide(STEPS[0][:2]))
            engine.fail_once = True
            with pytest.raises(ServerError, match=r"the model failed.*status 500"):
                await blocking(lambda: session.decide(STEPS[0][:3]))
            assert facts(await blocking(lambda: session.decide(STEPS[0][:4]))) == alone(STEPS[0])[3]
            assert len(server.sessions("ladder")) == 1, "its only slot was given back"

    run(whole())


def test_on_tcp_nothing_of_a_session_is_told_without_the_token() -> None:
    async def whole() -> None:
        token = "correct-horse-battery"
        server = Server([TaskEngine(TASK, FakeEngine())], token=token)
        async with listening(server, None, "127.0.0.1", 0) as url:
            address = Address.of(url)
            for wrong in (None, "wrong", f"{token}x"):
                with pytest.raises(ServerError, match=r"wrong or no token \(status 401\)"):
                    await blocking(
                        lambda t=wrong: RemoteSession(Client(address, t), TASK, FACTS, 30).decide(
                            STEPS[0][:1]
                        )
                    )
            async with aiohttp.ClientSession(url) as session:
                for path, status in (("/metrics", 401), ("/healthz", 200), ("/readyz", 200)):
                    async with session.get(path) as response:
                        assert response.status == status
            good = RemoteSession(Client(address, token), TASK, FACTS, 30)
            assert facts(await blocking(lambda: good.decide(STEPS[0][:1]))) == alone(STEPS[0])[0]

    run(whole())


def test_health_tells_what_is_served_and_metrics_count_it(place: Path) -> None:
    async def whole() -> None:
        engine = FakeEngine()
        async with serving(place, engine) as server, http(place) as session:
            asked = remote(place)
            for count in (1, 2, 6):
                await blocking(lambda n=count: asked.decide(STEPS[0][:n]))
            assert (await post(session, Request("ladder", "s", 3, tuple(STEPS[0][3:4]), None, 5e3)))[0] == 409
            at_once = Request("ladder", "t", 0, tuple(STEPS[1][:4]), FACTS, 5e3)
            assert (await post(session, at_once))[0] == 200
            with released(engine):
                status, *_ = await post(session, replace(at_once, session="late", deadline_ms=1e3))
                assert status == 504
            await until(lambda: not server._desks["ladder"].asking)
            server._desks["ladder"].counter.queue.step_time = StepTime()
            for _ in range(60):
                server._desks["ladder"].counter.queue.step_time.took(1, 100.0)
            status, body, _ = await post(session, replace(at_once, session="early"))
            assert status == 504 and body["error"].startswith("light: ")
            async with session.get("/metrics") as response:
                assert response.content_type == "text/plain"
                text = await response.text()
            told = await blocking(lambda: ask_health(Address.of(str(place)), None, 30))
        values = dict(re.findall(r"^(streambed_llm_\S+) (\S+)$", text, re.MULTILINE))
        assert float(values['streambed_llm_decisions_total{by="llm",task="ladder"}']) == 4
        assert float(values['streambed_llm_refusals_total{status="409"}']) == 1
        assert float(values["streambed_llm_steps_total"]) == 6 + 4 + 4
        assert float(values["streambed_llm_rows_total"]) == 6 + 4 + 4
        assert float(values["streambed_llm_rebuilt_steps_total"]) == 3 + 3
        assert float(values['streambed_llm_undecided_total{when="early"}']) == 1
        assert float(values['streambed_llm_undecided_total{when="late"}']) == 1
        assert float(values["streambed_llm_decision_seconds_count"]) == 4
        assert float(values["streambed_llm_sessions"]) == 4
        assert 'adapter_sha256="aaaa' in text
        assert (
            told["status"],
            told["tasks"]["ladder"]["base"],
            told["tasks"]["ladder"]["max_steps"],
            told["sessions"],
        ) == ("ok", "fake", 64, 4)

    run(whole())


def test_a_client_waits_no_longer_than_it_said_and_says_for_whom(place: Path) -> None:
    """Nobody is there, or somebody who never answers, answers drop by drop, or speaks otherwise."""

    def ask(deadline_s: float) -> str:
        with pytest.raises(ServerError) as fault:
            RemoteSession(Client(Address.of(str(place))), TASK, FACTS, deadline_s).decide(STEPS[0][:1])
        assert str(fault.value).startswith(f"policy server {place}: ") and "\n" not in str(fault.value)
        return str(fault.value)

    assert "No such file" in ask(30)

    async def whole() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                for letter in b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b" " * 100_000:
                    writer.write(bytes([letter]))
                    await writer.drain()
                    await asyncio.sleep(0.005)
            writer.close()

        async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")  # who closes sooner may break the request off
            writer.write(b"220 mail ready\r\n")
            await writer.drain()
            await asyncio.sleep(0.2)
            writer.close()

        for how, deadline_s, said in (
            (silent, 0.1, "no answer within"),
            (dripping, 0.1, "no answer within"),
            (other, 30.0, "220 mail ready"),
        ):
            async with await asyncio.start_unix_server(how, place):
                assert said in await blocking(lambda s=deadline_s: ask(s))
            place.unlink(missing_ok=True)

    run(whole())


def test_a_server_that_came_first_keeps_its_place(place: Path) -> None:
    async def whole() -> None:
        async with serving(place):
            with pytest.raises(ServeError, match="a server listens there already"):
                async with listening(Server([TaskEngine(TASK, FakeEngine())]), place):
                    pass
            assert facts(await blocking(lambda: remote(place).decide(STEPS[0][:1]))) == alone(STEPS[0])[0]

    run(whole())


def test_a_clients_kept_connection_that_went_stale_is_replaced(place: Path) -> None:
    async def whole() -> None:
        session = remote(place)
        async with serving(place):
            await blocking(lambda: session.decide(STEPS[0][:1]))
        async with serving(place):
            assert facts(await blocking(lambda: session.decide(STEPS[0][:2]))) == alone(STEPS[0])[1]

    run(whole())


def test_an_address_is_a_path_or_a_url() -> None:
    assert str(Address.of("unix:/run/x.sock")) == "/run/x.sock"
    assert Address.of("http://10.0.0.1:8090") == Address(None, "10.0.0.1", 8090)
    assert Address.of("http://[::1]:80").host == "::1"
    for wrong in ("", "https://h:1", "http://h", "http://h:99999", "http://h:1/path", "ftp://x"):
        with pytest.raises(ValueError, match="expected a socket's path or http://HOST:PORT"):
            Address.of(wrong)
