"""Many sessions that ask at once, and what `bench` makes of what they hear."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.llm.serving.client import Address
from policies.llm.serving.desks import Limits
from policies.llm.serving.local import LocalSession
from policies.llm.studies.light_clients import AskingError, Heard, ask_all
from policies.llm.studies.through_server import server_row
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import VideoStep
from tests.support.llm_server_fakes import CHUNKS, FACTS, FakeEngine, blocking, observations, run, serving

STEPS = [[VideoStep.of(seen) for seen in observations(number)] for number in range(4)]
ASKED = [(FACTS, steps) for steps in STEPS]


def test_each_session_hears_what_it_would_hear_alone_and_is_over_afterwards(tmp_path: Path) -> None:
    async def whole() -> None:
        async with serving(tmp_path / "s") as server:
            address = Address.of(str(tmp_path / "s"))
            heard = await blocking(lambda: ask_all(address, TASK, ASKED))
            assert len(server.sessions("ladder")) == 0
        for steps, answers in zip(STEPS, heard.answers, strict=True):
            alone = LocalSession(FakeEngine(), TASK, FACTS)
            assert [(each.value, each.margin) for each in answers] == [
                (each.value, each.margin) for each in (alone.decide(steps[: n + 1]) for n in range(CHUNKS))
            ]
        assert len(heard.times_ms) == 4 * CHUNKS and heard.mean_batch > 1.0
        assert heard.client_s > 0.0 and max(heard.times_ms) <= 1000.0 * heard.took_s

    run(whole())


def test_a_refusal_is_an_error_and_no_figure(tmp_path: Path) -> None:
    async def whole() -> None:
        async with serving(tmp_path / "s", limits=Limits(sessions=2)):
            with pytest.raises(AskingError, match="429 Too Many Requests"):
                await blocking(lambda: ask_all(Address.of(str(tmp_path / "s")), TASK, ASKED))

    run(whole())


def test_a_row_says_the_median_run_and_the_worst_beside_the_engine_of_the_same_run() -> None:
    def heard(per_s: int) -> Heard:
        return Heard([1.0] * per_s, [], 1.0, 0.1)

    row = server_row(2, [(100.0, heard(90)), (200.0, heard(100)), (100.0, heard(70))])
    assert (row.of_engine, row.worst_of_engine, row.decisions_per_s) == (0.7, 0.5, 90.0)
