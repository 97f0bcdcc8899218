"""What `testbed/simulate.py --task call` is to compute: its command line, checked and turned into calls."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from player.call.checks import CallError
from player.call.path import CallPath, PathLoss
from player.call.scored.qoe import CallQoE
from player.call.settings import CallSettings, usual_warm_up_s
from player.defaults import CALL_MEDIA_SHARE
from player.registry import CALL, LoadedPolicy, load_policy, split_policies
from testbed.calling.seeds import seed_at
from testbed.process.errors import TestbedError
from testbed.session.trace_notes import trace_notes
from testbed.simulated.record_names import record_name
from testbed.simulated.simulation import RunFacts
from testbed.simulated.starts import Start, read_starts
from testbed.simulating.simulation_plan import named_traces, processes_of

RESULTS = Path("results")
POLICY = "gcc"


@dataclass(frozen=True)
class CallToSimulate:
    """A call of one policy over one trace."""

    policy: str
    start: Start
    trace_spec: str
    run_seed: int
    record: Path
    facts: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)
    """What the manifest says besides."""

    @property
    def seed(self) -> int:
        """Of sizes, jitter, loss and the policy: the same for all policies over this start."""
        return seed_at(self.run_seed, self.start.trace, self.start.index)


@dataclass(frozen=True)
class CallsPlan:
    """All calls of a command."""

    calls: tuple[CallToSimulate, ...]
    """A policy's stand together."""
    policies: dict[str, LoadedPolicy]
    call: CallSettings
    path: CallPath
    qoe: CallQoE
    decision_delay_s: float
    facts: RunFacts
    out: Path
    threads: int
    notes: tuple[str, ...]
    strict: bool = False
    """A policy's first fault stops everything."""


def plan_calls(args: argparse.Namespace, words: Sequence[str]) -> CallsPlan:
    """Check everything that can be checked before anything is made.

    Raises:
        TestbedError, PolicyError, TraceError: what is wrong and the way out.
    """
    try:
        call, path, qoe = _call(args), _path(args), _qoe(args)
    except CallError as error:
        raise TestbedError(str(error)) from None
    traces = named_traces(args.traces, args.format)
    starts = read_starts(args.starts, [trace for _, trace in traces])
    with contextlib.redirect_stdout(sys.stderr):  # a user's file may print; stdout is for --json
        policies = {spec: load_policy(spec, kind=CALL) for spec in _asked(args)}
    if not 0 <= args.decision_delay_ms <= call.duration_s * 1000:
        raise TestbedError(f"--decision-delay-ms {args.decision_delay_ms:g}: expected 0 to the call's length")
    out = args.out or RESULTS / f"simulated-calls-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    spec_of = {trace.name: spec for spec, trace in traces}
    calls = tuple(
        CallToSimulate(
            policy,
            start,
            spec_of[start.trace.name],
            args.seed,
            out / record_name(start.trace.name, start.index, policy, None),
        )
        for policy in policies
        for start in starts.starts
    )
    notes = trace_notes((trace for _, trace in traces), [args.rtt_ms], "--rtt-ms")
    return CallsPlan(
        calls,
        policies,
        call,
        path,
        qoe,
        args.decision_delay_ms / 1000.0,
        _facts(out, words),
        out,
        processes_of(args.jobs),
        tuple(notes),
        args.strict,
    )


def _facts(out: Path, words: Sequence[str]) -> RunFacts:
    return RunFacts(
        run_id=out.name,
        started_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        command_line=("testbed/simulate.py", *words),
    )


def _asked(args: argparse.Namespace) -> list[str]:
    """Raises TestbedError for a policy that is given twice."""
    specs = [spec for text in args.policy or [POLICY] for spec in split_policies(text)]
    for spec in specs:
        if specs.count(spec) > 1:
            raise TestbedError(f"policy {spec} is given twice; a computed call comes out the same")
    return specs


_NAMED = (
    "duration_s", "fps", "min_kbps", "start_kbps", "max_kbps", "feedback_ms", "decide_every_ms", "warm_up_s",
)  # fmt: skip


def _call(args: argparse.Namespace) -> CallSettings:
    """Raises CallError for figures that make no call."""
    values: dict[str, Any] = {name: getattr(args, name) for name in _NAMED}
    if values["warm_up_s"] is None:
        values["warm_up_s"] = usual_warm_up_s(args.duration_s)
    kinds = {name: type(value) for name, value in vars(CallSettings()).items()}
    for text in args.set:
        name, _, value = text.partition("=")
        if name not in kinds or name in _NAMED:
            known = ", ".join(sorted(set(kinds) - set(_NAMED)))
            raise CallError(f"--set {text}: expected KEY=VALUE with one of {known}")
        try:
            values[name] = kinds[name](value)
        except ValueError:
            raise CallError(f"--set {text}: {value!r} is no number") from None
    return CallSettings(**values)


def _path(args: argparse.Namespace) -> CallPath:
    """Raises CallError for figures that make no path."""
    usual_ms = CALL_MEDIA_SHARE * args.rtt_ms
    return CallPath(
        rtt_ms=args.rtt_ms,
        media_delay_ms=usual_ms if args.media_delay_ms is None else args.media_delay_ms,
        queue_ms=None if args.queue_bytes is not None else args.queue_ms,
        queue_bytes=args.queue_bytes,
        media_jitter_ms=args.media_jitter_ms,
        grant_ms=args.grant_ms,
        loss=PathLoss("uniform", args.loss_pct) if args.loss_pct else PathLoss(),
        jitter_ms=args.jitter_ms,
    )


def _qoe(args: argparse.Namespace) -> CallQoE:
    given = {"stall": args.stall_weight, "delay": args.delay_weight}
    if args.qoe != "linear" and any(value is not None for value in given.values()):
        raise CallError(f"--qoe {args.qoe} has no weights of yours; leave out --stall-weight, --delay-weight")
    return CallQoE(args.qoe, **{name: value for name, value in given.items() if value is not None})
