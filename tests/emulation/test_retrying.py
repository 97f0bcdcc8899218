"""`run.py --retry-invalid`: a session whose link somebody changed is streamed again; what it left is kept."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from player.record import read_record
from tests.support.emulation import Run, write_trace, write_video

CHUNKS = 8
SLOW = ("tbf", "rate", "1mbit", "burst", "3000", "limit", "60000")


@pytest.mark.emulation
def test_a_session_over_a_changed_link_is_streamed_again_and_the_other_is_not(tmp_path: Path) -> None:
    write_trace(tmp_path / "even.log", [2.0] * 60)
    write_video(tmp_path / "short", CHUNKS, 0.5, (20_000, 40_000, 60_000))
    run = Run(
        tmp_path,
        *("--trace", "even.log", "--video", "short", "--policy", "bba,rate", "--rtt-ms", "20"),
        *("--retry-invalid", "2", "--json", "--out", "out"),
    )
    out = tmp_path / "out"
    run.expect_chunk(out)
    wan = run.child(f"mininet:sb{run.process.pid}-0-wan ")
    change = ["tc", "qdisc", "add", "dev", "wan-down", "root", *SLOW]
    subprocess.run(["mnexec", "-a", str(wan), *change], check=True)
    assert run.finish() == 0, run.err  # nobody touches the link of the second try
    run.expect_nothing_left()
    first = json.loads(run.out)["retried"][0]
    assert first["record"] == "out/invalid/bba-1.jsonl"
    assert any("changed the lane: qdisc tbf" in reason for reason in first["reasons"])
    invalid, again, other = (
        read_record(out / name) for name in ("invalid/bba-1.jsonl", "bba.jsonl", "rate.jsonl")
    )
    assert not invalid.end.valid and again.end.valid and other.end.valid
    assert (again.end.outcome, len(again.chunks)) == ("finished", CHUNKS)
    assert "attempt" not in invalid.manifest and again.manifest["attempt"] >= 2
    assert (out / "invalid" / "logs" / "bba-1.link.jsonl").stat().st_size > 0
    assert "1 invalid session again, 1 of 2: bba" in run.err
    assert f"streamed again; the invalid session is {first['record']}" in run.err
    assert sorted(path.name for path in out.glob("*.jsonl")) == ["bba.jsonl", "rate.jsonl"]
