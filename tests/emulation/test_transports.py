"""HTTP/2 and HTTP/3 over real namespaces and packets: links stay true, records hold what was spoken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from player.record import read_record
from tests.support.emulation import Run, surroundings, write_trace, write_video
from tests.support.stream_servers import need_transport

pytestmark = pytest.mark.emulation
need_transport()


@pytest.mark.parametrize("transport", ["h2", "h3"])
def test_a_session_by_it_is_one_like_any_other(transport: str, tmp_path: Path) -> None:
    write_trace(tmp_path / "t.log", [3.0] * 30)
    write_video(tmp_path / "v", 6, 1.0, (30_000, 120_000, 200_000))
    before = surroundings()
    words = ("--trace", "t.log", "--video", "v", "--policy", "fixed:level=1", "--loss-pct", "1")
    run = Run(tmp_path, *words, "--transport", transport, "--rtt-ms", "40", "--out", "o", "--json")
    run.finish()
    run.expect_nothing_left()
    assert surroundings() == before
    record = read_record(tmp_path / "o" / "fixed-level=1.jsonl")
    assert record.end.outcome == "finished"
    untrue = [reason for reason in record.end.link["reasons"] if "late" not in reason]
    assert untrue == []
    player = record.manifest["player"]
    assert (player["transport"]["asked"], player["transport"]["negotiated"]) == (transport, transport)
    lines = (tmp_path / "o" / "logs" / "fixed-level=1.origin.jsonl").read_text().splitlines()
    assert {json.loads(line)["protocol"] for line in lines} == {transport}
    path = record.end.link["path"]
    assert (path["server_datagrams"] > 0) == (transport == "h3") and path["lost_as_asked"] > 0
