"""Bitrate, stalls and switches stand beside every difference of QoE, with verdicts of their own."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from analysis.beside import AHEAD, BEHIND, LESS, MORE, TIE, stall_against_qoe, stall_words
from analysis.bootstrap import Interval, mean_interval
from tests.support.session_records import write_session

TRACES = 8


def stall_of(index: int) -> float:
    """Of `fast`, s: some on every trace, so little that its bitrate still leads in QoE."""
    return 0.05 + 0.01 * index


def fast_and_careful(folder: Path) -> Path:
    """`fast` plays level 2 and stalls a little on every trace, `robustmpc` level 0 and never."""
    for index in range(TRACES):
        write_session(folder / f"r{index}.jsonl", "robustmpc", f"t{index}", levels=(0, 0, 0))
        stalls_s = (0.0, stall_of(index), 0.0)
        write_session(
            folder / f"f{index}.jsonl", "fast", f"t{index}", levels=(1 + index % 2, 2, 2), stalls_s=stalls_s
        )
    return folder


def pair_of(capsys: pytest.CaptureFixture[str], folder: Path, baseline: str) -> dict[str, Any]:
    assert main(["compare", str(folder), "--baseline", baseline, "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    found: dict[str, Any] = group["pairs"][0]
    return found


def test_a_lead_that_is_bought_with_stall_is_said_and_the_other_way_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fast_and_careful(tmp_path)
    ahead, behind = (pair_of(capsys, tmp_path, baseline) for baseline in ("robustmpc", "fast"))
    ratios = [stall_of(index) / (stall_of(index) + 12) for index in range(TRACES)]
    interval = mean_interval(ratios, [f"t{index}" for index in range(TRACES)])
    stall = ahead["beside"]["stall_ratio"]
    assert stall["difference"] == pytest.approx(interval.mean) and stall["verdict"] == MORE
    assert stall["ci95"] == pytest.approx(interval.bounds)
    assert ahead["beside"]["bitrate_mbps"]["verdict"] == MORE and ahead["verdict"] == AHEAD
    assert "this lead comes with more stall: stall ratio +0.7" in ahead["words"]
    assert behind["verdict"] == BEHIND and behind["beside"]["stall_ratio"]["verdict"] == LESS
    assert "but it stalls less: stall ratio -0.7" in behind["words"]


def test_a_person_sees_them_beside_the_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast_and_careful(tmp_path)
    assert main(["compare", str(tmp_path), "--baseline", "robustmpc"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = next(line for line in lines if "stall ratio, % points" in line)
    row = lines[lines.index(heads) + 1].split()
    assert row[:3] == ["fast", "robustmpc", "ahead"] and row.count("more") == 3
    assert "switches" in heads and "bitrate" in heads


def test_a_table_of_groups_notes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast_and_careful(tmp_path)
    assert main(["table", str(tmp_path), "--baseline", "robustmpc"]) == 0
    assert "note: fast is ahead with more stall in 4g" in capsys.readouterr().out
    assert main(["table", str(tmp_path), "--baseline", "fast", "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert {one["policy"]: one["stall"] for one in group["policies"]} == {"fast": None, "robustmpc": LESS}


def test_the_report_and_its_latex_have_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast_and_careful(tmp_path)
    pair = pair_of(capsys, tmp_path, "robustmpc")
    assert main(["report", str(tmp_path), "--jobs", "1"]) == 0
    made = tmp_path / "report"
    with (made / "tables" / "tradeoffs.csv").open(newline="") as file:
        (line,) = (line for line in csv.DictReader(file))
    for name, told in pair["beside"].items():
        assert float(line[f"{name}_difference"]) == pytest.approx(told["difference"])
        assert float(line[f"{name}_difference_low"]) == pytest.approx(told["ci95"][0])
        assert line[f"{name}_difference_verdict"] == told["verdict"]
    latex = (made / "tables" / "tradeoffs.tex").read_text()
    assert r"stall ratio, \% points" in latex and "more" in latex and "switches" in latex
    page = (made / "index.html").read_text()
    assert "The lead comes with more stall (" in page and ", more stall</small>" in page


@pytest.mark.parametrize(
    ("verdict", "low", "high", "against", "words"),
    [
        (AHEAD, 0.001, 0.003, MORE, "this lead comes with more stall"),
        (AHEAD, -0.003, -0.001, None, ""),
        (AHEAD, -0.001, 0.003, None, ""),
        (BEHIND, -0.003, -0.001, LESS, "but it stalls less"),
        (BEHIND, 0.001, 0.003, None, ""),
        (TIE, 0.001, 0.003, MORE, "but it stalls more"),
        (TIE, -0.003, -0.001, LESS, "but it stalls less"),
        (TIE, -0.001, 0.001, None, ""),
    ],
)
def test_only_stalls_that_point_the_other_way_are_said(
    verdict: str, low: float, high: float, against: str | None, words: str
) -> None:
    beside = {"stall_ratio": Interval((low + high) / 2, low, high, 9)}
    assert stall_against_qoe(verdict, beside) == against
    assert stall_words(verdict, beside).startswith(words)
    assert bool(words) == bool(stall_words(verdict, beside))


def test_without_an_interval_nothing_is_said() -> None:
    assert stall_words(TIE, {"stall_ratio": Interval(0.01, None, None, 1)}) == ""
