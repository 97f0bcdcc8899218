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
from policies.call.small.score import GCC, HEAD, ORACLE, Plays, in_words, plays_oracle, row, scored
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
    call, path = CallSettings(duration_s=args.duration_s), CallPath()
    adapter = "" if args.adapter is None else str(args.adapter)
    policy = NetLLM("none", adapter=adapter, scale=args.scale, device=args.device, dtype=args.dtype)
    policy.ready_together()  # what can't be loaded is said before anything is played
    players: dict[str, Plays] = dict(rules_named((GCC, *filter(None, args.policy.split(",")))))
    players |= {NAME: partial(_play, policy), ORACLE: plays_oracle}
    tables: dict[str, list[dict[str, Any]]] = {}
    for spec, traces in sets.items():
        found = {
            name: scored(traces, plays, call, path, args.threads, args.starts)
            for name, plays in players.items()
        }
        tables[spec] = [row(name, each, found[GCC]) for name, each in found.items()]
        if not args.json:
            count = f"{len(traces) * args.starts} calls of {call.duration_s:g} s"
            print(f"{spec}: {count}; more than {GCC} [95 % over {len(traces)} traces]")
            print(HEAD, *map(in_words, tables[spec]), sep="\n")
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
