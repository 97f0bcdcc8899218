"""`python -m player.mpds`: other people's MPDs, judged and counted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from player.mpds.__main__ import main
from player.video.built_in import load_video
from player.video.mpd_write import write_mpd
from tests.support.one_file import write_one_file_video

LIVE = '<MPD type="dynamic"><Period><SegmentTemplate><SegmentTimeline/></SegmentTemplate></Period></MPD>'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "ours.mpd").write_text(write_mpd(load_video("envivio")))
    shutil.copy(tmp_path / "deep" / "ours.mpd", tmp_path / "again.mpd")
    write_one_file_video(tmp_path, [[5, 6]]).with_name("v0.mp4").unlink()
    (tmp_path / "webm.mpd").write_text(
        '<MPD><Period duration="PT1S"><AdaptationSet mimeType="video/webm"><Representation bandwidth="1"/>'
        "</AdaptationSet></Period></MPD>"
    )
    (tmp_path / "live.MPD").write_text(LIVE)
    (tmp_path / "page.mpd").write_text("<html>")
    return tmp_path


def test_each_is_judged_once_and_the_count_says_of_which_kinds(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines[:5]] == [
        "again.mpd",
        "live.MPD",
        "one-file.mpd",
        "page.mpd",
        "webm.mpd",
    ]
    assert "again.mpd: played: 6 levels, 48 chunks" in lines
    assert any(line.startswith("webm.mpd: refused: ") and "only MP4's" in line for line in lines)
    assert [line.split()[-2:] for line in lines[5:]] == [
        ["played", "of"],
        ["1", "1"],
        ["1", "2"],
        ["0", "1"],
        ["0", "1"],
        ["2", "5"],
    ]


def test_for_a_machine(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["mpds"]
    assert {one["path"]: one["kind"] for one in found}["one-file.mpd"] == "one file, index"
    assert all(bool(one["refused"]) != bool(one["levels"]) for one in found)


@pytest.mark.parametrize("name", ["gone", "empty"])
def test_a_folder_without_any_is_one_line(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / name)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
