"""Shared lanes read from records, each once; what each got, with intervals over traces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from analysis.clusters import ClusterRule
from analysis.together.lanes import read_lanes, shared_means
from tests.support.session_records import write_session


def a_member(kind: str, name: str, mbps: float, stall: float | None) -> dict[str, Any]:
    return {"kind": kind, "name": name, "mbps": mbps, "share": mbps / 4, "stall_ratio": stall}


def shared(
    path: Path, trace: str, *members: dict[str, Any], jain: float | None = 0.9, valid: bool = True
) -> None:
    """The record of a session that shared its lane."""
    told = {"together": {"jain": jain, "members": list(members)}}
    write_session(path, policy=path.stem, trace=trace, valid=valid, link_check=told)


@pytest.fixture
def records(tmp_path: Path) -> Path:
    for number, mbps in enumerate((1.0, 2.0, 3.0)):
        members = (a_member("call", "gcc", mbps, 0.01 * number), a_member("flow", "cubic 1", 1.0, None))
        for who in ("a", "b"):  # both tell of the same lane
            shared(tmp_path / f"{who}-{number}.jsonl", f"t{number}", *members, jain=0.5 + number / 10)
    return tmp_path


def test_a_lane_counts_once_and_its_means_are_by_hand(records: Path) -> None:
    found = read_lanes([records])
    assert (len(found.lanes), found.invalid, found.alone) == (3, 0, 0)
    (means,) = shared_means(found.lanes, ClusterRule())
    call, flow = means.members
    assert (means.lanes, means.traces, means.jain.mean) == (3, 3, pytest.approx(0.6))
    assert (call.words, call.mbps.mean, call.share.mean) == ("call gcc", 2.0, 0.5)
    assert call.mbps.low is not None and 1.0 <= call.mbps.low < 2.0
    assert call.stall_ratio is not None and call.stall_ratio.mean == pytest.approx(0.01)
    assert flow.stall_ratio is None and flow.mbps.mean == 1.0


def test_untrue_links_and_who_never_met_are_in_no_mean(tmp_path: Path) -> None:
    shared(tmp_path / "a.jsonl", "t", a_member("call", "gcc", 1.0, 0.0), valid=False)
    shared(tmp_path / "b.jsonl", "t", a_member("call", "gcc", 1.0, 0.0), jain=None)
    write_session(tmp_path / "c.jsonl")
    found = read_lanes([tmp_path])
    assert (len(found.lanes), found.invalid, found.alone) == (1, 1, 1)
    assert list(shared_means(found.lanes, ClusterRule())) == []


def test_the_command(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["together", str(records), "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert [one["who"] for one in group["members"]] == ["call gcc", "flow cubic 1"]
    assert group["members"][0]["mbps_ci95"][0] < 2.0 < group["members"][0]["mbps_ci95"][1]
    assert main(["together", str(records)]) == 0
    said = capsys.readouterr().out
    assert "call gcc" in said and "2.000 (" in said and "3 shared lanes" in said


def test_lanes_of_nobody_else_are_told_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_session(tmp_path / "c.jsonl")
    assert main(["together", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "no lane here was shared" in said and said.count("\n") == 1
