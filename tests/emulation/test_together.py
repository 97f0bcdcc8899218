"""Calls, videos and bulk flows on one bottleneck, over real namespaces and packets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from player.call.record import read_call
from player.record import read_record
from testbed.calling.ends.sides import prepare_receiver, prepare_sender
from tests.support.emulation import ROOT, Run, surroundings, write_trace, write_video

pytestmark = pytest.mark.emulation

CALL, RUN = ROOT / "testbed" / "call.py", ROOT / "testbed" / "run.py"
Start = Callable[..., Run]


@pytest.fixture(scope="module", autouse=True)
def machine_code() -> None:
    """Made once, for that takes longer than a call is waited for."""
    prepare_sender()
    prepare_receiver()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts runs over a link of 2 Mbit/s, and ends what still goes on."""
    write_trace(tmp_path / "t.log", [2.0] * 30)
    runs: list[Run] = []
    before = surroundings()

    def start_one(*words: str, script: Path = CALL) -> Run:
        common = ("--trace", "t.log", "--rtt-ms", "20", "--lanes", "9", "--out", "o", "--json")
        runs.append(Run(tmp_path, *common, *words, script=script))
        return runs[-1]

    yield start_one
    for run in runs:
        run.process.kill()
        run.process.wait()
    assert surroundings() == before


def untrue(record: dict[str, Any]) -> list[str]:
    """Reasons of an invalid link that no busy machine explains."""
    return [reason for reason in record["reasons"] if "late" not in reason]


def test_a_call_beside_a_video_and_flows_that_come_and_go(start: Start, tmp_path: Path) -> None:
    words = ("--policy", "fixed:kbps=400", "--beside", "video:bba", "--cross", "reno@1-4,cubic@2-")
    run = start(*words, "--seconds", "8")
    run.finish()
    run.expect_nothing_left()
    (lane,) = json.loads(run.out)["together"]
    assert [f"{one['kind']} {one['name']}" for one in lane["members"]] == [
        "call fixed:kbps=400",
        "video bba",
        "flow reno 1",
        "flow cubic 2",
    ]
    call, video, reno, cubic = lane["members"]
    assert 1.0 <= reno["begin_s"] < 2.0 and 4.0 <= reno["end_s"] < 5.0
    assert cubic["end_s"] > reno["end_s"] and not any("fault" in one for one in (reno, cubic))
    record = read_call(tmp_path / "o" / "fixed-kbps=400.jsonl")
    assert record.told.shared is not None
    assert record.told.shared.beside == ("video:bba", "reno from 1 s to 4 s", "cubic from 2 s")
    assert untrue(record.end.link) == []
    (beside,) = (tmp_path / "o" / "beside").glob("*.jsonl")
    session = read_record(beside)
    assert session.end.link["together"] == record.end.link["together"]
    assert session.chunks and video["stall_ratio"] is not None and call["stall_ratio"] is not None


def test_two_videos_of_different_policies_share_a_link(start: Start, tmp_path: Path) -> None:
    write_video(tmp_path / "v", 8, 1.0)
    words = ("--policy", "bba,rate", "--together", "--video", "v", "--chunks", "8", "--stagger-s", "1")
    run = start(*words, script=RUN)
    run.finish()
    (lane,) = json.loads(run.out)["together"]
    assert [one["name"] for one in lane["members"]] == ["bba", "rate"]
    assert [one["begin_s"] for one in lane["members"]] == [0.0, 1.0]
    first, second = (read_record(tmp_path / "o" / f"{name}.jsonl") for name in ("bba", "rate"))
    assert untrue(first.end.link) == []
    starts = [one.told.trace.start_s for one in (first, second) if one.told.trace]
    assert starts == [0.0, 1.0]


def test_a_congestion_control_that_is_not_here_costs_a_line(start: Start) -> None:
    run = start("--policy", "gcc", "--cross", "vegas9")
    assert run.finish() == 2
    assert "congestion control 'vegas9': this kernel has" in run.err and run.err.count("\n") == 1
