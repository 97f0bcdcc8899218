"""The figures of a run: what `--json` says, and what is left out of the means."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from player.qoe import QoE, live_qoe
from player.record import ChunkRow, EndRow
from player.video.video import Video
from testbed.link.settings import LinkSettings
from testbed.session.session_plan import SessionPlan, SessionResult, finished
from testbed.session.summary import as_json, machine_line, remarks, row_names, table
from testbed.verdict.evidence import Evidence
from testbed.verdict.judge import judge
from traces.trace import Trace

QOE = QoE()
VIDEO = Video("v", 4.0, (300, 750), ((100, 200),) * 3)

POLICY_KEYS = {
    "policy",
    "sessions",
    "qoe",
    "qoe_ci95",
    "bitrate_mbps",
    "stall_s_per_chunk",
    "stall_ratio",
    "stall_s",
    "decided_by",
    "smoothness_mbps",
    "startup_s",
    "switches",
    "decision_p50_ms",
    "decision_p99_ms",
    "invalid",
    "unfinished",
    "records",
}


def chunk_row(chunk: int, level: int = 0, stall_s: float = 0.0) -> ChunkRow:
    return ChunkRow(
        chunk=chunk,
        level=level,
        bitrate_kbps=VIDEO.ladder_kbps[level],
        size_bytes=VIDEO.sizes_bytes[chunk][level],
        request_s=float(chunk),
        ttfb_s=0.1,
        download_s=0.5,
        throughput_mbps=1.0,
        buffer_before_s=4.0,
        buffer_after_s=7.5,
        wait_s=0.0,
        stall_s=stall_s,
        decision_s=0.001,
        by="policy",
    )


def result(
    policy: str, name: str, level: int = 0, valid: bool = True, outcome: str = "finished"
) -> SessionResult:
    plan = SessionPlan(
        policy=policy,
        trace=Trace("t", (0.0, 1.0), (1.0, 1.0)),
        trace_spec="t",
        start_s=0.0,
        video=VIDEO,
        video_spec="v",
        settings=LinkSettings(),
        backend="relay",
        qoe=QOE,
        seed=0,
        decision_deadline_s=5.0,
        record=Path("/out") / f"{name}.jsonl",
        command_line=(),
    )
    rows = tuple(chunk_row(chunk, level) for chunk in range(3))
    end = EndRow(outcome, "", 3, 0.5, 0.0, 12.0, 12.5, valid=valid)
    return SessionResult(plan, rows, end, judge(Evidence([])))


def test_json_has_exactly_the_named_figures() -> None:
    report: dict[str, Any] = as_json([result("bba", "bba"), result("rate", "rate", level=1)], QOE, "/out")
    assert set(report) == {"qoe", "policies", "out"}
    assert report["out"] == "/out"
    assert report["qoe"] == {"kind": "linear", "mu": 4.3, "smooth": 1.0}
    assert [set(line) for line in report["policies"]] == [POLICY_KEYS] * 2
    bba, rate = report["policies"]
    assert (bba["policy"], bba["sessions"], bba["records"]) == ("bba", 1, ["/out/bba.jsonl"])
    assert (bba["qoe"], rate["qoe"], rate["bitrate_mbps"]) == (0.3, 0.75, 0.75)
    assert bba["qoe_ci95"] is None


def test_a_live_run_says_its_latency_and_what_that_costs() -> None:
    one = result("bba", "bba")
    rows = tuple(replace(row, latency_s=6.0) for row in one.chunks)
    qoe = live_qoe(QOE, VIDEO.ladder_kbps, 0.05)
    live = replace(one, chunks=rows, plan=replace(one.plan, qoe=qoe))
    report = as_json([live], qoe, "/out")
    assert report["qoe"]["latency"] == 0.05
    assert report["policies"][0]["latency_s"] == 6.0
    assert report["policies"][0]["qoe"] == pytest.approx(0.3 - 6 * 0.05)
    shown = table([live], qoe)
    assert "latency 0.05" in str(shown.title) and "latency s" in [column.header for column in shown.columns]
    assert "latency s" not in [column.header for column in table([one], QOE).columns]


def test_invalid_sessions_are_counted_but_not_averaged() -> None:
    report = as_json([result("bba", "bba"), result("bba", "bba-2", level=1, valid=False)], QOE, "/out")
    (line,) = report["policies"]
    assert (line["sessions"], line["invalid"], line["qoe"]) == (1, 1, 0.3)
    assert line["records"] == ["/out/bba.jsonl", "/out/bba-2.jsonl"]
    (alone,) = as_json([result("bba", "bba", valid=False)], QOE, "/out")["policies"]
    assert (alone["sessions"], alone["qoe"], alone["startup_s"]) == (0, None, None)


def test_a_session_that_did_not_finish_is_counted_as_such() -> None:
    (line,) = as_json([result("bba", "bba", outcome="interrupted"), result("bba", "b")], QOE, "/out")[
        "policies"
    ]
    assert (line["sessions"], line["unfinished"], line["invalid"]) == (2, 1, 0)


def test_only_a_finished_session_over_a_true_link_is_good() -> None:
    assert finished(result("bba", "bba"))
    assert not finished(result("bba", "bba", valid=False))
    assert not finished(result("bba", "bba", outcome="player-died"))


def test_the_table_prints_the_weights_and_says_whose_link_was_untrue() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table([result("bba", "bba"), result("rate", "rate", valid=False)], QOE))
    lines = console.export_text().splitlines()
    assert "linear, mu 4.3, smooth 1" in lines[0]  # which is not the top of this ladder
    console.print(table([result("bba", "bba")], QoE(mu=VIDEO.ladder_kbps[-1] / 1000)))
    assert "(the ladder's top), smooth 1" in console.export_text()
    assert any(line.startswith("bba") and line.rstrip().endswith(" valid") for line in lines)
    assert any(line.startswith("rate") and line.rstrip().endswith(" INVALID") for line in lines)


def test_rows_of_one_policy_are_told_apart_by_their_records() -> None:
    results = [
        result("bba", "bba"),
        result("my.py:P:x=1", "my.py-P-x=1"),
        result("bba", "bba-2", valid=False),
    ]
    assert row_names(results) == ["bba", "my.py:P:x=1", "bba-2"]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table(results, QOE))
    shown = [line.split()[0] for line in console.export_text().splitlines()[2:]]
    assert shown == ["bba", "my.py:P:x=1", "bba-2"]


def decided(policy: str, chunks: tuple[ChunkRow, ...]) -> list[str]:
    said = remarks([replace(result(policy, policy), chunks=chunks)])
    return [line for line in said if " decided " in line]


def test_deciders_that_share_a_session_are_counted_with_their_reasons() -> None:
    reasons = (
        ("light", "easy: variation 0.12; plans with 3.10 Mbit/s"),
        ("llm", "hard: variation 0.50; ahead by 1.20"),
        ("llm", "still hard: variation 0.45; ahead by 1.20"),
        (
            "light",
            "hard: buffer_s 2.00; but policy server x.sock: no answer within 90 ms; plans with 2 Mbit/s",
        ),
        ("light", "easy: buffer_s 24.12; plans with 3.10 Mbit/s"),
    )
    rows = tuple(replace(chunk_row(0), by=by, reason=why) for by, why in reasons)
    (line,) = decided("apc", rows)
    assert line == (
        "apc: llm decided 40 % (hard: variation 1, still hard: variation 1);"
        " light decided 60 % (easy: variation 1, asked in vain 1, easy: buffer_s 1)"
    )
    alone = tuple(replace(row, by="llm") for row in rows)
    assert decided("netllm", alone) == []


def of_machine(valid: bool, **machine: Any) -> SessionResult:
    one = result("bba", "bba", valid=valid)
    return replace(one, end=replace(one.end, link={"machine": machine}))


def test_the_machine_is_told_of_where_it_lost_time_or_a_link_was_untrue() -> None:
    quiet: dict[str, Any] = {"cpus": 2, "steal": 0.002, "others_cores": 0.1, "waits_ms_per_s": {"relay": 0.4}}
    assert machine_line([of_machine(True, **quiet)]) == []
    (line,) = machine_line([of_machine(False, **quiet)])
    assert line == (
        "machine, at worst: 0.2 % of its time went to others (steal),"
        " other work kept 0.1 of 2 processors busy, shaper and relays waited 0.4 ms a second for one"
    )
    (line,) = machine_line([of_machine(True, **quiet), of_machine(True, cpus=1, steal=0.041)])
    assert "4.1 % of its time went to others" in line


def test_records_without_a_word_of_the_machine_say_nothing_of_it() -> None:
    assert machine_line([result("bba", "bba", valid=False)]) == []
    (line,) = machine_line([of_machine(False, cpus=1, steal=None, others_cores=0.5, waits_ms_per_s={})])
    assert line == "machine, at worst: other work kept 0.5 of 1 processor busy"


def test_who_sees_an_invalid_link_is_told_once_what_to_do() -> None:
    def told(*valid: bool) -> list[str]:
        results = [result("bba", f"bba-{index}", valid=one) for index, one in enumerate(valid)]
        return [line for line in remarks(results) if "not what the trace says" in line]

    assert told(True, True) == []
    (alone,) = told(False)
    assert alone.startswith("an INVALID link was not what the trace says, so its session counts in no mean")
    assert "--lanes" not in alone  # fewer than one cannot be had
    (two,) = told(False, True, False)
    assert two.startswith("2 INVALID links were") and "their sessions count" in two and "--lanes 1" in two
