"""`python -m analysis plot` of many sessions: what is in each picture, and what it says it left out."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from analysis import style
from analysis.__main__ import main
from analysis.clusters import ClusterRule
from analysis.figures import FIGURES, DrawnFigure
from analysis.outcomes import read_outcomes
from player.qoe import Scoring
from tests.support.session_records import change_manifest, write_session

KINDS = tuple(FIGURES)
HEADS = {".png": b"\x89PNG\r\n", ".pdf": b"%PDF-"}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two families of three traces; four policies, the oracle among them."""
    for index in range(6):
        family = ("3g", "4g")[index % 2]
        for place, (policy, level) in enumerate(
            (("robustmpc", 1), ("oracle", 2), ("./a/mine.py:Mine", 0), ("bba", 0))
        ):
            stalls_s = (0.0, 0.1 * index if policy == "bba" else 0.0, 0.0)
            path = tmp_path / f"r{place}{index}.jsonl"
            write_session(path, policy, f"t{index}", levels=(level,) * 3, stalls_s=stalls_s, family=family)
    return tmp_path


def drawn(kind: str, results: Path, by: str | None = None) -> DrawnFigure:
    with matplotlib.rc_context(style.RC):
        return FIGURES[kind](read_outcomes([results], Scoring()), by, ClusterRule())


def plot(*words: str | Path) -> int:
    try:
        return main(["plot", *map(str, words)])
    except SystemExit as stopped:
        assert isinstance(stopped.code, int)
        return stopped.code


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert plot(*words) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "Traceback" not in said.err
    return said.err


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def axis_of(figure: Figure) -> Axes:
    return figure.axes[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", HEADS)
@pytest.mark.parametrize("by", [[], ["--by", "family"]], ids=["one", "by-family"])
def test_a_picture_is_made(
    results: Path, capsys: pytest.CaptureFixture[str], kind: str, ending: str, by: list[str]
) -> None:
    out = results / "new" / f"{kind}{ending}"
    assert plot(results, "--what", kind, *by, "--out", out) == 0
    assert out.read_bytes().startswith(HEADS[ending])
    said = capsys.readouterr()
    assert said.err == "" and said.out.count("\n") == (2 if by else 3) and "over 6 cases" in said.out
    assert ("2 settings together" in said.out) == (not by)


@pytest.mark.parametrize("kind", KINDS)
def test_known_policies_come_first_and_the_oracle_last_as_the_bound(results: Path, kind: str) -> None:
    names = ["bba", "robustmpc", "mine.py:Mine", "oracle (bound)"]
    assert legend(drawn(kind, results).figure)[:4] == names


@pytest.mark.parametrize("kind", KINDS)
def test_axes_say_what_is_on_them(results: Path, kind: str) -> None:
    figure = drawn(kind, results, "family").figure
    labels = {axis_of(figure).get_xlabel(), axis_of(figure).get_ylabel()} - {""}
    expected = {
        "cdf": {"QoE per chunk", "share of sessions"},
        "bars": {"mean QoE per chunk"},
        "box": {"mean QoE of a session"},
        "scatter": {"stall ratio (%), fewer to the right", "mean bitrate (Mbit/s)"},
    }
    assert labels == expected[kind]
    assert "QoE linear, mu 4.3 (the ladder's top), smooth 1" in figure.get_suptitle()
    assert "6 cases, simulated" in figure.get_suptitle()


def test_the_cdf_rises_to_one_at_each_session(results: Path) -> None:
    line = axis_of(drawn("cdf", results).figure).lines[0]  # bba: QoE 1 - 4.3 x 0.05 x index
    expected = sorted(1 - 4.3 * 0.05 * index for index in range(6))
    assert list(line.get_xdata())[1:] == pytest.approx(expected)
    assert list(line.get_ydata()) == pytest.approx([index / 6 for index in range(7)])
    assert line.get_color() == style.policy_colour("bba")


def test_bars_are_as_high_as_the_means_and_the_bound_is_a_line(results: Path) -> None:
    axis = axis_of(drawn("bars", results, "family").figure)
    heights = {round(bar.get_x() + bar.get_width() / 2): [] for bar in axis.patches}
    for bar in axis.patches:
        heights[round(bar.get_x() + bar.get_width() / 2)].append(bar.get_height())
    odd, even = (1 - 4.3 * 0.05 * mean for mean in (3, 2))
    assert heights == {0: pytest.approx([even, 2.0, 1.0]), 1: pytest.approx([odd, 2.0, 1.0])}
    assert {to_rgba(style.GREY)} <= {tuple(part.get_color()[0]) for part in axis.collections}
    assert [text.get_text() for text in axis.get_xticklabels()] == ["3g\nn = 3", "4g\nn = 3"]


def test_boxes_mark_their_means(results: Path) -> None:
    axis = axis_of(drawn("box", results).figure)
    means = [line for line in axis.lines if line.get_marker() == "D"]
    values = [float(line.get_ydata()[0]) for line in means]
    assert values == pytest.approx([1 - 4.3 * 0.05 * 2.5, 2.0, 1.0, 3.0])


def test_the_scatter_has_fewer_stalls_to_the_right(results: Path) -> None:
    axis = axis_of(drawn("scatter", results).figure)
    left, right = axis.get_xlim()
    assert left > right and right < 0 < left
    assert axis.get_title(loc="right") == "better"
    points = [container.lines[0] for container in axis.containers]
    ratios = [0.1 * index / (0.1 * index + 12) for index in range(6)]
    assert float(points[0].get_xdata()[0]) == pytest.approx(100 * sum(ratios) / 6)
    assert [float(point.get_ydata()[0]) for point in points] == pytest.approx([1.0, 2.0, 1.0, 3.0])
    assert len({point.get_marker() for point in points}) == 4


def test_without_an_oracle_there_is_no_bound(results: Path) -> None:
    for path in results.glob("r1*.jsonl"):
        path.unlink()
    assert not any("bound" in name for kind in KINDS for name in legend(drawn(kind, results).figure))


def test_only_what_all_policies_have_is_drawn_and_the_rest_is_said(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (results / "r05.jsonl").unlink()  # robustmpc
    bad = results / "r34.jsonl"  # bba
    bad.unlink()
    write_session(bad, "bba", "t4", family="3g", valid=False)
    assert plot(results, "--what", "cdf", "--out", results / "a.png") == 0
    out = capsys.readouterr().out
    assert f"left out: 1 session of bba: its link was not what the manifest says: {bad.name}" in out
    assert "not drawn: 2 cases that" in out and "over 4 cases" in out
    assert plot(results, "--what", "cdf", "--out", results / "a.png", "--json") == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (said["cases"], said["not_common"], said["invalid"]) == (4, 2, 1)
    assert {one["policy"] for one in said["missing"]} == {"robustmpc", "bba"}


def test_a_policy_keeps_its_colour_whoever_else_is_there(results: Path) -> None:
    line = axis_of(drawn("cdf", results).figure).lines[1]
    for path in results.glob("r[13]*.jsonl"):
        path.unlink()
    assert axis_of(drawn("cdf", results).figure).lines[0].get_color() == line.get_color()
    assert len(set(style.KNOWN.values())) == len(style.KNOWN)


def test_equal_records_give_equal_pdfs(results: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        assert plot(results, "--what", "scatter", "--out", results / name) == 0
    assert (results / "a.pdf").read_bytes() == (results / "b.pdf").read_bytes()


def test_a_pixel_picture_is_as_fine_whatever_was_written_before_it(results: Path) -> None:
    figure = drawn("cdf", results).figure
    with matplotlib.rc_context(style.RC):
        made = style.rendered(figure, (style.SVG, style.PDF, style.EPS, style.PNG))[style.PNG]
    width, height = struct.unpack(">II", made[16:24])  # of a PNG's head
    inches = figure.get_size_inches()
    assert (width, height) == tuple(int(side * style.PNG_DPI) for side in inches)


def test_one_trace_has_no_interval_and_is_drawn_all_the_same(results: Path) -> None:
    for path in results.glob("r?[1-5].jsonl"):
        path.unlink()
    for kind in KINDS:
        assert drawn(kind, results).cases == 1


def test_what_cannot_be_drawn_is_refused(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = results / "a.png"
    for path in results.glob("r0*.jsonl"):
        change_manifest(path, link={"model": "published", "rtt_ms": 20.0})
    said = refused(capsys, results, "--what", "bars", "--out", out)
    assert "no case is common to" in said and "--policy" in said
    (results / "none").mkdir()
    assert "no records" in refused(capsys, results / "none", "--what", "box", "--out", out)
    assert ".png, .pdf, .svg or .eps" in refused(capsys, results, "--what", "box", "--out", "a.gif")
    for index in range(15):
        write_session(results / "none" / f"{index}.jsonl", f"fixed:{index}")
    assert "15 policies; a figure shows 14" in refused(
        capsys, results / "none", "--what", "box", "--out", out
    )
    assert not out.exists()
