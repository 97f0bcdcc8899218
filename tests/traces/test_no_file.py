"""What a person names and is no file: a pipe into which nobody writes may not hold a command for ever."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from player.video.built_in import load_video
from player.video.video import VideoError
from policies.genet.net import PensieveNetError
from policies.genet.net import read as read_genet
from policies.hindsight.net import OptionNet, OptionNetError
from policies.llm.serving.serve import ServeError, read_token
from traces import formats
from traces.formats.content import MAX_BYTES, MOST_LINES
from traces.inspection import lint
from traces.safe_reading import read_bytes
from traces.trace import TraceError

ROOT = Path(__file__).resolve().parents[2]
TRACE = "0 1\n60 2\n"
READERS: tuple[tuple[str, Callable[[Path], Any], type[Exception]], ...] = (
    ("a.txt", formats.load, TraceError),
    ("a.mpd", load_video, VideoError),
    ("video_size_0", lambda path: load_video(path.parent), VideoError),
    ("folder.mpd", lambda path: load_video(path.parent), VideoError),
    ("token", read_token, ServeError),
    ("genet.safetensors", read_genet, PensieveNetError),
    ("hindsight.safetensors", OptionNet.read, OptionNetError),
)


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """A reader that waits for somebody to write fails, and does not hold up the tests."""

    def hangs(number: int, frame: FrameType | None) -> None:
        raise AssertionError("it waits for somebody to write")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(("name", "read", "refusal"), READERS, ids=[name for name, _, _ in READERS])
def test_a_pipe_is_refused_at_once(
    tmp_path: Path, name: str, read: Callable[[Path], Any], refusal: type[Exception]
) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(refusal, match=rf"{name}: a pipe, no file"):
        read(tmp_path / name)


@pytest.mark.parametrize("beside", ["chunk_s", "ladder_kbps"])
def test_a_pipe_beside_sizes_is_refused_too(tmp_path: Path, beside: str) -> None:
    for level in range(6):
        (tmp_path / f"video_size_{level}").write_text("9\n8\n")
    os.mkfifo(tmp_path / beside)
    with pytest.raises(VideoError, match=rf"{beside}: a pipe, no file"):
        load_video(tmp_path)


def test_lint_tells_of_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    assert [each.fault for each in lint.lint_file(tmp_path / "a.txt")] == ["a pipe, no file"]


def test_what_a_shell_has_opened_for_us_is_read() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "traces", "lint", "/dev/stdin"],
        cwd=ROOT,
        input=TRACE,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "1 file: 0 errors, 0 warnings\n")


def test_a_file_in_which_nothing_is_to_be_read_yet_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """As /proc/kmsg: a regular file by its looks, which answers that one has to wait."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    monkeypatch.setattr("traces.safe_reading.open_file", lambda *_, **__: reader)
    assert read_bytes("kmsg") == b""
    os.close(writer)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_over_the_bound_is_refused_with_a_way_out(tmp_path: Path, packed: bool) -> None:
    if packed:
        (tmp_path / "a").write_bytes(gzip.compress(bytes(MAX_BYTES + 1), 1))
    else:
        (tmp_path / "a").touch()
        os.truncate(tmp_path / "a", MAX_BYTES + 1)
    with pytest.raises(TraceError, match=r"a: over 64 MiB( unpacked)?; cut it into traces, such as by"):
        formats.load(tmp_path / "a")


def test_a_file_of_too_many_lines_is_refused_before_they_are_taken_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n" * (MOST_LINES + 1))
    with pytest.raises(TraceError, match="a: over 4000000 lines or objects; cut it into traces"):
        formats.load(tmp_path / "a")
