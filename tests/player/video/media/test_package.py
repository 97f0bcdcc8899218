"""A person's own file becomes segments, an MPD and sizes that are those of the files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from player.video.__main__ import main
from player.video.built_in import load_video
from player.video.quality import read_quality
from tests.support.ffmpeg import demuxed, needs_ffmpeg


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A little over 2.3 s of moving bars, 160 x 90, 25 pictures a second."""
    needs_ffmpeg()
    file = tmp_path_factory.mktemp("source") / "bars.mp4"
    words = ["-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25", "-t", "2.3", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-loglevel", "error", "-threads", "1", *words, str(file)], check=True)
    return file


def made(folder: Path, *words: str) -> int:
    return main(["make", str(folder), *words])


def test_a_file_is_packaged_at_each_bitrate(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    assert (
        made(folder, str(source), "--ladder", "40,120", "--chunk-s", "1", "--quality", "ssim", "--json") == 0
    )
    told = capsys.readouterr()
    assert "s, which are no whole chunk, are left out" in told.err
    assert json.loads(told.out)["ladder_kbps"] == [40, 120]
    video = load_video(folder)
    assert (video.name, video.chunk_s, video.chunks, video.sizes_exact) == ("mine", 1.0, 2, True)
    for chunk, row in enumerate(video.sizes_bytes):
        assert row == tuple((folder / f"{level}/{chunk}.m4s").stat().st_size for level in range(2))
    quality = read_quality(folder / "quality.csv")
    assert all(0 < low < high <= 1 for low, high in quality.values) and len(quality.values) == 2
    whole = tmp_path / "whole.mp4"
    parts = ("init.mp4", "0.m4s", "1.m4s")
    whole.write_bytes(b"".join((folder / "1" / part).read_bytes() for part in parts))
    assert demuxed(whole) == (50, "")
    assert made(folder, str(source)) == 2
    assert "it has an MPD already; name a new folder" in capsys.readouterr().err


def test_encodes_are_taken_as_they_are_where_their_key_frames_allow(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encodes = []
    for kbps in (40, 120):
        encodes.append(str(tmp_path / f"{kbps}.mp4"))
        how = ["-i", str(source), "-b:v", f"{kbps}k", "-c:v", "libx264", "-g", "25", "-sc_threshold", "0"]
        subprocess.run(["ffmpeg", "-loglevel", "error", *how, encodes[-1]], check=True)
    assert made(tmp_path / "fits", *encodes, "--chunk-s", "1") == 0
    video = load_video(tmp_path / "fits")
    assert (video.levels, video.chunks) == (2, 2)
    capsys.readouterr()
    assert made(tmp_path / "not", *encodes, "--chunk-s", "0.7") == 2
    assert "no key frame at 0.7 s, where chunk 1 begins" in capsys.readouterr().err
    assert not (tmp_path / "not").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/nonexistent.mp4"], "/nonexistent.mp4: no such file"),
        ([], "make needs a new folder and a file, or encodes"),
        (["x.mp4", "--ladder", "300,many"], "--ladder 300,many: expected bitrates in kbit/s"),
        (["x.mp4", "--chunk-s", "-1"], "--chunk-s -1.0: must be positive"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert made(tmp_path / "new", *words) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_a_file_without_a_video_and_one_too_short_are_refused(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "words.mp4"
    text.write_text("no video")
    assert made(tmp_path / "new", str(text)) == 2
    assert "ffprobe failed" in capsys.readouterr().err
    assert made(tmp_path / "new", str(source), "--chunk-s", "4") == 2
    assert " s are no chunk of 4 s; give --chunk-s" in capsys.readouterr().err
