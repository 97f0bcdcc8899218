"""A second task of ten lines: collected, adapted, served beside another, decided the same whichever way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import torch

from policies.llm import task as tasks
from policies.llm.__main__ import main
from policies.llm.engine.engine import Engine
from policies.llm.head import Choice, Pointer, Regression, Trajectory, from_json, to_json
from policies.llm.learning import pool
from policies.llm.learning.adaptation import TARGET_SHARES, Adaptation
from policies.llm.learning.course import Batch, Imitation
from policies.llm.learning.pool import BY_POLICY, Experience
from policies.llm.learning.settings import DISTILL, RETURN, LearningSettings
from policies.llm.modality import OPTIONS, SCALAR, Modality
from policies.llm.model import heads
from policies.llm.model.adapter import AdapterError, read
from policies.llm.model.shape import Shape
from policies.llm.model.tiny import save, tiny_adapter, tiny_base, tiny_model
from policies.llm.serving.client import Address, Client, RemoteSession
from policies.llm.serving.conversation import ServerError
from policies.llm.serving.desks import TaskEngine
from policies.llm.serving.fields import number
from policies.llm.serving.local import LocalSession
from policies.llm.serving.serve import ServeError, asked_tasks, listening
from policies.llm.serving.server import Server
from policies.llm.task import Task, TaskError, Vectors, names, task_named
from policies.llm.tasks.ladder.task import TASK as LADDER
from policies.llm.tasks.ladder.wire import VideoStep
from tests.support.llm_server_fakes import FACTS, observations

SESSIONS, STEPS = 40, 6


class Larger(Task):
    """Whether this number is larger than the mean of those before it."""

    name = "larger"
    modalities = (Modality("numbers", SCALAR, (2,)),)
    head = Choice(2)

    def features(self, step: float, past: Any, context: Any, target: float | None = None) -> Vectors:
        return np.array([step, sum(past) / max(len(past), 1)], np.float32)

    def after(self, past: Any, step: float) -> Any:
        return (*past, step)

    def load_step(self, given: Any, where: str, index: int) -> float:
        return number(given, where, -10.0, 10.0)


TOY = Larger()


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    tasks.register(TOY)
    yield
    tasks._MADE.pop(TOY.name)


def numbers(seed: int) -> list[float]:
    return [float(each) for each in np.random.default_rng(seed).normal(size=STEPS)]


def collect(folder: Path) -> Path:
    """Sessions of random numbers, with what should be said of each."""
    vectors = np.zeros((SESSIONS, STEPS, TOY.width), np.float32)
    for session in range(SESSIONS):
        past: Any = TOY.empty
        for place, step in enumerate(numbers(session)):
            vectors[session, place] = TOY.features(step, past, {})
            past = TOY.after(past, step)
    right = (vectors[:, :, 0] > vectors[:, :, 1]).astype(np.int8)
    scores = np.where(np.arange(2) == right[:, :, None], 4.0, -4.0).astype(np.float32)
    rewards, kinds = np.zeros((SESSIONS, STEPS), np.float32), np.full(SESSIONS, BY_POLICY, np.int8)
    folder.mkdir()
    pool.write_part(folder / "all.npz", Experience(vectors, right, rewards, scores, kinds))
    pool.write_manifest(folder, {"parts": ["all.npz"]}, TOY)
    return folder


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that was taught the toy by the command."""
    folder = tmp_path_factory.mktemp("toy")
    tasks.register(TOY)
    words = ["adapt", "--task", TOY.name, "--pool", str(collect(folder / "pool"))]
    words += ["--base", str(tiny_base(folder / "base")), "--layers", "2", "--rank", "4", "--hidden", "16"]
    words += ["--steps", "120", "--lr", "0.01", "--check-every", "40", "--out", str(folder / "out"), "--json"]
    assert main(words) == 0
    return folder / "out"


def test_a_run_whose_task_has_no_world_to_play_in_goes_on(
    adapted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = adapted.parent
    words = ["adapt", "--task", TOY.name, "--pool", str(folder / "pool"), "--base", str(folder / "base")]
    words += ["--layers", "2", "--rank", "4", "--hidden", "16", "--lr", "0.01", "--check-every", "40"]
    assert main([*words, "--steps", "120", "--out", str(adapted)]) == 0
    out, err = capsys.readouterr()
    assert "going on from step 120" in out + err
    assert "score it" not in out, "the task has no such command"


def test_words_of_the_task_are_asked_of_the_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "stall" in LADDER.prompt and not TOY.prompt
    assert main(["adapt", "--task", TOY.name, "--pool", "p", "--out", "o", "--task-prompt"]) == 2
    assert "the task larger has no prompt of its own; give one" in capsys.readouterr().err


def test_it_learns_the_task(adapted: Path) -> None:
    log = [json.loads(line) for line in (adapted / "log.jsonl").read_text().splitlines()]
    assert log[-1]["best"] > 0.85
    assert read(adapted, TOY).task == "larger"


def test_alone_in_a_batch_in_one_pass_and_through_the_server_it_says_the_same(
    adapted: Path, tmp_path: Path
) -> None:
    engine = Engine(TOY, adapted, device="cpu", slots=8, dtype="float32")
    sessions = [numbers(1000 + place) for place in range(4)]
    alone = [_alone(engine, steps) for steps in sessions]
    assert {value for values in alone for value in values} == {0, 1}
    together = [engine.open() for _ in sessions]
    vectors = [_vectors(steps) for steps in sessions]
    outputs = [
        engine.forward([(slot, each[step : step + 1]) for slot, each in zip(together, vectors, strict=True)])
        for step in range(STEPS)
    ]
    assert [list(row) for row in np.stack(outputs).argmax(-1).T] == alone
    at_once = [engine.open() for _ in sessions]
    last = engine.recompute(list(zip(at_once, vectors, strict=True)))
    assert last.argmax(-1).tolist() == [values[-1] for values in alone]
    for slot in (*together, *at_once):
        engine.close(slot)
    assert asyncio.run(_served(engine, tmp_path, sessions)) == alone


def _vectors(steps: list[float]) -> Vectors:
    past: Any = TOY.empty
    rows = []
    for step in steps:
        rows.append(TOY.features(step, past, {}))
        past = TOY.after(past, step)
    return np.stack(rows)


def _alone(engine: Engine, steps: list[float]) -> list[int]:
    session = LocalSession(engine, TOY, {})
    values = [session.decide(steps[: held + 1]).value for held in range(len(steps))]
    session.end()
    return values


async def _served(engine: Engine, folder: Path, sessions: list[list[float]]) -> list[list[int]]:
    """What a server that has `ladder`, too, says of all sessions, asked at once."""
    other = Engine(LADDER, tiny_adapter(LADDER, folder / "ladder"), device="cpu", slots=2)
    server = Server([TaskEngine(TOY, engine), TaskEngine(LADDER, other)])
    async with listening(server, folder / "s.sock") as where:
        address = Address.of(where)
        asked = [asyncio.to_thread(_ask, address, steps) for steps in sessions]
        level = asyncio.to_thread(_ask_ladder, address)
        *values, answered = await asyncio.gather(*asked, level)
        assert answered in range(6)
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(where)) as http:
            health = await (await http.get("http://server/healthz")).json()
            assert set(health["tasks"]) == {"larger", "ladder"}
            wrong = {
                "task": "chess",
                "session": "x",
                "from": 0,
                "deadline_ms": 1.0,
                "context": {},
                "steps": [1],
            }
            refused = await http.post("http://server/v1/decide", json=wrong)
            assert refused.status == 422
            assert (await refused.json())["error"] == 'task: "chess"; this server has ladder, larger'
            del wrong["task"]
            refused = await http.post("http://server/v1/decide", json=wrong)
            assert (await refused.json())["error"] == "task: missing; this server has ladder, larger"
    return values


def _ask(address: Address, steps: list[float]) -> list[int]:
    session = RemoteSession(Client(address), TOY, {}, 30.0)
    values = [session.decide(steps[: held + 1]).value for held in range(len(steps))]
    session.end()
    return values


def _ask_ladder(address: Address) -> int:
    session = RemoteSession(Client(address), LADDER, FACTS, 30.0)
    answer = session.decide([VideoStep.of(observations(0)[0])])
    session.end()
    assert isinstance(answer.value, int)
    return answer.value


def test_what_adapters_leave_as_it_is_lies_in_memory_once(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    engines = []
    for task, seed in ((LADDER, 1), (TOY, 2)):
        folder = tmp_path / task.name
        save(task, tiny_model(task, base, seed), folder)
        engines.append(Engine(task, folder, device="cpu", slots=1, dtype="float32"))
    first, second = (engine._runner._layers[0] for engine in engines)  # type: ignore[attr-defined]
    same = {name for name in first if first[name] is second[name]}
    assert {"gate_up", "down", "before", "after", "output"} <= same and "qkv" not in same


def test_a_step_out_of_its_bounds_is_named(adapted: Path, tmp_path: Path) -> None:
    async def asks() -> None:
        server = Server([TaskEngine(TOY, Engine(TOY, adapted, device="cpu", slots=1))])
        async with listening(server, tmp_path / "s.sock") as where:
            session = RemoteSession(Client(Address.of(where)), TOY, {}, 30.0)
            with pytest.raises(ServerError, match=r"steps\[0\]: 11.0; expected a number from -10 to 10"):
                await asyncio.to_thread(session.decide, [11.0])

    asyncio.run(asks())


def test_an_adapter_says_its_task_and_another_refuses_it_by_name(adapted: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="made for the task larger, not for ladder; name one for it"):
        Engine(LADDER, adapted)
    with pytest.raises(AdapterError, match="made for the task ladder, not for larger"):
        read(LADDER.shipped, TOY)
    with pytest.raises(AdapterError, match="none is shipped for the task larger; make one with"):
        read(None, TOY)
    with pytest.raises(ServeError, match="ladder stands twice"):
        asked_tasks(["ladder", "ladder=x"], None)
    with pytest.raises(ServeError, match="of which task"):
        asked_tasks(["ladder", "larger"], tmp_path)
    assert asked_tasks(["ladder", f"larger={adapted}"], None) == {LADDER: None, TOY: adapted}


def test_an_unknown_task_and_a_command_that_it_has_not_cost_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = f"task 'chess'; there are {', '.join(names())}"  # others' tests may have made some known
    with pytest.raises(TaskError, match=known):
        task_named("chess")
    for words, said in (
        (["adapt", "--task", "chess", "--pool", "p", "--out", "o"], known),
        (
            ["controls", "--task=larger"],
            "the task larger has no command controls; it has prepare, adapt, serve, explain, efficiency,"
            " layers, generalist",
        ),
    ):
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert (out, err) == ("", f"python -m policies.llm: {said}\n")


@pytest.mark.parametrize("words", [["adapt", "--pool", "p", "--out", "o"], ["serve"], ["test"]])
def test_a_task_that_is_gone_says_what_took_its_place(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--task", "abr"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "task 'abr': there is none any more, it chose among six levels alone; ladder plays any" in err


def test_folders_of_a_task_that_is_gone_say_what_took_its_place(tmp_path: Path) -> None:
    folder = tiny_adapter(LADDER, tmp_path / "made")
    said = json.loads((folder / "adapter.json").read_text())
    (folder / "adapter.json").write_text(json.dumps(said | {"task": "abr"}))
    with pytest.raises(AdapterError, match="made for the task abr, not for ladder: there is none any more"):
        read(folder, LADDER)
    pool.write_manifest(tmp_path, {"parts": []}, LADDER)
    facts = json.loads((tmp_path / pool.MANIFEST).read_text())
    for older in (facts | {"task": "abr"}, {key: value for key, value in facts.items() if key != "task"}):
        (tmp_path / pool.MANIFEST).write_text(json.dumps(older))
        with pytest.raises(
            pool.PoolError, match="a pool of the task abr, not of ladder: there is none any more"
        ):
            pool.read(tmp_path, LADDER)


class Told(Larger):
    """The same, told the return that is asked for."""

    name = "told"
    modalities = (Modality("numbers", SCALAR, (3,)),)

    def features(self, step: float, past: Any, context: Any, target: float | None = None) -> Vectors:
        return np.append(super().features(step, past, context), np.float32(target or 0.0))

    def course(self, facts: Mapping[str, Any]) -> Returning:
        return Returning(self, facts)


class Returning(Imitation):
    """Imitates what was taken, told the return that followed it."""

    objectives = (DISTILL, RETURN)
    return_at = 2

    def loss(self, objective: str, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        taken = torch.nn.functional.one_hot(batch.answers, 2) * 9.0
        return heads.loss(self._task.head, outputs, taken if objective == RETURN else batch.scores)


def test_frozen_weights_stay_and_the_return_that_followed_is_told(tmp_path: Path) -> None:
    told = Told()
    held, _ = pool.read(collect(tmp_path / "pool"), TOY)
    vectors = np.concatenate((held.vectors, np.zeros((SESSIONS, STEPS, 1), np.float32)), -1)
    rewards = np.random.default_rng(0).normal(size=(SESSIONS, STEPS)).astype(np.float32)
    pool.write_part(tmp_path / "pool" / "all.npz", replace(held, vectors=vectors, rewards=rewards))
    pool.write_manifest(tmp_path / "pool", {"parts": ["all.npz"]}, told)
    base = tiny_base(tmp_path / "base")
    settings = LearningSettings(steps=8, batch=4, check_every=2, warmup=2, objective=RETURN)
    shape = Shape(str(base), 2, rank=4, hidden=16)
    run = Adaptation(told, shape, tmp_path / "pool", tmp_path / "out", settings, lambda text: None)
    before = {name: each.clone() for name, each in run.model.llm.named_parameters()}
    assert run._batch().vectors[:, :, 2].std() > 0
    returns = run.experience.returns_to_go()
    assert np.allclose(returns[:, -1], run.experience.rewards[:, -1] / (STEPS - 1), atol=1e-5)
    report = run.go()
    assert report["target"] in [share * run.best_return for share in TARGET_SHARES]
    for name, each in run.model.llm.named_parameters():
        assert torch.equal(before[name], each) != ("lora_" in name), name
    assert read(tmp_path / "out", told).target == report["target"]
    assert Engine(told, tmp_path / "out", device="cpu").info.target == report["target"]


def test_a_pool_of_another_task_is_refused(tmp_path: Path) -> None:
    folder = collect(tmp_path / "pool")
    with pytest.raises(pool.PoolError, match="a pool of the task larger, not of ladder"):
        pool.read(folder, LADDER)


# ---- heads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [Choice(3), Pointer("stages", 5), Regression(2), Trajectory(4, 3)])
def test_a_head_is_what_its_json_says(head: Any) -> None:
    assert from_json(json.loads(json.dumps(to_json(head)))) == head


@pytest.mark.parametrize("held", [{"kind": "choice", "options": 0}, {"kind": "poem"}, {"kind": "choice"}])
def test_what_is_no_head_is_refused(held: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_json(held)


class Pick(Task):
    """Which of up to five options has the most of its second attribute."""

    name = "pick"
    modalities = (Modality("stages", OPTIONS, (5, 2)),)
    head = Pointer("stages", 5)

    def features(self, step: Any, past: Any, context: Any, target: float | None = None) -> Vectors:
        rows = np.zeros((5, 2), np.float32)
        rows[: len(step)] = [[1.0, worth] for worth in step]
        return rows.reshape(-1)

    def load_step(self, given: Any, where: str, index: int) -> Any:
        return given


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_pointer_chooses_among_the_options_that_are_there(tmp_path: Path, kind: str) -> None:
    pick = Pick()
    engine = Engine(pick, tiny_adapter(pick, tmp_path, kind), device="cpu", slots=4, dtype="float32")
    sessions = [[[0.3]], [[0.1, 2.0], [0.2, 0.1, 0.4]], [[1.0, 2.0, 3.0, 4.0, 5.0]]]
    work = [(engine.open(), np.stack([pick.features(step, (), {}) for step in steps])) for steps in sessions]
    together = engine.forward(work)
    for (_, vectors), output, steps in zip(work, together, sessions, strict=True):
        decided = pick.answer(output, vectors[-1])
        assert decided.value < len(steps[-1])
        assert (decided.margin is None) == (len(steps[-1]) == 1), "no second best, no margin"
        assert (output[len(steps[-1]) :] <= heads.ABSENT).all() and np.isfinite(output).all()
        alone = engine.open()
        assert np.allclose(engine.forward([(alone, vectors)])[0], output, atol=1e-4)
        engine.close(alone)


def test_a_step_without_an_option_is_refused() -> None:
    with pytest.raises(ValueError, match="the task pick: a step without an option"):
        Pick().answer(np.full(5, heads.ABSENT, np.float32), np.zeros(10, np.float32))


def test_a_pointer_learns_what_the_options_are_and_not_their_places() -> None:
    torch.manual_seed(0)
    pick = Pick()
    network = heads.network(pick.head, pick.modalities, 8)
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    random = np.random.default_rng(0)
    for _ in range(150):
        options = [random.random(random.integers(1, 6)).tolist() for _ in range(32)]
        steps = torch.from_numpy(np.stack([pick.features(each, (), {}) for each in options]))
        taught = (
            torch.nn.functional.one_hot(torch.tensor([int(np.argmax(each)) for each in options]), 5) * 9.0
        )
        loss = heads.loss(pick.head, network(torch.ones(32, 8), steps), taught)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    fresh = [random.random(random.integers(2, 6)).tolist() for _ in range(200)]
    steps = torch.from_numpy(np.stack([pick.features(each, (), {}) for each in fresh]))
    right = network(torch.ones(200, 8), steps).argmax(-1).numpy() == [int(np.argmax(each)) for each in fresh]
    assert right.mean() > 0.9


def test_a_regression_learns_its_spread_and_a_trajectory_its_moments() -> None:
    taught = torch.tensor([[1.0, -2.0]])
    right, wide = torch.tensor([[1.0, -2.0, -1.0, -1.0]]), torch.tensor([[1.0, -2.0, 2.0, 2.0]])
    wrong = torch.tensor([[3.0, -2.0, -1.0, -1.0]])
    of = lambda outputs: heads.loss(Regression(2), outputs, taught).item()  # noqa: E731
    assert of(right) < of(wide) < of(wrong)
    path = torch.zeros(1, 12)
    assert (
        heads.loss(Trajectory(4, 3), path, path).item()
        == 0.0
        < heads.loss(Trajectory(4, 3), path + 1.0, path).item()
    )
