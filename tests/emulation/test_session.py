"""`run.py` from end to end, over real namespaces and packets, with videos of a second or two."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from player.record import Record, read_record
from testbed.link.lane import BOTTLENECK
from testbed.link.log import read_link_log
from tests.support.emulation import Run, a_namespace, surroundings, write_trace, write_video

pytestmark = pytest.mark.emulation

RATES_MBPS = (4.0, 6.0, 5.0, 3.0)
CHUNKS = 3

POLICY = """
import os

class Mine:
    weights_sha256 = "cafe"

    def __init__(self, level: int = 0):
        self.level = level
        print("made")

    def reset(self, video, seed, qoe):
        print("reset with seed", seed)

    def select(self, observation):
        os.write(1, b"to descriptor 1 itself\\n")
        os.system("echo by a child")
        if observation.chunk == 1:
            raise RuntimeError("no idea")
        if observation.chunk == 2:
            return 99
        return self.level
"""


@dataclass(frozen=True)
class Whole:
    """A whole run and what it left."""

    status: int
    out: str
    err: str
    folder: Path
    untouched: bool

    def record(self, name: str) -> Record:
        return read_record(self.folder / f"{name}.jsonl")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Two policies side by side, one of them a user's that fails; captured; as a machine asks for it."""
    place = tmp_path_factory.mktemp("whole")
    write_trace(place / "my.log", RATES_MBPS)
    write_video(place / "short", CHUNKS, 0.4)
    (place / "mine.py").write_text(POLICY)
    before = surroundings()
    run = Run(
        place,
        *(
            "--trace",
            "my.log",
            "--start-s",
            "0.5",
            "--video",
            "short",
            "--policy",
            "bba,mine.py:Mine:level=2",
        ),
        *("--rtt-ms", "20", "--queue-ms", "100", "--cc", "cubic", "--seed", "7", "--out", "mine"),
        *("--qoe", "linear", "--mu", "10", "--pcap", "--lanes", "2", "--json"),
    )
    status = run.finish()
    run.expect_nothing_left()
    return Whole(status, run.out, run.err, place / "mine", surroundings() == before)


def test_all_finish_over_true_links_and_nothing_is_left(whole: Whole) -> None:
    assert whole.status == 0, whole.err
    assert whole.untouched
    for name in ("bba", "mine.py-Mine-level=2"):
        record = whole.record(name)
        assert (record.end.outcome, record.end.chunks, record.end.valid) == ("finished", CHUNKS, True)
        assert record.end.played_s == pytest.approx(CHUNKS * 0.4)
        assert record.end.link["reasons"] == []
        assert record.end.link["steps"] >= 1


def test_the_folder_holds_records_logs_and_a_summary_and_no_leftovers(whole: Whole) -> None:
    held = sorted(str(path.relative_to(whole.folder)) for path in whole.folder.rglob("*") if path.is_file())
    names = ("bba", "mine.py-Mine-level=2")
    logs = [f"logs/{name}.{ending}" for name in names for ending in ("link.jsonl", "origin.jsonl", "pcap")]
    said = f"logs/{names[1]}.stderr.txt"
    assert held == sorted([*(f"{name}.jsonl" for name in names), "summary.json", *logs, said])
    assert "reset with seed 7" in (whole.folder / said).read_text().splitlines()


def test_stdout_is_one_json_object_and_the_same_is_in_the_folder(whole: Whole) -> None:
    report = json.loads(whole.out)
    assert whole.out.count("\n") == 1
    assert json.loads((whole.folder / "summary.json").read_text()) == report
    assert report["qoe"] == {"kind": "linear", "mu": 10.0, "smooth": 1.0}
    assert [line["policy"] for line in report["policies"]] == ["bba", "mine.py:Mine:level=2"]
    assert [(line["sessions"], line["invalid"], line["unfinished"]) for line in report["policies"]] == [
        (1, 0, 0)
    ] * 2
    for line in report["policies"]:
        (path,) = line["records"]
        assert read_record(Path(path)).end.outcome == "finished"


def test_a_person_sees_lines_and_a_table_beside_it(whole: Whole) -> None:
    assert f"chunk   1/{CHUNKS}" in whole.err
    assert "QoE: linear, mu 10, smooth 1" in whole.err
    assert "records: mine" in whole.err


def test_the_manifest_says_all_that_a_repetition_needs(whole: Whole) -> None:
    manifest = whole.record("bba").manifest
    assert (manifest["schema"], manifest["run_id"], manifest["simulated"], manifest["seed"]) == (
        1,
        "mine",
        False,
        7,
    )
    assert manifest["command_line"][:3] == ["testbed/run.py", "--trace", "my.log"]
    trace = manifest["trace"]
    assert (trace["spec"], trace["start_s"], trace["cap_mbps"]) == ("my.log", 0.5, None)
    assert trace["time_s"] == [0, 1, 2, 3, 4]
    assert trace["rate_mbps"] == [0, *RATES_MBPS]
    assert len(trace["sha256"]) == 64
    video = manifest["video"]
    assert (video["name"], video["chunk_s"], video["ladder_kbps"]) == ("short", 0.4, [300, 750, 1200])
    assert video["sizes_bytes"][0] == [8_000, 20_000, 40_000]
    link = manifest["link"]
    assert (link["rtt_ms"], link["queue_ms"], link["congestion_control"]) == (20.0, 100.0, "cubic")
    assert link["queue_limit_bytes"] == 56_250  # 100 ms at 4.5 Mbit/s
    assert link["delay_backend"] in ("relay", "netem")
    assert link["tcp"]["tcp_no_metrics_save"] == "1"
    assert any("tbf 1: dev router-down" in line for line in link["qdiscs"]["router"])
    assert link["probe"]["echoes_lost"] == 0
    assert {"python", "kernel", "mininet", "scapy"} <= set(manifest["versions"])
    mine = whole.record("mine.py-Mine-level=2").manifest
    assert mine["policy"]["parameters"] == {"level": 2}
    assert mine["policy"]["weights_sha256"] == "cafe"
    assert mine["trace"] == trace


def test_a_policy_that_raises_or_answers_nonsense_is_replaced_for_that_chunk(whole: Whole) -> None:
    rows = whole.record("mine.py-Mine-level=2").chunks
    assert [(row.by, row.level) for row in rows[:1]] == [("policy", 2)]
    assert [row.by for row in rows[1:]] == ["fallback", "fallback"]
    assert "no idea" in rows[1].reason
    assert "answered level 99" in rows[2].reason
    assert {row.by for row in whole.record("bba").chunks} == {"policy"}


def test_facts_of_chunks_agree_with_each_other(whole: Whole) -> None:
    for name in ("bba", "mine.py-Mine-level=2"):
        record = whole.record(name)
        sizes = record.manifest["video"]["sizes_bytes"]
        for row in record.chunks:
            assert row.size_bytes == sizes[row.chunk][row.level]
            assert row.throughput_mbps == pytest.approx(row.size_bytes * 8e-6 / row.download_s)
            assert 0.0 < row.throughput_mbps < max(RATES_MBPS) * 1.5
            assert row.ttfb_s >= 0.02, "an answer sooner than the round trip"
            assert row.rtt_ms is not None and row.rtt_ms >= 19


def test_the_link_log_holds_the_replay_from_the_asked_start(whole: Whole) -> None:
    rows = read_link_log(whole.folder / "logs" / "bba.link.jsonl")
    assert [(row.start_s, row.duration_s, row.rate_mbps) for row in rows[:2]] == [
        (0.0, 0.5, RATES_MBPS[0]),
        (0.5, pytest.approx(1.0, abs=0.99), RATES_MBPS[1]),  # the last step is cut where the session ended
    ]
    assert all(row.kernel_bytes_per_s == row.applied_bytes_per_s for row in rows)
    passed = sum(row.sent_bytes for row in rows)
    body = sum(row.size_bytes for row in whole.record("bba").chunks)
    assert body < passed < 1.5 * body, "chunks, their headers and little else"


def test_the_origin_logged_each_request(whole: Whole) -> None:
    text = (whole.folder / "logs" / "bba.origin.jsonl").read_text()
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    assert sum(line["path"].endswith("manifest.mpd") for line in lines) >= 1
    assert sum(line["path"].endswith(".m4s") for line in lines) == CHUNKS


def test_the_capture_holds_the_sessions_headers(whole: Whole) -> None:
    from scapy.layers.inet import IP, TCP
    from scapy.utils import rdpcap

    packets = rdpcap(str(whole.folder / "logs" / "bba.pcap"))
    payload = sum(packet.wirelen - 14 for packet in packets if IP in packet and packet[IP].src == "10.0.1.2")
    assert payload > sum(row.size_bytes for row in whole.record("bba").chunks)
    assert {packet[TCP].sport for packet in packets if TCP in packet and packet[IP].src == "10.0.1.2"} == {
        8080
    }
    assert max(len(bytes(packet)) for packet in packets) <= 96
    assert len({bool(packet[IP].src == "10.0.1.2") for packet in packets if IP in packet}) == 2


def test_a_record_says_what_the_machine_was_meanwhile(whole: Whole) -> None:
    for name in ("bba", "mine.py-Mine-level=2"):
        record = whole.record(name)
        machine = record.end.link["machine"]
        assert record.manifest["lanes_at_once"] == 2
        assert machine["cpus"] >= 1 and machine["duration_s"] >= record.end.elapsed_s - 0.1
        assert 0.0 <= machine["steal"] <= 1.0 and machine["busy"] + machine["idle"] <= 1.0 + 1e-5
        watched = {"shaper", "relay"} if record.manifest["link"]["delay_backend"] == "relay" else {"shaper"}
        assert set(machine["waits_ms_per_s"]) <= watched


def test_lanes_that_take_turns_leave_the_same_records_and_one_table(tmp_path: Path) -> None:
    write_trace(tmp_path / "t.log", RATES_MBPS)
    write_video(tmp_path / "v", CHUNKS, 0.4)
    run = Run(
        tmp_path,
        *("--trace", "t.log", "--video", "v", "--policy", "fixed:0,fixed:1,fixed:2", "--start-s", "0.5"),
        *("--rtt-ms", "10", "--out", "o", "--lanes", "2"),
    )
    assert run.finish() == 0, run.err
    run.expect_nothing_left()
    records = [read_record(tmp_path / "o" / f"fixed-{level}.jsonl") for level in range(3)]
    assert [one.manifest["lanes_at_once"] for one in records] == [2, 2, 1]
    assert len({one.manifest["lane"] for one in records}) == 3
    assert {one.manifest["trace"]["start_s"] for one in records} == {0.5}
    assert run.out.count("QoE: linear") == 1 and run.out.count(" valid") == 3
    report = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert [line["policy"] for line in report["policies"]] == ["fixed:0", "fixed:1", "fixed:2"]


def test_a_link_that_somebody_changed_makes_its_session_invalid(tmp_path: Path) -> None:
    """On lane 0 another rate is put in force, on lane 1 the qdisc is removed; lane 2 is left alone."""
    write_trace(tmp_path / "t.log", [4.0, 4.5] * 4, step_s=0.5)
    write_video(tmp_path / "v", 8, 0.4)
    run = Run(
        tmp_path,
        *("--trace", "t.log", "--video", "v", "--policy", "fixed:0,fixed:1,fixed:2"),
        *("--rtt-ms", "10", "--out", "o", "--lanes", "3"),
    )
    for policy in ("fixed-0", "fixed-1", "fixed-2"):
        run.expect_chunk(tmp_path / "o", policy)
    changed, removed = (run.child(f"mininet:sb{run.process.pid}-{lane}-router") for lane in (0, 1))
    with a_namespace() as helper:
        for pid, command in (
            (
                changed,
                f"tc qdisc change dev {BOTTLENECK} root handle 1: tbf rate 9mbit burst 3000 limit 90000",
            ),
            (removed, f"tc qdisc del dev {BOTTLENECK} root"),
        ):
            helper.run(f"mnexec -a {pid} {command}")
    assert run.finish() == 1
    run.expect_nothing_left()
    ends = {
        name: read_record(tmp_path / "o" / f"{name}.jsonl").end for name in ("fixed-0", "fixed-1", "fixed-2")
    }
    assert {name: (end.outcome, end.valid) for name, end in ends.items()} == {
        "fixed-0": ("finished", False),
        "fixed-1": ("link-lost", False),
        "fixed-2": ("finished", True),
    }
    assert any("a rate of 1125000 bytes/s where " in reason for reason in ends["fixed-0"].link["reasons"])
    assert any("broke off" in reason for reason in ends["fixed-1"].link["reasons"])
    assert "link of fixed:0 INVALID: " in run.out
    assert "Traceback" not in run.out + run.err
    report = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert [line["invalid"] for line in report["policies"]] == [1, 1, 0]
    assert [line["qoe"] is None for line in report["policies"]] == [True, True, False]


def test_loss_jitter_and_a_short_queue_are_streamed_over(tmp_path: Path) -> None:
    write_trace(tmp_path / "t.log", [8.0])
    write_video(tmp_path / "v", 3, 0.4)
    run = Run(
        tmp_path,
        *("--trace", "t.log", "--video", "v", "--policy", "fixed:2", "--rtt-ms", "30", "--jitter-ms", "5"),
        *("--loss-gemodel", "2", "50", "--queue-bytes", "9000", "--no-slow-start-after-idle", "--out", "o"),
    )
    assert run.finish() == 0, run.out + run.err
    run.expect_nothing_left()
    record = read_record(tmp_path / "o" / "fixed-2.jsonl")
    link = record.manifest["link"]
    assert link["loss"] == {"kind": "gemodel", "p": 2.0, "r": 50.0, "bad": 100.0, "good": 0.0}
    assert (link["jitter_ms"], link["queue_limit_bytes"]) == (5.0, 9000)
    assert link["tcp"]["tcp_slow_start_after_idle"] == "0"
    assert link["probe"]["rtt_max_ms"] - link["probe"]["rtt_min_ms"] > 0.5
