"""A sweep of calls: its file's keys and mistakes, its plan, and its calls computed and resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from player.call.record import read_call
from testbed.process.errors import TestbedError
from testbed.sweep import main
from testbed.sweeps.experiment.plan import SweepPlan, plan_sweep
from testbed.sweeps.experiment.schema import read_sweep

GOOD = """\
task = "call"
name = "calls"
policies = ["fixed:kbps=300", "fixed:kbps=600"]
[[setting]]
label = "a"
traces = "4g[0:2]"
duration_s = 2
warm_up_s = 1
rtt_ms = [40, 80]
"""


def planned(tmp_path: Path, text: str = GOOD, simulated: bool = True) -> SweepPlan:
    path = tmp_path / "calls.toml"
    path.write_text(text)
    return plan_sweep(read_sweep(path), simulated=simulated)


def test_the_plan_is_a_call_for_each_policy_trace_and_point(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert (plan.sessions, plan.link_model) == (8, "call")
    assert {unit.setting.link.media_delay_ms for unit in plan.units} == {20.0, 40.0}  # half of the RTT
    assert {unit.setting.call.duration_s for unit in plan.units if unit.setting.call} == {2.0}
    assert {unit.length_s for unit in plan.units} == {2.0}


def test_another_call_is_another_session(tmp_path: Path) -> None:
    before = {planned(tmp_path).identity(unit) for unit in planned(tmp_path).units}
    other = planned(tmp_path, GOOD.replace("rtt_ms", "max_kbps = 900\nrtt_ms"))
    assert before.isdisjoint(other.identity(unit) for unit in other.units)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('"call"', '"calls"', 1, "task is 'calls': expected video or call"),
        ("duration_s = 2", "chunks = 2", 7, "unknown key 'chunks'"),
        ("duration_s = 2", "duration_s = -2", 7, "duration_s is -2.0: expected 0 or more"),
        ("duration_s = 2", "duration_s = 2\nmedia_delay_ms = 60", 8, "expected 0 to the RTT"),
        ("duration_s = 2", "duration_s = 2\nmin_kbps = 900", 4, "start_kbps"),
        ("[[setting]]", 'fallback = "gcc"\n[[setting]]', 4, "GCC decides where"),
        ("fixed:kbps=300", "bba", 3, "bba"),
    ],
)
def test_mistakes_name_their_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    with pytest.raises(TestbedError) as raised:
        planned(tmp_path, GOOD.replace(old, new))
    assert f"calls.toml:{line}: " in str(raised.value) and words in str(raised.value)


def test_the_oracle_makes_no_emulated_call(tmp_path: Path) -> None:
    plan = planned(tmp_path, GOOD.replace("fixed:kbps=300", "oracle"), simulated=False)
    assert {unit.policy.label for unit in plan.units} == {"fixed:kbps=600"}
    assert any("oracle" in note for note in plan.notes)


def test_calls_are_computed_once_and_what_is_gone_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planned(tmp_path)
    out = str(tmp_path / "o")
    words = [str(tmp_path / "calls.toml"), "--simulate", "--jobs", "1", "--out", out, "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["done"] == 8
    records = sorted((tmp_path / "o").glob("*.jsonl"))
    kept = [path.stat().st_mtime_ns for path in records]
    assert len(records) == 8
    told = read_call(records[0]).told.sweep
    assert told is not None and (told.name, told.attempt) == ("calls", 1)
    records[0].unlink()
    assert main(words) == 0
    now = [path.stat().st_mtime_ns for path in records]
    assert now[1:] == kept[1:] and now[0] > kept[0]


SHARED = GOOD.replace("rtt_ms = [40, 80]", 'players = 2\nbeside = "video:bba"\ncross = "reno:2@1-2"')


def test_a_shared_bottleneck_is_emulated_alone(tmp_path: Path) -> None:
    plan = planned(tmp_path, SHARED, simulated=False)
    (setting,) = plan.settings
    assert setting.others.words == ("video:bba", "reno from 1 s to 2 s", "reno from 1 s to 2 s")
    assert plan.sessions == 8 and {unit.players for unit in plan.units} == {2}  # companions are none of them
    simulated = planned(tmp_path, SHARED)
    assert simulated.units == () and any("do not share a bottleneck" in note for note in simulated.notes)


def test_who_is_beside_makes_another_session_and_nobody_the_same(tmp_path: Path) -> None:
    def identities(text: str) -> set[str]:
        plan = planned(tmp_path, text, simulated=False)
        return {plan.identity(unit) for unit in plan.units}

    alone = identities(GOOD)
    assert alone.isdisjoint(identities(GOOD.replace("rtt_ms", 'cross = "reno"\nrtt_ms')))
    assert alone == identities(GOOD.replace("rtt_ms", "players = 1\nrtt_ms"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('beside = "bba"', "expected call:POLICY or video:POLICY"),
        ('beside = "video:nobody"', "nobody"),
        ('cross = "cubic:"', "expected flows as cubic"),
        ("players = 0", "players is 0"),
    ],
)
def test_mistakes_of_who_is_beside_name_their_line(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(TestbedError) as raised:
        planned(tmp_path, GOOD.replace("rtt_ms = [40, 80]", line), simulated=False)
    assert "calls.toml:9: " in str(raised.value) and words in str(raised.value)
