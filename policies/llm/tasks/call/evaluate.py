"""`test --task call`: an adapter beside GCC, other rules and the oracle, on the same simulated calls."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from player.call.path import CallPath
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from player.call.simulated.playing import play_policies
from policies.call.small.rules import rules_named
from policies.call.small.score import GCC, ORACLE, HowScored, Plays, plays_oracle, score_sets
from policies.llm.model.adapter import read
from policies.llm.tasks.call.policy import NetLLM
from policies.llm.tasks.call.task import TASK
from traces.families.catalogue import resolve_many

NAME = "netllm"


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Test; what `--json` says. Without it the tables are printed.

    Raises:
        AdapterError, BaseError, PolicyError, TraceError, ValueError: something is not there.
    """
    sets = {spec: resolve_many(spec) for spec in args.traces}
    adapter = "" if args.adapter is None else str(args.adapter)
    policy = NetLLM("none", adapter=adapter, scale=args.scale, device=args.device, dtype=args.dtype)
    policy.ready_together()  # what can't be loaded is said before anything is played
    players: dict[str, Plays] = dict(rules_named((GCC, *filter(None, args.policy.split(",")))))
    players |= {NAME: partial(_play, policy), ORACLE: plays_oracle}
    call = CallSettings(duration_s=args.duration_s)
    how = HowScored(call, CallPath(), args.threads, args.starts, args.pooled)
    tables = score_sets(sets, players, how, (lambda line: None) if args.json else print)
    shape = read(args.adapter, TASK).shape
    return {
        "adapter": str(args.adapter) if args.adapter else "shipped",
        "adapter_sha256": policy.weights_sha256,
        "base": shape.base,
        "layers": shape.layers,
        "dtype": args.dtype,
        "scale": args.scale,
        "sets": tables,
    }


def _play(policy: NetLLM, calls: SimulatedCalls) -> None:
    """Whole calls as anybody's are played: GCC guards the rates that hold."""
    play_policies(calls, [policy.another() for _ in range(len(calls))], one_spec=True)
