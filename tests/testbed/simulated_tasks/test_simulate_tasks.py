"""`testbed/simulate.py --task jobs|viewport`: records, what is kept, what is refused, tables, and
comparing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.__main__ import main as analysis
from player.jobs.record import JOBS_RECORD
from player.tasks.record import read_task
from player.viewport.record import VIEWPORT_RECORD
from testbed import simulate as command

JOBS = ("--task", "jobs", "--traces", "tpch[0:3]", "--length", "6")
HEADS = ("--task", "viewport", "--traces", "heads[0:2]")
MINE = """
from player.jobs.policy import Assignment

class First:
    def __init__(self, wrong_after: int = 5):
        self.wrong_after = wrong_after

    def reset(self, cluster, seed):
        self.asked = 0

    def schedule(self, observation):
        self.asked += 1
        stage = int(observation.ready.argmax())
        return Assignment(stage if self.asked <= self.wrong_after else 10_000, 4)
"""


def run(*words: str | Path) -> int:
    try:
        return command.main([str(word) for word in words])
    except SystemExit as stopped:
        assert isinstance(stopped.code, int)
        return stopped.code


def report_of(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[dict[str, Any], str]:
    capsys.readouterr()
    assert run(*words, "--json") == 0
    said = capsys.readouterr()
    return json.loads(said.out), said.err


def test_jobs_are_recorded_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*JOBS, "--policy", "fifo,sjf:cap=20", "--out", tmp_path)
    report, _ = report_of(capsys, *words)
    assert [one["policy"] for one in report["policies"]] == ["fifo", "sjf:cap=20"]
    paths = sorted(tmp_path.glob("*.jsonl"))
    assert len(paths) == 6
    records = [read_task(path, JOBS_RECORD) for path in paths if "fifo" in path.name]
    times = [np.mean([row.done_s - row.arrival_s for row in record.rows]) for record in records]  # type: ignore[operator]
    assert report["policies"][0]["job_s"] == pytest.approx(float(np.mean(times)))
    assert records[0].manifest["cluster"]["mode"] == "common" and len(records[0].rows) == 6
    before = {path: path.read_bytes() for path in paths}
    again, said = report_of(capsys, *words)
    assert again == report and "note: 6 of 6 were recorded already" in said
    assert {path: path.read_bytes() for path in paths} == before


def test_jobs_are_compared_by_sequence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, _ = report_of(capsys, *JOBS, "--policy", "fifo,fair,sqrt:c=0.7", "--out", tmp_path)
    assert analysis(["compare", str(tmp_path), "--baseline", "fair", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    fifo = next(pair for pair in found["pairs"] if pair["policy"] == "fifo")
    means = {one["policy"]: one["job_s"] for one in report["policies"]}
    assert fifo["sequences"] == 3
    assert fifo["difference"] == pytest.approx(means["fifo"] - means["fair"])
    assert fifo["ci95_by_sequence"][0] <= fifo["difference"] <= fifo["ci95_by_sequence"][1]
    assert analysis(["compare", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "paired" in said and "by sequence" in said and "sqrt:c=0.7" in said
    assert analysis(["table", str(tmp_path)]) == 2
    assert "these records are of jobs, for which there is compare" in capsys.readouterr().err


def test_viewports_are_recorded_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, _ = report_of(capsys, *HEADS, "--policy", "static,velocity,small", "--out", tmp_path)
    assert [one["windows"] for one in report["policies"]] == [2 * 20 * 14] * 3
    record = read_task(min(tmp_path.glob("*static*.jsonl")), VIEWPORT_RECORD)
    assert len(record.rows) == 20 and record.rows[0].windows == 14 == len(record.rows[0].mae)
    assert analysis(["compare", str(tmp_path), "--baseline", "static", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    verdicts = {pair["policy"]: pair["verdict"] for pair in found["pairs"]}
    assert verdicts["velocity"] == "behind"
    assert set(found["pairs"][0]) >= {"ci95_by_viewer", "ci95_by_video"}


def test_records_of_other_options_are_refused_and_damaged_ones_put_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*JOBS, "--policy", "fair", "--out", tmp_path)
    report, _ = report_of(capsys, *words)
    assert run(*words, "--executors", "40") == 2
    said = capsys.readouterr().err
    assert "is of other options: cluster.executors is 50, asked for 40" in said and said.count("\n") == 1
    damaged = min(tmp_path.glob("*.jsonl"))
    damaged.write_bytes(damaged.read_bytes()[:-40])
    again, said = report_of(capsys, *words)
    assert again == report and "played again, for its record is damaged" in said
    assert len(list(tmp_path.glob("*.damaged"))) == 1


def test_ones_own_scheduler_is_asked_and_fair_stands_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(MINE)
    report, said = report_of(capsys, *JOBS, "--policy", f"{mine}:First", "--out", tmp_path / "out")
    decided = report["policies"][0]["decided_by"]
    assert decided["policy"] == 3 * 5 and decided["fallback"] > 0
    assert "fair decided" in said and "answered stage 10000, which is not schedulable" in said
    assert run(*JOBS, "--policy", f"{mine}:First:wrong_after=0", "--out", tmp_path / "none") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*JOBS, "--policy", "nobody"), "nobody"),
        ((*JOBS, "--policy", "fair,fair"), "policy fair is given twice"),
        ((*JOBS, "--policy", "sjf:cap=0"), "cap=0: expected 1 or more"),
        ((*JOBS, "--executors", "0"), "executors=0: expected 1 to 1000"),
        (("--task", "jobs", "--traces", "4g"), "no jobs are named by '4g'"),
        (("--task", "jobs", "--traces", "tpch/0", "tpch[0:2]"), "tpch/0 is named twice"),
        (("--task", "viewport", "--traces", "nothing"), "no recordings are named by 'nothing'"),
        (("--task", "viewport", "--earlier", "/nowhere"), "/nowhere: no recordings"),
    ],
)
def test_mistakes_cost_a_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    assert run(*words, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert said in error and error.strip().count("\n") == 0


def test_records_of_two_tasks_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report_of(capsys, *JOBS, "--policy", "fair", "--out", tmp_path)
    report_of(capsys, *HEADS, "--policy", "static", "--out", tmp_path)
    assert analysis(["compare", str(tmp_path)]) == 2
    assert "records of jobs and viewport are here together" in capsys.readouterr().err
