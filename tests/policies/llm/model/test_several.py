"""An adapter of several tasks: written, read by one of them, refused by others, decided with as alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from policies.llm.engine.contract import EngineFull
from policies.llm.engine.engine import Engine
from policies.llm.engine.several import SeveralEngine
from policies.llm.model import adapter
from policies.llm.model.adapter import AdapterError, read, tasks_of
from policies.llm.model.base import resolve
from policies.llm.model.several import SeveralModels
from policies.llm.model.shape import Shape
from policies.llm.model.tiny import tiny_base, tiny_several
from policies.llm.task import Task
from policies.llm.tasks.ladder.task import TASK as LADDER
from policies.llm.tasks.viewport.task import TASK as VIEWPORT
from tests.support.toy_tasks import LARGER, SUMS, TOYS, forget, know

KINDS = ("float32", "auto")


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    know()
    yield
    forget()


def steps(task: Task, sessions: int, count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((sessions, count, task.width)).astype(np.float32)


def test_each_task_reads_its_own_and_what_all_share(tmp_path: Path) -> None:
    folder = tiny_several(TOYS, tmp_path)
    assert tasks_of(folder) == ("larger", "sums")
    mine, other = (read(folder, task).tensors() for task in TOYS)
    shared = {name for name in mine if name.startswith("lora.")}
    assert shared and all(torch.equal(mine[name], other[name]) for name in shared)
    assert mine["head.weight"].shape != mine["encoder.mean"].shape
    assert {name.partition(".")[0] for name in mine} == {"lora", "encoder", "head"}
    assert mine["encoder.mean"].shape == (2,) and other["encoder.mean"].shape == (3,)
    assert read(folder, LARGER).sha256 == read(folder, SUMS).sha256
    assert read(folder, LARGER).among == ("larger", "sums")


def test_a_task_that_it_does_not_hold_is_refused_in_a_line(tmp_path: Path) -> None:
    folder = tiny_several(TOYS, tmp_path)
    with pytest.raises(AdapterError, match=r"made for the tasks larger, sums, not for ladder; name one"):
        read(folder, LADDER)
    held = json.loads((folder / adapter.CONFIG).read_text())
    held["shape"]["prompt"] = "sums"
    (folder / adapter.CONFIG).write_text(json.dumps(held))
    with pytest.raises(AdapterError, match="with a prompt, which is one's"):
        read(folder, LARGER)
    (folder / adapter.CONFIG).write_text(json.dumps({**held, "tasks": ["larger"]}))
    with pytest.raises(AdapterError, match="make one with") as refused:
        read(folder, LARGER)
    assert "\n" not in str(refused.value)
    assert tasks_of(folder) == ()


def test_what_is_a_task_s_own_begins_as_if_it_were_alone(tmp_path: Path) -> None:
    base = resolve(str(tiny_base(tmp_path)))
    shape = Shape(base.name, layers=2, rank=4, hidden=16)
    alone, both = (SeveralModels(base, shape, tasks, seed=3).learned_state() for tasks in ((SUMS,), TOYS))
    assert all(torch.equal(each, both[name]) for name, each in alone.items())
    assert len(both) > len(alone)
    model = SeveralModels(base, shape, TOYS, seed=4)
    model.load_learned(both)
    assert all(torch.equal(each, both[name]) for name, each in model.learned_state().items())


@pytest.mark.parametrize("dtype", KINDS)
def test_in_any_company_a_session_is_answered_as_by_its_engine_alone(tmp_path: Path, dtype: str) -> None:
    tasks = (LADDER, VIEWPORT)
    folder = tiny_several(tasks, tmp_path)
    several = SeveralEngine(tasks, folder, device="cpu", slots=6, threads=1, dtype=dtype)
    alone = {task.name: Engine(task, folder, device="cpu", dtype=dtype, alike=True) for task in tasks}
    sessions = [(task, steps(task, 1, 5, place)[0]) for place, task in enumerate((*tasks, *tasks, LADDER))]
    slots = [several.open(task.name) for task, _ in sessions]
    lone = [alone[task.name].open() for task, _ in sessions]
    for step in range(5):
        going = [place for place in range(len(sessions)) if (place + step) % 4]
        fed = [(slots[place], sessions[place][1][step : step + 1]) for place in going]
        assert [several.rows(slots[place], 1) for place in going] == [1] * len(going)
        for place, output in zip(going, several.forward(fed), strict=True):
            task, vectors = sessions[place]
            assert np.array_equal(
                output, alone[task.name].forward([(lone[place], vectors[step : step + 1])])[0]
            )


def test_tasks_have_their_slots_in_common(tmp_path: Path) -> None:
    several = SeveralEngine(TOYS, tiny_several(TOYS, tmp_path), device="cpu", slots=2)
    taken = [several.open("larger"), several.open("sums")]
    assert len(set(taken)) == 2
    with pytest.raises(EngineFull, match="all 2 slots"):
        several.open("sums")
    with pytest.raises(ValueError, match=r"expected \(1 or more, 3\)"):
        several.forward([(taken[0], steps(LARGER, 1, 1)[0]), (taken[1], steps(LARGER, 1, 1)[0])])
    several.close(taken[0])
    assert several.open("sums") == taken[0], "of another task now"
    with pytest.raises(KeyError, match="slot 7 is not open"):
        several.forward([(7, steps(SUMS, 1, 1)[0])])
