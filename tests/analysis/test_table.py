"""`python -m analysis table`: policies by families, and how a cell is marked."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib
import pytest

from analysis.__main__ import main
from analysis.bootstrap import mean_interval
from analysis.clusters import ClusterRule
from analysis.figures import FIGURES
from analysis.outcomes import read_outcomes
from analysis.style import RC
from player.qoe import Scoring
from tests.support.session_records import write_session
from traces.commands import next_step


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Six traces a family: on x `good` gains 1 on each, `even` now gains, now loses; only two stream y."""
    for index in range(6):
        trace = f"t{index}"
        write_session(tmp_path / f"b{index}.jsonl", "bba", trace, levels=(0, 0, 0), family="x")
        write_session(tmp_path / f"g{index}.jsonl", "good", trace, levels=(1, 1, 1), family="x")
        stall_s = 2 / 4.3 if index % 2 else 0.0
        write_session(
            tmp_path / f"e{index}.jsonl",
            "even",
            trace,
            levels=(1, 1, 1),
            stalls_s=(0, 2 * stall_s, 0),
            family="x",
        )
        for policy, levels in (("bba", (1, 1, 1)), ("good", (0, 0, 0))):
            write_session(
                tmp_path / f"{policy}y{index}.jsonl", policy, f"u{index}", levels=levels, family="y"
            )
    return tmp_path


def table(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main(["table", *map(str, words)]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


def test_means_and_marks_by_hand(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = table(capsys, results, "--baseline", "bba").splitlines()
    assert lines.pop() == next_step("-m", "analysis", "compare", str(results))
    head, *rows = [line for line in lines[4:] if not line.startswith("note:")]
    assert head.split() == ["policy", "x", "(n", "=", "6)", "y", "(n", "=", "6)"]
    assert [row.split()[0] for row in rows] == ["bba", "even", "good"]
    cells = {row.split()[0]: " ".join(row.split()[1:]) for row in rows}
    even = mean_interval([2.0, 0.0] * 3, list(range(6)))
    assert cells == {
        "bba": "1.000 [1.000, 1.000] 2.000 [2.000, 2.000]",
        "even": f"1.000 [{even.low:.3f}, {even.high:.3f}] = -",
        "good": "2.000 [2.000, 2.000] + 1.000 [1.000, 1.000] -",
    }
    assert "6 cases are missing of policies" in lines[-1]


def test_json_has_the_same_and_names_what_is_missing(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = json.loads(table(capsys, results, "--baseline", "bba", "--json"))
    found = {
        (group["group"], one["policy"]): (one["qoe"], one["verdict"])
        for group in report["groups"]
        for one in group["policies"]
    }
    assert found["x", "good"] == (pytest.approx(2.0), "ahead") and found["y", "good"][1] == "behind"
    assert found["x", "even"][1] == "tie" and found["x", "bba"][1] is None and ("y", "even") not in found
    assert [(one["policy"], one["trace"]) for one in report["missing"]] == [
        ("even", f"u{index}") for index in range(6)
    ]


def test_markdown_is_a_table_of_as_many_columns(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = table(capsys, results, "--by", "video", "--policy", "bba", "--policy", "good", "--markdown")
    rows = [line for line in out.splitlines() if line.startswith("|")]
    bba = mean_interval([1.0, 2.0] * 6, list(range(12)))
    assert rows[:3] == [
        "| policy | small (n = 12) |",
        "| --- | ---: |",
        f"| bba | 1.500 [{bba.low:.3f}, {bba.high:.3f}] |",
    ]
    assert len(rows) == 4 and {row.count("|") for row in rows} == {3}


def test_who_aimed_at_another_qoe_is_said(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "told" not in table(capsys, results)
    assert "note: told linear, mu 4.3, smooth 1: policies aimed at another" in table(
        capsys, results, "--mu", "9"
    )
    with matplotlib.rc_context(RC):
        drawn = FIGURES["bars"](
            read_outcomes([results], Scoring(mu=9.0), ["bba", "good"]), "family", ClusterRule()
        )
    assert "told linear, mu 4.3, smooth 1" in drawn.figure.get_suptitle()


def test_what_cannot_be_tabled_is_one_line(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_session(results / "other.jsonl", "elsewhere", "t9", family="x")
    for words, said in (
        (["--baseline", "none"], "--baseline none: no record is of this policy"),
        (["--baseline", "goood"], "--baseline goood: no record is of this policy (did you mean good?)"),
        ([], "no case of x is common to all its policies; choose policies with --policy"),
        (["--policy", "bba", "--json", "--markdown"], "exclude each other"),
    ):
        assert main(["table", str(results), *words]) == 2
        told = capsys.readouterr()
        assert told.out == "" and told.err.count("\n") == 1 and said in told.err


def test_columns_sort_by_the_numbers_in_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for rtt_ms in (300, 20, 80):
        write_session(
            tmp_path / f"{rtt_ms}.jsonl",
            sweep={"setting": f"3g, rtt_ms {rtt_ms}, late"},
            link={"model": "published", "rtt_ms": float(rtt_ms)},
        )
    for by in ("setting", "rtt"):
        report = json.loads(table(capsys, tmp_path, "--by", by, "--json"))
        names = [group["group"] for group in report["groups"]]
        assert [[word for word in (20, 80, 300) if f" {word}" in name] for name in names] == [
            [20],
            [80],
            [300],
        ]
