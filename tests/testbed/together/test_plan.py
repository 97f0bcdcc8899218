"""Plans of shared lanes: who is on them, when each begins, and what their records say of the others."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from player.call.settings import CallSettings
from player.qoe import Scoring
from player.video.built_in import load_video
from testbed.calling.plan import CallPlan, CallsPlan
from testbed.cross.asked import Beside, companions_of, flows_of
from testbed.cross.lane_flows import CrossPlan
from testbed.link.settings import LinkSettings
from testbed.process.errors import TestbedError
from testbed.session.session_plan import SessionPlan
from testbed.together.plan import shared_lane, with_others
from traces.trace import Trace

TRACE = Trace("4g/0", (0.0, 30.0), (2.0, 2.0), "4g")


def same(policy: str, out: Path) -> dict[str, Any]:
    return {
        "policy": policy,
        "trace": TRACE,
        "trace_spec": "4g/0",
        "start_s": 3.0,
        "settings": LinkSettings(),
        "backend": "relay",
        "seed": 7,
        "record": out / f"{policy}.jsonl",
        "command_line": ("testbed/call.py",),
    }


def a_call(policy: str, out: Path) -> CallPlan:
    return CallPlan(**same(policy, out), call=CallSettings(duration_s=20.0), run_seed=1)


def a_video(policy: str, out: Path) -> SessionPlan:
    video = load_video("envivio").first(6)
    told = {"video": video, "video_spec": "envivio", "qoe": Scoring().on(video.ladder_kbps)}
    return SessionPlan(**same(policy, out), **told, decision_deadline_s=5.0)


def asked(**given: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"together": False, "beside": [], "cross": [], "stagger_s": 0.0, **given})


def a_run(out: Path, *policies: str) -> CallsPlan:
    return CallsPlan(sessions=tuple(a_call(policy, out) for policy in policies), out=out, named=True)


def test_nothing_asked_changes_nothing(tmp_path: Path) -> None:
    run = a_run(tmp_path, "gcc", "copa")
    assert with_others(run, asked()) is run


def test_together_is_one_lane_that_the_policies_share(tmp_path: Path) -> None:
    (first,) = with_others(a_run(tmp_path, "gcc", "copa"), asked(together=True, stagger_s=2.0)).sessions
    (second,) = first.beside
    assert (first.policy, second.policy) == ("gcc", "copa")
    assert [(one.offset_s, one.start_s) for one in (first, second)] == [(0.0, 3.0), (2.0, 5.0)]
    assert first.facts["shared"]["beside"] == ["call:copa"]
    assert second.facts["shared"] == {
        "group": "gcc",
        "players": 2,
        "index": 1,
        "stagger_s": 2.0,
        "offset_s": 2.0,
        "beside": ["call:gcc"],
    }


def test_a_video_beside_each_call_is_as_long_and_has_a_record_apart(tmp_path: Path) -> None:
    run = with_others(a_run(tmp_path, "gcc", "copa"), asked(beside=["video:bba"]))
    assert len(run.sessions) == 2 and len(run.all_sessions) == 4
    for call in run.sessions:
        (video,) = call.beside
        assert isinstance(video, SessionPlan)
        assert (video.video.chunks * video.video.chunk_s, video.start_s) == (20.0, 3.0)
        assert video.record.parent == tmp_path / "beside" and video.record.name.startswith(call.policy)
        assert call.facts["shared"]["beside"] == ["video:bba"]
        assert video.facts["shared"]["beside"] == [f"call:{call.policy}"]
    assert len({one.record for one in run.all_sessions}) == 4


def test_a_call_beside_a_video_is_as_long_as_that(tmp_path: Path) -> None:
    video, call, flows = shared_lane(
        [a_video("bba", tmp_path)], Beside(companions_of(["call:gcc"]), flows_of(["reno@5-9"])), 0.0, "bba"
    )
    assert isinstance(call, CallPlan) and call.call.duration_s == 24.0
    assert isinstance(flows, CrossPlan) and flows.flows == flows_of(["reno@5-9"])
    assert video.facts["shared"]["beside"] == ["call:gcc", "reno from 5 s to 9 s"]
    assert call.facts["shared"]["beside"] == ["video:bba", "reno from 5 s to 9 s"]


def test_a_sweeps_players_begin_when_it_has_said(tmp_path: Path) -> None:
    told = {"group": "unit", "players": 1, "index": 0, "stagger_s": 5.0, "offset_s": 0.0}
    call = a_call("gcc", tmp_path)
    call.facts.update(shared=told, sweep={"policy": "gcc", "session": "s"})
    own, video = shared_lane([call], Beside(companions_of(["video:bba"])), 5.0, "unit")
    assert own.facts["shared"] == {**told, "beside": ["video:bba"]} and own.start_s == 3.0
    assert "sweep" not in video.facts  # no session of the sweep's


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"stagger_s": 1.0}, "add --together"),
        ({"together": True, "stagger_s": -1.0}, "--stagger-s -1"),
        ({"together": True}, "needs two policies"),
        ({"cross": ["nosuch"]}, "congestion control 'nosuch'"),
        ({"beside": ["video"]}, "expected call:POLICY or video:POLICY"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(TestbedError) as raised:
        with_others(a_run(tmp_path, "gcc"), asked(**given))
    assert words in str(raised.value) and "\n" not in str(raised.value)
