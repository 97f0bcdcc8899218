"""`test --task call`: an adapter beside GCC, other rules and the oracle, on the same simulated calls."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from player.call.path import CallPath
from player.call.settings import CallSettings
from policies.call.small.rules import rules_named
from policies.call.small.score import GCC, HEAD, ORACLE, Plays, in_words, plays_oracle, row, scored
from policies.llm.engine.engine import Engine
from policies.llm.tasks.call.play import play_engine
from policies.llm.tasks.call.task import TASK
from traces.families.catalogue import resolve_many

NAME = "netllm"


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Test; what `--json` says. Without it the tables are printed.

    Raises:
        AdapterError, BaseError, PolicyError, TraceError, ValueError: something is not there.
    """
    sets = {spec: resolve_many(spec) for spec in args.traces}
    most = max(map(len, sets.values()))
    call, path = CallSettings(duration_s=args.duration_s), CallPath()
    engine = Engine(
        TASK, args.adapter, device=args.device, slots=most, threads=args.threads, dtype=args.dtype
    )
    players: dict[str, Plays] = dict(rules_named((GCC, *filter(None, args.policy.split(",")))))
    players |= {NAME: partial(play_engine, engine=engine, scale=args.scale), ORACLE: plays_oracle}
    tables: dict[str, list[dict[str, Any]]] = {}
    for spec, traces in sets.items():
        found = {name: scored(traces, plays, call, path, args.threads) for name, plays in players.items()}
        tables[spec] = [row(name, each, found[GCC]) for name, each in found.items()]
        if not args.json:
            print(f"{spec}: {len(traces)} calls of {call.duration_s:g} s; more than {GCC} [95 % over traces]")
            print(HEAD, *map(in_words, tables[spec]), sep="\n")
    info = engine.info
    return {
        "adapter": str(args.adapter) if args.adapter else "shipped",
        "adapter_sha256": info.adapter_sha256,
        "base": info.base,
        "layers": info.layers,
        "dtype": info.dtype,
        "scale": args.scale,
        "sets": tables,
    }
