"""What a batch is fed, and which requests it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np
import pytest

from policies.llm.serving.batch_by_deadline import DeadlineQueue
from policies.llm.serving.batcher import Batcher, Forwarded, NotFinite
from policies.llm.task import NextSteps, Vectors
from tests.support.llm_server_fakes import FakeEngine, released, run, until

WIDTH = FakeEngine().info.feature_width


def asked(*steps: float) -> NextSteps:
    return NextSteps(steps, (), None)


class Filling:
    """Makes a row of each number; notes how many sessions were asked for at a time."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, asked: Sequence[NextSteps]) -> list[Vectors]:
        self.asked.append(len(asked))
        if any("broken" in each.steps for each in asked):
            raise ValueError("no number")
        return [
            np.full((len(each.steps), WIDTH), np.array(each.steps)[:, None], np.float32) for each in asked
        ]


class Reading(DeadlineQueue):
    """Reads on as long as there is something, however slow the machine."""

    def reads_until_s(self) -> float:
        return np.inf


def opened(batcher: Batcher) -> int:
    """A slot of its engine, of one task."""
    engine = batcher._engine
    assert isinstance(engine, FakeEngine)
    return engine.open()


async def together(
    batcher: Batcher, engine: FakeEngine, sessions: Sequence[NextSteps]
) -> list[Forwarded | BaseException]:
    """What each gets, all in one batch."""
    slots = [opened(batcher) for _ in sessions]
    with released(engine):
        engine.go.clear()
        busy = asyncio.create_task(batcher.forward(opened(batcher), asked(0.0), time.monotonic() + 60))
        await asyncio.sleep(0.05)
        waiting = [
            asyncio.create_task(batcher.forward(slot, each, time.monotonic() + 60))
            for slot, each in zip(slots, sessions, strict=True)
        ]
        await asyncio.sleep(0)
    await busy
    return await asyncio.gather(*waiting, return_exceptions=True)


def test_a_batch_is_filled_by_one_call_and_each_gets_its_own() -> None:
    async def whole() -> None:
        engine, filling = FakeEngine(), Filling()
        async with Batcher(engine, DeadlineQueue(budget_s=60.0), filling) as batcher:
            got = await together(batcher, engine, [asked(1.0), asked(2.0, 3.0), asked(4.0)])
        assert filling.asked == [1, 3]
        assert [each.vector[0] for each in got] == [1.0, 3.0, 4.0]  # type: ignore[union-attr]
        assert [each.batch for each in got] == [3, 3, 3]  # type: ignore[union-attr]

    run(whole())


@pytest.mark.parametrize(
    ("bad", "fault", "calls"), [(np.nan, NotFinite, [1, 3]), ("broken", ValueError, [1, 3, 1, 1, 1])]
)
def test_what_cannot_be_fed_harms_nobody_else(bad: object, fault: type[Exception], calls: list[int]) -> None:
    async def whole() -> None:
        engine, filling = FakeEngine(), Filling()
        async with Batcher(engine, DeadlineQueue(budget_s=60.0), filling) as batcher:
            sessions = [asked(1.0), NextSteps((2.0, bad), (), None), asked(3.0)]
            one, other, third = await together(batcher, engine, sessions)
        assert filling.asked == calls
        assert isinstance(other, fault) and (not isinstance(other, NotFinite) or other.place == 1)
        assert isinstance(one, Forwarded) and isinstance(third, Forwarded)
        assert [each.vector[0] for each in (one, third)] == [1.0, 3.0] and one.batch == 2

    run(whole())


def test_a_batch_of_which_nothing_can_be_fed_asks_nothing_of_the_engine() -> None:
    async def whole() -> None:
        engine = FakeEngine()
        async with Batcher(engine, DeadlineQueue(), Filling()) as batcher:
            with pytest.raises(NotFinite):
                await batcher.forward(opened(batcher), asked(np.inf), time.monotonic() + 60)
        assert engine.batches == []

    run(whole())


def test_what_lies_in_the_sockets_is_read_before_a_batch_is_taken() -> None:
    """Requests whose turn in the event loop comes a little after the first is due."""

    async def whole() -> None:
        async with Batcher(FakeEngine(slots=4), Reading(gather_s=0.0), Filling()) as batcher:

            async def later(turns: int) -> Forwarded:
                for _ in range(turns):
                    await asyncio.sleep(0)
                return await batcher.forward(opened(batcher), asked(1.0), time.monotonic() + 60)

            got = await asyncio.gather(*(later(turns) for turns in (0, 2, 4, 6)))
        assert [each.batch for each in got] == [4] * 4

    run(whole())


class FakeAhead(FakeEngine):
    """Takes the next forward's steps while it is at one."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Sequence[tuple[int, Vectors]]] = []
        self.most_out = 0

    def send(self, work: Sequence[tuple[int, Vectors]]) -> None:
        self.sent.append(work)
        self.most_out = max(self.most_out, len(self.sent))

    def receive(self) -> Vectors:
        answer = self.forward(self.sent[0])
        del self.sent[0]
        return answer


def test_a_batch_that_gains_nothing_by_waiting_goes_ahead() -> None:
    async def whole() -> None:
        engine = FakeAhead()
        async with Batcher(engine, Reading(budget_s=60.0, largest=2), Filling()) as batcher:
            slots = [opened(batcher) for _ in range(5)]
            with released(engine):
                waiting = []
                for slot in slots:
                    until_s = time.monotonic() + 60.0
                    waiting.append(asyncio.create_task(batcher.forward(slot, asked(float(slot)), until_s)))
                    await asyncio.sleep(0.02)
            got = await asyncio.gather(*waiting)
        assert [each.vector[0] for each in got] == [float(slot) for slot in slots]
        assert [len(batch) for batch in engine.batches] == [1, 2, 2]
        assert engine.most_out == 2

    run(whole())


def test_an_engine_that_fails_ahead_fails_its_own_batch_alone() -> None:
    async def whole() -> None:
        engine = FakeAhead()
        async with Batcher(engine, Reading(budget_s=60.0, largest=1), Filling()) as batcher:
            slots, until_s = [opened(batcher) for _ in range(3)], time.monotonic() + 60.0
            with released(engine):
                engine.fail_once = True
                waiting = []
                for slot in slots:
                    waiting.append(asyncio.create_task(batcher.forward(slot, asked(1.0), until_s)))
                    await asyncio.sleep(0.02)
            got = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(each, Forwarded) for each in got] == [False, True, True]

    run(whole())


def test_a_fault_of_ours_after_a_forward_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Reading):
        def took(self, batch: Sequence[object], seconds: float) -> None:
            raise ZeroDivisionError("nobody foresaw it")

    async def whole() -> None:
        async with Batcher(FakeEngine(), Broken(budget_s=60.0), Filling()) as batcher:
            asking = asyncio.create_task(
                batcher.forward(opened(batcher), asked(1.0), time.monotonic() + 60.0)
            )
            await until(lambda: not batcher.alive)
            asking.cancel()

    run(whole())
    assert "nobody foresaw it" in caplog.text
