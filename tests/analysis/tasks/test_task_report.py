"""Box plots and the report of jobs and viewports: seen beside unseen, tables by what is paired."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from analysis.__main__ import main
from analysis.tasks.boxes import common_values
from analysis.tasks.figures import VIEWPORT_FIGURES
from analysis.tasks.groups import SETTING, groups_of
from analysis.tasks.read import read_cases
from tests.support.session_records import write_session
from tests.support.task_records import write_jobs, write_views


def test_boxes_are_over_recordings_that_all_policies_have(tmp_path: Path) -> None:
    write_views(tmp_path, "static", {"0": {"a": 9.0, "b": 11.0}, "1": {"a": 8.0}}, "heads")
    write_views(tmp_path, "crowd", {"0": {"a": 8.0, "b": 10.0, "c": 1.0}}, "heads")
    cases, _ = read_cases(VIEWPORT_FIGURES, [tmp_path])
    (group,) = groups_of(VIEWPORT_FIGURES, cases, SETTING)
    assert common_values(group) == {"static": [9.0, 11.0], "crowd": [8.0, 10.0]}


def test_a_picture_has_a_panel_a_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for source in ("heads", "valid"):
        write_views(tmp_path, "static", {"0": {"a": 9.0, "b": 11.0}}, source)
        write_views(tmp_path, "small", {"0": {"a": 8.0, "b": 10.0}}, source)
    picture = tmp_path / "box.svg"
    words = ["plot", str(tmp_path), "--what", "box", "--seen", "valid", "--out", str(picture), "--json"]
    assert main(words) == 0
    groups = json.loads(capsys.readouterr().out)["groups"]
    assert groups == [{"setting": "valid", "seen": True}, {"setting": "heads", "seen": False}]
    assert picture.stat().st_size > 1000


def test_a_report_of_jobs_over_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = []
    for executors in (50, 8):
        folders.append(str(tmp_path / str(executors)))
        write_jobs(Path(folders[-1]), "fair", [60.0, 50.0, 40.0], executors)
        write_jobs(Path(folders[-1]), "release", [55.0, 46.0, 34.0], executors)
    out = tmp_path / "report"
    words = ["report", *folders, "--seen", "50 executors", "--out", str(out), "--format", "svg", "--json"]
    assert main(words) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["baseline"] == "fair"
    assert [pair["difference"] for pair in facts["pairs"]] == pytest.approx([-5.0, -5.0])
    assert [pair["over"] for pair in facts["pairs"]] == ["50 executors (seen)", "8 executors (unseen)"]
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "8 executors (unseen)" in page and "testbed/simulate.py --policy release" in page
    rows = list(csv.DictReader((out / "tables" / "means.csv").open()))
    assert [row["setting"] for row in rows[::2]] == ["50 executors (seen)", "8 executors (unseen)"]
    assert float(rows[0]["job_s"]) == pytest.approx(50.0)


def test_a_report_of_viewports_has_tables_by_video_viewer_and_horizon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mae = {"0": {"a": 9.0, "b": 11.0}, "1": {"a": 8.0, "b": 10.0}}
    write_views(tmp_path, "static", mae, "heads")
    less = {video: {viewer: one - 1.0 for viewer, one in viewers.items()} for video, viewers in mae.items()}
    write_views(tmp_path, "crowd", less, "heads")
    assert main(["report", str(tmp_path), "--format", "svg"]) == 0
    tables = tmp_path / "report" / "tables"
    names = {path.stem for path in tables.glob("*.csv")}
    assert names >= {"means", "pairs", "pairs-by-video", "pairs-by-viewer", "pairs-by-horizon"}
    rows = list(csv.DictReader((tables / "pairs-by-video.csv").open()))
    assert [row["group"] for row in rows] == ["heads/0", "heads/1"] and "difference_by_video" not in rows[0]
    figures = {path.stem for path in (tmp_path / "report" / "figures").iterdir()}
    assert figures == {"boxes", "by-horizon"}


def test_of_videos_there_is_one_folder_and_no_seen(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_session(tmp_path / "bba.jsonl")
    for words, said in (
        (["report", str(tmp_path), str(tmp_path)], "one folder makes one"),
        (["report", str(tmp_path), "--seen", "4g"], "--seen is of jobs and viewports"),
        (["compare", str(tmp_path), "--by", "viewer"], "--by viewer is of viewports"),
    ):
        assert main(words) == 2
        assert said in capsys.readouterr().err
