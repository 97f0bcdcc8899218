"""Standard output is ours alone, and given back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from player.real.stdout import kept_for_us

SCRIPT = """
import os, sys
from player.real.stdout import kept_for_us
print("before")
with kept_for_us() as out:
    os.system("echo child")
    print("python")
    print("ours", file=out, flush=True)
print("after", flush=True)
os.system("echo child after")
"""


def run(script: str, shell: str = '"$0" -c "$1"') -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", shell, sys.executable, script],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[3],
    )


def test_what_others_write_goes_to_stderr_and_stdout_comes_back() -> None:
    done = run(SCRIPT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "before\nours\nafter\nchild after\n"
    assert sorted(done.stderr.split()) == ["child", "python"]


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_process_without_these_descriptors(closed: str) -> None:
    done = run(SCRIPT, f'"$0" -c "$1" {closed}; echo status $?')
    assert "status 0" in done.stdout, done.stderr
    if closed == "2>&-":
        assert "ours\n" in done.stdout and "python" not in done.stdout


def test_a_disk_that_is_full_is_an_error() -> None:
    script = "from player.real.stdout import kept_for_us\nwith kept_for_us() as out: out.write('ours')"
    done = run(script, '"$0" -c "$1" >/dev/full')
    assert done.returncode == 1
    assert "No space left" in done.stderr


def test_a_captured_stdout_is_what_is_yielded(capsys: pytest.CaptureFixture[str]) -> None:
    present = sys.stdout
    with kept_for_us() as out:
        assert out is present
        print("others'")
        print("ours", file=out)
    assert sys.stdout is present
    told = capsys.readouterr()
    assert (told.out, told.err) == ("ours\n", "others'\n")
