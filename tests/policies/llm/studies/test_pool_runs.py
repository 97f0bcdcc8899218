"""Studies of many adaptations: shares of a pool, what is kept of each run, what they come to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies.llm.__main__ import main
from policies.llm.learning import pool
from policies.llm.studies import pool_runs
from policies.llm.tasks.ladder.task import TASK

TINY = ("--base", "scratch:2x64:1", "--rank", "4", "--hidden", "16", "--batch", "2", "--steps", "2")
QUICK = ("--validation-sessions", "2", "--seeds", "1,2")


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "pool"
    words = ["--policy", "robustmpc", "--traces", "4g[0:12]", "--sessions", "20", "--explore", "0"]
    assert main(["collect", *words, "--out", str(folder), "--json"]) == 0
    return folder


def test_a_larger_share_holds_the_smaller_ones(collected: Path, tmp_path: Path) -> None:
    whole, _ = pool.read(collected, TASK)
    shares = [pool_runs.shared_out(collected, tmp_path, TASK, percent, seed=3) for percent in (10.0, 50.0)]
    few, some = (pool.read(folder, TASK)[0] for folder in shares)
    assert [len(each) for each in (few, some, whole)] == [2, 10, 20]
    held = {each.tobytes() for each in some.vectors}
    assert all(each.tobytes() in held for each in few.vectors)
    other = pool.read(pool_runs.shared_out(collected, tmp_path, TASK, 50.0, seed=4), TASK)[0]
    assert {each.tobytes() for each in other.vectors} != held
    assert pool_runs.shared_out(collected, tmp_path, TASK, 100.0, seed=3) == collected


def test_the_interval_draws_seeds_and_sessions() -> None:
    def mean(gains: Mapping[str, Any]) -> float:
        return float(gains["a"].mean())

    rows = [{"score": value, "gains": {"a": [value] * 4}} for value in (0.0, 1.0, 2.0)]
    found = pool_runs.scores_of(rows, mean)
    assert (found.mean, found.seeds) == (1.0, 3)
    assert found.low < 0.5 and found.high > 1.5
    alone = pool_runs.scores_of([{"score": 1.0, "gains": {"a": [0.0, 2.0]}}], mean)
    assert alone.low == 0.0 and alone.high == 2.0


def test_what_one_run_has_more_is_paired_by_seed_and_session() -> None:
    rows = [{"score": 3.0 + seed, "gains": {"a": [1.0 + seed, 5.0 + seed]}} for seed in (0, 9)]
    other = [{"score": 2.5 + seed, "gains": {"a": [0.5 + seed, 4.5 + seed]}} for seed in (0, 9)]
    found = pool_runs.scores_of(pool_runs.less_than(rows, other), lambda gains: float(gains["a"].mean()))
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)


def test_efficiency_runs_what_is_missing_and_draws_it(
    collected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["efficiency", "--pool", str(collected), "--out", str(tmp_path), *TINY, *QUICK, "--layers", "2"]
    words += ["--percent", "10,100", "--only", "pretrained,frozen"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "| pretrained |" in out and "| pretrained - frozen |" in out and "10 % (2 sessions)" in out
    assert (tmp_path / "efficiency.png").stat().st_size > 0
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert len(lines) == 2 * 2 * 2  # kinds, shares, seeds
    (tmp_path / "results.jsonl").write_text(
        "\n".join(lines[:-1]) + "\n"
    )  # killed before the last was told of
    monkeypatch.setattr("policies.llm.studies.pool_runs.RESAMPLES", 10)
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [run["key"] for run in said["runs"]].count("frozen-100-2-2") == 1
    assert np.isfinite([point["mean"] for point in said["scores"]["frozen"]]).all()
    again = (tmp_path / "results.jsonl").read_text().splitlines()
    assert again[:-1] == lines[:-1]
    mine, before = (json.loads(each[-1]) for each in (again, lines))
    assert mine["gains"] == before["gains"]  # its folder had its last step


def test_results_of_another_run_are_not_mixed_in(
    collected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["layers", "--pool", str(collected), "--out", str(tmp_path), *TINY, *QUICK, "--layers", "1"]
    assert main([*words, "--enough", "2"]) == 0
    capsys.readouterr()
    assert main([*words, "--enough", "2", "--rank", "8"]) == 2
    assert "was run with shape" in capsys.readouterr().err


def test_layers_are_run_at_equal_and_at_sufficient_steps(
    collected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["layers", "--pool", str(collected), "--out", str(tmp_path), *TINY, *QUICK, "--layers", "1,2"]
    assert main([*words, "--enough", "4"]) == 0
    out = capsys.readouterr().out
    assert "| layers | equal steps | sufficient steps | the last quarter brought | seconds |" in out
    steps = [json.loads(line)["steps"] for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert sorted(steps) == [2] * 4 + [4] * 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["efficiency", "--only", "tiny"], "there are pretrained, random, frozen, scratch"),
        (["layers", "--steps", "9", "--enough", "3"], "--enough 3"),
        (["efficiency", "--percent", "1,200"], "at most 100 %"),
    ],
)
def test_what_makes_no_study_is_refused(
    words: list[str], said: str, collected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main([*words, "--pool", str(collected), "--out", str(tmp_path)])
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    assert status == 2
    assert said in capsys.readouterr().err
