"""Output of somebody's code by whatever way: visible, on stderr, and not lost with the process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from player.foreign.shown_output import LONGEST, ShownOutput, write_there

RAW = r"""
import ctypes, os, signal, subprocess
os.write(2, b"imported \x1b[2m\n")

class P:
    def reset(self, video, seed, qoe):
        os.write(1, b"raw \x1b[2J\n")
        os.write(2, b"no text \xff\n")
        subprocess.run(["printf", "program \\033[1m\\n"])
        ctypes.CDLL(None).write(2, b"by C \x1bc\n", 8)
    def select(self, observation): return 0

class Dies(P):
    def select(self, observation):
        os.write(2, b"last words \x1b[1m")
        os.kill(os.getpid(), signal.SIGKILL)
"""
ROOT = Path(__file__).resolve().parents[3]


def test_whatever_way_a_simulated_policy_writes_it_is_visible_and_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "raw.py").write_text(RAW)
    words = ("--trace", "4g/0", "--chunks", "2", "--policy", "raw.py:P,raw.py:Dies", "--out", "out", "--json")
    done = subprocess.run(
        [sys.executable, ROOT / "testbed" / "simulate.py", *words], cwd=tmp_path, capture_output=True
    )
    assert b"\x1b" not in done.stderr + done.stdout and b"\xff" not in done.stderr
    for said in (r"imported \x1b[2m", r"raw \x1b[2J", r"no text \xff", r"program \x1b[1m", r"by C \x1bc"):
        assert said in done.stderr.decode().splitlines()
    assert r"last words \x1b[1m" in done.stderr.decode()
    assert done.stdout.startswith(b"{") and done.stdout.count(b"\n") == 1  # the object alone


def test_a_line_without_an_end_is_shown_and_a_long_one_does_not_pile_up(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with ShownOutput() as shown:
        copy = os.fork()
        if copy == 0:
            write_there(shown.place)
            os.write(1, b"x" * (3 * LONGEST) + b"\nend")
            os._exit(0)
        os.waitpid(copy, 0)
    out, err = capfd.readouterr()
    assert out == "" and err.replace("\n", "") == "x" * (3 * LONGEST) + "end"


def test_a_process_that_outlives_its_worker_keeps_nobody_waiting(capfd: pytest.CaptureFixture[str]) -> None:
    with ShownOutput() as shown:
        script = "echo begun; exec sleep 60"
        with Path(shown.place).open("wb") as place:
            left = subprocess.Popen(["sh", "-c", script], stdout=place)
        while left.poll() is None and "sleep" not in Path(f"/proc/{left.pid}/cmdline").read_text()[:6]:
            time.sleep(0.01)
    assert left.poll() is None  # it still holds the pipe
    left.kill()
    left.wait()
    assert capfd.readouterr().err == "begun\n"


def test_code_that_closes_the_pipe_costs_nothing_of_ours(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with ShownOutput() as shown:
        for number in (shown._reader, shown._writer):
            os.close(number)
        mine = [(tmp_path / str(place)).open("w") for place in range(4)]  # under the same numbers
    for file in mine:
        file.write("x")
        file.close()
    assert capfd.readouterr().err == ""


def test_without_the_pipe_it_goes_to_stderr(tmp_path: Path) -> None:
    program = (
        "import os\nfrom player.foreign.shown_output import write_there\n"
        "write_there('/nowhere/at/all')\nos.write(1, b'kept off')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"kept off")
