"""What calls are to be made: the command line, checked and turned into plans."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from player.call.checks import CallError
from player.call.scored.qoe import CallQoE
from player.call.settings import CallSettings, usual_warm_up_s
from player.policy import Served
from player.registry import CALL, LoadedPolicy, load_policy, split_policies
from testbed.calling.load import CALL_LOAD
from testbed.calling.seeds import call_seed
from testbed.lanes.able import able_backend
from testbed.lanes.folder import check_no_records, claim_for, record_names
from testbed.lanes.members import CALL as CALL_SESSION
from testbed.lanes.plan import LanePlan, LanesPlan, how_asked
from testbed.machine.readings import read_machine
from testbed.process.errors import TestbedError
from testbed.session.options import link_settings, load_trace
from testbed.session.trace_notes import trace_notes

MOST_RETRIES = 100


@dataclass(frozen=True, kw_only=True)
class CallPlan(LanePlan):
    """One call to make."""

    kind: ClassVar[str] = CALL_SESSION

    call: CallSettings
    run_seed: int = 0
    """As asked for; `seed` is made of it (`testbed/calling/seeds.py`)."""
    qoe: CallQoE = field(default_factory=CallQoE)
    """What the policy is told of scores."""


@dataclass(frozen=True, kw_only=True)
class CallsPlan(LanesPlan):
    """All calls of a run."""

    sessions: tuple[CallPlan, ...]


def plan_calls(args: argparse.Namespace, arguments: Sequence[str]) -> CallsPlan:
    """Check everything that can be checked before anything is made.

    Raises:
        TestbedError, PolicyError: what is wrong and the way out.
    """
    begun = read_machine()
    trace = load_trace(args.trace, args.format, args.cap_mbps)
    _check_numbers(args)
    call, settings = call_settings(args), link_settings(args)
    specs = [spec for text in args.policy for spec in split_policies(text)]
    policies = [load_policy(spec, real=True, kind=CALL) for spec in specs]
    backend = able_backend(trace, settings)
    if args.out is not None:
        check_no_records(args.out)
    out = args.out or claim_for(f"call-{args.trace}" if "." not in args.trace else args.trace)
    told: dict[str, Any] = {name: getattr(args, name) for name in ("start_s", "cap_mbps", "pcap", "strict")}
    told |= {"seed": call_seed(args.seed, trace, args.start_s), "run_seed": args.seed}
    told |= {"trace": trace, "trace_spec": args.trace, "settings": settings, "backend": backend, "call": call}
    same = partial(CallPlan, command_line=("testbed/call.py", *arguments), **told)
    sessions = tuple(
        same(policy=policy.spec, server=server_of(policy), record=(out / f"{name}.jsonl").absolute())
        for policy, name in zip(policies, record_names([one.spec for one in policies]), strict=True)
    )
    notes = tuple(trace_notes([trace], [settings.rtt_ms], "--rtt-ms"))
    how = {**how_asked(args), "begun": begun, "lane_load": CALL_LOAD}
    return CallsPlan(sessions=sessions, out=out, notes=notes, **how)


def server_of(policy: LoadedPolicy) -> Any:
    """What has to be started for a policy; None for one that decides by itself."""
    return policy.policy.server() if isinstance(policy.policy, Served) else None


def _check_numbers(args: argparse.Namespace) -> None:
    """Refuse figures that no run could have.

    Raises:
        TestbedError: the option, its value and what it may be.
    """
    if not (math.isfinite(args.start_s) and args.start_s >= 0):
        raise TestbedError(f"--start-s {args.start_s}: must be 0 or more")
    if not 0 <= args.retry_invalid <= MOST_RETRIES:
        raise TestbedError(f"--retry-invalid {args.retry_invalid}: expected 0 to {MOST_RETRIES}")
    if args.lanes is not None and args.lanes < 1:
        raise TestbedError(f"--lanes {args.lanes}: must be 1 or more")


def call_settings(args: argparse.Namespace) -> CallSettings:
    """The call that the options ask for.

    Raises:
        TestbedError: figures that make no call.
    """
    asked = {
        "duration_s": args.seconds,
        "fps": args.fps,
        "min_kbps": args.min_kbps,
        "start_kbps": args.start_kbps,
        "max_kbps": args.max_kbps,
        "feedback_ms": args.feedback_ms,
        "decide_every_ms": args.decide_every_ms,
        "warm_up_s": usual_warm_up_s(args.seconds) if args.warm_up_s is None else args.warm_up_s,
    }
    try:
        return CallSettings(**asked)
    except CallError as error:
        raise TestbedError(str(error)) from None


def describe(plan: CallsPlan) -> str:
    """The run in one line."""
    first = plan.sessions[0]
    trace, call, settings = first.trace, first.call, first.settings
    fewer = plan.lanes is not None and plan.lanes < len(plan.sessions)
    return ", ".join(
        (
            f"{trace.name} (mean {trace.mean_mbps:.2f} Mbit/s, {trace.duration_s:.0f} s)",
            f"from {first.start_s:g} s",
            f"a call of {call.duration_s:g} s, {call.fps:g} frames/s,"
            f" {call.min_kbps:g} to {call.max_kbps:g} kbit/s",
            f"RTT {settings.rtt_ms:g} ms by {first.backend}",
            f"queue {settings.queue_limit_bytes(trace) / 1000:.0f} kB",
            f"{len(plan.sessions)} lane{'s' if len(plan.sessions) > 1 else ''}"
            + (f", {plan.lanes} at once" if fewer else ""),
        )
    )
