"""`train` and `test` of `python -m policies.apc.calls`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from player.call.settings import CallSettings
from policies.apc.calls.arms import Arm, Played, play
from policies.apc.calls.moments import collect
from policies.apc.calls.policy import APC, SHIPPED, TRAIN
from policies.apc.rule import Rule, SchedulerError, Thresholds, read_rule
from policies.apc.scheduler import Always, Never, RandomShare
from policies.apc.study.files import read_json, write_json
from policies.apc.study.fit import fit_net, fit_rule, input_rows
from policies.call.small.collect import GROUP
from policies.call.small.score import HEAD, in_words, row
from policies.llm.engine.engine import Engine
from policies.llm.tasks.call.task import TASK
from traces.families.catalogue import resolve_many
from traces.ownership import make_directory
from traces.trace import Trace

LEAST, MOST = 0.2, 0.6
"""Shares of the model, within which a rule is chosen."""
TOLERANCE = 0.01
"""Mbit/s of linear QoE: a rule that asks less is taken if it loses no more of it."""
LLM_MS = 5.0
"""What a decision of the model takes, to begin with."""
MODEL = "llm only"

Say = Callable[[str], None]


def run_train(args: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Collect, fit, choose; what `--json` says.

    Raises:
        ValueError, OSError: something named can't be used.
    """
    traces = [trace for spec in args.traces for trace in resolve_many(spec)]
    engine = Engine(TASK, args.adapter, slots=GROUP, threads=args.threads, dtype=args.dtype)
    moments = collect(
        engine, traces, args.light, duration_s=args.duration_s, seed=args.seed, threads=args.threads,
        scale=args.scale, say=say,
    )  # fmt: skip
    make_directory(args.out)
    moments.save(args.out / f"{args.light}.moments.npz")
    fitted = fit_net(moments, LLM_MS, seed=args.seed)
    expected = fitted.net.gains(input_rows(moments))
    mean = float(moments.gains.mean())
    say(
        f"{args.light}: {len(moments)} decisions, {100 * moments.agree:.0f} % agree, asking gains {mean:+.4f}"
    )
    rules = {f"rule {each:g}": fit_rule(moments, each, expected) for each in args.shares}
    played = _played(args, args.choose, _arms(rules), say)
    chosen = choose(played)
    say(f"chosen: {chosen or 'none has a share within the limits'}")
    if chosen and args.write:
        ship(args.light, rules[chosen])
    return {
        "light": args.light,
        "decisions": len(moments),
        "mean_gain": mean,
        "captured": fitted.held_out,
        "rules": {name: each.to_json() for name, each in rules.items()},
        "shares": {each.arm.name: each.llm_share for each in played},
        "chosen": chosen,
    }


def run_test(args: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Play the shipped rule and what it is to be held against; what `--json` says.

    Raises:
        ValueError, OSError: something named can't be used.
    """
    file = Path(args.thresholds) if args.thresholds else SHIPPED
    rule = Arm("apc rule", Rule(read_rule(args.light, file, TRAIN)))
    tables: dict[str, Any] = {}
    for spec in args.traces:
        say(spec)
        played = _played(args, [spec], [Arm(MODEL, Always()), rule, Arm(f"{args.light} only", Never())], say)
        share = played[1].llm_share
        random = _played(args, [spec], [Arm(f"random {share:.0%}", RandomShare(share))], say, played[0])
        tables[spec] = [
            row(each.arm.name, each.scored, played[0].scored) | {"llm_share": each.llm_share}
            for each in (*played, *random)
        ]
    return {"light": args.light, "sets": tables}


def _arms(rules: dict[str, Thresholds]) -> list[Arm]:
    return [Arm(MODEL, Always()), Arm("light only", Never())] + [
        Arm(name, Rule(each)) for name, each in rules.items()
    ]


def _played(
    args: argparse.Namespace, specs: Sequence[str], arms: Sequence[Arm], say: Say, base: Played | None = None
) -> list[Played]:
    """Every arm over the same calls; what each has more than `base`, or the first, is said."""
    traces: list[Trace] = [trace for spec in specs for trace in resolve_many(spec)]
    adapter = "" if args.adapter is None else str(args.adapter)
    policy = APC(
        args.light, "never", scale=args.scale, server="none", adapter=adapter, dtype=args.dtype, dynamic=False
    )
    starts = getattr(args, "starts", 1)
    if base is None:
        say(f"{len(traces) * starts} calls; more than {arms[0].name} [95 % over traces]; share of the model")
        say(HEAD)
    played: list[Played] = []
    for arm in arms:
        played.append(play(arm, policy, traces, CallSettings(), args.threads, starts))
        line = in_words(row(arm.name, played[-1].scored, (base or played[0]).scored))
        say(f"{line}   {100 * played[-1].llm_share:.1f} %")
    return played


def choose(played: Sequence[Played]) -> str | None:
    """Of the rules whose share is within the limits, the one that asks least and is within `TOLERANCE` of the
    best; None where there is none."""
    rules = [each for each in played if isinstance(each.arm.scheduler, Rule)]
    within = [each for each in rules if LEAST <= each.llm_share <= MOST]
    if not within:
        return None
    best = max(float(each.scored.qoe.mean()) for each in within)
    enough = [each for each in within if each.scored.qoe.mean() >= best - TOLERANCE]
    return min(enough, key=lambda each: each.llm_share).arm.name


def ship(light: str, thresholds: Thresholds, file: Path = SHIPPED) -> None:
    """Put a rule into a file, beside other light policies'.

    Raises:
        OSError: it can't be written.
        SchedulerError: it holds something else.
    """
    held = read_json(file, {}) if file.exists() else {}
    if not isinstance(held, dict):
        raise SchedulerError(f"{file}: no object")
    held.setdefault("rules", {})[light] = thresholds.to_json()
    write_json(file, held)
