"""`score`: what it plays, on which ladder, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from policies.hindsight.__main__ import main

FEW = ["score", "--traces", "3g[0:3]", "--starts", "2"]


def said(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, float]:
    assert main([*FEW, "--json", *more]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    return dict(row)


def test_a_setting_is_scored_beside_robustmpc(capsys: pytest.CaptureFixture[str]) -> None:
    row = said(capsys)
    assert row["sessions"] == 6 and row["lines"] == 3 and row["low"] <= row["gain"] <= row["high"]
    assert main(FEW) == 0
    head, _, line = capsys.readouterr().out.splitlines()
    assert head.startswith("QoE linear, mu 4.3, smooth 1; envivio, 48 x 4 s, ladder 300, 750,")
    assert line.startswith("3g[0:3]") and f"{row['gain']:+.3f}" in line


def test_mu_ladder_chunks_cap_and_round_trip_are_heard(capsys: pytest.CaptureFixture[str]) -> None:
    usual = said(capsys)
    for more in (
        ("--mu", "40"), ("--smooth", "0"), ("--qoe", "log"), ("--ladder", "300,1200,4300"),
        ("--chunk-s", "2"), ("--buffer-cap-s", "12"), ("--rtt-ms", "300"),
    ):  # fmt: skip
        assert said(capsys, *more)["robustmpc"] != pytest.approx(usual["robustmpc"], abs=1e-4), more


def test_measured_traces_are_those_held_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        rates = np.random.default_rng(number).uniform(0.3, 4.0, 60)
        lines = [f"{second} {rate:.3f}" for second, rate in enumerate(rates)]
        (tmp_path / f"trace_{number}_http---www.msn.com").write_text("\n".join(lines) + "\n")
    words = ["score", "--traces", str(tmp_path), "--starts", "1", "--json"]
    assert main(words) == 0
    held = json.loads(capsys.readouterr().out)["rows"][0]["sessions"]
    assert main([*words, "--all"]) == 0
    assert 0 < held < json.loads(capsys.readouterr().out)["rows"][0]["sessions"] == 12
    for path in sorted(tmp_path.iterdir())[1:]:
        path.unlink()
    assert main(words) == 2
    assert "none of its traces is held out; --all takes them all" in capsys.readouterr().err
