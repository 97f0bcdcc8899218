"""What a run is to do: its command line, checked and turned into sessions, and its folder."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from player.defaults import CHUNKS
from player.fallback import fallback_spec
from player.policy import Served
from player.qoe import QoE
from player.registry import LoadedPolicy, PolicyError, load_policy, split_policies
from player.transport.names import H1
from player.video.built_in import load_video
from player.video.video import Video
from testbed.browser.able import BROWSER_LOAD, media_for, refuse_unable
from testbed.browser.clients import DASHJS
from testbed.browser.settings import is_own, loaded_rule, own_rule
from testbed.lanes.able import able_backend
from testbed.lanes.folder import check_no_records, claim_for, record_names
from testbed.lanes.plan import LanesPlan, how_asked
from testbed.link.settings import FIFO
from testbed.machine.readings import read_machine
from testbed.process.errors import TestbedError
from testbed.session.command_line import DEFAULT_POLICIES
from testbed.session.options import (
    link_settings,
    live_plan,
    live_weighed,
    load_trace,
    perceived_by,
    playing_thresholds,
)
from testbed.session.session_plan import SessionPlan
from testbed.session.trace_notes import run_notes, trace_notes, video_notes
from testbed.session.transports import able_transport, lane_load
from testbed.session.video_to_play import VideoToPlay
from traces.families.catalogue import default_video

MOST_RETRIES = 100


@dataclass(frozen=True, kw_only=True)
class RunPlan(LanesPlan):
    """All sessions of a run."""

    sessions: tuple[SessionPlan, ...]
    qoe: QoE
    """What policies are told."""

    @property
    def scored(self) -> QoE:
        """What the sessions are scored by."""
        return self.sessions[0].scored_by


def plan_run(args: argparse.Namespace, arguments: Sequence[str]) -> RunPlan:
    """Check everything that can be checked before anything is made.

    Raises:
        TestbedError, PolicyError, VideoError: what is wrong and the way out.
    """
    begun = read_machine()
    trace = load_trace(args.trace, args.format, args.cap_mbps)
    _check_numbers(args)
    if args.player == DASHJS:
        refuse_unable(args)
    video_spec = args.video or default_video(trace.family)
    whole = load_video(video_spec)
    video = whole.first(min(CHUNKS, whole.chunks) if args.chunks is None else args.chunks)
    qoe = live_weighed(args, video)
    policies, left_out = _policies(args, VideoToPlay(whole, video_spec, args.seed, qoe))
    if args.player == DASHJS:
        media_for(whole, args.part_s)
    settings = link_settings(args)
    able_transport(args.transport, trace, settings, args.part_s)
    same_for_all = _same(args, arguments, video)
    backend = able_backend(trace, settings)
    if args.out is not None:
        check_no_records(args.out)
    out = args.out or claim_for(args.trace)
    same = partial(
        SessionPlan, trace=trace, video=video, video_spec=video_spec, settings=settings, **same_for_all
    )
    sessions = tuple(
        same(
            policy=policy.spec,
            server=policy.policy.server() if isinstance(policy.policy, Served) else None,
            record=(out / f"{name}.jsonl").absolute(),
            backend=backend,
            qoe=qoe,
            fallback=fallback_spec(policy.policy, args.fallback),
        )
        for policy, name in zip(policies, record_names([policy.spec for policy in policies]), strict=True)
    )
    notes = [*trace_notes([trace], [settings.rtt_ms], "--rtt-ms"), *video_notes([whole])]
    notes += run_notes(trace, args.start_s, video.chunks)
    told: dict[str, Any] = {"left_out": tuple(left_out), "notes": tuple(notes), "begun": begun}
    told["lane_load"] = BROWSER_LOAD if args.player == DASHJS else lane_load(args.transport, trace)
    return RunPlan(sessions=sessions, out=out, qoe=qoe, **told, **how_asked(args))


def _same(args: argparse.Namespace, arguments: Sequence[str], video: Video) -> dict[str, Any]:
    """What the command line says of all sessions alike."""
    names = ("start_s", "seed", "decision_deadline_s", "cap_mbps", "pcap", "strict", "transport")
    return {
        **{name: getattr(args, name) for name in names},
        "trace_spec": args.trace,
        "thresholds": playing_thresholds(args, [video]),
        "live": live_plan(args, video),
        "scored": perceived_by(args, video),
        "client": args.player,
        "command_line": ("testbed/run.py", *arguments),
    }


def _check_numbers(args: argparse.Namespace) -> None:
    """Refuse figures that no run could have.

    Raises:
        TestbedError: the option, its value and what it may be.
    """
    if not (math.isfinite(args.start_s) and args.start_s >= 0):
        raise TestbedError(f"--start-s {args.start_s}: must be 0 or more")
    if not (math.isfinite(args.decision_deadline_s) and args.decision_deadline_s > 0):
        raise TestbedError(f"--decision-deadline-s {args.decision_deadline_s}: must be positive")
    if not 0 <= args.retry_invalid <= MOST_RETRIES:
        raise TestbedError(f"--retry-invalid {args.retry_invalid}: expected 0 to {MOST_RETRIES}")
    for option in ("chunks", "lanes"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise TestbedError(f"--{option} {value}: must be 1 or more")


def _policies(args: argparse.Namespace, to_play: VideoToPlay) -> tuple[list[LoadedPolicy], list[str]]:
    """The policies that were asked for, or those of the default ones that can stream the video; and why
    the others can't.

    Raises:
        PolicyError: one that was asked for by name, or a fallback, can't be had, or can't stream it.
    """
    found: list[LoadedPolicy] = []
    left_out: list[str] = []
    for spec in [spec for text in args.policy or [DEFAULT_POLICIES] for spec in split_policies(text)]:
        try:
            if is_own(spec):
                found.append(_rule_of_dashjs(args, spec))
                continue
            policy = load_policy(spec, real=True)
            to_play.refuse(policy)
            found.append(policy)
        except PolicyError as error:
            if args.policy:
                raise
            left_out.append(str(error))
    to_play.refuse_fallbacks((one for one in found if not is_own(one.spec)), args.fallback)
    return found, left_out


def _rule_of_dashjs(args: argparse.Namespace, spec: str) -> LoadedPolicy:
    """Raises PolicyError for one that there is not, or where our player plays."""
    rule = own_rule(spec)
    if args.player != DASHJS:
        raise PolicyError(f"policy {spec}: dash.js decides so only where it plays; add --player {DASHJS}")
    return loaded_rule(rule)


def describe(plan: RunPlan) -> str:
    """The run in one line."""
    first = plan.sessions[0]
    trace, video, settings = first.trace, first.video, first.settings
    fewer = plan.lanes is not None and plan.lanes < len(plan.sessions)
    at_once = f", {plan.lanes} at once" if fewer else ""
    live = first.live
    behind = [] if live is None else [f"live, {live.latency_s:g} s behind"]
    behind += [f"in parts of {live.part_s:g} s"] if live is not None and live.part_s is not None else []
    return ", ".join(
        (
            f"{trace.name} (mean {trace.mean_mbps:.2f} Mbit/s, {trace.duration_s:.0f} s)",
            f"from {first.start_s:g} s",
            f"{video.name} {video.chunks} x {video.chunk_s:g} s",
            *behind,
            f"RTT {settings.rtt_ms:g} ms by {first.backend}",
            f"queue {settings.queue_limit_bytes(trace) / 1000:.0f} kB",
            *(() if settings.aqm == FIFO else (settings.aqm,)),
            settings.congestion_control,
            *(() if first.transport == H1 else (first.transport,)),
            f"{len(plan.sessions)} lane{'s' if len(plan.sessions) > 1 else ''}{at_once}",
        )
    )
