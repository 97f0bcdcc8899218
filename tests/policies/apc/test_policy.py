"""The policy `apc`: who decides, what the model is told of, and what happens where it is not there."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from player.policy import Decision, Served
from player.qoe import QoE
from player.record import ChunkRow
from player.registry import load_policy
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from policies.apc import __main__ as command
from policies.apc.light import Light
from policies.apc.policy import APC, BY_LIGHT
from policies.apc.router import Router
from policies.apc.scheduler import Always, RandomShare
from policies.apc.study.lockstep import mean_qoe, play
from policies.apc.study.starts import StudyStart
from policies.genet.policy import Genet
from policies.hindsight.policy import Hindsight
from policies.llm.engine.engine import Engine
from policies.llm.model.tiny import tiny_adapter
from policies.llm.serving.batch_by_deadline import DeadlineQueue
from policies.llm.serving.desks import Limits
from policies.llm.serving.protocol import BY_LLM
from policies.llm.tasks.ladder.policy import NetLLM
from policies.llm.tasks.ladder.task import TASK
from tests.support.llm_server_fakes import (
    TRACES,
    VIDEO,
    FakeEngine,
    FakeInfo,
    blocking,
    released,
    run,
    serving,
)

CHUNKS = 24


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_adapter(TASK, tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without anybody's server."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def session(policy: APC | NetLLM, number: int = 0, chunks: int = CHUNKS) -> tuple[ChunkRow, ...]:
    rows, _ = simulate(
        VIDEO, TRACES[number], policy, seed=number, qoe=QoE(), link=PublishedLink(), chunks=chunks
    )
    return rows


def apc(adapter: Path, scheduler: str = "random", **more: object) -> APC:
    return APC(adapter=str(adapter), scheduler=scheduler, **{"server": "none", **more})  # type: ignore[arg-type]


class Notes:
    """A policy that decides as another, and has a model that is asked at every chunk say what it would."""

    def __init__(self, leads: APC, model: NetLLM) -> None:
        self._leads, self._model = leads, model
        self.said: list[int] = []

    def reset(self, video: object, seed: int, qoe: QoE) -> None:
        self._leads.reset(video, seed, qoe)  # type: ignore[arg-type]
        self._model.reset(video, seed, qoe)  # type: ignore[arg-type]

    def select(self, observation: object) -> Decision:
        self.said.append(self._model.select(observation).level)  # type: ignore[arg-type]
        return self._leads.select(observation)  # type: ignore[arg-type]


def test_the_model_decides_as_if_it_had_been_asked_every_time(adapter: Path, here: Path) -> None:
    """Chunks that the light policy decided are in its cache when it is asked again."""
    for number in range(len(TRACES)):
        both = Notes(apc(adapter, share=0.3), NetLLM(server="none", adapter=str(adapter)))
        rows = session(both, number)[1:]  # type: ignore[arg-type]
        by = Counter(row.by for row in rows)
        assert by[BY_LLM] >= 3 and by[BY_LIGHT] >= 8
        asked = [row.by == BY_LLM for row in rows]
        assert any(not before and now for before, now in itertools.pairwise(asked))
        for row, level in zip(rows, both.said, strict=True):
            assert row.by == BY_LIGHT or row.level == level
        assert len(set(both.said)) > 1


def test_the_extremes_are_the_two_policies(adapter: Path, here: Path) -> None:
    alone = [row.level for row in session(NetLLM(server="none", adapter=str(adapter)), 2)]
    assert [row.level for row in session(apc(adapter, "always"), 2)] == alone
    light = [row.level for row in session(Genet(), 2)]  # type: ignore[arg-type]
    assert [row.level for row in session(apc(adapter, "never"), 2)] == light != alone


def test_the_record_says_who_and_why(adapter: Path, here: Path) -> None:
    rows = session(apc(adapter, "rule", light="robustmpc"), 1)[1:]
    assert {row.by for row in rows} <= {BY_LLM, BY_LIGHT}
    for row in rows:
        assert row.reason.startswith(("hard: ", "still hard: ") if row.by == BY_LLM else "easy: ")
        assert ("Mbit/s" in row.reason) == (row.by == BY_LIGHT)


def test_what_it_is_asked_for_is_checked(adapter: Path, tmp_path: Path) -> None:
    for more, fault in (
        ({"scheduler": "best"}, "rule, learned"),
        ({"budget_ms": 0.0}, "budget_ms"),
        ({"light": "nobody"}, "unknown name"),
        ({"thresholds": str(tmp_path / "none.json")}, "No such file"),
        ({"scheduler": "random", "share": 2.0}, "share 2"),
    ):
        with pytest.raises(ValueError, match=fault):
            apc(adapter, **{"scheduler": "rule", **more})
    loaded = load_policy(f"apc:light=bba:scheduler=random:share=0.3:server=none:adapter={adapter}")
    assert loaded.parameters["share"] == 0.3 and isinstance(loaded.policy, Served)
    assert loaded.weights_sha256 == NetLLM(adapter=str(adapter)).weights_sha256
    assert apc(adapter, "rule").weights_sha256 != loaded.weights_sha256


def test_the_light_policy_is_one_for_the_ladder(adapter: Path, here: Path) -> None:
    """GENET, which knows no other than the published one, leaves others to Hindsight."""
    policy = apc(adapter, "never")
    for video, light in ((VIDEO, Genet()), (load_video("uhd"), Hindsight()), (VIDEO, Genet())):
        alone, _ = simulate(video, TRACES[1], light, qoe=QoE(), link=PublishedLink(), chunks=12, seed=0)
        mine, _ = simulate(video, TRACES[1], policy, qoe=QoE(), link=PublishedLink(), chunks=12, seed=0)
        assert [row.level for row in mine] == [row.level for row in alone]


def test_a_run_starts_one_server_for_both(adapter: Path, here: Path) -> None:
    mine = APC(adapter=str(adapter), scheduler="random").server()
    assert mine is not None and mine == NetLLM(adapter=str(adapter)).server()


def test_without_a_server_the_light_policy_decides_and_says_so(adapter: Path, here: Path) -> None:
    path = here / "gone.sock"
    policy = apc(adapter, "always", server=str(path))
    rows = session(policy, 1)[1:]
    assert [row.level for row in rows] == [row.level for row in session(Genet(), 1)][1:]  # type: ignore[arg-type]
    assert all(row.by == BY_LIGHT and "No such file" in row.reason for row in rows)
    assert policy._router.price > 10.0


def test_a_server_that_stands_still_costs_a_budget_and_no_more(adapter: Path, here: Path) -> None:
    async def play_there() -> None:
        engine = FakeEngine()
        engine.info = FakeInfo(adapter_sha256=NetLLM(adapter=str(adapter)).weights_sha256)
        async with serving(here / "s.sock", engine):
            policy = apc(adapter, "always", server=str(here / "s.sock"), budget_ms=60.0)
            with released(engine):
                rows = await blocking(lambda: session(policy, 1, chunks=6))
            assert all(row.by == BY_LIGHT and "but policy server" in row.reason for row in rows[1:])
            rows = await blocking(
                lambda: session(apc(adapter, "always", server=str(here / "s.sock"), budget_ms=30_000.0))
            )
            assert all(row.by == BY_LLM for row in rows[1:])

    run(play_there())


def test_a_busy_server_refuses_at_once_and_takes_the_steps_in_later(adapter: Path, here: Path) -> None:
    """Its forwards take far longer than the budget; what was refused is in its cache all the same."""

    async def play_there() -> None:
        engine = FakeEngine()
        engine.info = FakeInfo(adapter_sha256=NetLLM(adapter=str(adapter)).weights_sha256)
        queues: list[DeadlineQueue] = []

        def make(sessions: object) -> DeadlineQueue:
            queues.append(DeadlineQueue(budget_s=0.2))
            for _ in range(50):
                queues[0].step_time.took(1, 1.0)
            return queues[0]

        async with serving(here / "s.sock", engine, queue=make) as server:
            policy = apc(adapter, "always", server=str(here / "s.sock"), budget_ms=200.0)
            rows = await blocking(lambda: session(policy, 1, chunks=2))
            assert rows[1].by == BY_LIGHT and "light: it would take" in rows[1].reason
            while sum(steps for batch in engine.batches for _, steps in batch) < 2:
                await asyncio.sleep(0.01)
            assert queues[0].refused >= 1 and len(server.sessions("ladder")) == 1

    run(play_there())


def test_a_budget_makes_a_queue_with_deadlines() -> None:
    assert isinstance(Limits(budget_s=0.1).queue(lambda: 1), DeadlineQueue)
    assert isinstance(Limits().queue(lambda: 1), DeadlineQueue)
    assert not isinstance(Limits(budget_s=None).queue(lambda: 1), DeadlineQueue)


def test_side_by_side_is_as_alone(adapter: Path, here: Path) -> None:
    engine = Engine(TASK, adapter, device="cpu", slots=3, threads=1)
    starts = [StudyStart(trace, VIDEO, seed=number) for number, trace in enumerate(TRACES)]
    played = play(
        engine, starts, lambda: Router(Light("robustmpc"), RandomShare(0.5)), together=2, chunks=CHUNKS
    )
    for number in range(len(TRACES)):
        rows = session(apc(adapter, share=0.5, light="robustmpc"), number)
        values = QoE().per_chunk(
            [row.level for row in rows], [row.stall_s for row in rows], VIDEO.ladder_kbps
        )
        assert played.qoe[number] == pytest.approx(np.mean(values))
        assert played.by_llm[number] == np.mean([row.by == BY_LLM for row in rows[1:]])
    assert sum(played.asked_steps) <= len(TRACES) * CHUNKS
    always = play(engine, starts, lambda: Router(Light("bba"), Always()), together=3, chunks=CHUNKS)
    assert (always.by_llm == 1.0).all() and sum(always.asked_steps) == len(TRACES) * CHUNKS


def test_train_sweep_and_test_go_together(
    adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ("--adapter", str(adapter), "--threads", "1")
    out, light = tmp_path / "out", ("--light", "bba")
    train = (
        "train",
        *model,
        *light,
        "--traces",
        "fcc[300:306]",
        "--chunks",
        "16",
        "--out",
        str(out),
        "--json",
    )
    assert command.main(train) == 0
    first = json.loads(capsys.readouterr().out)
    kept = json.loads((out / "candidates.json").read_text())
    (out / "candidates.json").unlink()
    assert command.main(train) == 0  # from what was collected
    assert json.loads(capsys.readouterr().out) == first
    (out / "bba.moments.npz").unlink()
    assert command.main(train) == 0  # and from nothing
    assert json.loads(capsys.readouterr().out) == first
    assert json.loads((out / "candidates.json").read_text()) == kept
    assert first["decisions"] == 6 * 15 and 0.0 < first["agree"] < 1.0
    for name in ("rule", "learned"):
        monkeypatch.setattr(f"policies.apc.{name}.SHIPPED", tmp_path / f"{name}.json")
    sweep = (
        "sweep",
        *model,
        *light,
        "--traces",
        "fcc[340:342]",
        "--candidates",
        str(out),
        "--write",
        "--json",
    )
    assert command.main(sweep) == 0
    report = json.loads(capsys.readouterr().out)
    assert (out / "sweep-bba.png").stat().st_size > 10_000
    arms = {each["name"]: each for each in report["arms"]}
    assert arms["llm only"]["llm_share"] == 1.0 and arms["bba only"]["llm_share"] == 0.0
    assert arms["bba only"]["delay_ms"] < arms["random 0.5"]["delay_ms"] < arms["llm only"]["delay_ms"]
    assert command.main(["test", *model, *light, "--traces", "fcc[345:347]", "--scheduler", "learned"]) in (
        0,
        2,
    )


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["sweep", "--candidates", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "train" in err
    assert command.main(["bench", "--light", "nobody", "--sessions", "1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_routing_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["bench", "--sessions", "1", "--scheduler", "rule", "random", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["schedulers"]
    assert [row["scheduler"] for row in rows] == ["rule", "random"] and rows[0]["decisions"] == 47


def test_mean_qoe_is_that_of_the_record(adapter: Path) -> None:
    from player.simulated.session import SimulatedSession

    played = SimulatedSession(VIDEO.first(4), PublishedLink().open(TRACES[1], 1, 0), 60_000.0)
    for level in (0, 3, 5, 1):
        played.fetch(Decision(level), played.wait())
    values = QoE().per_chunk([0, 3, 5, 1], [row.stall_s for row in played.rows], VIDEO.ladder_kbps)
    assert mean_qoe(played, QoE()) == pytest.approx(np.mean(values))
    assert mean_qoe(played, QoE(), last=1) == pytest.approx(values[-1])
    branch = played.branch()
    assert branch.rows == played.rows and branch.buffer is not played.buffer
