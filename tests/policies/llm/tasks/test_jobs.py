"""The task `jobs`: steps, vectors, wire, answers, and the policy beside the engine."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from player.jobs.observation import JobsObservation
from player.jobs.policy import Assignment, CompiledJobsRule
from player.jobs.settings import ClusterSettings
from player.jobs.simulated.episode import Episode
from player.jobs.simulated.playing import play_jobs, play_together
from player.jobs.simulated.rule_steps import FAIR
from player.jobs.simulated.state import SEED
from policies.jobs.release import Release
from policies.llm.__main__ import main
from policies.llm.engine.engine import Engine
from policies.llm.learning import pool
from policies.llm.modality import CHILD, GRAPH_COLUMNS, GROUP, LEVEL, OPEN, THERE
from policies.llm.model import adapter
from policies.llm.model.tiny import save, tiny_adapter, tiny_base, tiny_model
from policies.llm.serving.client import Address, Client, RemoteSession
from policies.llm.serving.conversation import Conversation
from policies.llm.serving.fields import FieldError
from policies.llm.serving.local import LocalSession
from policies.llm.serving.protocol import load_request
from policies.llm.serving.serve import listening
from policies.llm.serving.server import Server, TaskEngine
from policies.llm.task import task_named
from policies.llm.tasks.jobs.layout import COLUMNS
from policies.llm.tasks.jobs.play import EngineDrives, Moment, label_of, play, play_engine
from policies.llm.tasks.jobs.policy import NetLLM
from policies.llm.tasks.jobs.seen import JobsMemory, step_of
from policies.llm.tasks.jobs.task import TASK
from policies.llm.tasks.jobs.teacher import TaughtBy, drives_of
from policies.llm.tasks.jobs.vectors import (
    NOBODY,
    PLACES,
    ROWS,
    SHARES,
    WIDTH,
    counts_of,
    may_idle,
    share_of,
    vector_of,
)
from policies.llm.tasks.jobs.wire import MOST_STAGES, Given, JobsContext, JobStep, Previous
from policies.llm.tasks.viewport.task import TASK as VIEWPORT
from traces.jobs.generator import member

CONTEXT = JobsContext(50)
STEP = JobStep(
    (10, 0, 4), (30.0, 1.0, 0.0), (100.0, 4.0, 25.0), (0, 0, 0, 1, 2), (40, 200, 10, 8, 5),
    (2500.0, 30.0, 10.0, 500.0, 5000.0), (1, 0, 0, 1, 1), (1, 0, 0, 1, 1), ((0, 1), (1, 2), (0, 2)), 0, 6,
    Previous(3, 25.0, 2.5),
)  # fmt: skip


def seen_of(stages: int, **changed: Any) -> JobsObservation:
    """Stages of jobs of four, each waiting for the one before it but the first."""
    place = np.arange(stages)
    jobs = -(-stages // 4)
    first = place % 4 == 0
    known: dict[str, Any] = {
        "now_s": 100.0,
        "job": place // 4,
        "left": np.full(stages, 10),
        "duration_ms": np.full(stages, 100.0) * (1 + place // 4),
        "ready": first,
        "begins": first,
        "edges": np.stack([place[~first] - 1, place[~first]], axis=1),
        "supply": np.ones(jobs, np.int64),
        "age_s": np.arange(jobs, 0, -1.0),
        "source": -1,
        "free": 7,
        "executors": 50,
    }
    return JobsObservation(**known | changed)


def moments(episode: Episode, most: int) -> list[Moment]:
    """The first decisions of an episode by the rule."""
    found: list[Moment] = []
    memory, rule = JobsMemory(), Release()
    while not episode.over and len(found) < most:
        seen = episode.observation()
        step = memory.step(seen)
        found.append(Moment(0, seen, step, vector_of(step.step, CONTEXT)))
        answer = rule.schedule(seen)
        memory.gave(seen, answer)
        episode.give(answer)
    return found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_adapter(TASK, tmp_path_factory.mktemp("jobs") / "adapter")


@pytest.fixture(scope="module")
def steps() -> list[Moment]:
    return moments(Episode(member(40_000, 8), ClusterSettings(), 0), 90)


# ---- vectors -------------------------------------------------------------------------------------


def test_a_vector_by_hand() -> None:
    vector = vector_of(STEP, CONTEXT)
    assert vector.shape == (WIDTH,) == (TASK.width,)
    cluster = vector[PLACES["cluster"]]
    assert cluster[:7] == pytest.approx([6 / 50, 0.3, 3 / 20, 0.05, 1.0, 0.0, 14 / 50])
    assert cluster[7:] == pytest.approx([np.log(130) / 10, 3 / 50, np.log(26) / 8, np.log(3.5) / 4])
    table = vector[PLACES["stages"]].reshape(ROWS, COLUMNS)
    assert table[:, THERE].tolist() == [1.0] * 6 + [0.0] * (ROWS - 6)
    assert (table[6:] == 0.0).all()
    assert table[:6, GROUP].tolist() == [3.0, 0.0, 0.0, 0.0, 1.0, 2.0]
    assert table[:6, OPEN].tolist() == [0.0, 1.0, 0.0, 0.0, 1.0, 1.0], "nobody may not: the source can take"
    assert table[:6, LEVEL].tolist() == [0.0, 2.0, 1.0, 0.0, 0.0, 0.0]
    assert table[:6, CHILD : CHILD + 3].tolist() == [[0] * 3, [3, 4, 0], [4, 0, 0], [0] * 3, [0] * 3, [0] * 3]
    own = table[1, GRAPH_COLUMNS:]
    assert own[:5] == pytest.approx([6 / 50, 1.0, 10 / 50, 0.2, 1.0])
    assert own[5:] == pytest.approx([1.0, np.log1p(2500) / 8, 10 / 50, np.log(101) / 8, np.log(31) / 8])
    assert table[4, GRAPH_COLUMNS : GRAPH_COLUMNS + 3] == pytest.approx([6 / 50, -1.0, 0.0])


def test_shares_are_numbers_below_all_and_all() -> None:
    counts, allowed = counts_of(6, 50)
    assert counts[allowed].tolist() == [1, 2, 3, 4, 5, 6] and counts[-1] == 6
    assert counts_of(50, 50)[0].tolist() == [*range(1, 11), 12, 14, 17, 20, 24, 29, 35, 42, 50]
    few, able = counts_of(5, 5)
    assert few[able].tolist() == [1, 2, 3, 4, 5], "each number once"
    assert share_of(6, 6, 50) == share_of(20, 6, 50) == len(SHARES) - 1
    assert share_of(4, 6, 50) == 3 and share_of(13, 50, 50) == 11 and share_of(45, 50, 50) == 17
    shares = vector_of(STEP, CONTEXT)[PLACES["shares"]].reshape(len(SHARES), -1)
    assert shares[:, 0].tolist() == [1.0] * 5 + [0.0] * 13 + [1.0]
    assert shares[2] == pytest.approx([1.0, 3 / 64, 3 / 50, 0.5]) and (shares[7] == 0.0).all()


def test_nobody_may_idle_where_something_will_happen() -> None:
    assert not may_idle(STEP)
    assert may_idle(dataclasses.replace(STEP, ready=(0, 0, 0, 1, 1))), "the source can take none"
    assert may_idle(dataclasses.replace(STEP, source=-1))
    assert not may_idle(dataclasses.replace(STEP, source=-1, supply=(0, 0, 0))), "nobody works"
    assert not may_idle(dataclasses.replace(STEP, ready=(0, 0, 0, 1, 1), supply=(6, 0, 0)))


@pytest.mark.parametrize("index", [40_010, 40_011, 40_012])
def test_who_idles_wherever_nobody_may_be_chosen_is_never_stuck(index: int) -> None:
    episode, random = (
        Episode(member(index, 15), ClusterSettings(executors=8), 0),
        np.random.default_rng(index),
    )
    idle = 0
    while not episode.over:
        seen = episode.observation()
        step = step_of(seen, None).step
        nobody = may_idle(step)
        idle += nobody
        stage = int(random.choice(np.flatnonzero(seen.ready)))
        episode.give(Assignment(None if nobody else stage, int(random.integers(1, seen.free + 1))))
    assert not episode.stuck and idle > 5


def test_a_step_says_nothing_of_what_is_to_come() -> None:
    """Jobs that come later, and durations that were not drawn yet, change no number."""
    whole = member(40_020, 9)
    short, long = Episode(whole.first(4), ClusterSettings(), 0), Episode(whole, ClusterSettings(), 0)
    other = Episode(member(40_020, 9).first(4), ClusterSettings(), 1)
    long.state.whole[SEED] = short.state.whole[SEED]
    until_s = float(whole.arrivals_ms[4]) / 1000.0
    ones, twos = moments(short, 400), moments(long, 400)
    before = [one for one in ones if one.seen.now_s < until_s]
    assert len(before) > 20
    for one, two in zip(before, twos, strict=False):
        assert np.array_equal(one.vector, two.vector)
    first = moments(other, 1)[0]
    assert np.array_equal(first.vector, ones[0].vector), "another draw of all durations"


def test_children_beyond_three_are_those_with_the_longest_ways() -> None:
    edges = ((0, 1), (0, 2), (0, 3), (0, 4), (4, 3))
    step = JobStep(
        (1,), (0.0,), (1.0,), (0,) * 5, (1,) * 5, (1.0,) * 5, (1, 0, 0, 0, 0), (1, 0, 0, 0, 0), edges, -1, 1,
        None,
    )  # fmt: skip
    table = vector_of(step, CONTEXT)[PLACES["stages"]].reshape(ROWS, COLUMNS)
    assert table[1, CHILD:GRAPH_COLUMNS].tolist() == [6.0, 3.0, 4.0] and table[1, LEVEL] == 2.0


# ---- more than a step tells of ------------------------------------------------------------------


def test_of_too_many_stages_those_that_can_take_executors_are_told_first() -> None:
    seen = seen_of(4 * 60, source=59)
    made = step_of(seen, None)
    assert len(made.kept) == MOST_STAGES == len(made.step.job)
    assert set(np.flatnonzero(seen.ready)) <= set(made.kept.tolist()), "all 60 that are ready"
    others = [int(stage) for stage in made.kept if not seen.ready[stage]]
    assert set(others) == {*range(237, 240), *(stage for stage in range(172) if stage % 4)}, (
        "the source's job whole, then those with the least work"
    )
    assert made.step.source == 59 and made.step.work_s[59] == pytest.approx(4 * 10 * 6.0)
    assert all(made.step.job[parent] == made.step.job[child] for parent, child in made.step.edges)
    assert vector_of(made.step, CONTEXT)[PLACES["stages"]].reshape(ROWS, COLUMNS)[:, THERE].all()
    assert TASK.load_step(json.loads(json.dumps(TASK.dump_step(made.step))), "steps[0]", 0) == made.step
    chosen = made.assignment(Given(int(np.flatnonzero(made.kept == 236)[0]), 3), "llm")
    assert chosen == Assignment(236, 3, "llm")


def test_jobs_of_which_nothing_is_told_are_left_out() -> None:
    seen = seen_of(4 * 200, source=-1)
    made = step_of(seen, None)
    assert len(made.step.supply) == MOST_STAGES == len(made.step.job) and max(made.step.job) == 191
    assert all(made.step.ready) and made.step.source == -1


# ---- the wire -------------------------------------------------------------------------------------


def test_a_step_passes_the_wire_exactly(steps: list[Moment]) -> None:
    for moment in steps[::10]:
        said = json.loads(json.dumps(TASK.dump_step(moment.step.step)))
        assert TASK.load_step(said, "steps[0]", 0) == moment.step.step
        assert np.array_equal(TASK.features(moment.step.step, (), CONTEXT), moment.vector)
    assert len(json.dumps(said)) < 4000, "lists, no padding"
    body = Conversation("here", TASK, CONTEXT).says([steps[5].step.step], 50.0)
    assert load_request(body, {"jobs": TASK}).steps == (steps[5].step.step,)
    for value in (Given(None, 0), Given(7, 12)):
        assert TASK.load_value(json.loads(json.dumps(TASK.dump_value(value))), "answer") == value


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda said: said.pop("jobs"), "steps[0].jobs"),
        (lambda said: said["jobs"].update(supply=[]), "steps[0].jobs.supply"),
        (lambda said: said["jobs"]["age_s"].pop(), "steps[0].jobs.age_s"),
        (lambda said: said["jobs"].update(more=[1]), "steps[0].jobs.more"),
        (lambda said: said["stages"]["job"].__setitem__(4, 3), "steps[0].stages.job[4]"),
        (lambda said: said["stages"].update(left=[1] * 193), "steps[0].stages.left"),
        (lambda said: said["stages"].update(job=[0] * 193), "steps[0].stages.job"),
        (lambda said: said["stages"]["duration_ms"].__setitem__(0, -1.0), "steps[0].stages.duration_ms[0]"),
        (lambda said: said["stages"].update(ready=[0] * 5), "steps[0].stages.ready"),
        (lambda said: said["stages"]["begins"].__setitem__(1, True), "steps[0].stages.begins[1]"),
        (lambda said: said["edges"].append([0, 5]), "steps[0].edges[3][1]"),
        (lambda said: said["edges"].append([0, 4]), "steps[0].edges[3]"),
        (lambda said: said["edges"].append([2, 0]), "steps[0].edges"),
        (lambda said: said["edges"].append([1]), "steps[0].edges[3]"),
        (lambda said: said.update(edges=[[0, 1]] * 577), "steps[0].edges"),
        (lambda said: said.update(source=3), "steps[0].source"),
        (lambda said: said.update(free=0), "steps[0].free"),
        (lambda said: said["previous"].pop("gap_s"), "steps[0].previous.gap_s"),
        (lambda said: said.update(previous=[]), "steps[0].previous"),
    ],
)
def test_what_is_wrong_is_named(change: Any, field: str) -> None:
    said = json.loads(json.dumps(TASK.dump_step(STEP)))
    change(said)
    with pytest.raises(FieldError) as refused:
        TASK.load_step(said, "steps[0]", 0)
    assert refused.value.field == field


def test_contexts_and_answers_are_checked() -> None:
    assert TASK.load_context(TASK.dump_context(CONTEXT)) == CONTEXT
    TASK.check([STEP], CONTEXT)
    with pytest.raises(FieldError, match=r"steps\[1\]\.free: 6; the cluster has 5 executors"):
        TASK.check([dataclasses.replace(STEP, free=2), STEP], JobsContext(5))
    for given in ({"executors": 0}, {"executors": 5, "more": 1}, None):
        with pytest.raises(FieldError):
            TASK.load_context(given)
    for given in (
        {"stage": 192, "executors": 1},
        {"stage": 0, "executors": 0},
        {"stage": True, "executors": 1},
    ):
        with pytest.raises(FieldError):
            TASK.load_value(given, "answer")


# ---- answers ---------------------------------------------------------------------------------------


def test_the_best_stage_and_the_median_of_its_shares() -> None:
    vector = vector_of(STEP, CONTEXT)
    output = np.full((ROWS, 1 + len(SHARES)), -1e9, np.float32)
    output[[1, 4, 5], 0] = [1.0, 3.0, 2.5]
    output[2, 0] = 9.0  # can take nobody
    output[4, [1, 2, 3, 4, 5, 19]] = np.log([0.2, 0.1, 0.25, 0.05, 0.1, 0.3])
    output[4, 8] = 5.0  # is not there
    decided = TASK.answer(output.ravel(), vector)
    assert decided.value == Given(3, 3) and decided.margin == pytest.approx(0.5)
    output[4, 19] = np.log(0.8)
    assert TASK.answer(output.ravel(), vector).value == Given(3, 6)
    output[NOBODY, 0] = 8.0
    assert TASK.answer(output.ravel(), vector).value.stage == 3, "nobody may not"
    idle = vector_of(dataclasses.replace(STEP, source=-1), CONTEXT)
    assert TASK.answer(output.ravel(), idle).value == Given(None, 0)


@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf, 1e38])
def test_an_answer_that_is_wild_is_still_legal(wild: float) -> None:
    made = TASK.answer(np.full(TASK.head.width, wild, np.float32), vector_of(STEP, CONTEXT)).value
    assert STEP.ready[made.stage] and 1 <= made.executors <= STEP.free


def test_labels_are_rows_and_shares(steps: list[Moment]) -> None:
    moment = next(each for each in steps if each.seen.free > 8)
    stage = int(np.flatnonzero(moment.seen.ready)[-1])
    assert label_of(moment, Assignment(stage, 3)) == (1.0 + stage, 2.0)
    assert label_of(moment, Assignment(stage, 99)) == (1.0 + stage, len(SHARES) - 1.0)
    nobody = 0.0 if may_idle(moment.step.step) else -1.0
    assert label_of(moment, Assignment(None)) == (nobody, -1.0)
    cut = dataclasses.replace(moment, step=dataclasses.replace(moment.step, kept=np.array([], np.int64)))
    assert label_of(cut, Assignment(stage, 3)) == (-1.0, -1.0)


# ---- the model ------------------------------------------------------------------------------------


def shuffled(step: JobStep, order: Any) -> JobStep:
    """The same stages in another order."""
    place = np.argsort(order)
    return dataclasses.replace(
        step,
        **{
            name: tuple(getattr(step, name)[stage] for stage in order)
            for name in ("job", "left", "duration_ms", "ready", "begins")
        },
        edges=tuple((int(place[parent]), int(place[child])) for parent, child in step.edges),
    )


def test_stages_in_another_order_are_answered_alike(tmp_path: Path, steps: list[Moment]) -> None:
    model = tiny_model(TASK, tiny_base(tmp_path / "base"))
    moment = max(steps, key=lambda each: len(each.step.kept))
    step = moment.step.step
    order = np.random.default_rng(1).permutation(len(step.job))
    with torch.inference_mode():
        plain = model(torch.from_numpy(moment.vector)[None, None])[0, 0].view(ROWS, -1)
        other = model(torch.from_numpy(vector_of(shuffled(step, order), CONTEXT))[None, None])[0, 0]
    moved = other.view(ROWS, -1)[1 : 1 + len(order)]
    assert moved == pytest.approx(plain[1 : 1 + len(order)][order], rel=1e-4, abs=1e-2)
    assert other.view(ROWS, -1)[NOBODY] == pytest.approx(plain[NOBODY], rel=1e-4, abs=1e-2)


def test_the_engine_decides_as_the_model_learns(tmp_path: Path, steps: list[Moment]) -> None:
    model = tiny_model(TASK, tiny_base(tmp_path / "base"))
    save(TASK, model, tmp_path / "adapter")
    model.load_learned({name: each.half() for name, each in model.learned_state().items()})  # as it is saved
    vectors = np.stack([moment.vector for moment in steps[:20]])
    with torch.inference_mode():
        whole = model(torch.from_numpy(vectors)[None])[0].numpy()
    engine = Engine(TASK, tmp_path / "adapter", device="cpu", slots=2, threads=1, dtype="float32")
    slot = engine.open()
    for vector, expected in zip(vectors, whole, strict=True):
        (found,) = engine.forward([(slot, vector[None])])
        assert found == pytest.approx(expected, rel=1e-3, abs=0.05)
        assert TASK.answer(found, vector).value.stage == TASK.answer(expected, vector).value.stage


def test_jobs_are_decided_in_company_where_other_tasks_are(tmp_path: Path, tiny: Path) -> None:
    """What a machine's arithmetic allows depends on the machine; that a task's head spoils it is a fault."""
    base = tiny_base(tmp_path / "base")
    save(VIEWPORT, tiny_model(VIEWPORT, base), tmp_path / "views")
    alike: dict[str, Any] = {"device": "cpu", "slots": 16, "threads": 1, "dtype": "float32", "alike": True}
    views = Engine(VIEWPORT, tmp_path / "views", **alike)
    assert Engine(TASK, tiny, **alike).same_together == views.same_together


def test_the_policy_answers_as_the_engine_and_together_as_alone(tiny: Path) -> None:
    sequences = [member(40_030 + number, 4) for number in range(3)]
    policy = NetLLM(server="none", adapter=str(tiny), device="cpu", dtype="float32")
    alone = [play_jobs(sequence, ClusterSettings(), policy, 0) for sequence in sequences]
    assert [one.end.decided_by for one in alone] == [{"llm": one.end.decisions} for one in alone]
    if policy.ready_together() > 1:
        together = play_together(sequences, ClusterSettings(), policy, 0)
        assert [one.rows for one in together] == [one.rows for one in alone], "to the last digit"
        assert [one.end for one in together] == [one.end for one in alone]
    engine = Engine(TASK, tiny, device="cpu", slots=3, threads=1, dtype="float32", alike=True)
    episodes = [Episode(sequence, ClusterSettings(), 0) for sequence in sequences]
    play_engine(episodes, engine)
    assert [episode.job_times_s.tolist() for episode in episodes] == [
        one.episode.job_times_s.tolist() for one in alone
    ]
    assert engine.book.free == 3


def test_a_server_answers_as_the_engine_alone(tiny: Path, steps: list[Moment], tmp_path: Path) -> None:
    engine = Engine(TASK, tiny, device="cpu", slots=8, threads=1, dtype="float32", alike=True)
    told = [moment.step.step for moment in steps[:12]]
    local = LocalSession(engine, TASK, CONTEXT)
    expected = [local.decide(told[: count + 1]) for count in range(len(told))]
    path = tmp_path / "socket"

    def ask() -> list[Any]:
        session = RemoteSession(Client(Address.of(str(path))), TASK, CONTEXT, 30.0)
        return [session.decide(told[: count + 1]) for count in range(len(told))]

    async def whole() -> list[list[Any]]:
        async with listening(Server([TaskEngine(TASK, engine)]), path):
            return await asyncio.gather(*(asyncio.to_thread(ask) for _ in range(3)))

    for answers in asyncio.run(whole()):
        assert [(each.value, each.margin) for each in answers] == [
            (each.value, each.margin) for each in expected
        ]


def test_a_long_episode_goes_on_as_a_new_session(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policies.llm.tasks.jobs.policy.LONGEST", 6)
    monkeypatch.setattr("policies.llm.tasks.jobs.policy.OVERLAP", 2)
    policy, counts = NetLLM(server="none", adapter=str(tiny), device="cpu"), []
    policy.reset(ClusterSettings(), 0)
    for stages in (4, 8, 12, 16, 8, 4, 12, 4):
        answer = policy.schedule(seen_of(stages))
        assert answer.stage is None or answer.stage % 4 == 0
        counts.append(len(policy._steps))
    assert counts == [1, 2, 3, 4, 5, 6, 3, 4]
    assert policy._steps[-1].previous is not None


def test_an_adapter_of_another_task_is_refused_by_name(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(adapter.AdapterError, match="made for the task jobs, not for viewport"):
        adapter.read(tiny, VIEWPORT)
    with pytest.raises(adapter.AdapterError, match="made for the task viewport, not for jobs"):
        NetLLM(adapter=str(tiny_adapter(VIEWPORT, tmp_path)))


# ---- learned --------------------------------------------------------------------------------------


def test_players_are_watched_by_the_teacher() -> None:
    episodes = [Episode(member(40_040, 3), ClusterSettings(), 0) for _ in range(2)]
    rule = Episode(member(40_040, 3), ClusterSettings(), 0)
    rule.play(Release().compiled_rule())
    fair = Episode(member(40_040, 3), ClusterSettings(), 0)
    fair.play(CompiledJobsRule(FAIR))
    teaches, random = TaughtBy("release", episodes), np.random.default_rng(1)
    play(episodes[:1], drives_of("itself", teaches, random), lambda moment, answer: None)
    assert episodes[0].job_times_s.tolist() == rule.job_times_s.tolist()
    play(episodes[1:], drives_of("fair", teaches, random), lambda moment, answer: None)
    assert episodes[1].job_times_s.tolist() == fair.job_times_s.tolist()
    with pytest.raises(ValueError, match="there are release, teacher, decima"):
        TaughtBy("nobody", episodes)


def test_an_engine_s_own_episodes_are_watched(tiny: Path) -> None:
    from policies.llm.tasks.jobs.collect import episodes_of

    engine = Engine(TASK, tiny, device="cpu", slots=2, threads=1, dtype="float32")
    drives = EngineDrives(engine, 2)
    sequences = [member(40_050 + number, 3) for number in range(2)]
    made = episodes_of(sequences, drives, "release", 5, 8, np.random.default_rng(2))
    assert made.vectors.shape == (5, 8, WIDTH) and made.scores.shape == (5, 8, 2) == made.answers.shape
    assert (made.answers[..., 0] >= 0.0).all() and (made.scores[..., 0] != made.answers[..., 0]).any()


def test_collect_adapt_test_and_controls_by_their_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_task, of_pool = ["--task", "jobs"], ["--pool", str(tmp_path / "pool")]
    words = ["collect", *of_task, "--traces", "tpch[40060:40062]", "--length", "4", "--sessions", "9"]
    words += ["--decisions", "8", "--out", str(tmp_path / "pool")]
    assert main([*words, "--held-out", "tpch/40061"]) == 2
    assert "tpch/40061 is one of --traces, too" in capsys.readouterr().err
    assert main([*words, "--held-out", "tpch/40070"]) == 0
    held, facts = pool.read(tmp_path / "pool", TASK)
    assert len(held) == 9 and facts["policies"] == {"itself": 3, "astray": 3, "fair": 3}
    words = ["adapt", *of_task, *of_pool, "--base", str(tiny_base(tmp_path / "base")), "--layers", "2"]
    words += ["--rank", "4", "--hidden", "16", "--batch", "4", "--steps", "6", "--check-every", "6"]
    words += ["--rounds", "1", "--round-sessions", "3", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert "s less job time than fair on held-out sequences" in capsys.readouterr().out
    of_test = ["--traces", "tpch[40080:40082]", "--length", "3"]
    assert main(["test", *of_task, "--adapter", str(tmp_path / "out"), *of_test, "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["policy"] for row in report["policies"]] == ["fair", "release", "decima", "netllm"]
    assert report["policies"][0]["less"] == [0.0, 0.0, 0.0] and report["policies"][3]["job_s"] > 0.0
    words = ["controls", *of_task, *of_pool, "--only", "scratch", "--steps", "2", "--batch", "4", *of_test]
    for _ in range(2):  # the second time nothing is run again
        assert main([*words, "--out", str(tmp_path / "controls"), "--json"]) == 0
        (run,) = json.loads(capsys.readouterr().out.splitlines()[-1])["runs"]
        assert run["control"] == "scratch" and run["job_s"] > 0.0 and run["length"] == 3


def test_the_shipped_adapter_is_the_card_s() -> None:
    assert TASK.shipped is not None
    sha256 = hashlib.sha256((TASK.shipped / "adapter.safetensors").read_bytes()).hexdigest()
    assert f"SHA-256 `{sha256[:12]}…`" in (TASK.shipped / "card.md").read_text(encoding="utf-8")
    assert sum(each.stat().st_size for each in TASK.shipped.iterdir()) < 5e6
    assert len(NetLLM(server="none").weights_sha256) == 64


def test_the_task_is_found_by_its_name() -> None:
    assert task_named("jobs") is TASK
