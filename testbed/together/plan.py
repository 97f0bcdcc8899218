"""The plans of sessions that share bottlenecks, from those of sessions that each have one.

`with_others` takes what a command has planned, a lane a policy, and puts onto each lane who is asked to be
there, too; with `--together` all of the command's own sessions come onto one lane first.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from player.call.checks import CallError
from player.call.settings import CallSettings
from player.defaults import DEADLINE_S
from player.fallback import fallback_spec
from player.qoe import Scoring
from player.registry import CALL as CALL_KIND
from player.registry import VIDEO as VIDEO_KIND
from player.registry import load_policy
from player.transport.names import H1
from player.video.built_in import load_video
from testbed.calling.load import CALL_LOAD
from testbed.calling.plan import CallPlan, server_of
from testbed.calling.seeds import call_seed
from testbed.cross.asked import CALL, Beside, Companion, companions_of, flows_of
from testbed.cross.lane_flows import CrossPlan
from testbed.lanes.folder import word_of
from testbed.lanes.plan import LanePlan, LanesPlan
from testbed.link.lane import check_congestion_control
from testbed.machine.load import SESSION_LOAD
from testbed.process.errors import TestbedError
from testbed.session.session_plan import SessionPlan
from testbed.session.video_to_play import VideoToPlay
from traces.families.catalogue import default_video

BESIDE = "beside"
"""Folder within that of the records, for those of companions: they are no sessions that are compared."""
MOST_STAGGER_S = 3600.0

Lanes = TypeVar("Lanes", bound=LanesPlan)


def beside_of(args: argparse.Namespace) -> Beside:
    """Whom the options ask for besides; a congestion control is one that this kernel has.

    Raises:
        TestbedError: what is wrong and the way out.
    """
    asked = Beside(companions_of(args.beside), flows_of(args.cross))
    check_flows(asked)
    return asked


def check_flows(asked: Beside) -> None:
    """Refuse flows that this kernel can't send.

    Raises:
        TestbedError: with the congestion controls that it has.
    """
    for name in dict.fromkeys(one.congestion_control for one in asked.flows):
        check_congestion_control(name)


def with_others(plan: Lanes, args: argparse.Namespace) -> Lanes:
    """A plan whose lanes are shared as the options say; itself where nothing of that is asked.

    Raises:
        TestbedError, PolicyError, VideoError: what is wrong and the way out.
    """
    asked = beside_of(args)
    if not 0 <= args.stagger_s <= MOST_STAGGER_S:
        raise TestbedError(f"--stagger-s {args.stagger_s:g}: expected 0 to {MOST_STAGGER_S:g}")
    if args.stagger_s and not args.together:
        raise TestbedError(
            "--stagger-s is of sessions that share a bottleneck: add --together, or leave it out"
        )
    if args.together and len(plan.sessions) < 2 and not asked:
        raise TestbedError("--together needs two policies, or --beside, or --cross")
    lanes = [list(plan.sessions)] if args.together else [[one] for one in plan.sessions]
    if not asked and not args.together:
        return plan
    shared = [shared_lane(lane, asked, args.stagger_s, lane[0].name) for lane in lanes]
    load = sum(CALL_LOAD if isinstance(one, CallPlan) else SESSION_LOAD for one in shared[0])
    sessions = tuple(dataclasses.replace(lane[0], beside=tuple(lane[1:])) for lane in shared)
    return dataclasses.replace(plan, sessions=sessions, lane_load=load)


def shared_lane(own: Sequence[Any], asked: Beside, stagger_s: float, group: str) -> list[Any]:
    """All plans of one lane, its own sessions first: each knows who the others are.

    Args:
        own: sessions that the lane is about, in order of their begins.
        group: a word for the lane, unique in its folder.

    Raises:
        TestbedError, PolicyError, VideoError: a companion that can't be had.
    """
    mine = [f"{one.kind}:{one.policy}" for one in own]
    lane: list[Any] = []
    for index, one in enumerate(own):
        others = [*mine[:index], *mine[index + 1 :], *asked.words]
        lane.append(_sharing(one, index, len(own), stagger_s, group, others))
    first = lane[0]
    for number, companion in enumerate(asked.companions):
        others = [*mine, *(word for place, word in enumerate(asked.words) if place != number)]
        told = {"group": f"{group} {BESIDE}", "players": 1, "index": 0, "stagger_s": 0.0, "offset_s": 0.0}
        of_the_run = {name: value for name, value in first.facts.items() if name != "sweep"}
        record = first.record.parent / BESIDE / f"{_word(group, companion, number)}.jsonl"
        facts = {**of_the_run, "shared": {**told, BESIDE: others}}
        lane.append(companion_plan(companion, lane[: len(own)], record, facts))
    if asked.flows:
        record = first.record.parent / BESIDE / f"{group}-flows.jsonl"  # which is never written
        same = _of_the_lane(first)
        lane.append(CrossPlan(**same, policy="bulk flows", record=record, flows=asked.flows, offset_s=0.0))
    return lane


def _sharing(plan: Any, index: int, players: int, stagger_s: float, group: str, others: Sequence[str]) -> Any:
    """One of a lane's own sessions, which shares it. A sweep has said of its players when they begin."""
    told = plan.facts.get("shared")
    begun = {} if told else {"start_s": plan.start_s + index * stagger_s}
    offset_s = told["offset_s"] if told else index * stagger_s
    told = told or {
        "group": group,
        "players": players,
        "index": index,
        "stagger_s": stagger_s,
        "offset_s": offset_s,
    }
    facts = {**plan.facts, "shared": {**told, BESIDE: list(others)}}
    return dataclasses.replace(plan, facts=facts, offset_s=offset_s, **begun)


def _word(group: str, companion: Companion, number: int) -> str:
    return f"{group}-{number + 1}-{companion.kind}-{word_of(companion.policy)}"


def _of_the_lane(first: LanePlan) -> dict[str, Any]:
    """What all plans of a lane have in common."""
    names = (
        *("trace", "trace_spec", "start_s", "settings", "backend", "seed", "command_line", "cap_mbps"),
        *("directory", "code"),
    )
    return {name: getattr(first, name) for name in names}


def companion_plan(companion: Companion, own: Sequence[Any], record: Path, facts: Mapping[str, Any]) -> Any:
    """The plan of a call or a video that shares a lane; its length is that of the lane's own sessions.

    Raises:
        TestbedError, PolicyError, VideoError: it can't be had.
    """
    make: Callable[..., Any] = _call if companion.kind == CALL else _video
    return make(companion.policy, own, {"record": record, "facts": dict(facts), "offset_s": 0.0})


def length_s(own: Sequence[Any]) -> float:
    """How long a lane's own sessions take, if nothing stalls."""
    return max(
        (one.offset_s or 0.0)
        + (one.call.duration_s if isinstance(one, CallPlan) else one.video.chunks * one.video.chunk_s)
        for one in own
    )


def _call(spec: str, own: Sequence[Any], told: dict[str, Any]) -> CallPlan:
    first = own[0]
    policy = load_policy(spec, real=True, kind=CALL_KIND)
    made = next((one.call for one in own if isinstance(one, CallPlan)), None)
    try:
        call = made or CallSettings(duration_s=max(length_s(own), 1.0))
    except CallError as error:
        raise TestbedError(f"--beside {CALL}:{spec}: {error}") from None
    same = _of_the_lane(first)
    run_seed = first.run_seed if isinstance(first, CallPlan) else first.seed
    seed = call_seed(run_seed, first.trace, first.start_s)
    return CallPlan(
        **{**same, "seed": seed}, **told, policy=spec, server=server_of(policy), call=call, run_seed=run_seed
    )


def _video(spec: str, own: Sequence[Any], told: dict[str, Any]) -> SessionPlan:
    first = own[0]
    mine = next((one for one in own if isinstance(one, SessionPlan)), None)
    video_spec = mine.video_spec if mine else default_video(first.trace.family)
    whole = load_video(video_spec)
    video = mine.video if mine else whole.first(_chunks(length_s(own), whole.chunk_s, whole.chunks))
    qoe = mine.qoe if mine else Scoring().on(video.ladder_kbps)
    policy = load_policy(spec, real=True, kind=VIDEO_KIND)
    VideoToPlay(whole, video_spec, first.seed, qoe).refuse(policy)
    return SessionPlan(
        **_of_the_lane(first),
        **told,
        policy=spec,
        server=server_of(policy),
        video=video,
        video_spec=video_spec,
        qoe=qoe,
        live=mine.live if mine else None,
        decision_deadline_s=DEADLINE_S,
        transport=mine.transport if mine else H1,
        fallback=fallback_spec(policy.policy, None),
    )


def _chunks(length_s: float, chunk_s: float, most: int) -> int:
    """As many as play for so long, two at least."""
    return min(max(math.ceil(length_s / chunk_s), 2), most)
