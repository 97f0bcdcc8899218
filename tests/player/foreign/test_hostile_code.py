"""Code of somebody's that ends the program, closes its streams or leaves processes behind, tried first."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from player.foreign.trial import EndedHere, tried
from player.foreign.undoing import undone
from player.playable import refuse_unplayable
from player.qoe import Scoring
from player.registry import PolicyError, load_policy
from player.video.built_in import load_video

ENDS = """\
import os
class InReset:
    def reset(self, video, seed, qoe): os._exit(0)
    def select(self, observation): return 0
class WhenMade(InReset):
    def __init__(self): os._exit(0)
class Odd(InReset):
    def reset(self, video, seed, qoe):
        class Unsayable(ValueError):
            def __str__(self): return 3
        raise Unsayable()
"""


def test_what_a_copy_gives_comes_back_and_what_it_started_is_gone(tmp_path: Path) -> None:
    left = tmp_path / "pid"

    def forks() -> str:
        child = os.fork()
        if child == 0:
            time.sleep(600)
        left.write_text(str(child))
        return "said"

    assert tried(forks, silent=True) == "said"
    state = Path(f"/proc/{left.read_text()}/stat")
    for _ in range(500):
        if not state.exists() or state.read_text().split()[2] == "Z":
            break
        time.sleep(0.02)
    else:
        pytest.fail("what the copy started is alive")


def test_a_copy_that_ends_says_how() -> None:
    with pytest.raises(EndedHere, match="exit status 0"):
        tried(lambda: os._exit(0), silent=True)
    with pytest.raises(EndedHere, match="signal SIGKILL"):
        tried(lambda: str(os.kill(os.getpid(), 9)), silent=True)


def test_a_file_that_ends_the_program_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ends.py"
    file.write_text("import os\nos._exit(0)\n")
    with pytest.raises(
        PolicyError, match=r"ends.py:P: it ends the program as it is loaded \(exit status 0\)"
    ):
        load_policy(f"{file}:P")
    file.write_text(ENDS)
    with pytest.raises(PolicyError, match=r"WhenMade: it ends the program as it is loaded"):
        load_policy(f"{file}:WhenMade")


def test_a_reset_that_ends_the_program_is_refused(tmp_path: Path) -> None:
    file, video = tmp_path / "ends.py", load_video("envivio")
    file.write_text(ENDS)
    qoe = Scoring().on(video.ladder_kbps)
    with pytest.raises(PolicyError, match=r"InReset: its reset ends the program \(exit status 0\)"):
        refuse_unplayable(load_policy(f"{file}:InReset"), video, "envivio", 0, qoe)
    with pytest.raises(PolicyError, match="Odd can't play envivio: Unsayable"):
        refuse_unplayable(load_policy(f"{file}:Odd"), video, "envivio", 0, qoe)


def test_streams_are_put_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stream = sys.stdout
    with undone():
        os.close(1)
        assert os.open(tmp_path / "taken", os.O_WRONLY | os.O_CREAT) == 1
        os.close(2)
        sys.stdout = None  # type: ignore[assignment]
    assert sys.stdout is stream
    os.write(1, b"out\n")
    os.write(2, b"err\n")
    assert capfd.readouterr() == ("out\n", "err\n")
    assert (tmp_path / "taken").read_bytes() == b""


def test_a_copy_that_code_forks_goes_no_further(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    with undone():
        child = os.fork()
    with seen.open("a") as file:
        file.write("once\n")
    assert os.waitpid(child, 0)[1] == 0
    assert seen.read_text() == "once\n"
