"""`bench --tasks`: who asks, what is held against what, and what is printed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policies.llm.studies import bench_tasks
from policies.llm.studies.bench_tasks import TOGETHER, TaskServerRow
from policies.llm.studies.through_server import TimeSpread
from policies.llm.task import TaskError, task_named
from tests.support.toy_tasks import LARGER, SUMS, TOYS


def row(name: str, memory_mib: float) -> TaskServerRow:
    return TaskServerRow(name, 5, memory_mib, TimeSpread(10, 1.0, 2.0), 100.0, 2.5)


def test_tasks_take_turns_and_more_clients_play_their_sessions_again() -> None:
    sessions: dict[str, Any] = {
        task.name: [({}, [float(number)]) for number in range(bench_tasks.DIFFERENT)] for task in TOYS
    }
    asks = bench_tasks._asks(TOYS, sessions, 2 * bench_tasks.DIFFERENT + 2)
    assert [task.name for task, _, _ in asks[:4]] == ["larger", "sums", "larger", "sums"]
    assert [steps for _, _, steps in asks[:4]] == [[0.0], [0.0], [1.0], [1.0]]
    assert asks[-1][2] == asks[1][2], "from the beginning again"


def test_memory_is_held_against_the_largest_single_task_s() -> None:
    rows = [row("larger", 400.0), row("sums", 500.0), row(TOGETHER, 600.0)]
    assert bench_tasks._share(rows, ["larger", "sums"], 5) == 1.2
    report = {
        "tasks": ["larger", "sums"],
        "threads": 1,
        "load_average": 0.0,
        "random_adapter": True,
        "rows": [bench_tasks.asdict(each) for each in rows],
        "same_as_alone": {5: False},
        "memory_of_largest": {5: 1.2},
    }
    said = "\n".join(bench_tasks.lines(report))
    assert "1.20 times" in said and "ANSWERS DIFFER" in said and "| 1.0 / 2.0 |" in said


@pytest.mark.parametrize("name", ["call", "jobs", "ladder", "viewport"])
def test_every_shipped_task_has_sessions_to_try_a_server_with(name: str) -> None:
    task = task_named(name)
    context, steps = task.sample(3)
    assert len(steps) >= 8
    said = json.loads(json.dumps([task.dump_step(step) for step in steps]))
    assert [task.load_step(each, "", place) for place, each in enumerate(said)] == steps
    assert task.load_context(json.loads(json.dumps(task.dump_context(context)))) == context


def test_a_task_without_any_says_so() -> None:
    with pytest.raises(TaskError, match="has no sessions to try a server with"):
        LARGER.sample(0)
    assert SUMS.sampled == ""
