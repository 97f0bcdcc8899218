"""`sweep`: the front of delay and model's share against QoE, and the thresholds that validation picks.

Candidates that `train` made are played on validation traces beside the model alone, the light policy alone
and random routing. Of each kind is picked the candidate with the smallest share whose QoE is within
`TOLERANCE` of the kind's best, between the shares `LEAST` and `MOST`; `--write` ships them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from policies.apc import learned, rule
from policies.apc.rule import SchedulerError
from policies.apc.scheduler import RandomShare
from policies.apc.study.arms import (
    Arm,
    ArmResult,
    always,
    bench_of,
    difference,
    never,
)
from policies.apc.study.files import read_json, write_json
from policies.apc.study.options import load_engine
from policies.apc.study.starts import CHOOSE
from policies.apc.study.train import CANDIDATES, candidates
from traces.ownership import make_directory

LEAST, MOST = 0.3, 0.8
"""Shares; on other lines they were seen to be a few points lower, and 20 % are to be left."""
TOLERANCE = 0.001
"""Of the size of the model's own QoE."""
KINDS = ("rule", "learned")


def run(args: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Play and pick; what `--json` says.

    Raises:
        ValueError, OSError: something named can't be used.
    """
    rules, nets = candidates(args.candidates / CANDIDATES, args.light)
    engine = load_engine(args)
    bench = bench_of(args, engine, CHOOSE)
    say(bench.told)
    results = []
    for arm in _arms(args.light, rules, nets, args.random):
        results.append(bench.play(arm))
        say(_line(results[-1], results[0], bench.lines))
    picked = {kind: pick(results, kind) for kind in KINDS}
    report = {
        "light": args.light,
        "traces": list(args.traces),
        "sessions": len(bench.starts),
        "lines": len(set(bench.lines)),
        "weights": bench.weights,
        "adapter_sha256": engine.info.adapter_sha256,
        "arms": [each.to_json() for each in results],
        "picked": {kind: None if each is None else each.arm.name for kind, each in picked.items()},
    }
    out = args.out or args.candidates
    make_directory(out)
    write_json(out / f"sweep-{args.light}.json", report)
    from policies.apc.study.figures import front

    front(report, out / f"sweep-{args.light}.png")
    for kind, each in picked.items():
        say(f"picked of {kind}: {each.arm.name if each else 'none has a share within the limits'}")
    if args.write:
        ship(args.light, picked, rules, nets)
    return report


def _arms(
    light: str, rules: Mapping[str, Any], nets: Mapping[str, Any], random: Sequence[float]
) -> list[Arm]:
    """Every way to decide that is played: alone, at random shares, by each rule and each network."""
    return [
        always(light),
        never(light),
        *(Arm(f"random {share:g}", "random", light, partial(RandomShare, share)) for share in random),
        *(Arm(f"rule {name}", "rule", light, partial(rule.Rule, held)) for name, held in rules.items()),
        *(
            Arm(f"learned {name}", "learned", light, partial(learned.Learned, held))
            for name, held in nets.items()
        ),
    ]


def _line(result: ArmResult, first: ArmResult, lines: Sequence[str]) -> str:
    gap = difference(result.qoe, first.qoe, lines)
    return (
        f"{result.arm.name:<16} share {100 * result.llm_share:5.1f} %  delay {result.delay_ms:6.2f} ms"
        f"  QoE {result.qoe.mean():.4f}  minus llm {gap}"
    )


def pick(results: Sequence[ArmResult], kind: str) -> ArmResult | None:
    """The candidate of a kind to ship; None where none has a share within the limits."""
    model = next(each for each in results if each.arm.kind == "llm")
    within = [each for each in results if each.arm.kind == kind and LEAST <= each.llm_share <= MOST]
    if not within:
        return None
    best = max(float(each.qoe.mean()) for each in within)
    enough = best - TOLERANCE * abs(float(model.qoe.mean()))
    return min((each for each in within if each.qoe.mean() >= enough), key=lambda each: each.llm_share)


def ship(
    light: str,
    picked: dict[str, ArmResult | None],
    rules: dict[str, rule.Thresholds],
    nets: dict[str, learned.GainNet],
    rule_file: Path | None = None,
    net_file: Path | None = None,
) -> None:
    """Put what was picked into the shipped files, or those that are named, beside other light policies'.

    Raises:
        OSError: they can't be written.
        SchedulerError: one holds something else.
    """
    of_name = {f"rule {name}": each.to_json() for name, each in rules.items()}
    of_name |= {f"learned {name}": _short(each.to_json()) for name, each in nets.items()}
    files = (("rule", rule_file or rule.SHIPPED, "rules"), ("learned", net_file or learned.SHIPPED, "nets"))
    for kind, file, key in files:
        result = picked.get(kind)
        if result is None:
            continue
        held = read_json(file, {}) if file.exists() else {}
        if not isinstance(held, dict):
            raise SchedulerError(f"{file}: no object")
        held.setdefault(key, {})[light] = of_name[result.arm.name]
        write_json(file, held)


def _short(held: dict[str, Any]) -> dict[str, Any]:
    """Six digits are enough for a network's numbers."""
    shorter: dict[str, Any] = json.loads(
        json.dumps(held), parse_float=lambda text: float(f"{float(text):.6g}")
    )
    return shorter
