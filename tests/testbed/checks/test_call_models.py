"""Emulated calls simulated again: what a record holds makes the same call, and bounds are held."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.clusters import ClusterRule
from player.call.record import read_call
from player.call.scored.outcomes import of_record
from testbed.checks.call_models import HELD, CallTwice, all_within, call_rows, find_calls
from testbed.link_models import main
from testbed.process.errors import TestbedError
from testbed.simulate import main as simulate

SHORT = ("--task", "call", "--duration-s", "8", "--warm-up-s", "2")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calls")
    words = ("--traces", "3g[0:2]", "4g/0", "--policy", "gcc", "--media-jitter-ms", "2", "--seed", "3")
    assert simulate([*SHORT, *words, "--out", str(folder / "o"), "--json"]) == 0
    return folder / "o"


@pytest.fixture
def emulated(simulated: Path, tmp_path: Path) -> Path:
    """The same, as if the emulator had made them."""
    for path in simulated.glob("*.jsonl"):
        first, rest = path.read_text().split("\n", 1)
        told = json.loads(first)
        told["simulated"] = False
        (tmp_path / path.name).write_text(json.dumps(told) + "\n" + rest)
    return tmp_path


def test_a_record_makes_the_same_call_again(emulated: Path) -> None:
    found, said = find_calls([emulated], trust=False)
    assert (len(found.calls), said) == (3, [])
    for one in found.calls:
        for held in HELD:
            assert held.difference(one.simulated, one.emulated) == pytest.approx(0.0, abs=1e-3)


def test_rows_are_by_family_and_over_all(emulated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(emulated), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(row["family"], row["calls"]) for row in told["rows"]] == [("3g", 2), ("4g", 1), ("all", 3)]
    assert told["within"] and told["rows"][2]["bitrate_mbps"]["ci95"] is not None
    assert main(["compare", str(emulated)]) == 0
    assert "within bounds over all families" in capsys.readouterr().out


def test_a_bound_is_held_against_the_mean_over_all(emulated: Path) -> None:
    outcomes = [of_record(read_call(path)) for path in sorted(emulated.glob("*.jsonl"))]
    calls = [
        CallTwice("r", "gcc", family, family, one, replace(one, bitrate_mbps=one.bitrate_mbps * times))
        for family, one, times in zip(("a", "b", "c"), outcomes, (1.08, 1.0, 1.0), strict=True)
    ]
    rows = call_rows(calls, ClusterRule())
    assert rows[-1]["bitrate_mbps"]["difference"] == pytest.approx(100 * 0.08 / 3)
    assert all_within(rows)  # 2.7 %, though one family is off by 8
    worse = [
        replace(one, simulated=replace(one.simulated, stall_ratio=one.emulated.stall_ratio + 0.004))
        for one in calls
    ]
    assert not all_within(call_rows(worse, ClusterRule()))


def test_simulated_calls_are_refused(simulated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TestbedError, match="all 3 calls are simulated"):
        find_calls([simulated], trust=False)
    assert main(["fit", str(simulated)]) == 2
    assert "of whose simulator no constant is fitted" in capsys.readouterr().err


def test_untrue_links_are_taken_where_that_is_asked(emulated: Path) -> None:
    first = sorted(emulated.glob("*.jsonl"))[0]
    first.write_text(first.read_text().replace('"valid":true', '"valid":false'))
    found, _ = find_calls([emulated], trust=False)
    assert (len(found.calls), found.invalid) == (2, 1) and "1 invalid left out" in str(found)
    found, _ = find_calls([emulated], trust=False, with_invalid=True)
    assert (len(found.calls), found.invalid) == (3, 1) and "1 invalid among them" in str(found)
