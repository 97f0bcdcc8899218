"""`python -m analysis compare`: who is paired with whom, what is counted, named, and refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from analysis.bootstrap import mean_interval
from analysis.compare import compare
from analysis.outcomes import read_outcomes
from player.qoe import Scoring
from tests.support.damage import DAMAGES
from tests.support.session_records import change_manifest, write_session
from tests.support.tables import read_table


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    try:
        status = main(["compare", *map(str, words)])
    except SystemExit as stopped:
        assert isinstance(stopped.code, int)
        status = stopped.code
    said = capsys.readouterr()
    return status, said.out, said.err


def compared(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    """The object of `--json`, which is all that is on stdout."""
    status, out, err = run(capsys, *words, "--json")
    assert (status, err) == (0, ""), err
    report: dict[str, Any] = json.loads(out)
    return report


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    status, out, err = run(capsys, *words)
    assert status == 2 and out == "" and err.count("\n") == 1 and "Traceback" not in err
    return err


def six_traces(folder: Path) -> None:
    """`good` is ahead of `bba` by 1 on traces 0 to 4 and behind by 0.5 on trace 5."""
    for index in range(6):
        write_session(folder / f"b{index}.jsonl", "bba", f"t{index}", levels=(0, 0, 0))
        levels, stalls_s = ((1, 1, 1), (0.0,) * 3) if index < 5 else ((0, 0, 0), (0.0, 1 / 4.3, 0.0))
        write_session(folder / f"g{index}.jsonl", "good", f"t{index}", levels=levels, stalls_s=stalls_s)


def test_differences_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    six_traces(tmp_path)
    report = compared(capsys, tmp_path, "--baseline", "bba")
    (group,) = report["groups"]
    (pair,) = group["pairs"]
    differences = [1.0] * 5 + [-0.5]
    assert (pair["policy"], pair["baseline"], pair["cases"], pair["clusters"]) == ("good", "bba", 6, 6)
    assert pair["difference"] == pytest.approx(0.75)
    assert pair["ci95"] == pytest.approx(
        mean_interval(differences, [f"t{index}" for index in range(6)]).bounds
    )
    assert pair["won"] == pytest.approx(5 / 6) and pair["drawn"] == 0
    assert pair["worst"][0]["trace"] == "t5" and len(pair["worst"]) == 5
    assert pair["worst"][0]["difference"] == pytest.approx(-0.5)
    assert pair["wilcoxon_p"] == pair["holm_p"]
    figures = {one["policy"]: one for one in group["policies"]}
    assert figures["bba"]["qoe"] == pytest.approx(1.0) and figures["good"]["qoe"] == pytest.approx(1.75)
    assert figures["good"]["stall_ratio"] == pytest.approx((1 / 4.3) / (1 / 4.3 + 12) / 6)
    assert report["missing"] == report["unfinished"] == report["left_out"] == report["notes"] == []
    five = compared(capsys, *(tmp_path / f"{who}{index}.jsonl" for who in "bg" for index in range(5)))
    assert "over 5 independent traces: under 6, Wilcoxon's p is above 0.05" in five["notes"][-1]


def test_an_interval_that_holds_zero_is_a_tie_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index, stall_s in enumerate((0.1, -0.1, 0.2, -0.2, 0.3, -0.3)):
        write_session(tmp_path / f"a{index}.jsonl", "a", f"t{index}", stalls_s=(0, max(stall_s, 0), 0))
        write_session(tmp_path / f"b{index}.jsonl", "b", f"t{index}", stalls_s=(0, max(-stall_s, 0), 0))
        write_session(tmp_path / f"c{index}.jsonl", "c", f"t{index}", levels=(2, 2, 2))
    report = compared(capsys, tmp_path)
    verdicts = {(one["policy"], one["baseline"]): one for one in report["groups"][0]["pairs"]}
    assert set(verdicts) == {("b", "a"), ("c", "a"), ("c", "b")}
    assert verdicts["b", "a"]["verdict"] == "tie" and "a tie" in verdicts["b", "a"]["words"]
    assert verdicts["c", "a"]["verdict"] == "ahead" and "c is ahead of a" in verdicts["c", "a"]["words"]
    swapped = compared(capsys, tmp_path, "--baseline", "c")["groups"][0]["pairs"]
    assert [one["verdict"] for one in swapped] == ["behind", "behind"] and "a is behind c" in swapped[0][
        "words"
    ]
    status, out, err = run(capsys, tmp_path)
    assert status == 0 and err == "" and "b and a: a tie" in out


def test_one_trace_proves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_session(tmp_path / "a.jsonl", "a")
    write_session(tmp_path / "b.jsonl", "b", levels=(2, 2, 2))
    (pair,) = compared(capsys, tmp_path)["groups"][0]["pairs"]
    assert pair["verdict"] == "unknown" and pair["ci95"] is None and pair["wilcoxon_p"] is None


def test_seeds_are_averaged_within_a_trace_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        write_session(tmp_path / f"a{seed}.jsonl", "a", "t0", levels=(0, 0, 0), seed=seed)
    write_session(tmp_path / "a3.jsonl", "a", "t1", levels=(2, 2, 2))
    for index in range(2):
        write_session(tmp_path / f"b{index}.jsonl", "b", f"t{index}", levels=(0, 0, 0))
    report = compared(capsys, tmp_path, "--baseline", "b")
    (pair,) = report["groups"][0]["pairs"]
    assert pair["difference"] == pytest.approx((0.0 + 2.0) / 2) and pair["cases"] == 2  # not 2 / 4
    assert "up to 3 sessions" in " ".join(report["notes"])


@pytest.mark.parametrize(
    "other",
    [
        {"start_s": 3.0},
        {"video": "large"},
        {"trace": "t9"},
        {"link": {"model": "published", "rtt_ms": 40.0}},
        {"simulated": False},
    ],
    ids=lambda other: next(iter(other)),
)
def test_only_equal_settings_are_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: dict[str, Any]
) -> None:
    write_session(tmp_path / "a.jsonl", "a")
    write_session(tmp_path / "b.jsonl", "b", **other)
    assert "nothing can be paired" in refused(capsys, tmp_path)


def test_a_session_of_dashjs_and_one_of_our_player_are_two_cases(tmp_path: Path) -> None:
    """Not one that was recorded twice, to be averaged."""
    write_session(tmp_path / "ours.jsonl", "bba", simulated=False)
    write_session(tmp_path / "theirs.jsonl", "bba", simulated=False, player={"client": "dashjs"})
    ours, theirs = read_outcomes([tmp_path], Scoring()).counted
    assert ours.case != theirs.case
    assert "no client" in str(ours.case) and "client dashjs" in str(theirs.case)


def test_what_a_link_was_seen_to_do_parts_no_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for policy, seen in (("a", 80.1), ("b", 80.3)):
        link = {"rtt_ms": 80.0, "congestion_control": "cubic", "probe": {"rtt_ms": seen}, "qdiscs": [policy]}
        write_session(tmp_path / f"{policy}.jsonl", policy, link=link, simulated=False)
    assert compared(capsys, tmp_path)["groups"][0]["pairs"][0]["cases"] == 1


def test_what_is_missing_from_a_pair_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(3):
        write_session(tmp_path / f"a{index}.jsonl", "a", f"t{index}")
    write_session(tmp_path / "b0.jsonl", "b", "t0")
    bad = write_session(tmp_path / "b1.jsonl", "b", "t1", valid=False)
    report = compared(capsys, tmp_path)
    assert [(one["policy"], one["trace"], one["reason"]) for one in report["missing"]] == [
        ("b", "t1", "its link was not what the manifest says"),
        ("b", "t2", "there is no such session"),
    ]
    assert report["invalid"] == 1 and [one["record"] for one in report["left_out"]] == [str(bad)]
    (group,) = report["groups"]
    assert [one["cases"] for one in group["policies"]] == [1, 1]  # means over what both have
    assert {one["policy"]: one["invalid"] for one in group["policies"]} == {"a": 0, "b": 1}
    out = run(capsys, tmp_path)[1]
    assert "missing: b lacks 1 case (there is no such session): t2" in out and bad.name in out


def test_an_unfinished_session_counts_with_all_its_stall_and_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = write_session(tmp_path / "a.jsonl", "a", levels=(0, 0), last_stall_s=10.0, outcome="origin-lost")
    write_session(tmp_path / "b.jsonl", "b", levels=(0, 0, 0))
    report = compared(capsys, tmp_path, "--baseline", "b")
    (pair,) = report["groups"][0]["pairs"]
    assert pair["difference"] == pytest.approx((1.0 - 4.3 * 10.0) - 1.0)
    (listed,) = report["unfinished"]
    assert (listed["record"], listed["ended"], listed["chunks"], listed["chunks_asked"]) == (
        str(lost),
        "origin-lost",
        2,
        3,
    )
    assert "unfinished: 1 session of a, origin-lost: a.jsonl after 2 of 3 chunks" in run(capsys, tmp_path)[1]


def test_a_session_without_a_qoe_is_missing_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for policy in ("a", "b"):
        write_session(tmp_path / f"{policy}0.jsonl", policy, "t0")
    write_session(tmp_path / "a1.jsonl", "a", "t1", levels=(0,), outcome="origin-lost")
    write_session(tmp_path / "b1.jsonl", "b", "t1")
    (missing,) = compared(capsys, tmp_path)["missing"]
    assert missing["policy"] == "a" and "before two chunks" in missing["reason"]


def test_a_session_over_a_real_network_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for policy in ("a", "b"):
        write_session(tmp_path / f"{policy}.jsonl", policy)
    real = write_session(tmp_path / "real.jsonl", "a", simulated=False)
    change_manifest(real, trace=None)
    (left,) = compared(capsys, tmp_path)["left_out"]
    assert left["record"] == str(real) and "real network" in left["reason"]


def test_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for policy, levels in (("a", (0, 0, 0)), ("b", (1, 1, 1))):
        for rtt_ms in (160.0, 40.0):
            for index in range(3):
                path = tmp_path / f"{policy}{rtt_ms}{index}.jsonl"
                link = {"model": "published", "rtt_ms": rtt_ms}
                write_session(
                    path, policy, f"t{index}", levels=levels, link=link, family="45"[index % 2] + "g"
                )
    by_rtt = compared(capsys, tmp_path, "--by", "rtt")["groups"]
    assert not any("settings" in group for group in by_rtt)  # a case is no setting
    assert [(group["group"], group["cases"]) for group in by_rtt] == [("RTT 40 ms", 3), ("RTT 160 ms", 3)]
    by_family = compared(capsys, tmp_path, "--by", "family")["groups"]
    assert [(group["group"], group["traces"]) for group in by_family] == [("4g", 2), ("5g", 1)]
    assert [group["group"] for group in compared(capsys, tmp_path, "--by", "video")["groups"]] == ["small"]
    whole = compared(capsys, tmp_path)["groups"]
    assert [(group["cases"], group["traces"], group["clusters"]) for group in whole] == [(6, 3, 3)]


def write_points(folder: Path) -> None:
    """Two policies over two traces at three points of an axis: b's lead is 1, 0 and -1."""
    for place, rtt_ms in enumerate((20.0, 80.0, 150.0)):
        for policy, level in (("a", 1), ("b", 2 - place)):
            for trace in ("t0", "t1"):
                write_session(
                    folder / f"{policy}{rtt_ms}{trace}.jsonl",
                    policy,
                    trace,
                    levels=(level,) * 3,
                    link={"model": "published", "rtt_ms": rtt_ms},
                    sweep={
                        "setting": f"home, rtt_ms {rtt_ms:g}",
                        "group": "home",
                        "axis": {"rtt_ms": rtt_ms},
                    },
                )


def test_points_of_an_axis_are_not_averaged_without_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_points(tmp_path)
    names = [f"home, rtt_ms {value}" for value in (20, 80, 150)]
    (group,) = compared(capsys, tmp_path, "--baseline", "a")["groups"]
    assert group["together"] == names and group["pairs"][0]["verdict"] == "tie"
    found = {one["point"]: [pair["difference"] for pair in one["pairs"]] for one in group["points"]}
    assert found == dict(zip(names, ([1.0], [0.0], [-1.0]), strict=True))
    _, told, _ = run(capsys, tmp_path, "--baseline", "a")
    assert f"3 points together ({'; '.join(names)})" in told
    assert [line.split()[-2:] for line in told.splitlines() if "home, rtt_ms 20 " in line][-1:] == [
        ["+1.000", "ahead"]
    ]
    (apart, *_) = compared(capsys, tmp_path, "--by", "setting")["groups"]
    assert apart["group"] == names[0] and len(apart["together"]) == 1 and apart["points"] == []


def test_a_worst_case_is_called_by_all_that_varies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_points(tmp_path)
    (pair,) = compared(capsys, tmp_path, "--baseline", "a")["groups"][0]["pairs"]
    assert [one["name"] for one in pair["worst"][:2]] == ["t0, rtt_ms 150", "t1, rtt_ms 150"]
    (first, *_) = compared(capsys, tmp_path, "--baseline", "a", "--by", "rtt")["groups"]
    assert [one["name"] for one in first["pairs"][0]["worst"]] == ["t0", "t1"]


def test_players_that_began_other_times_apart_are_no_pair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for policy in ("a", "b"):
        for stagger_s in (0.0, 10.0):
            shared = {"group": "g", "players": 2, "index": 0, "stagger_s": stagger_s, "offset_s": 0.0}
            write_session(tmp_path / f"{policy}{stagger_s}.jsonl", policy, shared=shared)
    assert compared(capsys, tmp_path)["groups"][0]["cases"] == 2


def test_two_recordings_of_one_session_that_differ_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def notes() -> list[str]:
        return [note for note in compared(capsys, tmp_path)["notes"] if "more than once" in note]

    for policy in ("a", "b"):
        write_session(tmp_path / f"{policy}.jsonl", policy)
    write_session(tmp_path / "a-again.jsonl", "a", run_id="another")
    assert notes() == []  # the same came of it
    write_session(tmp_path / "a-other.jsonl", "a", levels=(0, 0, 0))
    (note,) = notes()
    assert "1 session recorded" in note and "a-again.jsonl and a-other.jsonl (the same was asked" in note
    write_session(tmp_path / "a-other.jsonl", "a", player={"fallback": "bba"}, code={"commit": "abc"})
    assert "(fallback not said and bba, commit not said and abc)" in notes()[0]
    write_session(tmp_path / "a-other.jsonl", "a", levels=(0, 0, 0), seed=1)
    assert notes() == []  # a session of its own


def test_the_table_says_what_it_averages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_points(tmp_path)
    assert main(["table", str(tmp_path)]) == 0
    assert "note: 4g: 3 points together (home, rtt_ms 20; " in capsys.readouterr().out
    assert main(["table", str(tmp_path), "--by", "setting"]) == 0
    assert "note:" not in capsys.readouterr().out
    assert main(["power", str(tmp_path)]) == 0
    assert "note: 3 points together" in capsys.readouterr().out


def test_holm_looks_at_all_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for policy, levels in (("a", (0, 0, 0)), ("b", (1, 1, 1))):
        for index in range(14):
            name = f"{policy}{index}.jsonl"
            write_session(tmp_path / name, policy, f"t{index}", levels=levels, family=f"f{index % 2}")
    groups = compared(capsys, tmp_path, "--by", "family")["groups"]
    p_values = [group["pairs"][0]["wilcoxon_p"] for group in groups]
    assert [group["pairs"][0]["holm_p"] for group in groups] == pytest.approx([2 * p for p in p_values])


def test_clusters_widen_the_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(12):
        good = index < 6
        trace = f"trip{int(good)}_{index}"
        write_session(tmp_path / f"a{index}.jsonl", "a", trace, levels=(0, 0, 0))
        write_session(tmp_path / f"b{index}.jsonl", "b", trace, levels=(1, 1, 1) if good else (0, 0, 0))
    apart = compared(capsys, tmp_path)["groups"][0]["pairs"][0]
    together = compared(capsys, tmp_path, "--cluster", r"^(trip\d)_")["groups"][0]["pairs"][0]
    assert apart["verdict"] == "ahead" and apart["clusters"] == 12
    assert together["verdict"] == "tie" and together["clusters"] == 2
    assert apart["difference"] == together["difference"]


def test_utilisation_by_hand(tmp_path: Path) -> None:
    write_session(tmp_path / "a.jsonl", "a")  # 3 Mbit in 3 s of a link of 2 Mbit/s
    cut = write_session(tmp_path / "b.jsonl", "b", levels=(0, 0), last_stall_s=2.0, outcome="origin-lost")
    whole, short = read_outcomes([tmp_path], Scoring()).counted
    assert whole.figures.utilisation == pytest.approx(3 / 6)
    assert short.record == str(cut)
    assert short.figures.utilisation == pytest.approx(2 / (2 * 11))  # the link went on until the end


def test_weights_are_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_session(tmp_path / "a.jsonl", "a", levels=(0, 0, 0), stalls_s=(0, 2, 0))
    write_session(tmp_path / "b.jsonl", "b", levels=(0, 0, 0))
    report = compared(capsys, tmp_path, "--baseline", "b", "--mu", "10")
    assert report["qoe"] == {"kind": "linear", "mu": 10.0, "smooth": 1.0}
    assert report["groups"][0]["pairs"][0]["difference"] == pytest.approx(-10.0)
    assert "told another QoE" in " ".join(report["notes"])
    log = compared(capsys, tmp_path, "--baseline", "b", "--qoe", "log")
    assert log["qoe"]["mu"] == 1.46 and log["groups"][0]["pairs"][0]["difference"] == pytest.approx(-1.46)
    told = refused(capsys, tmp_path, "--qoe", "hd")
    assert "hd has no value for 1000 kbit/s" in told and "remove" not in told  # the records are sound


def test_several_folders_are_one_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for policy in ("a", "b"):
        (tmp_path / policy).mkdir()
        write_session(tmp_path / policy / "x.jsonl", policy)
    report = compared(capsys, tmp_path / "a", tmp_path / "b", tmp_path / "a" / "x.jsonl")
    assert report["sessions"] == 2  # a record that is named twice counts once


def test_chosen_policies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for policy in ("a", "b", "c"):
        write_session(tmp_path / f"{policy}.jsonl", policy)
    report = compared(capsys, tmp_path, "--policy", "a", "--policy", "c")
    assert [one["policy"] for one in report["groups"][0]["policies"]] == ["a", "c"]
    assert "'d'; there are a, b, c" in refused(capsys, tmp_path, "--policy", "d")


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_record_is_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    for policy in ("a", "b"):
        for trace in ("t0", "t1"):
            write_session(tmp_path / f"{policy}-{trace}.jsonl", policy, trace)
    damage(tmp_path / "b-t1.jsonl")
    for words in (["compare"], ["table"], ["plot", "--what", "bars", "--out", str(tmp_path / "x.png")]):
        assert main([words[0], str(tmp_path), *words[1:]]) == 1
        said = capsys.readouterr().err
        assert f"left out: {tmp_path / 'b-t1.jsonl'}" in said and said.count("\n") == 1
    assert main(["compare", str(tmp_path / "b-t1.jsonl")]) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / "b-t1.jsonl") in said and said.count("\n") == 1


def test_mixed_schema_versions_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_session(tmp_path / "a.jsonl", "a")
    for name in ("b", "c"):
        change_manifest(write_session(tmp_path / f"{name}.jsonl", "b"), schema=7)
    said = refused(capsys, tmp_path)
    assert "of 3 records 2 of schema 7, where this version reads 1" in said and "b.jsonl" in said


def test_other_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no records" in refused(capsys, tmp_path)
    for age_s, name in enumerate(("new", "old")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "x.jsonl").touch()
        os.utime(tmp_path / "runs" / name / "x.jsonl", (1e9 - age_s, 1e9 - age_s))
    assert refused(capsys, tmp_path / "runs").endswith(f", such as {tmp_path / 'runs' / 'new'}\n")
    assert "no such file" in refused(capsys, tmp_path / "nowhere")
    write_session(tmp_path / "a.jsonl", "a", valid=False)
    assert "no session can be counted: 1 left out, its link" in refused(capsys, tmp_path)
    write_session(tmp_path / "b.jsonl", "b")
    assert "two policies with sessions that count: a: 1 left out, its link" in refused(capsys, tmp_path)
    only = refused(capsys, tmp_path, "--policy", "b")
    assert "only b is there; a comparison needs two policies" in only
    write_session(tmp_path / "a.jsonl", "a")
    assert "--baseline x: no record is of this policy; there are a, b" in refused(
        capsys, tmp_path, "--baseline", "x"
    )
    assert "no regular expression" in refused(capsys, tmp_path, "--cluster", "(")
    assert "QoE mu -1.0" in refused(capsys, tmp_path, "--mu", "-1")
    assert "compare --help" in refused(capsys, tmp_path, "--by", "moon")
    change_manifest(tmp_path / "a.jsonl", video={"ladder_kbps": [1000, 2000, 3000]})
    status, _, said = run(capsys, tmp_path)
    assert status == 2 and "left out" in said and "the manifest's video has no name or no sha256" in said


def test_a_missing_baseline_in_one_group_is_no_pair_there(tmp_path: Path) -> None:
    write_session(tmp_path / "a.jsonl", "a", family="x")
    write_session(tmp_path / "b.jsonl", "b", family="x")
    write_session(tmp_path / "c.jsonl", "b", "t1", family="y")
    comparison = compare(read_outcomes([tmp_path], Scoring()), baseline="a", by="family")
    assert [(group.name, len(group.pairs)) for group in comparison.groups] == [("x", 1), ("y", 0)]
    assert [(one.policy, one.case.trace) for one in comparison.missing] == [("a", "t1")]


def test_whom_the_fallback_replaced_has_no_pair_and_it_is_said_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(3):
        write_session(tmp_path / f"a{index}.jsonl", "bba", f"t{index}")
        write_session(tmp_path / f"b{index}.jsonl", "broken.py:NN", f"t{index}", by=("fallback",) * 3)
    why = "broken.py:NN: 3 left out, the fallback decided all of it"
    assert f"a comparison needs two policies with sessions that count: {why}" in refused(capsys, tmp_path)
    said = refused(capsys, tmp_path, "--baseline", "broken.py:NN")
    assert "none of its sessions counts: 3 left out, the fallback decided all of it" in said
    write_session(tmp_path / "c.jsonl", "rate", "t0")
    status, out, _ = run(capsys, tmp_path)
    assert status == 0 and "broken.py:NN, which" not in out
    assert (
        "left out: 3 sessions of broken.py:NN: the fallback decided all of it: b0.jsonl, b1.jsonl, b2.jsonl\n"
        in out
    )


def test_notes_are_gathered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(9):
        write_session(tmp_path / f"a{index}.jsonl", "bba", f"t{index}")
        outcome = "origin-lost" if index < 8 else "finished"
        write_session(tmp_path / f"b{index}.jsonl", "rate", f"t{index}", levels=(0, 0), outcome=outcome)
        write_session(tmp_path / f"c{index}.jsonl", "bba", f"u{index}", valid=False)
    lines = run(capsys, tmp_path)[1].splitlines()
    (unfinished,) = [line for line in lines if line.startswith("unfinished:")]
    (left_out,) = [line for line in lines if line.startswith("left out:")]
    assert unfinished.startswith(
        "unfinished: 8 sessions of rate, origin-lost: b0.jsonl after 2 of 3 chunks, "
    )
    assert unfinished.endswith("b4.jsonl after 2 of 3 chunks, and 3 more, named by --json")
    assert left_out.startswith(
        "left out: 9 sessions of bba: its link was not what the manifest says: c0.jsonl"
    )
    report = compared(capsys, tmp_path)
    assert (len(report["unfinished"]), len(report["left_out"])) == (8, 9)


def test_who_was_interrupted_counts_only_if_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for policy in ("bba", "rate"):
        write_session(tmp_path / f"{policy}0.jsonl", policy, "t0", levels=(1, 1, 1))
        write_session(
            tmp_path / f"{policy}1.jsonl",
            policy,
            "t1",
            levels=(0, 0),
            outcome="interrupted" if policy == "rate" else "finished",
        )

    def means(*words: str) -> dict[str, float]:
        (group,) = compared(capsys, tmp_path, *words)["groups"]
        return {one["policy"]: one["qoe"] for one in group["policies"]}

    assert means() == {"bba": 2.0, "rate": 2.0}  # over t0, which both have
    assert means("--interrupted") == {"bba": 1.5, "rate": 1.5}
    out = run(capsys, tmp_path)[1]
    assert "left out: 1 session of rate: it was interrupted (--interrupted counts it): rate1.jsonl" in out
    assert "left out:" not in run(capsys, tmp_path, "--interrupted")[1]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({}, {"levels": (0, 1, 1, 1), "video": "small"}, ("3 chunks", "4 chunks")),
        ({"link": {"queue_ms": 50.0}}, {"link": {"queue_ms": 100.0}}, ("queue_ms 50", "queue_ms 100")),
        (
            {"player": {"buffer_cap_s": 20.0}},
            {"player": {"buffer_cap_s": 60.0}},
            ("buffer_cap_s 20", "buffer_cap_s 60"),
        ),
        (
            {"link": {"loss": {"kind": "gemodel", "p": 1.0}}},
            {"link": {"loss": {"kind": "gemodel", "p": 2.0}}},
            ("loss kind gemodel p 1", "loss kind gemodel p 2"),
        ),
    ],
)
def test_a_label_holds_whatever_differs(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    one: dict[str, Any],
    other: dict[str, Any],
    words: tuple[str, str],
) -> None:
    for name, facts in (("x", one), ("y", other)):
        for index, policy in enumerate(("bba", "good")):
            level = index * (1 if name == "x" else 2)
            levels = (level,) * len(facts.get("levels", (0, 0, 0)))
            write_session(tmp_path / f"{name}{index}.jsonl", policy, **facts | {"levels": levels})
    report = compared(capsys, tmp_path, "--by", "setting")
    names = [group["group"] for group in report["groups"]]
    assert names == list(words)  # what both have in common is left out
    out = run(capsys, tmp_path)[1]
    assert all(f"t0, {word} +" in out for word in words)
    worst = compared(capsys, tmp_path)["groups"][0]["pairs"][0]["worst"]
    assert [case["besides"] for case in worst] == [[word] for word in words]


def test_what_p_calls_chance_is_doubtful_and_rounding_is_a_tie(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(4):  # Wilcoxon's p over four traces is 0.125 at best
        write_session(tmp_path / f"bba{index}.jsonl", "bba", f"t{index}")
        stalls_s = [0.0, 0.1 + 0.01 * index, 0.0]
        write_session(tmp_path / f"stops{index}.jsonl", "stops", f"t{index}", stalls_s=stalls_s)
        write_session(tmp_path / f"alike{index}.jsonl", "alike", f"t{index}", stalls_s=[0.0, 1e-12, 0.0])
    pairs = compared(capsys, tmp_path, "--baseline", "bba")["groups"][0]["pairs"]
    found = {one["policy"]: (one["verdict"], one["doubtful"]) for one in pairs}
    assert found == {"alike": ("tie", False), "stops": ("behind", True)}
    out = run(capsys, tmp_path, "--baseline", "bba")[1]
    assert "behind, doubtful" in out and "note: doubtful: a verdict is" in out and "it may be chance" in out


def test_a_queue_of_so_many_milliseconds_is_one_however_many_bytes_that_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the trace's own mean rate, so the bytes of each trace are others."""
    for index in range(3):
        link = {"model": "tcp", "rtt_ms": 80.0, "queue_ms": 200.0, "queue_limit_bytes": 100_000 + index}
        for policy in ("bba", "good"):
            place = tmp_path / f"{policy}{index}.jsonl"
            write_session(place, policy, f"t{index}", link=link, sweep={"setting": "usual"})
    report = compared(capsys, tmp_path, "--by", "setting")
    assert [group["group"] for group in report["groups"]] == ["usual, simulated"]


def test_a_sweeps_setting_stays_one_though_its_families_have_videos_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index, (trace, video, chunks) in enumerate((("t0", "small", 3), ("u0", "large", 5))):
        for policy in ("bba", "good"):
            write_session(
                tmp_path / f"{policy}{index}.jsonl",
                policy,
                trace,
                levels=(0,) * chunks,
                video=video,
                sweep={"setting": "usual"},
            )
    report = compared(capsys, tmp_path, "--by", "setting")
    assert [group["group"] for group in report["groups"]] == ["usual, simulated"]


def test_settings_of_two_sweeps_under_one_label_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for chunks in (3, 12):
        for policy in ("bba", "good"):
            write_session(
                tmp_path / f"{policy}{chunks}.jsonl",
                policy,
                levels=(0,) * chunks,
                sweep={"setting": "usual"},
            )
    report = compared(capsys, tmp_path, "--by", "setting")
    assert [group["group"] for group in report["groups"]] == ["3 chunks", "12 chunks"]


def test_policies_come_in_one_order_and_a_long_name_breaks_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "./a/my_policy_with_a_name.py:TheClassThatDecides:horizon=8,discount=0.95,risk=0.2"
    for policy in ("q:x=300", "q:x=80", "robustmpc", "bba", long):
        for index in range(6):
            write_session(tmp_path / f"{policy[-3:]}{len(policy)}{index}.jsonl", policy, f"t{index}")
    report = compared(capsys, tmp_path)
    policies = [one["policy"] for one in report["groups"][0]["policies"]]
    assert policies == ["bba", "robustmpc", long, "q:x=80", "q:x=300"]
    pairs = [(one["policy"], one["baseline"]) for one in report["groups"][0]["pairs"]]
    assert pairs[0] == ("robustmpc", "bba") and pairs[-1] == ("q:x=300", "q:x=80")
    lines = run(capsys, tmp_path)[1].splitlines()
    first = next(line for line in lines if line.startswith("my_policy"))
    assert "1.500  1.500 to 1.500" in first and max(map(len, lines[5:12])) <= 160


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.parquet"])
def test_the_tables_say_what_json_says(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    six_traces(tmp_path)
    write_session(tmp_path / "third.jsonl", "third", "t0")
    report = compared(capsys, tmp_path, "--baseline", "bba", "--csv", tmp_path / "new" / name)
    means_name = name.replace("x", "x-means", 1)
    assert report["tables"] == [str(tmp_path / "new" / one) for one in (name, means_name)]
    pairs, means = (read_table(Path(path)) for path in report["tables"])
    (group,) = report["groups"]
    assert [(row["policy"], float(row["qoe_difference"]), row["verdict"]) for row in pairs] == [
        (one["policy"], one["difference"], one["verdict"]) for one in group["pairs"]
    ]
    good = next(row for row in pairs if row["policy"] == "good")
    stalls = next(one for one in group["pairs"] if one["policy"] == "good")["beside"]["stall_ratio"]
    assert [float(good[f"stall_ratio_difference{end}"]) for end in ("", "_low", "_high")] == [
        stalls["difference"],
        *stalls["ci95"],
    ]
    assert good["stall_ratio_verdict"] == stalls["verdict"]
    third = next(row for row in pairs if row["policy"] == "third")
    assert third["qoe_difference_low"] in ("", None)  # one trace, no interval
    assert {row["policy"]: float(row["qoe"]) for row in means} == {
        one["policy"]: one["qoe"] for one in group["policies"]
    }
