"""Jobs and viewports compared in parts: by setting, video, viewer, horizon; what is drawn anew."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from tests.support.task_records import write_jobs, write_views

STATIC = {"0": {"a": 9.0, "b": 11.0}, "1": {"a": 8.0, "b": 10.0}}
CROWD = {"0": {"a": 8.0, "b": 10.0}, "1": {"a": 8.5, "b": 10.5}}
"""A degree less on video 0, half a degree more on video 1."""


@pytest.fixture
def views(tmp_path: Path) -> Path:
    write_views(tmp_path, "static", STATIC, "heads")
    write_views(tmp_path, "crowd", CROWD, "heads")
    return tmp_path


@pytest.fixture
def jobs(tmp_path: Path) -> list[str]:
    for executors, gain in ((50, 5.0), (8, 1.0), (100, 0.0)):
        fair = [60.0, 50.0, 40.0, 55.0]
        write_jobs(tmp_path / str(executors), "fair", fair, executors)
        write_jobs(tmp_path / str(executors), "release", [one - gain for one in fair], executors)
    return [str(tmp_path / name) for name in ("100", "50", "8")]


def found(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    return report


def test_each_video_is_a_comparison_of_its_own(views: Path, capsys: pytest.CaptureFixture[str]) -> None:
    groups = found(capsys, "compare", views, "--baseline", "static", "--by", "video")["groups"]
    assert [group["video"] for group in groups] == ["heads/0", "heads/1"]
    assert [group["pairs"][0]["difference"] for group in groups] == pytest.approx([-1.0, 0.5])
    assert [group["pairs"][0]["verdict"] for group in groups] == ["ahead", "behind"]
    assert "ci95_by_video" not in groups[0]["pairs"][0]
    assert main(["compare", str(views), "--by", "video"]) == 0
    said = capsys.readouterr().out
    assert said.index("heads/0") < said.index("heads/1") and "\\n" not in said


def test_what_is_drawn_anew_can_be_one_thing(views: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Viewers agree, so an interval over them leaves zero out; the two videos don't."""
    both = found(capsys, "compare", views, "--baseline", "static")["pairs"][0]
    assert both["difference"] == pytest.approx(-0.25) and both["verdict"] == "no difference seen"
    viewer = found(capsys, "compare", views, "--baseline", "static", "--cluster", "viewer")["pairs"][0]
    assert viewer["verdict"] == "ahead" and "ci95_by_video" not in viewer
    means = found(capsys, "compare", views, "--cluster", "video")
    assert means["intervals_by"] == "video"


def test_horizons_are_figures_of_their_own(views: Path, capsys: pytest.CaptureFixture[str]) -> None:
    groups = found(capsys, "compare", views, "--baseline", "static", "--by", "horizon")["groups"]
    pairs = [group["pairs"][0] for group in groups]
    assert [pair["figure"] for pair in pairs] == ["at_1s", "at_2s", "at_4s"]
    assert [pair["difference"] for pair in pairs] == pytest.approx([-0.25, -0.5, -1.0])


def test_settings_are_told_by_what_differs_and_numbers_count(
    jobs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *jobs]) == 2
    assert "records of 3 settings are here together; name those of one, or --by setting" in (
        capsys.readouterr().err
    )
    groups = found(capsys, "compare", *jobs, "--by", "setting", "--baseline", "fair")["groups"]
    assert [group["setting"] for group in groups] == ["8 executors", "50 executors", "100 executors"]
    assert [group["pairs"][0]["difference"] for group in groups] == pytest.approx([-1.0, -5.0, 0.0])


def test_the_same_name_with_other_content_is_no_pair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """tpch/0 of 40 jobs and tpch/0 of 200 are not the same sequence."""
    write_jobs(tmp_path, "fair", [60.0, 50.0])
    write_jobs(tmp_path, "release", [40.0, 30.0], content="of 40 jobs")
    assert main(["compare", str(tmp_path)]) == 2
    assert "no two policies have sequences in common" in capsys.readouterr().err


def test_differences_are_written(views: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "differences.csv"
    words = ["compare", str(views), "--baseline", "static", "--by", "viewer", "--csv", str(path)]
    assert found(capsys, *words)["tables"] == [str(path)]
    rows = list(csv.DictReader(path.open()))
    assert [row["group"] for row in rows] == ["a", "b"] and rows[0]["by_viewer_low"] == ""
    assert float(rows[0]["difference"]) == pytest.approx(-0.25)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", "--by", "rtt"], "for which there is setting, family, viewer, video, horizon"),
        (["compare", "--by", "video", "--cluster", "video"], "for which there is viewer"),
        (["compare", "--cluster", "trace"], "for which there is viewer, video"),
        (["compare", "--interrupted"], "--interrupted: these records are of viewport"),
        (["plot", "--what", "cdf", "--out", "x.png"], "draw box"),
        (["plot", "--what", "box", "--seen", "tails", "--out", "x.png"], "--seen tails"),
        (["collect"], "for which there is compare, plot, report"),
    ],
)
def test_what_is_of_others_is_refused(
    views: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main([words[0], str(views), *words[1:]]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
