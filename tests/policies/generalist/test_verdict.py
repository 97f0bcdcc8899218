"""What may be claimed from made-up rows: ties, what is behind, what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from policies.generalist import rows as files
from policies.generalist.plan import SEEDS, Run
from policies.generalist.rows import Rows, RowsError, RunRow, TaskRow
from policies.generalist.scores import interval, less
from policies.generalist.table import lines
from policies.generalist.verdict import generalist, transfer

TASKS = ("a", "b")
NOISE = np.random.default_rng(0).normal(size=12)


def task_row(task: str) -> TaskRow:
    return TaskRow(task, "points", "line", {"x": [0, 0, *range(1, 11)]}, {"x": 1.0}, "p" * 12, None)


def run_row(run: Run, task: str, gains: Sequence[float]) -> RunRow:
    return RunRow(
        run.setup, run.backbone, run.tasks, task, run.seed, run.percent, run.sources, {"x": list(gains)},
        float(np.mean(gains)), 10, 0.1, 100, 1.0,
    )  # fmt: skip


def study(more: Mapping[str, float], seeds: Sequence[int] = SEEDS, leave: str = "") -> Rows:
    """Rows in which shared has so much more than own, and transfer than frozen random weights."""
    found = []
    for seed in seeds:
        for task in TASKS:
            other = tuple(each for each in TASKS if each != task)
            base = NOISE + 0.1 * seed
            found.append(run_row(Run("own", "pretrained", (task,), seed), task, base))
            shared = Run("shared", "pretrained", TASKS, seed)
            found.append(run_row(shared, task, base + more[task] + 0.01 * NOISE[::-1]))
            for percent in (1.0, 10.0):
                frozen = Run("own", "frozen-random", (task,), seed, percent)
                moved = Run("transfer", "pretrained", (task,), seed, percent, other)
                found.append(run_row(frozen, task, base))
                found.append(run_row(moved, task, base + more[task]))
    kept = tuple(row for row in found if not leave or leave not in row.run.key)
    return Rows({task: task_row(task) for task in TASKS}, kept)


def test_within_in_all_tasks_is_claimed_a_tie_too() -> None:
    assert generalist(study({"a": 0.0, "b": 0.5})).word == "claimed"
    exact = Rows(
        {"a": task_row("a"), "b": task_row("b")},
        tuple(
            run_row(run, task, NOISE)
            for seed in SEEDS
            for task in TASKS
            for run in (Run("own", "pretrained", (task,), seed), Run("shared", "pretrained", TASKS, seed))
        ),
    )
    found = generalist(exact)
    assert found.word == "claimed"
    assert all((each.found.low, each.found.high) == (0.0, 0.0) for each in found.findings if each.found)


def test_one_task_behind_refuses_the_claim() -> None:
    found = generalist(study({"a": 0.5, "b": -0.5}))
    assert found.word == "not claimed"
    assert "b behind -0.5" in str(found) and "a ahead" in str(found)


def test_what_is_missing_leaves_it_open_and_is_said() -> None:
    found = generalist(study({"a": 0.0, "b": 0.0}, seeds=(1, 3)))
    assert found.word == "open" and "seeds 2 missing" in str(found)
    assert generalist(study({"a": 0.0, "b": 0.0}, leave="shared")).word == "open"
    assert generalist(Rows({}, ())).word == "open"
    assert generalist(Rows({"a": task_row("a")}, ())).word == "open", "one task shares nothing"
    early = generalist(study({"a": -0.5, "b": 0.0}, seeds=(1,)))
    assert early.word == "open", "one seed refuses nothing"


def test_transfer_is_claimed_where_it_is_ahead_everywhere() -> None:
    assert transfer(study({"a": 0.5, "b": 0.5})).word == "claimed"
    assert transfer(study({"a": 0.5, "b": 0.0})).word == "not claimed", "a tie beats nothing"
    assert transfer(study({"a": 0.5, "b": 0.5}, leave="-10-2")).word == "open"
    assert "b at 10 % ahead" in str(transfer(study({"a": 0.5, "b": 0.5})))


def test_intervals_draw_whole_clusters_and_pair_by_seed() -> None:
    task = task_row("a")
    two = TaskRow("a", "", "line", {"x": [0] * 6 + [1] * 6}, {"x": 1.0}, "", None)
    gains = [{"x": [0.0] * 6 + [1.0] * 6}]
    clustered, alone = interval(gains, two), interval(gains, task)
    assert (clustered.low, clustered.high) == (0.0, 1.0) and alone.high - alone.low < 1.0
    both = less({1: {"x": [2.0]}, 2: {"x": [5.0]}}, {2: {"x": [4.0]}, 3: {"x": [0.0]}})
    assert both == [{"x": [1.0]}]
    weighted = TaskRow("a", "", "", {"x": [0], "y": [0]}, {"x": 0.25, "y": 0.75}, "", None)
    assert interval([{"x": [4.0], "y": [0.0]}], weighted).mean == 1.0


def test_a_table_of_some_rows_says_by_how_many_seeds() -> None:
    said = "\n".join(lines(study({"a": 0.0, "b": 0.0}, seeds=(1, 2))))
    assert "(2) |" in said and "| shared, random | - | - |" in said and "12 sessions of 11 lines" in said


def test_rows_come_back_as_they_were_and_strange_ones_are_refused(tmp_path: Path) -> None:
    held = study({"a": 0.1, "b": 0.2})
    for place, row in enumerate(held.runs):
        files.write(tmp_path, f"{place}", [held.tasks[row.task], row])
    again = files.read(tmp_path)
    assert set(again.tasks) == {"a", "b"} and len(again.runs) == len(held.runs)
    assert str(generalist(again)) == str(generalist(held))
    path = tmp_path / files.FOLDER / "0.jsonl"
    path.write_text('{"row": "run", "setup": "own"}\n')
    with pytest.raises(RowsError, match="name rows that `generalist run` wrote"):
        files.read(tmp_path)
    path.write_text(path.read_text().replace("own", "own") + "no json\n")
    with pytest.raises(RowsError, match="name rows"):
        files.read(tmp_path)
