"""A lane that is changed under a session, and its neighbour that is not; the bench's own words."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from player.record import Record, read_record
from testbed.checks.tampering import KINDS, UNTOUCHED, Kind
from testbed.process.errors import TestbedError
from testbed.tamper import TamperJob, TamperOutcome, chosen, parser, table
from testbed.verdict.path_bounds import hops
from testbed.verdict.path_counters import PathUse
from tests.support.emulation import Run, write_trace, write_video

CHUNKS = 8
CHUNK_S = 0.5


def started(place: Path) -> Run:
    """Two sessions side by side, of some seconds."""
    write_trace(place / "even.log", [2.0] * 30)
    write_video(place / "short", CHUNKS, CHUNK_S, (20_000, 40_000, 60_000))
    return Run(
        place,
        *("--trace", "even.log", "--video", "short", "--policy", "bba,rate"),
        *("--rtt-ms", "20", "--out", "out"),
    )


def path_of(record: Record) -> PathUse:
    """The counters in a record."""
    return PathUse(**record.end.link["path"])


@pytest.mark.emulation
def test_a_lane_that_is_changed_is_invalid_and_its_neighbour_is_not(tmp_path: Path) -> None:
    run = started(tmp_path)
    run.expect_chunk(tmp_path / "out")
    wan = run.child(f"mininet:sb{run.process.pid}-0-wan ")
    command = ["tc", "qdisc", "add", "dev", "wan-down", "root"]
    slow = ["tbf", "rate", "1mbit", "burst", "3000", "limit", "60000"]
    subprocess.run(["mnexec", "-a", str(wan), *command, *slow], check=True)
    assert run.finish() == 1, run.err
    changed, left = (read_record(tmp_path / "out" / f"{name}.jsonl") for name in ("bba", "rate"))
    assert not changed.end.valid
    assert any("somebody changed the lane: qdisc tbf" in reason for reason in changed.end.link["reasons"])
    assert changed.end.link["changes"][0]["host"] == "wan"
    assert left.end.link["reasons"] == []
    assert left.end.link["probe_at_end"]["echoes_lost"] == 0
    assert len(left.end.link["expected"]) == CHUNKS
    assert [hop for hop in hops(path_of(left), kicks=20) if hop.fault()] == []
    assert path_of(left).player_ip_bytes > sum(row.size_bytes for row in left.chunks)


@pytest.mark.emulation
def test_a_session_that_is_interrupted_is_judged_by_what_applies(tmp_path: Path) -> None:
    run = started(tmp_path)
    run.expect_chunk(tmp_path / "out")
    run.interrupt_group()
    assert run.finish() == 130, run.err
    record = read_record(tmp_path / "out" / "bba.jsonl")
    assert record.end.outcome == "interrupted"
    assert record.end.link["reasons"] == []
    assert [hop for hop in hops(path_of(record), kicks=20) if hop.fault()] == []


def outcome(wrong: bool, valid: bool | None) -> TamperOutcome:
    return TamperOutcome("mtu", "cut", 0, wrong, valid, ("why",))


@pytest.mark.parametrize(
    ("wrong", "valid", "missed"),
    [
        (True, True, True),
        (True, False, False),
        (False, False, True),
        (False, True, False),
        (True, None, False),
    ],
)
def test_what_is_judged_wrongly_is_told_from_what_could_not_be_made(
    wrong: bool, valid: bool | None, missed: bool
) -> None:
    assert outcome(wrong, valid).missed is missed
    assert table([outcome(wrong, valid)]).row_count == 1


def test_kinds_are_many_and_have_names_of_their_own() -> None:
    names = [kind.name for kind in (*UNTOUCHED, *KINDS)]
    assert len(set(names)) == len(names)
    assert len(KINDS) >= 25


def jobs(*words: Any) -> list[TamperJob]:
    return chosen(parser().parse_args(words))


def test_kinds_are_chosen_by_name_and_without_a_watch_only_those_that_show() -> None:
    assert [(job.kind.name, job.number) for job in jobs("--kinds", "mtu,burst", "--sessions", "2")] == [
        ("mtu", 0),
        ("burst", 0),
        ("mtu", 1),
        ("burst", 1),
    ]
    hidden: set[Kind] = {kind for kind in KINDS if not kind.counted}
    assert hidden and not hidden & {job.kind for job in jobs("--no-watch")}
    with pytest.raises(TestbedError, match="--kinds nonsense: no such kind; there are untouched"):
        jobs("--kinds", "nonsense")
    with pytest.raises(TestbedError, match="--lanes 0"):
        jobs("--lanes", "0")
