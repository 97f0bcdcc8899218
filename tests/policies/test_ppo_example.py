"""The worked example of docs/policies.md: train by PPO, save, and play what was learned."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from player.record import read_record
from testbed import simulate
from tests.support.emulation import Run, write_trace

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a training of a few steps."""
    pytest.importorskip("stable_baselines3")
    path = tmp_path_factory.mktemp("ppo") / "few.npz"
    words = [sys.executable, str(EXAMPLES / "train_ppo.py"), "--steps", "64", "--out", str(path)]
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=path.parent, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{path}: 15175 numbers after 2048 steps")  # one round
    return path


def spec_of(weights: Path) -> str:
    return f"{EXAMPLES / 'my_ppo.py'}:MyPPO:weights={weights}"


def test_what_was_trained_plays(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--traces", "4g[0:2]", "--policy", spec_of(weights), "--jobs", "1", "--chunks", "6"]
    assert simulate.main([*words, "--out", str(tmp_path), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["policies"]
    assert (found["sessions"], found["fallback_chunks"]) == (2, 0)


@pytest.mark.emulation
def test_what_was_trained_streams_over_an_emulated_link(weights: Path, tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "steady", (6.0, 6.0))
    words = ("--trace", trace, "--policy", spec_of(weights), "--chunks", "2", "--out", tmp_path / "out")
    assert Run(tmp_path, *words).finish() in (0, 1)  # 1: a busy machine's link was not true
    (path,) = (tmp_path / "out").glob("*.jsonl")
    assert {row.by for row in read_record(path).chunks} == {"policy"}
