"""Calls compared, drawn, collected and reported, over records that the simulator wrote."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import numpy as np
import pyarrow.parquet
import pytest

from analysis.__main__ import main
from analysis.bootstrap import Interval
from analysis.calls.comparison import compare_calls, means_of
from analysis.calls.found import calls_are_in
from analysis.calls.measures import BITRATE, STALL, verdict_of, words_of
from analysis.calls.outcomes import CallFigures, read_calls
from analysis.calls.timeline import freeze_spans, stall_spans
from analysis.clusters import ClusterRule
from analysis.outcomes import INVALID
from analysis.sessions import AnalysisError
from player.call.media.freezes import freezes, stalled_s
from player.call.record import CallRecord, read_call
from player.call.scored.outcomes import of_record
from player.call.scored.qoe import CallQoE
from testbed.simulate import main as simulate
from tests.support.session_records import write_session

LOW, HIGH = "fixed:kbps=150", "fixed:kbps=1500"
SHORT = ("--task", "call", "--duration-s", "12", "--warm-up-s", "2", "--traces", "3g[0:3]")


def simulated(folder: Path, *words: str) -> Path:
    assert simulate([*SHORT, *words, "--out", str(folder), "--json"]) == 0
    return folder


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three traces, a rate below them and one above."""
    return simulated(tmp_path_factory.mktemp("calls") / "a", "--policy", f"{LOW},{HIGH}")


def records(folder: Path) -> dict[str, list[CallRecord]]:
    found: dict[str, list[CallRecord]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        record = read_call(path)
        assert record.told.policy is not None
        found.setdefault(str(record.told.policy.spec), []).append(record)
    return found


def intervals(bitrate: tuple[float, float] | None, stall: tuple[float, float] | None) -> dict[str, Interval]:
    def one(bounds: tuple[float, float] | None) -> Interval:
        return Interval(0.1, None, None, 1) if bounds is None else Interval(fmean(bounds), *bounds, 9)

    return {BITRATE: one(bitrate), STALL: one(stall)}


UP, NONE, DOWN = (0.1, 0.3), (-0.1, 0.1), (-0.3, -0.1)


@pytest.mark.parametrize(
    ("bitrate", "stall", "verdict"),
    [
        (UP, NONE, "ahead"),
        (UP, DOWN, "ahead"),
        (NONE, DOWN, "ahead"),
        (UP, UP, "trade"),
        (DOWN, DOWN, "trade"),
        (NONE, NONE, "tie"),
        (NONE, UP, "behind"),
        (DOWN, UP, "behind"),
        (DOWN, NONE, "behind"),
        (None, None, "unknown"),
    ],
)
def test_who_is_ahead_is_worse_in_neither(
    bitrate: tuple[float, float] | None, stall: tuple[float, float] | None, verdict: str
) -> None:
    assert verdict_of(intervals(bitrate, stall)) == verdict


def test_the_words_hold_both_differences() -> None:
    words = words_of("a", "b", intervals(UP, UP))
    assert words == (
        "a and b: a trade, more bitrate with more stall: bitrate +0.200 [+0.100, +0.300] Mbit/s, stall ratio"
        " +20.00 [+10.00, +30.00] percentage points"
    )


def test_means_of_figures() -> None:
    one = CallFigures(1.0, 2.0, 0.1, 1.0, 10.0, 20.0, 30.0, 0.0, 0.5, None, 0.0)
    other = CallFigures(3.0, 1.0, 0.3, 2.0, 30.0, 40.0, 50.0, 0.2, 0.5, 0.8, 1.0)
    mean = CallFigures.mean_of([one, other])
    assert mean == CallFigures(2.0, 1.5, 0.2, 1.5, 20.0, 30.0, 40.0, 0.1, 0.5, 0.8, 0.5)
    with pytest.raises(ValueError, match="no figures"):
        CallFigures.mean_of([])


def test_pairs_are_of_one_trace_and_seed(calls: Path) -> None:
    found = read_calls([calls], CallQoE())
    (pair,) = compare_calls(found, baseline=LOW).groups[0].pairs
    low, high = (list(map(of_record, records(calls)[policy])) for policy in (LOW, HIGH))
    assert (pair.policy, pair.cases, pair.traces) == (HIGH, 3, 3)
    for name in (BITRATE, STALL):
        by_hand = fmean(getattr(b, name) - getattr(a, name) for a, b in zip(low, high, strict=True))
        assert pair.intervals[name].mean == pytest.approx(by_hand)
    assert len({one.case.seed for one in found.counted}) == 3
    # 1.5 Mbit/s on links that carry less: whatever bitrate it gains, it stalls more
    assert pair.intervals[STALL].low is not None and pair.intervals[STALL].low > 0
    assert pair.verdict in ("trade", "behind")


def test_another_seed_is_no_pair(calls: Path, tmp_path: Path) -> None:
    simulated(tmp_path, "--policy", HIGH, "--seed", "1")
    for path in calls.glob("*.jsonl"):
        if read_call(path).manifest["policy"]["spec"] == LOW:
            shutil.copy(path, tmp_path)
    found = read_calls([tmp_path], CallQoE())
    assert {one.policy for one in found.counted} == {LOW, HIGH}
    with pytest.raises(AnalysisError, match="nothing can be paired"):
        compare_calls(found)
    # the names tell such cases apart
    assert all(any(word.startswith("seed ") for word in one.case.besides) for one in found.counted)


def test_untrue_links_are_left_out(calls: Path, tmp_path: Path) -> None:
    for path in calls.glob("*.jsonl"):
        shutil.copy(path, tmp_path)
    first = sorted(tmp_path.glob("*.jsonl"))[0]
    first.write_text(first.read_text().replace('"valid":true', '"valid":false'))
    found = read_calls([tmp_path], CallQoE())
    assert [(one.record, one.reason) for one in found.left_out] == [(str(first), INVALID)]
    (missing,) = compare_calls(found).missing
    assert missing.reason == INVALID


def test_calls_and_videos_are_told_apart(
    calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / "video.jsonl"
    write_session(video)
    assert calls_are_in([calls]) and not calls_are_in([video])
    shutil.copy(sorted(calls.glob("*.jsonl"))[0], tmp_path)
    assert main(["compare", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "1 of 2 records are of calls" in said


def test_compare_as_data(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "pairs.parquet"
    assert main(["compare", str(calls), "--json", "--csv", str(table), "--stall-weight", "2"]) == 0
    said = json.loads(capsys.readouterr().out)
    (pair,) = said["groups"][0]["pairs"]
    (row,) = pyarrow.parquet.read_table(table).to_pylist()
    assert row["bitrate_mbps_difference"] == pair["differences"]["bitrate_mbps"]["difference"]
    assert row["verdict"] == pair["verdict"] and said["qoe"]["stall"] == 2.0
    means = pyarrow.parquet.read_table(tmp_path / "pairs-means.parquet").to_pylist()
    low = [of_record(one) for one in records(calls)[LOW]]
    (mine,) = (one for one in means if one["policy"] == LOW)
    assert mine["stall_ratio"] == pytest.approx(fmean(one.stall_ratio for one in low))
    assert mine["qoe"] == pytest.approx(fmean(CallQoE(stall=2.0).of(one) for one in low))


def test_compare_for_a_person(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(calls), "--baseline", LOW, "--by", "family"]) == 0
    said = capsys.readouterr().out
    assert "12.5 x stall ratio" in said and "3g: 3 cases, 3 traces in 3 clusters" in said
    assert f"{HIGH} " in said and "bitrate Mbit/s" in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("compare", "--qoe", "log"), "it scores videos"),
        (("compare", "--mu", "3"), "--stall-weight"),
        (("table",), "for which there is compare, plot, collect, report"),
        (("plot", "--what", "cdf", "--out", "a.png"), "draw plane or timeline"),
        (("collect", "--chunks"), "which have none"),
        (("compare", "--policy", "nobody"), "no record is of policy 'nobody'"),
    ],
)
def test_what_calls_have_not_is_refused_in_one_line(
    words: tuple[str, ...], why: str, calls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([words[0], str(calls), *words[1:]]) == 2
    said = capsys.readouterr().err
    assert why in said and said.count("\n") == 1


def test_weights_of_calls_are_none_of_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_session(tmp_path / "video.jsonl")
    assert main(["compare", str(tmp_path), "--stall-weight", "1"]) == 2
    assert "--stall-weight weighs calls" in capsys.readouterr().err
    assert main(["plot", str(tmp_path), "--what", "plane", "--out", str(tmp_path / "a.png")]) == 2
    assert "--what scatter" in capsys.readouterr().err


def test_spans_are_those_that_are_scored(calls: Path) -> None:
    for record in (one for mine in records(calls).values() for one in mine):
        shown_s = np.array([at_s for row in record.seconds for at_s in row.shown_s])
        begin_s, end_s = record.call.scored_from_s, record.end.elapsed_s
        count, frozen_s = freezes(shown_s, 0.0, end_s)
        spans = freeze_spans(record)
        assert len(spans) == count
        assert sum(after - before for before, after in spans) == pytest.approx(
            frozen_s, abs=0.001 * count + 1e-9
        )
        inside = [(max(before, begin_s), after) for before, after in stall_spans(record) if after > begin_s]
        total_s = sum(after - before for before, after in inside)
        assert total_s == pytest.approx(stalled_s(shown_s, begin_s, end_s)[0])
        assert all(before[1] <= after[0] for before, after in pairwise(stall_spans(record)))


def test_pictures(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = str(sorted(calls.glob("*.jsonl"))[0])
    for words in (("plot", str(calls), "--what", "plane"), ("plot", one, "--what", "timeline")):
        out = tmp_path / f"{words[3]}.svg"
        assert main([*words, "--out", str(out), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["out"] == str(out)
        assert out.read_text().startswith("<?xml")
    means = means_of(read_calls([calls], CallQoE()), ClusterRule())
    assert {mean.cases for mean in means} == {3}


def test_a_row_a_call(calls: Path, tmp_path: Path) -> None:
    table = tmp_path / "calls.parquet"
    assert main(["collect", str(calls), "--out", str(table), "--json"]) == 0
    rows = {row["record"]: row for row in pyarrow.parquet.read_table(table).to_pylist()}
    assert len(rows) == 6
    for record in (one for mine in records(calls).values() for one in mine):
        row, outcomes = rows[Path(record.path).name], of_record(record)
        assert (row["bitrate_mbps"], row["stall_ratio"]) == (outcomes.bitrate_mbps, outcomes.stall_ratio)
        assert row["qoe_pandia"] == CallQoE("pandia").of(outcomes)
        assert (row["decisions"], row["share_policy"]) == (len(record.decisions), 1.0)


def test_a_report(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report"
    words = ["report", str(calls), "--out", str(out), "--baseline", LOW, "--format", "png", "--json"]
    assert main(words) == 0
    facts = json.loads(capsys.readouterr().out)
    (pair,) = facts["compared"]["groups"][0]["pairs"]
    page = (out / "index.html").read_text()
    assert pair["words"].split(":")[0] in page and "How to repeat it" in page
    assert {"figures/plane.png", "figures/timeline.png", "tables/calls.csv", "index.html"} <= set(
        facts["files"]
    )
    assert all((out / name).stat().st_size for name in facts["files"])


def test_a_report_of_one_policy(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report"
    assert main(["report", str(calls), "--policy", LOW, "--out", str(out), "--format", "png", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["compared"] is None and "figures/plane.png" in facts["files"]
