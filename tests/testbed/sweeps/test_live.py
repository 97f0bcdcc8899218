"""Sweeps of live streams: what is asked for, what can't be, and whose sessions are whose."""

from __future__ import annotations

from pathlib import Path

import pytest

from player.qoe import LiveQoE
from testbed.process.errors import TestbedError
from testbed.session.live_plan import LivePlan
from testbed.sweeps.experiment.plan import SweepPlan, plan_sweep
from testbed.sweeps.experiment.schema import read_sweep
from testbed.sweeps.lanes import session_plans

LIVE = """\
name = "live"
policies = ["bba"]

[[setting]]
label = "parts"
traces = "4g/1"
chunks = 4
live = true
latency_s = [3, 6]
part_s = 0.5
"""


def planned(folder: Path, text: str = LIVE, simulated: bool = False) -> SweepPlan:
    path = folder / "live.toml"
    path.write_text(text)
    return plan_sweep(read_sweep(path), simulated=simulated)


def test_latency_is_an_axis_and_costs_qoe(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    found = {unit.setting.axis["latency_s"]: unit for unit in plan.units}
    assert sorted(found) == [3.0, 6.0]
    for latency_s, unit in found.items():
        (session,) = session_plans(plan, unit, tmp_path, 1, "relay", ("sweep.py",))
        assert session.live == LivePlan(latency_s, 0.5)
        assert isinstance(session.qoe, LiveQoE) and session.qoe.latency == pytest.approx(0.43)
        assert unit.setting.facts["live"] == {"latency_s": latency_s, "part_s": 0.5}
    weighed = planned(tmp_path, LIVE.replace("[[setting]]", "[qoe]\nlatency = 2\n[[setting]]"))
    assert {weighed.qoe_of(unit).to_json()["latency"] for unit in weighed.units} == {2.0}
    assert {plan.identity(unit) for unit in plan.units} & {
        weighed.identity(unit) for unit in weighed.units
    } == set()


def test_without_a_latency_it_is_the_usual_one(tmp_path: Path) -> None:
    (unit,) = planned(tmp_path, LIVE.replace("latency_s = [3, 6]\n", "")).units
    assert unit.live == LivePlan(12.0, 0.5)


def test_sessions_of_films_are_what_they_were(tmp_path: Path) -> None:
    film = LIVE.replace("live = true\nlatency_s = [3, 6]\npart_s = 0.5\n", "")
    (unit,) = planned(tmp_path, film).units
    assert unit.live is None and "live" not in unit.setting.facts


def test_nobody_computes_a_live_stream(tmp_path: Path) -> None:
    plan = planned(tmp_path, simulated=True)
    assert plan.units == ()
    assert all("live streams are emulated only" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("live = true\n", "", 8, "latency_s is of live streams; write live = true, too"),
        ("[3, 6]", "0.4", 9, "what is made can be asked for after 0.5 s"),
        ("part_s = 0.5", "part_s = 5", 10, "part_s 5: expected 0.02 to 4"),
        ("part_s = 0.5", "part_s = 0.001", 10, "expected 0.02 to 60"),
    ],
)
def test_what_no_live_stream_has_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    with pytest.raises(TestbedError, match=rf":{line}: .*{said}"):
        planned(tmp_path, LIVE.replace(old, new))
