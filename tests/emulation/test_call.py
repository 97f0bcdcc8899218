"""`call.py` from end to end, over real namespaces and packets, with calls of a few seconds."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from player.call.record import read_call
from testbed.calling.ends.sides import prepare_receiver, prepare_sender
from testbed.calling.lane_call import RECEIVER
from tests.support.emulation import ROOT, Run, surroundings, wait_until, write_trace

pytestmark = [pytest.mark.emulation, pytest.mark.beside]

CALL = ROOT / "testbed" / "call.py"

POLICIES = """
import time


class Bad:
    def __init__(self, how: str = "raises"):
        self.how, self.count = how, 0

    def reset(self, call, seed, qoe):
        print("reset with seed", seed)

    def decide(self, observation):
        self.count += 1
        if self.count % 2:
            return 400.0
        if self.how == "raises":
            raise RuntimeError("no idea")
        if self.how == "nan":
            return float("nan")
        if self.how == "negative":
            return -5
        time.sleep(0.5)
        return 400.0
"""

Start = Callable[..., Run]


@pytest.fixture(scope="module", autouse=True)
def machine_code() -> None:
    """Made once, for that takes longer than a call is waited for."""
    prepare_sender()
    prepare_receiver()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts calls over a link of 2 Mbit/s that is dark from 3 to 4 s, and ends what still goes on."""
    write_trace(tmp_path / "t.log", [2.0] * 3 + [0.0] + [2.0] * 20)
    (tmp_path / "bad.py").write_text(POLICIES)
    runs: list[Run] = []
    before = surroundings()

    def start_one(*words: str, seconds: str = "2") -> Run:
        common = ("--trace", "t.log", "--rtt-ms", "20", "--lanes", "9", "--seconds", seconds)
        runs.append(Run(tmp_path, *common, *words, script=CALL))
        return runs[-1]

    yield start_one
    for run in runs:
        run.process.kill()
        run.process.wait()
    assert surroundings() == before


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_call_goes_through_and_its_record_adds_up(start: Start, tmp_path: Path) -> None:
    run = start("--policy", "gcc,fixed:kbps=500", "--out", "o", "--json", seconds="3")
    status = run.finish()
    run.expect_nothing_left()
    report = json.loads(run.out)
    assert [one["outcome"] for one in report["calls"]] == ["finished"] * 2
    assert status == (0 if all(one["valid"] for one in report["calls"]) else 1)
    for name in ("gcc", "fixed-kbps=500"):
        first, *rows, end = lines(tmp_path / "o" / f"{name}.jsonl")
        assert (first["task"], first["simulated"], first["call"]["duration_s"]) == (
            "call",
            False,
            3.0,
        )
        seconds = [row for row in rows if row["line"] == "second"]
        assert [row["second"] for row in seconds] == [0, 1, 2]
        sender, receiver = end["sender"]["sender"], end["sender"]["receiver"]
        assert sum(row["sent_packets"] for row in seconds) == sender["packets"]
        assert sender["packets"] >= receiver["packets"]
        if end["valid"]:  # 2 Mbit/s hold 3 s of these rates; a busy machine may lose some, and says so
            assert (sender["packets"], sender["bytes"]) == (receiver["packets"], receiver["bytes"])
        seen = [at_s for row in seconds for at_s in row["shown_s"]]
        assert len(seen) == receiver["shown"] and seen == sorted(seen)
        assert read_call(tmp_path / "o" / f"{name}.jsonl").call.duration_s == 3.0
        assert end["valid"] == (end["link"]["reasons"] == [])
    fixed = [row for row in lines(tmp_path / "o" / "fixed-kbps=500.jsonl") if row["line"] == "decision"]
    assert {row["kbps"] for row in fixed if row["by"] == "policy"} == {500.0}


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raises", "policy raised RuntimeError: no idea"),
        ("nan", "answered nan"),
        ("negative", "answered -5"),
        ("late", "its answer was late"),
    ],
)
def test_a_policy_that_does_not_decide_costs_itself_the_interval(
    start: Start, tmp_path: Path, how: str, reason: str
) -> None:
    run = start("--policy", f"bad.py:Bad:how={how}", "--out", "o", "--json")
    run.finish()
    run.expect_nothing_left()
    (one,) = json.loads(run.out)["calls"]
    assert one["outcome"] == "finished"
    (record,) = (tmp_path / "o").glob("*.jsonl")
    decisions = [row for row in lines(record) if row["line"] == "decision"]
    fallen = [row for row in decisions if row["by"] == "fallback"]
    assert fallen and any(reason in row["reason"] for row in fallen)
    assert any(row["kbps"] == 400.0 and row["by"] == "policy" for row in decisions)


def test_a_dark_link_ends_nothing(start: Start, tmp_path: Path) -> None:
    run = start("--policy", "gcc", "--out", "o", "--json", seconds="6")
    run.finish()
    (one,) = json.loads(run.out)["calls"]
    assert one["outcome"] == "finished" and one["stall_ratio"] > 0
    _, *rows, _ = lines(tmp_path / "o" / "gcc.jsonl")
    came = {row["second"]: row["packets"] for row in rows if row["line"] == "second"}
    assert came[2] > 2 >= came[3] and came[5] > 0  # of the last one, what was under way


def began(run: Run, place: Path) -> None:
    """Wait until a second of the call is written down."""
    partial = place / "o" / "gcc.jsonl.partial"
    run.expect(
        lambda: partial.exists() and b'"line":"second"' in partial.read_bytes(), "a second of the call"
    )


def test_ctrl_c_ends_a_call_with_a_record(start: Start, tmp_path: Path) -> None:
    run = start("--policy", "gcc", "--out", "o", seconds="20")
    began(run, tmp_path)
    run.process.send_signal(signal.SIGINT)
    assert run.finish() == 130
    run.expect_nothing_left()
    end = lines(tmp_path / "o" / "gcc.jsonl")[-1]
    assert (end["outcome"], end["reason"]) == ("interrupted", "SIGINT")
    assert end["elapsed_s"] < 19 and end["sender"]["receiver"]["packets"] > 0


def test_a_receiver_that_is_killed_leaves_a_call_that_goes_on(start: Start, tmp_path: Path) -> None:
    run = start("--policy", "gcc", "--out", "o", seconds="6")
    began(run, tmp_path)
    os.kill(run.in_host(RECEIVER, 0, "player"), signal.SIGKILL)
    assert run.finish() == 1
    run.expect_nothing_left()
    _, *rows, end = lines(tmp_path / "o" / "gcc.jsonl")
    assert end["outcome"] == "receiver-died" and end["elapsed_s"] == 6.0
    seconds = [row for row in rows if row["line"] == "second"]
    assert len(seconds) == 6 and seconds[0]["packets"] > 0 and seconds[-1]["packets"] == 0
    assert seconds[-1]["sent_packets"] > 0
    rates = [row["kbps"] for row in rows if row["line"] == "decision"]
    assert min(rates[len(rates) // 2 :]) < max(rates)  # nothing comes back: GCC gives way


def test_a_receiver_that_is_frozen_for_a_while_is_told_by_the_verdict(start: Start, tmp_path: Path) -> None:
    run = start("--policy", "gcc", "--out", "o", seconds="5")
    began(run, tmp_path)
    receiver = run.in_host(RECEIVER, 0, "player")
    os.kill(receiver, signal.SIGSTOP)
    wait_until(lambda: "T" in Path(f"/proc/{receiver}/stat").read_text().rpartition(")")[2][:3], "it stops")
    time.sleep(1.0)
    os.kill(receiver, signal.SIGCONT)
    assert run.finish() == 1
    end = lines(tmp_path / "o" / "gcc.jsonl")[-1]
    assert end["outcome"] == "finished" and not end["valid"]
    assert any("reports left late" in reason for reason in end["link"]["reasons"])


def test_kill_9_leaves_nothing_and_the_next_call_goes_through(start: Start, tmp_path: Path) -> None:
    run = start("--policy", "gcc", "--out", "o", seconds="20")
    began(run, tmp_path)
    namespaces = run.namespaces()
    run.process.kill()
    run.process.wait()
    run.expect_nothing_left(namespaces)
    again = start("--policy", "gcc", "--out", "o", "--json")
    again.finish()
    assert json.loads(again.out)["calls"][0]["outcome"] == "finished"


def test_strict_stops_at_the_first_fault(start: Start, tmp_path: Path) -> None:
    run = start("--policy", "bad.py:Bad:how=raises", "--strict", "--out", "o")
    assert run.finish() == 2
    run.expect_nothing_left()
    assert "policy raised RuntimeError: no idea; stopped, as --strict says" in run.err
    assert "Traceback" in run.err and "bad.py" in run.err
    assert not list((tmp_path / "o").glob("*.jsonl"))
