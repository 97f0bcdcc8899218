"""One server for several tasks with one adapter: sessions share forwards, and are answered as alone."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from policies.llm.engine.apart import EnginesApart
from policies.llm.engine.asked import AskedEngine, AskedSeveral, engines_for
from policies.llm.engine.engine import Engine
from policies.llm.engine.far_end import OneOfSeveral
from policies.llm.engine.several import SeveralEngine
from policies.llm.model.tiny import tiny_adapter, tiny_several
from policies.llm.serving.client import Address, Client, RemoteSession
from policies.llm.serving.conversation import ServerError
from policies.llm.serving.desks import Limits, TaskEngine, fill_each
from policies.llm.serving.local import LocalSession
from policies.llm.serving.serve import ServeError, asked_tasks, listening
from policies.llm.serving.server import Server
from policies.llm.task import NextSteps, Task, TaskError
from policies.llm.tasks.ladder.task import TASK as LADDER
from policies.llm.tasks.viewport.task import TASK as VIEWPORT
from tests.support.llm_server_fakes import blocking, run
from tests.support.toy_tasks import LARGER, STEPS, SUMS, TOYS, forget, know, numbers

OPTIONS: dict[str, Any] = {"device": "cpu", "dtype": "float32", "threads": 1}


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    know()
    yield
    forget()


def alone(folder: Path, task: Task, steps: Sequence[Any], context: Any) -> list[Any]:
    """What its engine says, step by step, with nobody else there."""
    session = LocalSession(Engine(task, folder, slots=2, alike=True, **OPTIONS), task, context)
    return [session.decide(steps[: count + 1]).value for count in range(len(steps))]


def served(several: SeveralEngine) -> list[TaskEngine]:
    return [TaskEngine(task, OneOfSeveral(several, several.engines[task.name].info)) for task in TOYS]


def test_sessions_of_both_tasks_share_forwards_and_are_answered_as_alone(tmp_path: Path) -> None:
    folder = tiny_several(TOYS, tmp_path)
    sessions = [(TOYS[place % 2], numbers(place)) for place in range(6)]

    async def whole() -> None:
        several = SeveralEngine(TOYS, folder, slots=8, **OPTIONS)
        server = Server(served(several), Limits(sessions=8, gather_s=0.2))
        async with listening(server, tmp_path / "s.sock"):
            address = Address.of(str(tmp_path / "s.sock"))
            clients = [RemoteSession(Client(address), task, {}, 30.0) for task, _ in sessions]
            got: list[list[Any]] = [[] for _ in sessions]
            batches = []
            for count in range(1, STEPS + 1):
                asking = [
                    blocking(lambda client=client, some=steps[:count]: client.decide(some))
                    for client, (_, steps) in zip(clients, sessions, strict=True)
                ]
                for answers, answer in zip(got, await asyncio.gather(*asking), strict=True):
                    answers.append(answer.value)
                    batches.append(answer.batch)
            assert max(batches) > 3, "of both tasks"
            assert len(server.sessions("larger")) == len(server.sessions("sums")) == 3
            assert server.facts()["tasks"].keys() == {"larger", "sums"}
            text = server.metrics.text().decode()
            assert 'streambed_llm_decisions_total{by="llm",task="sums"}' in text
            assert 'streambed_llm_forward_seconds_count{task="larger"}' in text
        expected = [alone(folder, task, steps, {}) for task, steps in sessions]
        assert got == expected

    run(whole())


def test_a_task_that_is_not_served_is_refused_in_a_line(tmp_path: Path) -> None:
    async def whole() -> None:
        several = SeveralEngine(TOYS, tiny_several(TOYS, tmp_path), slots=2, **OPTIONS)
        async with listening(Server(served(several)), tmp_path / "s.sock"):
            client = Client(Address.of(str(tmp_path / "s.sock")))
            with pytest.raises(ServerError, match=r"this server has larger, sums \(status 422\)") as refused:
                await blocking(lambda: RemoteSession(client, VIEWPORT, {}, 30.0).decide([_view()]))
            assert "\n" not in str(refused.value)

    run(whole())


def _view() -> Any:
    from policies.llm.tasks.viewport.sampled import sampled

    return sampled(0)[1][0]


def test_all_slots_are_for_all_tasks_together(tmp_path: Path) -> None:
    async def whole() -> None:
        several = SeveralEngine(TOYS, tiny_several(TOYS, tmp_path), slots=2, **OPTIONS)
        server = Server(served(several), Limits(sessions=2))
        async with listening(server, tmp_path / "s.sock"):
            address = Address.of(str(tmp_path / "s.sock"))
            held = [RemoteSession(Client(address), task, {}, 30.0) for task in (LARGER, SUMS)]
            for session in held:
                await blocking(lambda session=session: session.decide([1.0]))
            with pytest.raises(ServerError, match="sessions are taken"):
                await blocking(lambda: RemoteSession(Client(address), SUMS, {}, 30.0).decide([1.0]))
            await blocking(held[0].end)
            third = RemoteSession(Client(address), SUMS, {}, 30.0)
            assert (await blocking(lambda: third.decide([1.0]))).steps == 1

    run(whole())


def test_the_engine_s_process_holds_several_tasks(tmp_path: Path) -> None:
    tasks = (LADDER, VIEWPORT)
    folder = tiny_several(tasks, tmp_path / "both")
    other = tiny_adapter(VIEWPORT, tmp_path / "one")
    asked = engines_for(dict.fromkeys(tasks, folder), {**OPTIONS, "slots": 3})
    assert [type(each) for each in asked] == [AskedSeveral] and asked[0].tasks == tasks
    apart = engines_for({LADDER: folder, VIEWPORT: other}, OPTIONS)
    assert [type(each) for each in apart] == [AskedEngine, AskedEngine]
    context, steps = VIEWPORT.sample(0)
    with EnginesApart(asked) as process:
        _, view = process.loaded()
        assert [task.name for task in process.tasks] == ["ladder", "viewport"]
        session = LocalSession(view, VIEWPORT, context)
        said = [session.decide(steps[: count + 1]).value for count in range(len(steps))]
        session.end()
    assert said == alone(folder, VIEWPORT, steps, context)


def test_an_adapter_of_several_tasks_is_served_with_all_of_them_or_those_that_are_named(
    tmp_path: Path,
) -> None:
    folder = tiny_several(TOYS, tmp_path)
    assert asked_tasks(None, folder) == {LARGER: folder, SUMS: folder}
    assert asked_tasks(["sums"], folder) == {SUMS: folder}
    assert asked_tasks([f"sums={folder}", "ladder"], None) == {SUMS: folder, LADDER: None}
    with pytest.raises(ServeError, match="of which task"):
        asked_tasks([f"sums={folder}", "ladder"], folder)
    with pytest.raises(TaskError, match="there are"):
        asked_tasks(["summs"], folder)
    args = argparse.Namespace(task=None, adapter=folder)
    assert asked_tasks(args.task, args.adapter).keys() == {LARGER, SUMS}


def test_vectors_of_several_tasks_are_made_by_each_task() -> None:
    asked = [NextSteps([1.0], task.empty, {}, None, task) for task in (SUMS, LARGER, SUMS)]
    assert [each.shape for each in fill_each(asked)] == [(1, 3), (1, 2), (1, 3)]
