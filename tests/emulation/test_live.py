"""A live stream in parts over real lanes: the same moments for all, the latency asked for, a true link."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from player.qoe import LiveQoE, summarise
from player.record import read_record
from tests.support.emulation import Run, write_trace, write_video

pytestmark = pytest.mark.emulation

CHUNKS, CHUNK_S, LATENCY_S = 6, 0.4, 0.6


def test_two_lanes_are_live_at_the_same_moments(tmp_path: Path) -> None:
    write_trace(tmp_path / "my.log", (4.0, 6.0, 5.0, 3.0))
    write_video(tmp_path / "short", CHUNKS, CHUNK_S)
    asked = (
        "--trace",
        "my.log",
        "--video",
        "short",
        "--policy",
        "bba,rate",
        "--rtt-ms",
        "20",
        "--lanes",
        "2",
    )
    live = ("--live", "--latency-s", str(LATENCY_S), "--part-s", "0.1", "--lanes", "2")
    run = Run(tmp_path, *asked, *live, "--retry-invalid", "2", "--out", "mine", "--json")
    assert run.finish() == 0, run.err
    run.expect_nothing_left()
    begins_ms = set()
    for name in ("bba", "rate"):
        record = read_record(tmp_path / "mine" / f"{name}.jsonl")
        assert (record.end.outcome, record.end.valid) == ("finished", True)
        assert record.manifest["player"]["live"]["latency_s"] == LATENCY_S
        assert record.manifest["video"]["sizes_exact"] is False
        latencies_s = [row.latency_s for row in record.chunks]
        assert all(one is not None and one > LATENCY_S - 0.2 for one in latencies_s)
        for row in record.chunks:  # the stream began so long before the session, and parts last 0.1 s
            assert row.request_s >= row.chunk * CHUNK_S + 0.1 - LATENCY_S - 0.02
        weights = LiveQoE(**record.manifest["told_qoe"])
        assert summarise(record.chunks, record.end, record.ladder_kbps, weights).latency_s is not None
        log = (tmp_path / "mine" / "logs" / f"{name}.origin.jsonl").read_text().splitlines()
        paths = [str(json.loads(line)["path"]).split("/") for line in log]
        begins_ms |= {int(path[3]) for path in paths if path[2:3] == ["live"] and path[-1].endswith(".m4s")}
    assert max(begins_ms) - min(begins_ms) <= 20
    (bba, rate) = json.loads(run.out)["policies"]
    assert bba["latency_s"] > 0 and rate["latency_s"] > 0
