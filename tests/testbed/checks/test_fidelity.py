"""The figures of `fidelity.py`: over several runs, beside what the machine did, and what is refused."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from testbed.checks.fidelity.figures import Fidelity, LaneFidelity, Window
from testbed.checks.fidelity.tables import RunSpread, repeats, repeats_table, spread, table
from testbed.fidelity import _worst_dark_s, joined, main
from testbed.link.delay_stage import StageReport
from testbed.link.settings import LinkSettings
from testbed.machine.readings import MachineChange

QUIET = MachineChange(30.0, 2, 0.001, 0.001, 0.2, 0.799, 0.01, 0.1, {"shaper": 0.2, "relay of sb1-0": 0.4})
NOISY = MachineChange(30.0, 2, 0.041, 0.05, 0.2, 0.759, 0.05, 0.1, {"shaper": 1.5})
TELLS_NOTHING = MachineChange(30.0, 2, None, None, None, None, None, None)


def found(lanes: int, missing_bytes: int, *machine: MachineChange) -> Fidelity:
    """One lane's ten full windows of a megabyte, each short by so much."""
    one = tuple(Window(float(index), 1.0, 1e6, 1_000_000 - missing_bytes, True) for index in range(10))
    stage = StageReport("relay", 100, 0, 0)
    return Fidelity(lanes, (LaneFidelity("t", 8.0, 8.0, 8.0, one, (0.1,), 80.2, stage),), machine)


def row(lanes: int, missing_bytes: int, *machine: MachineChange) -> dict[str, Any]:
    return found(lanes, missing_bytes, *machine).row(LinkSettings())


def shown(*tables: Any) -> str:
    console = Console(width=220, file=io.StringIO(), record=True)
    for one in tables:
        console.print(one)
    return console.export_text()


def test_a_row_tells_the_worst_steal_and_wait_of_its_replays() -> None:
    told = row(1, 0, QUIET, NOISY)
    assert (told["steal"], told["pressure"], told["wait_max_ms_per_s"]) == (0.041, 0.05, 1.5)
    nothing = row(1, 0, TELLS_NOTHING)
    assert (nothing["steal"], nothing["pressure"], nothing["wait_max_ms_per_s"]) == (None, None, None)
    text = shown(table([told, nothing], "relay", []))
    assert "4.10 %" in text and " 1.50 " in text


def test_a_filler_that_was_late_stands_beside_the_windows_that_were_not_full() -> None:
    one = found(1, 0, QUIET)
    (lane,) = one.results
    idle = dataclasses.replace(lane.windows[0], saturated=False)
    lane = dataclasses.replace(lane, windows=(idle, *lane.windows[1:]))
    one = dataclasses.replace(one, results=(lane,), filler_late=3)
    assert "9 (+1 not full, filler 3 x late)" in shown(table([one.row(LinkSettings())], "relay", []))
    assert joined([one, one])[0].filler_late == 6


def test_several_runs_are_told_by_median_worst_and_range() -> None:
    rows = [row(lanes, missing, QUIET) for missing in (20_000, 0, 4_000) for lanes in (1, 48)]
    one, many = repeats(rows)
    assert (one["lanes"], one["runs"], one["runs_within_bounds"]) == (1, 3, 1)
    assert one["beyond_a_frame_median"] == {"least": 0.0, "median": 0.004, "worst": 0.02}
    assert (many["lanes"], many["runs_within_bounds"]) == (48, 1)
    assert many["steal"] == {"least": 0.001, "median": 0.001, "worst": 0.001}
    text = shown(repeats_table([one, many]))
    assert "0.40, 2.00 %" in text and "0.00 to 2.00 %" in text and text.count("1 of 3") == 2


def test_a_figure_that_no_run_has_has_no_spread() -> None:
    assert spread([None, None]) == RunSpread(None, None, None)
    assert spread([None, 2.0]) == RunSpread(2.0, 2.0, 2.0)
    (one,) = repeats([row(1, 0, TELLS_NOTHING)])
    assert one["steal"] == {"least": None, "median": None, "worst": None}
    assert "- to -" in shown(repeats_table([one]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_a_median_lies_within_the_range_and_is_a_runs_own(values: list[float]) -> None:
    one = spread(values)
    assert one.least == min(values) and one.worst == max(values) and one.median in values


def test_the_plot_gets_the_runs_of_a_number_as_one() -> None:
    one, many = joined([found(1, 0, QUIET), found(16, 0, QUIET), found(1, 9, NOISY)])
    assert (one.lanes, len(one.results), one.machine) == (1, 2, (QUIET, NOISY))
    assert (many.lanes, len(many.results)) == (16, 1)


def test_bytes_that_did_not_come_back_once_did_not_come_back() -> None:
    assert _worst_dark_s([0.01, 0.3, 0.02]) == 0.3
    assert _worst_dark_s([0.01, None]) is None
    assert _worst_dark_s([]) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--repeat", "0"), "--repeat 0: must be 1 or more"),
        (("--lanes", "0"), "--lanes 0: expected numbers from 1 to 250"),
        (("--seconds", "1"), "--seconds 1: expected 5 to 3600"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert main(["--trace", "4g", *words]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
