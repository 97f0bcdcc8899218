"""Sweeps in which dash.js plays: what it can't do is left out and said, and browsers are few."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testbed.browser.able import BROWSER_LOAD
from testbed.browser.clients import DASHJS, PYTHON
from testbed.machine.load import SESSION_LOAD
from testbed.process.errors import TestbedError
from testbed.server.dashjs import VERSION
from testbed.sweeps.command_line import parser
from testbed.sweeps.engines import Cluster, Emulated
from testbed.sweeps.experiment.plan import SweepPlan, plan_sweep
from testbed.sweeps.experiment.players import ELSEWHERE, lane_load, lanes_with_browsers
from testbed.sweeps.experiment.schema import read_sweep
from testbed.sweeps.lanes import session_plans

BOTH = """\
name = "players"
policies = ["dashjs:dynamic", "bba"]

[[setting]]
label = "both"
traces = "4g/1"
chunks = 4
player = ["python", "dashjs"]
"""


def planned(folder: Path, text: str = BOTH, simulated: bool = False) -> SweepPlan:
    path = folder / "players.toml"
    path.write_text(text)
    return plan_sweep(read_sweep(path), simulated=simulated)


def who_plays(plan: SweepPlan) -> set[tuple[str, str]]:
    return {(unit.policy.label, unit.setting.client) for unit in plan.units}


def test_both_players_play_what_they_can(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert who_plays(plan) == {("bba", PYTHON), ("bba", DASHJS), ("dashjs:dynamic", DASHJS)}
    assert f"left out, policy dashjs:dynamic in setting both, player python: {ELSEWHERE}" in plan.notes
    for unit in plan.units:
        (session,) = session_plans(plan, unit, tmp_path, 1, "relay", ("sweep.py",))
        assert session.client == unit.setting.client


def test_sessions_of_another_dashjs_are_others_and_ours_are_what_they_were(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    ours, theirs = (next(one for one in plan.settings if one.client == who) for who in (PYTHON, DASHJS))
    assert (theirs.facts["player"], theirs.facts["player_version"]) == (DASHJS, VERSION)
    assert not {"player", "player_version", "client"} & ours.facts.keys()


def test_nobody_computes_a_browser(tmp_path: Path) -> None:
    plan = planned(tmp_path, simulated=True)
    assert who_plays(plan) == {("bba", PYTHON)}
    assert sum("in a browser, which nobody computes" in note for note in plan.notes) == 2


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("abandon = true", "abandon: dash.js gives requests up by itself"),
        ("resume_s = 2", "resume_s: dash.js begins and goes on as a browser does"),
        ("players = 2", "a browser has a lane of its own"),
        ('cross = "cubic:1"', "a browser has a lane of its own"),
    ],
)
def test_a_point_that_dashjs_can_t_play_is_left_out_and_said(tmp_path: Path, line: str, why: str) -> None:
    plan = planned(tmp_path, f"{BOTH}{line}\n")
    assert who_plays(plan) == {("bba", PYTHON)}
    assert any(note.startswith(f"left out, setting both, player dashjs: {why}") for note in plan.notes)


def test_a_rule_of_dashjs_wants_a_setting_in_which_it_plays(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match=r":2: policy dashjs:dynamic: .* give a setting player = "):
        planned(tmp_path, BOTH.replace('["python", "dashjs"]', '"python"'))
    with pytest.raises(TestbedError, match=r":8: player is 'dash': .*did you mean dashjs\?"):
        planned(tmp_path, BOTH.replace('"dashjs"]', '"dash"]'))


def test_lanes_with_browsers_are_as_many_as_the_processors_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert lanes_with_browsers() == 4
    plan = planned(tmp_path)
    args = parser().parse_args([str(tmp_path / "players.toml"), "--lanes", "16"])
    assert Emulated(plan, args, ()).at_once == 16, "who says how many is heard"
    assert lane_load(plan.units) == BROWSER_LOAD
    ours = planned(
        tmp_path, BOTH.replace('"dashjs:dynamic", ', "").replace('["python", "dashjs"]', '"python"')
    )
    assert Emulated(ours, args, ()).at_once == 16
    assert lane_load(ours.units) == SESSION_LOAD


def test_no_browser_plays_on_a_cluster(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    args = parser().parse_args([str(tmp_path / "players.toml"), "--engine", "ray"])
    with pytest.raises(TestbedError, match="--engine ray: browsers play on this machine alone"):
        Cluster(plan, args, ()).check()
