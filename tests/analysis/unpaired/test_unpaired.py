"""`python -m analysis unpaired`: sums by hand, blocks of time, intervals that hold what they promise."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.__main__ import main
from analysis.bootstrap import Interval
from analysis.streams import Stream, TimeBlock, blocks_of
from analysis.unpaired.intervals import percentiles, resampled_stall_ratios, stall_ratio, weighed
from player.qoe import QoE
from tests.support.session_records import LADDER_KBPS, change_manifest, write_session
from traces.commands import next_step

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SCORED = (LADDER_KBPS, QoE())


def stream(
    policy: str, minute: float, stall_s: float = 0.0, played_s: float = 100.0, mbps: float = 1.0
) -> Stream:
    began_s = (BEGIN + timedelta(minutes=minute)).timestamp()
    return Stream("r", policy, began_s, "v", stall_s, played_s - stall_s, mbps, mbps, 10, *SCORED)


def real(folder: Path, policy: str, number: int, minute: float, **more: Any) -> Path:
    """A record of a session over a real network."""
    started_at = (BEGIN + timedelta(minutes=minute)).isoformat()
    path = write_session(
        folder / f"{policy}{number}.jsonl", policy, simulated=False, started_at=started_at, **more
    )
    change_manifest(path, trace=None, link=None)
    return path


def unpaired(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    assert main(["unpaired", *map(str, words), "--json"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    found: dict[str, Any] = json.loads(told.out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main([*map(str, words)]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    return told.err


def test_a_block_goes_on_until_it_holds_two_of_each() -> None:
    minutes = {"a": (0, 10, 70, 80, 200), "b": (20, 65, 130, 140, 150)}
    streams = [stream(policy, minute) for policy, mine in minutes.items() for minute in mine]
    blocks = blocks_of(streams, 1.0)
    assert [{policy: len(mine) for policy, mine in block.streams.items()} for block in blocks] == [
        {"a": 5, "b": 5}  # of the third and fourth hour `a` has one
    ]
    blocks = blocks_of([*streams, stream("a", 131)], 1.0)
    assert [(block.end_s - block.begin_s) / 3600 for block in blocks] == [2.0, 2.0]
    assert [len(block.streams["b"]) for block in blocks] == [2, 3]
    assert blocks_of([stream("a", 0), stream("a", 1), stream("b", 2)], 1.0) == []


def test_blocks_weigh_the_same_for_all_policies() -> None:
    """`busy` stalls no more than `even` in any hour, but streamed more in the bad one."""
    good, bad = {"stall_s": 0.0}, {"stall_s": 10.0}
    streams = [stream("even", minute, **good) for minute in (0, 1)]
    streams += [stream("even", minute, **bad) for minute in (60, 61)]
    streams += [stream("busy", minute, **good) for minute in (0, 1)]
    streams += [stream("busy", minute, **bad) for minute in range(60, 70)]
    blocks = blocks_of(streams, 1.0)
    assert len(blocks) == 2
    assert stall_ratio(blocks, "even") == pytest.approx(stall_ratio(blocks, "busy"))
    # by hand: the bad hour holds 6 sessions a policy, the good one 2
    assert stall_ratio(blocks, "even") == pytest.approx(6 * 10 / (8 * 100))


def test_the_standard_error_is_that_of_the_textbook() -> None:
    values = np.array([1.0, 2.0, 4.0, 7.0, 11.0])
    streams = tuple(stream("a", 0, mbps=value) for value in values)
    found = weighed(
        [TimeBlock(0.0, 1.0, {"a": streams})], "a", lambda one: one.bitrate_mbps, lambda one: one.watched_s
    )
    assert found.mean == pytest.approx(values.mean())
    assert found.standard_error == pytest.approx(values.std(ddof=1) / 5**0.5)
    assert found.interval().low == pytest.approx(values.mean() - 2.7764 * found.standard_error, abs=1e-3)


def holds(interval: Interval, truth: float) -> bool:
    assert interval.low is not None and interval.high is not None
    return interval.low <= truth <= interval.high


def test_intervals_hold_the_truth_as_often_as_they_promise() -> None:
    """Stalls are rare and long: 1 session in 5 stalls for 10 s on average; blocks of four sessions each."""
    random = np.random.default_rng(7)
    held_stall = held_rate = 0
    for _ in range(200):
        stalls = np.where(random.random(200) < 0.2, random.exponential(10.0, 200), 0.0)
        rates = random.gamma(4.0, 0.5, 200)
        streams = [
            Stream(
                "r",
                "a",
                index * 900.0,
                "v",
                float(stalls[index]),
                98.0,
                float(rates[index]),
                0.0,
                10,
                *SCORED,
            )
            for index in range(200)
        ]
        blocks = blocks_of(streams, 1.0)
        drawn = resampled_stall_ratios(blocks, "a", resamples=400)
        stall = percentiles(stall_ratio(blocks, "a"), drawn, 200)
        rate = weighed(blocks, "a", lambda one: one.bitrate_mbps, lambda one: one.watched_s).interval()
        held_stall += holds(stall, 2 / 100)  # the mean stall, 2 s, over what is watched with it
        held_rate += holds(rate, 2.0)
    assert held_stall >= 178 and held_rate >= 180  # of 200, 190 are expected


def test_the_command_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(4):
        real(tmp_path, "bba", index, 10 * index, levels=(0, 0, 0))
        real(tmp_path, "rate", index, 10 * index + 5, levels=(1, 1, 1), stalls_s=(0.0, 1.0 + index, 0.0))
    report = unpaired(capsys, tmp_path)
    assert report["paired"] is False and "Unpaired" in report["words"]
    assert [block["sessions"] for block in report["blocks"]] == [{"bba": 4, "rate": 4}]
    found = {one["policy"]: one for one in report["policies"]}
    assert found["rate"]["stall_ratio"] == pytest.approx(10 / (10 + 4 * 12))
    assert found["bba"]["stall_ratio"] == 0 and found["bba"]["stall_ratio_ci95"] == [0, 0]
    assert found["rate"]["bitrate_mbps"] == pytest.approx(2.0)
    (difference,) = report["differences"]
    assert (difference["policy"], difference["baseline"]) == ("rate", "bba")
    assert difference["verdicts"] == {
        "stall_ratio": "more",
        "bitrate_mbps": "more",
        "qoe": "tie",
        "switches": "tie",
    }
    assert difference["words"].startswith(
        "rate: ahead of bba in bitrate, and this lead comes with more stall: stall ratio +"
    )
    assert main(["unpaired", str(tmp_path), "--baseline", "rate"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Unpaired: no two of these sessions met the same network")
    assert "8 sessions in 1 block of time, from 2026-03-01 12:00 UTC to 2026-03-01 13:00 UTC" in out
    assert "no stall was seen of bba: " in out
    assert "unpaired differences" in out and "4 sessions of a policy say little of rare stalls" in out


def test_tables_hold_what_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(4):
        real(tmp_path, "bba", index, 10 * index, levels=(0, 0, 0))
        real(tmp_path, "rate", index, 10 * index + 5, levels=(0, 1, index % 2))
    path = tmp_path / "out.csv"
    report = unpaired(capsys, tmp_path, "--csv", path)
    assert report["tables"] == [str(path), str(tmp_path / "out-means.csv")]
    (row,), means = (
        list(csv.DictReader(Path(name).read_text(encoding="utf-8").splitlines())) for name in report["tables"]
    )
    (difference,) = report["differences"]
    assert float(row["switches_difference"]) == difference["switches"] == 1.5
    assert row["switches_verdict"] == "more" and difference["words"] == ""
    assert float(row["qoe_difference_low"]) == difference["qoe_ci95"][0]
    assert {one["policy"]: float(one["switches"]) for one in means} == {"bba": 0.0, "rate": 1.5}


@pytest.mark.parametrize("command", ["unpaired", "compare", "collect", "report"])
def test_records_of_another_schema_are_refused_by_every_command(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(2):
        real(tmp_path, "bba", index, index)
    other = real(tmp_path, "rate", 0, 0)
    change_manifest(other, schema=99)
    assert "of 3 records 1 of schema 99, where this version reads" in refused(capsys, command, tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".jsonl"] * 3


def test_what_does_not_count_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(2):
        real(tmp_path, "bba", index, index)
        real(tmp_path, "rate", index, index)
    real(tmp_path, "rate", 2, 3, outcome="interrupted")
    real(tmp_path, "rate", 3, 3, by=("fallback",) * 3)
    real(tmp_path, "rate", 4, 3, levels=(0,))
    write_session(tmp_path / "traced.jsonl", "rate")
    report = unpaired(capsys, tmp_path)
    assert len(report["left_out"]) == 4 and report["sessions"] == 4
    assert unpaired(capsys, tmp_path, "--interrupted")["sessions"] == 5
    assert main(["unpaired", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "it ran over a trace: `python -m analysis compare` pairs it: traced.jsonl" in out
    assert out.splitlines()[-1] == next_step("-m", "analysis", "collect", str(tmp_path))


def test_what_cannot_be_compared_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real(tmp_path, "bba", 0, 0)
    said = refused(capsys, "unpaired", tmp_path)
    assert "takes two sessions of each policy at least; there are 1 of bba" in said
    assert "see `python -m analysis unpaired`" in refused(capsys, "compare", tmp_path)
    assert "must be over 0" in refused(capsys, "unpaired", tmp_path, "--block-hours", "0")
    assert "there are bba" in refused(capsys, "unpaired", tmp_path, "--baseline", "rate")


def report(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[dict[str, Any], str]:
    assert main(["report", *map(str, words), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found, Path(found["page"]).read_text()


@pytest.mark.parametrize("traced", [False, True], ids=["all real", "beside sessions over a trace"])
def test_a_report_shows_real_sessions_with_the_figures_of_unpaired_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], traced: bool
) -> None:
    for number in range(4):
        real(tmp_path, "a", number, 10 * number, stalls_s=[0, 0.5 * (number % 2), 0])
        real(tmp_path, "b", number, 10 * number + 1, levels=(0, 2, 2))
    wanted = unpaired(capsys, tmp_path, "--baseline", "a")
    if traced:
        for policy in "ab":
            write_session(tmp_path / f"traced-{policy}.jsonl", policy)
    facts, page = report(capsys, tmp_path, "--baseline", "a")
    assert "Unpaired: no two of these sessions met the same network" in page
    with (Path(facts["out"]) / "tables" / "real.csv").open() as file:
        means = list(csv.DictReader(file))
    assert [row["policy"] for row in means] == ["a", "b"]
    for row, one in zip(means, wanted["policies"], strict=True):
        assert int(row["sessions"]) == one["sessions"] == 4
        for name in ("stall_ratio", "bitrate_mbps", "qoe"):
            shown = [float(row[f"{name}{end}"]) for end in ("", "_low", "_high")]
            assert shown == pytest.approx([one[name], *one[f"{name}_ci95"]])
    with (Path(facts["out"]) / "tables" / "real-differences.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["qoe_difference_verdict"] == wanted["differences"][0]["verdicts"]["qoe"] == "ahead"
    assert facts["sessions"] == (2 if traced else 8)
    assert ("Comparison in full" in page) is traced


def test_a_report_of_too_few_real_sessions_says_why_it_has_no_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real(tmp_path, "a", 0, 0)
    facts, page = report(capsys, tmp_path)
    assert facts["sessions"] == 1 and "an interval takes two sessions of each policy at least" in page
    assert "--baseline x: no session" in refused(capsys, "report", tmp_path, "--baseline", "x")


def next_of(capsys: pytest.CaptureFixture[str], *words: str | Path) -> list[str]:
    """Words of the command that this one names as the next."""
    assert main([*map(str, words)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("next: ")
    return last.split(" analysis ")[1].split()


def test_no_command_names_one_that_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone, apart, both = (tmp_path / name for name in ("alone", "apart", "both"))
    for folder in (alone, apart, both, tmp_path / "real"):
        folder.mkdir()
    write_session(alone / "a.jsonl", "a")
    for policy, trace in (("a", "t0"), ("b", "t1")):  # no pair
        write_session(apart / f"{policy}.jsonl", policy, trace, family=trace)
        write_session(both / f"{policy}.jsonl", policy)
    for number in range(2):
        for policy in "ab":
            real(tmp_path / "real", policy, number, number)
    for folder, found in ((alone, "report"), (apart, "report"), (both, "compare")):
        assert next_of(capsys, "table", folder)[0] == found
        assert main([*next_of(capsys, "table", folder)]) == 0
        capsys.readouterr()
    timeline = ("--what", "timeline", "--out", tmp_path / "x.png")
    for folder, found in ((alone, "report"), (apart, "report"), (tmp_path / "real", "unpaired")):
        assert next_of(capsys, "plot", folder, *timeline)[0] == found
