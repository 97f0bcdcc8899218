"""What no controller can pass, in plots and reports: where it lies, and for which sessions it holds."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from analysis.knowable.bound_file import read_bounds
from analysis.knowable.over_cases import KnowableBound, NoBound, bound_of
from analysis.outcomes import Outcomes, read_outcomes
from analysis.sessions import AnalysisError
from player.qoe import Scoring
from tests.support.session_records import LADDER_KBPS, change_manifest, write_session

MEMBERS = 6


def write_bounds(path: Path, by_member: Mapping[int, float], family: str = "4g", **other: Any) -> Path:
    """A file as `python -m policies.knowable` writes it, for the sessions of these tests."""
    entry = {
        "family": family,
        "members": [min(by_member), max(by_member) + 1],
        "video": "small",
        "ladder_kbps": list(LADDER_KBPS),
        "chunks": 3,
        "rtt_ms": 80.0,
        "buffer_cap_s": 60.0,
        "qoe": {"kind": "linear", "mu": 4.3, "smooth": 1.0},
        "complete": True,
        "by_member": [{"member": member, "bound": value} for member, value in by_member.items()],
    }
    path.write_text(json.dumps({"schema": 3, "bounds": [entry | other]}))
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """`robustmpc` has 1 over each member, `bba` 0.5 more over every second."""
    folder = tmp_path / "results"
    folder.mkdir()
    for member in range(MEMBERS):
        for policy, levels in (("robustmpc", (0, 0, 0)), ("bba", (0, 1, 1) if member % 2 else (0, 0, 0))):
            write_session(folder / f"{policy}{member}.jsonl", policy, f"4g/{member}", levels=levels)
    return folder


def outcomes(results: Path) -> Outcomes:
    return read_outcomes([results], Scoring())


def found(path: Path, results: Path) -> KnowableBound | NoBound:
    sessions = outcomes(results)
    return bound_of(read_bounds(path), sessions, sorted({one.case for one in sessions.counted}, key=str))


def test_over_the_members_that_were_streamed_it_is_theirs(tmp_path: Path, results: Path) -> None:
    by_member = {member: 2.0 + member for member in range(MEMBERS)} | {6: 1000.0}
    bound = found(write_bounds(tmp_path / "b.json", by_member), results)
    assert isinstance(bound, KnowableBound) and bound.same_members
    assert bound.interval.mean == pytest.approx(4.5)
    assert bound.interval.low is not None and 2.0 < bound.interval.low < 4.5
    way = bound.way([1.5] * MEMBERS, [1.0] * MEMBERS)
    assert way is not None and way.mean == pytest.approx(0.5 / 3.5)
    assert way.low is not None and way.high is not None and way.low < way.mean < way.high


def test_what_was_luck_for_sessions_is_so_for_the_bound(tmp_path: Path, results: Path) -> None:
    """Of two policies the better tells of the luck; over other members there is none to tell of."""
    rows = [
        {
            "member": member,
            "bound": 3.0,
            "played": {"robustmpc": 1.0, "small": 1.5},
            "freed": {"robustmpc": 1.0, "small": 1.5 + (0.4 if member < MEMBERS else -0.4)},
        }
        for member in range(2 * MEMBERS)
    ]
    path = write_bounds(tmp_path / "b.json", dict.fromkeys(range(2 * MEMBERS), 3.0))
    held = json.loads(path.read_text())
    held["bounds"][0]["by_member"] = rows
    path.write_text(json.dumps(held))
    bound = found(path, results)
    assert isinstance(bound, KnowableBound) and bound.interval.mean == pytest.approx(2.6)


def test_over_other_members_it_is_the_familys(tmp_path: Path, results: Path) -> None:
    bound = found(write_bounds(tmp_path / "b.json", {90: 2.0, 91: 4.0, 92: 3.0}), results)
    assert isinstance(bound, KnowableBound) and not bound.same_members
    assert bound.interval.mean == pytest.approx(3.0)
    assert bound.members == "over 4g[90:93], not the members that were streamed"


def test_where_there_is_no_way_none_is_shared_out(tmp_path: Path, results: Path) -> None:
    bound = found(write_bounds(tmp_path / "b.json", dict.fromkeys(range(MEMBERS), 1.0)), results)
    assert isinstance(bound, KnowableBound)
    assert bound.way([1.5] * MEMBERS, [1.0] * MEMBERS) is None
    doubtful = bound.way([1.0] * MEMBERS, [0.0] * (MEMBERS - 1) + [2.0])
    assert doubtful is not None and doubtful.low is None


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"family": "3g"}, "4g/0 is no member of 3g"),
        ({"video": "envivio"}, "video small, the bound is for envivio"),
        ({"rtt_ms": 20.0}, "RTT 80 ms, the bound is for 20 ms"),
        ({"chunks": 48}, "chunks 3, the bound is for 48"),
        ({"buffer_cap_s": 15.0}, None),
        ({"qoe": {"kind": "linear", "mu": 1.0, "smooth": 1.0}}, "the bound is for linear, mu 1"),
    ],
)
def test_it_holds_for_nothing_else(
    tmp_path: Path, results: Path, other: dict[str, Any], said: str | None
) -> None:
    bound = found(write_bounds(tmp_path / "b.json", {0: 2.0, 1: 3.0}, **other), results)
    if said is None:  # of records that say no cap
        assert isinstance(bound, KnowableBound)
    else:
        assert isinstance(bound, NoBound) and said in bound.why


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ({"model": "tcp", "rtt_ms": 80.0}, "over the published link"),
        ({"model": "published", "rtt_ms": 80.0, "noise": True}, "noise, the bound is for a link without"),
        ({"model": "published", "rtt_ms": 80.0, "loss": {"p": 1}}, "loss, the bound is for a link without"),
    ],
)
def test_it_holds_for_no_other_link(tmp_path: Path, results: Path, link: dict[str, Any], said: str) -> None:
    for record in results.glob("*.jsonl"):
        change_manifest(record, link=link)
    bound = found(write_bounds(tmp_path / "b.json", {0: 2.0, 1: 3.0}), results)
    assert isinstance(bound, NoBound) and said in bound.why


def test_emulated_sessions_have_none(tmp_path: Path, results: Path) -> None:
    sessions = outcomes(results)
    emulated = replace(sessions, counted=tuple(replace(one, simulated=False) for one in sessions.counted))
    bounds = read_bounds(write_bounds(tmp_path / "b.json", {0: 2.0, 1: 3.0}))
    bound = bound_of(bounds, emulated, [emulated.counted[0].case])
    assert isinstance(bound, NoBound) and "simulated" in bound.why


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "not bounds"),
        ('{"schema": 2, "bounds": [{}]}', "no bounds of schema 3"),
        ('{"schema": 3, "bounds": []}', "no bounds of schema 3"),
        ('{"schema": 3, "bounds": [{}]}', "bounds[0]"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "b.json"
    path.write_text(text)
    with pytest.raises(AnalysisError) as error:
        read_bounds(path)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("other", [{"complete": False}, {"members": [0, 9]}])
def test_one_that_is_not_finished_is_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    with pytest.raises(AnalysisError, match="the command that began it goes on"):
        read_bounds(write_bounds(tmp_path / "b.json", {0: 2.0, 1: 3.0}, **other))


@pytest.mark.parametrize("what", ["bars", "box"])
def test_a_figure_shows_it(
    what: str, tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bounds = write_bounds(tmp_path / "b.json", dict.fromkeys(range(MEMBERS), 3.0))
    words = ["plot", str(results), "--what", what, "--out", str(tmp_path / "out.svg")]
    assert main([*words, "--bound", str(bounds), "--by", "family"]) == 0
    drawn = (tmp_path / "out.svg").read_bytes()
    assert main([*words, "--by", "family"]) == 0
    assert len(drawn) > len((tmp_path / "out.svg").read_bytes())
    capsys.readouterr()


@pytest.mark.parametrize(
    ("what", "other", "said"),
    [
        ("cdf", {}, "--what bars or box, not cdf"),
        ("timeline", {}, "a timeline shows sessions"),
        ("bars", {"rtt_ms": 20.0}, "it holds for none of these sessions (4g/0: RTT 80 ms"),
    ],
)
def test_a_figure_that_cannot_show_it_is_refused(
    what: str,
    other: dict[str, Any],
    said: str,
    tmp_path: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bounds = write_bounds(tmp_path / "b.json", {0: 2.0, 1: 3.0}, **other)
    out = tmp_path / "out.svg"
    assert main(["plot", str(results), "--what", what, "--out", str(out), "--bound", str(bounds)]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1 and not out.exists()


def test_a_report_has_it_and_the_share_of_the_way(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bounds = write_bounds(tmp_path / "b.json", dict.fromkeys(range(MEMBERS), 3.0))
    assert main(["report", str(results), "--bound", str(bounds), "--jobs", "1", "--format", "svg"]) == 0
    capsys.readouterr()
    folder = results / "report"
    page = (folder / "index.html").read_text()
    assert "no controller can pass this" in page and f"--bound {bounds}" in page
    with (folder / "tables" / "knowable.csv").open() as file:
        rows = {row["policy"]: row for row in csv.DictReader(file)}
    assert float(rows["bba"]["way"]) == pytest.approx(0.25 / 2.0)
    assert rows["robustmpc"]["way"] == "" and float(rows["bound"]["qoe"]) == 3.0
    (setting,) = json.loads((folder / "report.json").read_text())["settings"]
    assert setting["bound"]["ways"]["bba"]["mean"] == pytest.approx(0.125)


def test_a_report_that_it_does_not_hold_for_is_refused(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bounds = write_bounds(tmp_path / "b.json", {0: 2.0, 1: 3.0}, video="uhd")
    assert main(["report", str(results), "--bound", str(bounds), "--jobs", "1"]) == 2
    assert "video small, the bound is for uhd" in capsys.readouterr().err
