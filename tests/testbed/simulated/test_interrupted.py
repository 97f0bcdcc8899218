"""Ctrl-C ends a simulation with its word and its status, and leaves nothing half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

SLOW = """
import time

class Slow:
    def reset(self, video, seed, qoe): pass
    def select(self, observation):
        print("asked", flush=True)
        time.sleep(600)
"""


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupt_is_said_and_waits_for_no_policy(jobs: str, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    out = tmp_path / "out"
    words = ["--traces", "4g[0:4]", "--policy", f"bba,{tmp_path / 'slow.py'}:Slow", "--jobs", jobs]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "testbed" / "simulate.py"), *words, "--out", str(out)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        text=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:  # a policy's print goes there
            if "asked" in line:
                break
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert said.strip().splitlines()[-1].startswith("simulate.py: interrupted; the same command")
    assert "Traceback" not in said
    assert not [path.name for path in out.iterdir() if path.suffix != ".jsonl"]
