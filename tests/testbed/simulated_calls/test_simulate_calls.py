"""`testbed/simulate.py --task call`: records, what is kept, what is refused, and the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from player.call.record import read_call
from player.call.scored.outcomes import of_record
from testbed import simulate as command
from testbed.simulating.tasks import task_of

SHORT = ("--task", "call", "--duration-s", "6", "--warm-up-s", "1", "--traces", "3g[0:2]")
MINE = """
class Steady:
    def __init__(self, kbps: float = 400.0):
        self.kbps = kbps

    def reset(self, call, seed, qoe):
        pass

    def decide(self, observation):
        return self.kbps if observation.now.elapsed_s < 3 else float("nan")
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


def test_task_of_a_command_line() -> None:
    assert task_of(["--traces", "4g", "--task", "call"]) == "call"
    assert task_of(["--task=call"]) == "call"
    assert task_of(["--policy", "call", "--task", "video"]) == "video"
    assert task_of(["--task"]) == "video"


def test_calls_are_recorded_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*SHORT, "--policy", "fixed:kbps=500,gcc", "--out", tmp_path)
    report, _ = report_of(capsys, *words)
    assert [one["policy"] for one in report["policies"]] == ["fixed:kbps=500", "gcc"]
    assert [one["calls"] for one in report["policies"]] == [2, 2]
    assert report["qoe"] == {"kind": "linear", "stall": 12.5, "delay": 1.0}
    paths = sorted(tmp_path.glob("*.jsonl"))
    assert len(paths) == 4
    fixed = read_call(next(path for path in paths if "fixed" in path.name))
    assert {row.kbps for row in fixed.decisions} == {500.0}
    assert fixed.told.policy is not None and fixed.told.policy.spec == "fixed:kbps=500"
    assert fixed.told.link is not None and fixed.told.link.model == "call"
    assert len(fixed.seconds) == 6
    rates = [of_record(read_call(path)).bitrate_mbps for path in paths if "fixed" in path.name]
    assert report["policies"][0]["bitrate_mbps"] == pytest.approx(sum(rates) / 2)
    before = {path: path.read_bytes() for path in paths}
    again, said = report_of(capsys, *words)
    assert again == report
    assert "note: 4 of 4 calls are recorded already" in said
    assert {path: path.read_bytes() for path in paths} == before


def test_records_of_other_options_are_refused_and_damaged_ones_put_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*SHORT, "--policy", "fixed:kbps=500", "--out", tmp_path)
    report, _ = report_of(capsys, *words)
    assert run(*words, "--queue-ms", "400") == 2
    said = capsys.readouterr().err
    assert "is of another call: link.queue_ms is 200.0, asked for 400.0" in said
    assert said.count("\n") == 1
    damaged = min(tmp_path.glob("*.jsonl"))
    damaged.write_bytes(damaged.read_bytes()[:-40])
    again, said = report_of(capsys, *words)
    assert again == report
    assert "computed again, for its record is damaged" in said
    assert len(list(tmp_path.glob("*.damaged"))) == 1


def test_ones_own_policy_is_asked_and_gcc_stands_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(MINE)
    words = (*SHORT, "--policy", f"{mine}:Steady:kbps=350", "--out", tmp_path / "out")
    report, said = report_of(capsys, *words)
    decided = report["policies"][0]["decided_by"]
    assert decided["policy"] == 2 * 14  # at 0.24, 0.44, … 2.84 s of both calls
    assert decided["fallback"] > 0
    assert "GCC decided" in said and "answered nan; expected 0 kbit/s or more" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--policy", "nobody"), "nobody"),
        (("--policy", "gcc,gcc"), "policy gcc is given twice"),
        (("--start-kbps", "9000"), "start_kbps 9000 kbit/s; expected 80 to 2500"),
        (("--set", "size_cv=much"), "--set size_cv=much: 'much' is no number"),
        (("--set", "fps=10"), "--set fps=10: expected KEY=VALUE with one of give_up_s"),
        (("--media-delay-ms", "90"), "media_delay_ms 90 ms; expected 0 to 80"),
        (("--qoe", "pandia", "--stall-weight", "2"), "--qoe pandia has no weights of yours"),
        (("--decision-delay-ms", "-5"), "--decision-delay-ms -5"),
    ],
)
def test_mistakes_cost_a_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    assert run(*SHORT, "--out", tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_person_sees_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*SHORT, "--policy", "fixed:kbps=300", "--out", tmp_path, "--qoe", "opennetlab") == 0
    said = capsys.readouterr()
    assert (
        "QoE: opennetlab, without picture quality: 70 at most; first 1 s not counted; simulated" in said.out
    )
    assert "stall (200 ms)" in said.out
    assert "simulated 2 of 2 calls" in said.err


ENDS = """
import os


class Ends:
    def reset(self, call, seed, qoe):
        self.over = int(seed) % 2 == 0

    def decide(self, observation):
        if self.over and observation.now.elapsed_s > 2:
            os._exit(0)
        return 400.0
"""


def test_a_policy_that_ends_its_process_costs_its_own_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "ends.py"
    mine.write_text(ENDS)
    words = (*SHORT[:-1], "3g[0:3]", "--seed", "1", "--policy", f"fixed:kbps=300,{mine}:Ends")
    assert run(*words, "--out", tmp_path / "o", "--json") == 1
    said = capsys.readouterr()
    report = json.loads(said.out)
    records = {path for path in (tmp_path / "o").glob("*.jsonl") if "Ends" in path.name}
    lost = {Path(one["record"]) for one in report["lost"]}
    assert lost and records and not lost & records and len(lost | records) == 3
    assert all((read_call(path).told.seed or 0) % 2 for path in records)
    assert report["policies"][0]["calls"] == 3
    assert f"ended its process, and the call with it: {len(lost)} times" in said.err


def test_strict_stops_at_the_first_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(MINE.replace('float("nan")', "1 / 0"))
    assert run(*SHORT, "--strict", "--policy", f"{mine}:Steady", "--out", tmp_path / "o") == 2
    said = capsys.readouterr().err
    assert "the policy raised ZeroDivisionError: division by zero; stopped, as --strict says" in said
    assert "Traceback" in said and "mine.py" in said
    assert not list((tmp_path / "o").glob("*.jsonl"))
