"""`python -m analysis power`: known numbers, coverage by simulation, what it says and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.__main__ import main
from analysis.bootstrap import mean_interval
from analysis.power.needed import detectable, needed_clusters, power_with, spread_of
from tests.support.session_records import write_session
from traces.commands import next_step


@pytest.mark.parametrize(
    ("effect", "power", "level", "clusters"),
    [
        (1.0, 0.8, 0.05, 10),
        (0.5, 0.8, 0.05, 34),
        (0.25, 0.8, 0.05, 128),
        (0.2, 0.8, 0.05, 199),
        (0.2, 0.95, 0.05, 327),
        (0.5, 0.8, 0.01, 51),
        (0.01, 0.8, 0.05, 78_491),  # (1.95996 + 0.84162)^2 / 0.01^2, and two for Student's t
    ],
)
def test_numbers_are_those_of_the_tables_for_a_paired_t_test(
    effect: float, power: float, level: float, clusters: int
) -> None:
    assert needed_clusters(1.0, effect, power, level) == clusters
    assert needed_clusters(0.2, -0.2 * effect, power, level) == clusters
    assert power_with(clusters, 1.0, effect, level) >= power > power_with(clusters - 1, 1.0, effect, level)
    assert detectable(1.0, clusters, power, level) == pytest.approx(effect, rel=0.06)
    assert detectable(1.0, clusters, power, level) <= effect


def test_what_cannot_be_shown_has_no_number() -> None:
    assert needed_clusters(1.0, 1e-5) is None and needed_clusters(0.0, 0.1) == 2
    with pytest.raises(ValueError, match="no number of traces"):
        needed_clusters(1.0, 0.0)


def test_a_cluster_counts_once_however_many_traces_it_has() -> None:
    values, keys = [1.0, -1.0, 2.0, 0.5], ["a", "b", "c", "d"]
    once, thrice = spread_of(values, keys), spread_of(3 * values, 3 * keys)
    assert (once.clusters, once.sd) == (4, pytest.approx(np.std(values, ddof=1)))
    assert (thrice.clusters, thrice.mean, thrice.sd) == (4, pytest.approx(once.mean), pytest.approx(once.sd))
    with pytest.raises(ValueError, match="1 independent traces"):
        spread_of([1.0, 2.0], ["a", "a"])


def test_clusters_of_different_sizes_are_a_ratio() -> None:
    """The standard error is that of many draws of such clusters."""
    random = np.random.default_rng(3)

    def draw() -> tuple[list[float], list[int]]:
        values: list[float] = []
        keys: list[int] = []
        for key in range(60):
            size, shift = int(random.integers(1, 5)), float(random.normal())
            values += [shift + float(one) for one in random.normal(0, 0.3, size)]
            keys += [key] * size
        return values, keys

    found = [spread_of(*draw()) for _ in range(300)]
    of_means = np.std([one.mean for one in found])
    assert np.mean([one.sd / 60**0.5 for one in found]) == pytest.approx(of_means, rel=0.1)


def test_the_interval_holds_the_right_number_about_as_often_as_it_says() -> None:
    random, sd, held = np.random.default_rng(13), 0.2, 0
    for _ in range(400):
        spread = spread_of(list(random.normal(0.03, sd, 30)), range(30))
        assert spread.low is not None and spread.high is not None
        held += spread.low <= sd <= spread.high  # and the number of traces rises with it
    assert 0.92 <= held / 400 <= 0.98


@pytest.mark.parametrize("heavy", [False, True])
def test_so_many_traces_do_show_the_difference_in_four_of_five_comparisons(heavy: bool) -> None:
    """By the interval with which `compare` judges."""
    random, sd, difference = np.random.default_rng(17), 0.2, 0.08
    clusters = needed_clusters(sd, difference) or 0
    shown = 0
    for _ in range(400):
        normal = random.normal(0.0, 1.0, clusters)
        parts = random.standard_t(5, clusters) * 0.6**0.5 if heavy else normal
        interval = mean_interval(list(difference + sd * parts), range(clusters), resamples=400)
        shown += not interval.holds_zero
    assert 0.74 <= shown / 400 <= 0.87


# ---- the command -------------------------------------------------------------------------------


def eight_traces(folder: Path) -> None:
    """`b` minus `a` is 0.1 to 0.8 in QoE, all of it stall."""
    for index in range(8):
        write_session(folder / f"b{index}.jsonl", "b", f"t{index}")
        stall_s = 0.2 * (index + 1) / 4.3
        write_session(folder / f"a{index}.jsonl", "a", f"t{index}", stalls_s=(0.0, stall_s, 0.0))


def answered(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    assert main(["power", *map(str, words), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main(["power", *map(str, words)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "Traceback" not in err
    return err


def test_the_answer_is_that_of_the_folders_differences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eight_traces(tmp_path)
    report = answered(capsys, tmp_path, "--policies", "a,b", "--difference", "0.2")
    (pair,) = report["pairs"]
    differences = [0.1 * (index + 1) for index in range(8)]
    sd = float(np.std(differences, ddof=1))
    assert (pair["policy"], pair["baseline"], pair["clusters"]) == ("b", "a", 8)
    assert pair["difference_here"] == pytest.approx(0.45) and pair["sd"] == pytest.approx(sd)
    assert pair["needed"] == needed_clusters(sd, 0.2)
    low, high = pair["needed_ci95"]
    assert low < pair["needed"] < high
    several = answered(capsys, tmp_path, "--difference", "0.2", "--tests", "4")["pairs"][0]
    assert several["needed"] == needed_clusters(sd, 0.2, level=0.0125) > pair["needed"]


def test_policies_may_be_listed_with_spaces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    eight_traces(tmp_path)
    assert answered(capsys, tmp_path, "--policies", "a, b") == answered(capsys, tmp_path)


def test_a_stall_ratio_has_an_answer_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    eight_traces(tmp_path)
    words = (tmp_path, "--measure", "stall_ratio", "--difference")
    percent, plain = (answered(capsys, *words, text)["pairs"][0] for text in ("0.5%", "0.005"))
    stalls_s = [0.2 * (index + 1) / 4.3 for index in range(8)]
    sd = float(np.std([stall_s / (stall_s + 12) for stall_s in stalls_s], ddof=1))
    assert percent == plain and percent["needed"] == needed_clusters(sd, 0.005)
    assert main(["power", *map(str, words), "0.5%"]) == 0
    assert "a difference of 0.50 % points in stall ratio" in capsys.readouterr().out


def test_a_person_is_told_what_is_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    eight_traces(tmp_path)
    assert main(["power", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "difference of 0.050 in QoE per chunk with a chance of 80%" in out
    assert "assumed: more traces come from where these came" in out and "Student's t" in out
    assert "note: over 8 independent traces a variance is hardly known" in out


def test_what_cannot_be_answered_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    eight_traces(tmp_path)
    assert "--difference 0: expected a number that is not 0" in refused(capsys, tmp_path, "--difference", "0")
    assert "--difference x: expected" in refused(capsys, tmp_path, "--difference", "x")
    words = (tmp_path, "--measure", "bitrate_mbps", "--difference", "5%")
    assert "only a stall ratio's is a percentage; of mean bitrate give a number of Mbit/s" in refused(
        capsys, *words
    )
    assert "only a stall ratio's" in refused(capsys, tmp_path, "--difference", "5%")
    with pytest.raises(SystemExit, match="2"):
        main(["power", str(tmp_path), "--policies", "a,"])
    assert "an empty name in the list" in capsys.readouterr().err
    write_session(tmp_path / "d0.jsonl", "d", "t0", valid=False)
    assert "--baseline d: none of its sessions counts: 1 left out" in refused(
        capsys, tmp_path, "--baseline", "d"
    )
    assert "--power 1: expected" in refused(capsys, tmp_path, "--power", "1")
    assert "--tests 0: expected" in refused(capsys, tmp_path, "--tests", "0")
    assert "no record is of policy 'c'" in refused(capsys, tmp_path, "--policies", "a,c")
    assert "--baseline c: no record" in refused(capsys, tmp_path, "--baseline", "c")
    one = (tmp_path / "a0.jsonl", tmp_path / "b0.jsonl")
    assert "two independent traces in common" in refused(capsys, *one)


@pytest.mark.parametrize(
    ("words", "then"),
    [
        (["power"], "compare"),
        (["collect"], "report"),
        (["plot", "--what", "bars", "--out", "bars.png"], "report"),
        (["report", "--jobs", "1"], "webbrowser"),
    ],
)
def test_commands_say_what_comes_next(
    words: list[str],
    then: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "made"
    folder.mkdir()
    eight_traces(folder)
    assert main([words[0], "made", *words[1:]]) == 0
    last = (
        ("-m", "webbrowser", "made/report/index.html")
        if then == "webbrowser"
        else ("-m", "analysis", then, "made")
    )
    assert capsys.readouterr().out.splitlines()[-1] == next_step(*last)
