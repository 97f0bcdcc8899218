"""Panels of one figure share a scale; a section is there where the sweep has something for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.clusters import ClusterRule
from analysis.figures import draw_cdf, draw_scatter
from analysis.report.parts.planned import read_sweep
from analysis.report.parts.session_rows import SessionRow, row_of
from analysis.report.parts.study import Study, study_of
from analysis.report.sections.delays import draw_delays
from analysis.report.sections.differences import draw_differences
from analysis.report.sections.distributions import distributions
from analysis.report.sections.generalization import draw_generalization, generalization
from analysis.style import RC, share_scale
from player.qoe import Scoring
from tests.support.report_sweeps import sweep_section
from tests.support.session_records import write_session

POLICIES = ("robustmpc", "robustmpc:delay_ms=200")


def sessions(folder: Path, seen: bool | None) -> Study:
    """Two settings, of which the second has twice the bitrate and other stalls."""
    for place, setting in enumerate(("slow", "fast")):
        for index in range(4):
            for policy in POLICIES:
                late_s = 0.1 * index * (place + 1) if "delay" in policy else 0.01
                write_session(
                    folder / f"{setting}-{policy}-{index}.jsonl",
                    policy,
                    f"{setting}{index}",
                    levels=(place, place + 1, place + index % 2),
                    stalls_s=(0.0, late_s, 0.0),
                    sweep=sweep_section(setting, seen, policy),
                )
    found = [row_of(path, Scoring()) for path in sorted(folder.glob("*.jsonl"))]
    rows = [one for one in found if isinstance(one, SessionRow)]
    return study_of(
        rows,
        [],
        Scoring(),
        sweep=read_sweep(folder),
        baseline="robustmpc",
        baseline_asked=False,
        rule=ClusterRule(),
    )


DRAWN: dict[str, tuple[Callable[[Study], Figure | None], str]] = {
    "differences": (draw_differences, "x"),
    "delays": (draw_delays, "xy"),
    "boxes": (draw_generalization, "x"),
    "cdf": (lambda study: draw_cdf(study.outcomes, study.grouping, study.rule).figure, "xy"),
    "scatter": (lambda study: draw_scatter(study.outcomes, study.grouping, study.rule).figure, "xy"),
}


@pytest.mark.parametrize("name", list(DRAWN))
def test_panels_share_a_scale(tmp_path: Path, name: str) -> None:
    draw, which = DRAWN[name]
    with matplotlib.rc_context(RC):
        figure = draw(sessions(tmp_path, None))
    assert figure is not None
    panels = [axis for axis in figure.axes if axis.axison]
    assert len(panels) == 2
    for letter in which:
        assert len({getattr(Axes, f"get_{letter}lim")(axis) for axis in panels}) == 1, letter


def test_panels_of_another_video_have_a_scale_of_their_own() -> None:
    axes = Figure().subplots(1, 3)
    for axis, most in zip(axes, (4, 2, 40), strict=True):
        axis.set_xlim(0, most)
    share_scale(axes, "x", of=["envivio", "envivio", "uhd"])
    assert [axis.get_xlim() for axis in axes] == [(0, 4), (0, 4), (0, 40)]


def test_a_shared_scale_shows_all_and_keeps_its_direction() -> None:
    forth, back, off = Figure().subplots(1, 3)
    forth.set_xlim(0, 2)
    back.set_xlim(5, 1)
    off.set_xlim(-9, 9)
    off.set_axis_off()
    share_scale([forth, back, off], "x")
    assert (forth.get_xlim(), back.get_xlim(), off.get_xlim()) == ((0, 5), (5, 0), (-9, 9))


def test_unseen_networks_have_a_section_where_the_file_says_which_they_are(tmp_path: Path) -> None:
    (tmp_path / "told").mkdir()
    (tmp_path / "untold").mkdir()
    told, untold = sessions(tmp_path / "told", False), sessions(tmp_path / "untold", None)
    assert generalization(told) is not None and generalization(untold) is None
    pictures = [
        {getattr(block, "name", "") for block in distributions(study).blocks} for study in (told, untold)
    ]
    assert "boxes" not in pictures[0] and "boxes" in pictures[1]
