"""`train`: measure what asking the model gains, and make candidates of both kinds of scheduler from it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from player.commands.options import scoring
from policies.apc.learned import GainNet
from policies.apc.rule import SchedulerError, Thresholds
from policies.apc.study.files import read_json, write_json
from policies.apc.study.fit import fit_net, fit_rule, input_rows, with_share
from policies.apc.study.moments import Moments, collect
from policies.apc.study.options import load_engine
from policies.apc.study.starts import ALL, FIT, StudySetting, chunks_of, starts_of
from policies.llm.model.adapter import read as read_adapter
from policies.llm.tasks.ladder.task import TASK
from traces.ownership import make_directory
from traces.words import of_a_fault

LLM_MS = 10.0
"""What a decision of the model takes, to begin with: of eight layers on two cores."""
CANDIDATES = "candidates.json"
DEPENDS_ON = (
    "light", "traces", "starts", "all_lines", "video", "ladder", "chunk_s", "chunks", "qoe", "mu", "smooth",
    "futures", "then",
)  # fmt: skip
"""Options that moments depend on, besides the adapter."""


def run(args: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Collect, unless DIR has the moments, and fit; what `--json` says.

    Raises:
        ValueError, OSError: something named can't be used.
    """
    moments = _moments(args, say)
    fitted = fit_net(moments, LLM_MS, seed=args.seed)
    expected = fitted.net.gains(input_rows(moments))
    rules = {f"{each:g}": fit_rule(moments, each, expected).to_json() for each in args.shares}
    nets = {f"{each:g}": with_share(fitted.net, moments, each).to_json() for each in args.shares}
    path = args.out / CANDIDATES
    held = read_json(path, {}) if path.exists() else {}
    held[args.light] = {"rule": rules, "learned": nets}
    write_json(path, held)
    report = {
        "light": args.light,
        "decisions": len(moments),
        "agree": moments.agree,
        "mean_gain": float(moments.gains.mean()),
        "net_step": fitted.step,
        "held_out": fitted.held_out,
        "rules": rules,
        "out": str(path),
    }
    say(
        f"{args.light}: {len(moments)} decisions, {100 * moments.agree:.0f} % agree, asking gains"
        f" {report['mean_gain']:+.4f} on average; the network stopped at step {fitted.step}"
    )
    for name, value in fitted.held_out.items():
        say(f"  captured on sessions held out, {name} %: {value:+.4f} a decision")
    for each, rule in rules.items():
        say(f"  rule for {each}: {'; '.join(map(str, Thresholds.from_json(rule).conditions))}")
    return report


def _moments(args: argparse.Namespace, say: Callable[[str], None]) -> Moments:
    """What DIR has, or what is collected now and kept there."""
    make_directory(args.out)
    kept, made_with = args.out / f"{args.light}.moments.npz", _made_with(args)
    if kept.exists():
        moments = Moments.load(kept)
        if moments.made_with == made_with:
            say(f"{kept}: {len(moments)} decisions, collected before")
            return moments
        say(f"{kept}: collected with another adapter, or on other traces; collecting again")
    setting = StudySetting(args.video, args.ladder, args.chunk_s)
    purpose = ALL if args.all_lines else FIT
    starts = starts_of(args.traces, setting, starts=args.starts, purpose=purpose)
    engine = load_engine(args)
    moments = collect(
        engine, starts, args.light, together=args.together, chunks=chunks_of(starts, args.chunks),
        then=args.then, futures=args.futures, scoring=scoring(args), say=say,
    )  # fmt: skip
    moments = replace(moments, made_with=made_with)
    moments.save(kept)
    return moments


def _made_with(args: argparse.Namespace) -> str:
    """All that moments depend on."""
    adapter = read_adapter(args.adapter, TASK)
    words = {name: getattr(args, name) for name in DEPENDS_ON}
    return json.dumps({"adapter": adapter.sha256, **words}, sort_keys=True)


def candidates(path: Path, light: str) -> tuple[dict[str, Thresholds], dict[str, GainNet]]:
    """The candidates that `train` made, rules and networks by the share that they were made for.

    Raises:
        SchedulerError: there are none for this light policy.
    """
    held = read_json(path, None)
    if not isinstance(held, dict) or light not in held:
        raise SchedulerError(f"{path}: no candidates for {light}; make them with: train --light {light}")
    try:
        rules = {name: Thresholds.from_json(each) for name, each in held[light]["rule"].items()}
        nets = {name: GainNet.from_json(each) for name, each in held[light]["learned"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SchedulerError(f"{path}: no candidates: {of_a_fault(error)}") from None
    return rules, nets
