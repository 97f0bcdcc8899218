"""A setting along an axis: changes, slopes and differences of differences are those computed by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from analysis.__main__ import main
from analysis.bootstrap import Interval, mean_interval
from analysis.clusters import ClusterRule
from analysis.report.parts.axes import (
    GAINS_LESS,
    GAINS_MORE,
    SUFFERS_LESS,
    SUFFERS_MORE,
    AxisLine,
    AxisName,
    ChangeDifference,
    LineResult,
    lines_of,
    results_along,
)
from analysis.report.parts.planned import read_sweep
from analysis.report.parts.session_rows import SessionRow, row_of
from analysis.report.parts.study import Study, study_of
from analysis.report.sections.axis import along_axes, differences_table
from analysis.report.sections.axis_figure import draw_axis
from analysis.report.sections.headline import in_short
from analysis.report.sections.setting import facts
from analysis.significance import holm, wilcoxon_p
from analysis.style import RC
from player.qoe import Scoring
from tests.support.report_sweeps import planned, sweep_section, write_sweep
from tests.support.session_records import write_session

RTTS_MS = (20.0, 80.0, 300.0)
TRACES = 8


def stall_s(policy: str, rtt_ms: float, index: int) -> float:
    """`frail` stalls more with the RTT, and on each trace otherwise; `robustmpc` hardly."""
    slope = {"robustmpc": 0.0001, "frail": 0.001 + 0.0001 * index, "steady": 0.0001}[policy]
    return slope * rtt_ms + 0.01 * index


def qoe(policy: str, rtt_ms: float, index: int) -> float:
    """By hand: level 0 throughout, so 1 less the stall's part in the two chunks that count."""
    return 1.0 - 4.3 * stall_s(policy, rtt_ms, index) / 2


def axis_sweep(folder: Path, told: bool = True, group: str = "3g", more: tuple[str, ...] = ()) -> Path:
    """A folder whose records say where on the axis they are; or, as older ones, only in their label."""
    folder.mkdir(parents=True, exist_ok=True)
    sessions: list[dict[str, Any]] = []
    policies = ["robustmpc", "frail", "steady"]
    labels = [f"{group}, rtt_ms {rtt_ms:g}{''.join(more)}" for rtt_ms in RTTS_MS]
    for label, rtt_ms in zip(labels, RTTS_MS, strict=True):
        for policy in policies:
            for index in range(TRACES):
                record = folder / f"{policy}-{rtt_ms:g}-{index}.jsonl"
                section = sweep_section(label, None, policy)
                section |= {"group": group, "axis": {"rtt_ms": rtt_ms}} if told else {}
                write_session(
                    record,
                    policy,
                    f"t{index}",
                    levels=(0, 0, 0),
                    stalls_s=(0.0, stall_s(policy, rtt_ms, index), 0.0),
                    link={"model": "published", "rtt_ms": rtt_ms},
                    sweep=section,
                )
                sessions.append(planned(record, label, policy, f"t{index}"))
    settings = [
        {"label": label, "group": group, "seen": None, "link": {"rtt_ms": rtt_ms}, "players": 1}
        | ({"axis": {"rtt_ms": rtt_ms}} if told else {})
        for label, rtt_ms in zip(labels, RTTS_MS, strict=True)
    ]
    write_sweep(folder, sessions, policies, settings=settings, simulated=True, complete=True)
    return folder


def studied(folder: Path, rule: ClusterRule | None = None) -> Study:
    found = [row_of(path, Scoring()) for path in sorted(folder.glob("*.jsonl"))]
    return study_of(
        [one for one in found if isinstance(one, SessionRow)],
        [],
        Scoring(),
        sweep=read_sweep(folder),
        baseline="robustmpc",
        baseline_asked=False,
        rule=rule or ClusterRule(),
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return studied(axis_sweep(tmp_path_factory.mktemp("axis") / "results"))


def the_result(study: Study) -> LineResult:
    (found,) = results_along(study)
    return found


def clusters() -> list[str]:
    return [f"t{index}" for index in range(TRACES)]


def test_changes_and_slopes_by_hand(study: Study) -> None:
    found = the_result(study)
    assert (found.line.name, found.line.values, found.line.step) == ("3g", list(RTTS_MS), 100.0)
    along = {one.policy: one for one in found.policies}
    changes = [qoe("frail", 300, index) - qoe("frail", 20, index) for index in range(TRACES)]
    frail = along["frail"].measures["qoe"]
    by_hand = mean_interval(changes, clusters())
    assert frail.change.mean == pytest.approx(by_hand.mean) and frail.verdict == "falls" and frail.steadily
    assert frail.change.bounds == pytest.approx(by_hand.bounds)
    slopes = [-4.3 / 2 * (0.001 + 0.0001 * index) * 100 for index in range(TRACES)]  # it is a straight line
    assert frail.slope.mean == pytest.approx(sum(slopes) / TRACES)
    at_80 = mean_interval([qoe("frail", 80, index) for index in range(TRACES)], clusters())
    assert frail.at[1].bounds == pytest.approx(at_80.bounds)
    stall = along["frail"].measures["stall_ratio"]
    ratios = [
        [stall_s("frail", rtt_ms, index) / (stall_s("frail", rtt_ms, index) + 12) for index in range(TRACES)]
        for rtt_ms in RTTS_MS
    ]
    assert stall.change.mean == pytest.approx((sum(ratios[2]) - sum(ratios[0])) / TRACES)
    assert stall.verdict == "rises"


def test_the_difference_of_differences_by_hand(study: Study) -> None:
    pairs = {pair.policy: pair for pair in the_result(study).pairs}
    own, other = (
        [qoe(policy, 300, index) - qoe(policy, 20, index) for index in range(TRACES)]
        for policy in ("frail", "robustmpc")
    )
    differences = [mine - theirs for mine, theirs in zip(own, other, strict=True)]
    by_hand, found = mean_interval(differences, clusters()), pairs["frail"].measures["qoe"]
    assert found.difference.bounds == pytest.approx(by_hand.bounds)
    assert found.verdict == SUFFERS_MORE and found.wilcoxon_p == wilcoxon_p(differences)
    ps = [pairs[policy].measures["qoe"].wilcoxon_p for policy in ("frail", "steady")]
    assert [pairs[policy].measures["qoe"].holm_p for policy in ("frail", "steady")] == holm(ps)
    assert pairs["steady"].measures["qoe"].verdict == "tie"
    assert pairs["frail"].measures["stall_ratio"].verdict == SUFFERS_MORE
    table = differences_table("robustmpc", results_along(study))
    assert [row[3].text for row in table.groups[0].rows] == [
        pairs[str(row[0].text)].measures["qoe"].verdict for row in table.groups[0].rows
    ]


def test_the_page_says_it_in_words_and_tables_have_the_numbers(tmp_path: Path) -> None:
    axis_sweep(tmp_path)
    assert main(["report", str(tmp_path), "--jobs", "1"]) == 0
    made = tmp_path / "report"
    page = (made / "index.html").read_text()
    assert 'id="axis"' in page and "Along the RTT" in page
    first, last = (sum(qoe("frail", rtt, index) for index in range(TRACES)) / TRACES for rtt in (20.0, 300.0))
    assert f"QoE falls from {first:.3f} at 20 ms to {last:.3f} at 300 ms: −" in page
    assert "It suffers more than robustmpc (−" in page
    assert "It is not shown to suffer more or less than robustmpc" in page
    with (made / "tables" / "axis-differences.csv").open(newline="") as file:
        lines = {line["policy"]: line for line in csv.DictReader(file)}
    assert lines["frail"]["qoe_verdict"] == SUFFERS_MORE and float(lines["frail"]["qoe_holm_p"]) < 0.05
    assert r"\label{tab:axis-differences}" in (made / "tables" / "axis-differences.tex").read_text()
    assert (made / "figures" / "axis-rtt_ms.pdf").exists()
    facts = json.loads((made / "report.json").read_text())
    assert [(one["group"], one["axis"]) for one in facts["settings"]] == [
        ("3g", {"rtt_ms": rtt_ms}) for rtt_ms in RTTS_MS
    ]


def test_a_folder_from_before_the_word_has_the_same_axis(study: Study, tmp_path: Path) -> None:
    assert the_result(studied(axis_sweep(tmp_path, told=False))).pairs == the_result(study).pairs


def test_an_axis_is_one_setting_at_several_points(study: Study, tmp_path: Path) -> None:
    assert (study.settings, study.points, study.place) == (1, 3, "point")
    assert dict(facts(study))["Settings"] == "1 at 3 points"
    said = dict(in_short(study))["frail"]
    assert "of 3 points (" in said and "setting" not in said
    for index in range(3):
        for policy in ("robustmpc", "bba"):
            write_session(tmp_path / f"{policy}{index}.jsonl", policy, f"t{index}")
    plain = studied(tmp_path)
    assert (plain.settings, plain.points, plain.place) == (1, 0, "setting")


def test_without_an_axis_there_is_no_section(tmp_path: Path) -> None:
    for index in range(3):
        for policy in ("robustmpc", "bba"):
            write_session(tmp_path / f"{policy}{index}.jsonl", policy, f"t{index}")
    assert along_axes(studied(tmp_path)) is None


def test_only_cases_that_are_there_at_every_point_count(tmp_path: Path) -> None:
    axis_sweep(tmp_path)
    (tmp_path / "frail-80-3.jsonl").unlink()
    found = the_result(studied(tmp_path))
    assert {one.policy: one.cases for one in found.policies} == {"robustmpc": 8, "frail": 7, "steady": 8}
    assert {pair.policy: pair.cases for pair in found.pairs} == {"frail": 7, "steady": 8}


def test_intervals_draw_clusters(study: Study, tmp_path: Path) -> None:
    assert {one.measures["qoe"].change.clusters for one in the_result(study).policies} == {8}
    axis_sweep(tmp_path)
    one_line = the_result(studied(tmp_path, ClusterRule(r"(t)")))
    assert one_line.pairs[0].measures["qoe"].verdict == "unknown"
    assert one_line.pairs[0].measures["qoe"].holm_p is None


def test_two_axes_are_lines_along_each(tmp_path: Path) -> None:
    for policy in ("robustmpc", "frail"):
        for index in range(3):
            for rtt_ms in (20.0, 80.0):
                for loss_pct in (0.0, 1.0, 2.0):
                    label = f"3g, rtt_ms {rtt_ms:g}, loss_pct {loss_pct:g}"
                    section = sweep_section(label, None, policy)
                    section |= {"group": "3g", "axis": {"rtt_ms": rtt_ms, "loss_pct": loss_pct}}
                    write_session(
                        tmp_path / f"{policy}-{index}-{rtt_ms:g}-{loss_pct:g}.jsonl",
                        policy,
                        f"t{index}",
                        link={"rtt_ms": rtt_ms, "loss": {"kind": "uniform", "p": loss_pct}},
                        sweep=section,
                    )
    lines = {(line.name, line.axis.key): line.values for line in lines_of(studied(tmp_path))}
    assert lines == {
        **{(f"3g, loss_pct {loss_pct}", "rtt_ms"): [20.0, 80.0] for loss_pct in (0, 1, 2)},
        **{(f"3g, rtt_ms {rtt_ms}", "loss_pct"): [0.0, 1.0, 2.0] for rtt_ms in (20, 80)},
    }
    with matplotlib.rc_context(RC):
        results = [one for one in results_along(studied(tmp_path)) if one.line.axis.key == "rtt_ms"]
        figure = draw_axis(results, "robustmpc")
    panels = [axis for axis in figure.axes if axis.axison]
    assert len(panels) == 9 and len({axis.get_xlim() for axis in panels}) == 1
    assert [len({axis.get_ylim() for axis in panels[row : row + 3]}) for row in (0, 3, 6)] == [1, 1, 1]


def test_players_of_a_link_and_seeds_are_one_case(tmp_path: Path) -> None:
    for players in (1, 2):
        for policy in ("robustmpc", "frail"):
            for index in range(2):
                for player in range(players):
                    section = sweep_section(f"3g, players {players}", None, policy)
                    section |= {"group": "3g", "axis": {"players": players}}
                    shared = {"group": f"{policy}{index}", "players": players, "index": player}
                    write_session(
                        tmp_path / f"{policy}-{players}-{index}-{player}.jsonl",
                        policy,
                        f"t{index}",
                        levels=(player, player, player),
                        start_s=float(player),
                        sweep=section,
                        **({"shared": shared | {"offset_s": float(player)}} if players > 1 else {}),
                    )
    found = the_result(studied(tmp_path))
    along = found.policies[0]
    assert along.cases == 2 and [one.mean for one in along.measures["qoe"].at] == [1.0, 1.5]


@pytest.mark.parametrize(
    ("own", "other", "better", "verdict"),
    [
        (-0.4, -0.1, 1, SUFFERS_MORE),
        (-0.1, -0.4, 1, SUFFERS_LESS),
        (0.1, -0.4, 1, SUFFERS_LESS),
        (-0.1, 0.4, 1, SUFFERS_MORE),
        (0.4, 0.1, 1, GAINS_MORE),
        (0.1, 0.4, 1, GAINS_LESS),
        (0.02, 0.01, -1, SUFFERS_MORE),
        (-0.02, -0.01, -1, GAINS_MORE),
    ],
)
def test_who_suffers_more_in_words(own: float, other: float, better: int, verdict: str) -> None:
    mean = own - other
    interval = Interval(mean, mean - 0.001, mean + 0.001, 9)
    assert ChangeDifference(interval, own, other, better, 0.01).verdict == verdict


@pytest.mark.parametrize(
    ("key", "title", "shown"),
    [
        ("rtt_ms", "RTT (ms)", "80 ms"),
        ("loss_pct", "loss (%)", "80 %"),
        ("queue_bytes", "queue (bytes)", "80 bytes"),
        ("players", "players", "80 players"),
        ("buffer_cap_s", "buffer cap (s)", "80 s"),
    ],
)
def test_an_axis_is_named_by_its_key(key: str, title: str, shown: str) -> None:
    assert (AxisName(key).title, AxisName(key).shown(80)) == (title, shown)
    assert AxisName("players").shown(1) == "1 player"


@pytest.mark.parametrize(("values", "step"), [((20, 300), 100), ((1, 4), 1), ((0, 0.5), 0.1), ((0, 10), 10)])
def test_slopes_are_told_for_a_round_step(study: Study, values: tuple[float, ...], step: float) -> None:
    points = [the_result(study).line.points[0]] * 2
    ends = tuple(type(point)(value, point.condition) for point, value in zip(points, values, strict=True))
    assert AxisLine("x", AxisName("rtt_ms"), ends, ClusterRule()).step == pytest.approx(step)
