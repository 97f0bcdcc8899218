"""`test`: the shipped schedulers on traces that chose nothing, beside their controls, pair by pair."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from player.qoe import scored_words
from policies.apc.policy import make_scheduler
from policies.apc.scheduler import RandomShare
from policies.apc.study.arms import (
    Arm,
    ArmBench,
    ArmResult,
    always,
    asking_time,
    difference,
    never,
    scored_in,
    starts_of,
)
from policies.apc.study.options import load_engine

RANDOM_SEEDS = 3


def run(args: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Play; what `--json` says.

    Raises:
        ValueError, OSError: something named can't be used.
    """
    makers = {kind: make_scheduler(kind, args.light, 0.5, None) for kind in args.scheduler}
    engine = load_engine(args)
    starts = starts_of(args.traces, args.video)
    weights = scored_words(scored_in(starts))
    say(f"{len(starts)} sessions, QoE {weights}; each way to decide plays all of them, which takes minutes")
    bench = ArmBench(engine, starts, args.together, asking_time(engine))
    model, light = bench.play(always(args.light)), bench.play(never(args.light))
    rows = [model, light]
    lines = [_shown(model), _shown(light)]
    compared = {f"{light.arm.name} - llm only": difference(light.qoe, model.qoe)}
    for kind in makers:
        mine = bench.play(
            Arm(f"apc {kind}", kind, args.light, partial(make_scheduler, kind, args.light, 0.5, None))
        )
        drawn = _random(bench, args.light, mine.llm_share)
        rows += [mine, drawn]
        lines += [_shown(mine), _shown(drawn)]
        compared |= {
            f"apc {kind} - llm only": difference(mine.qoe, model.qoe),
            f"apc {kind} - {light.arm.name}": difference(mine.qoe, light.qoe),
            f"apc {kind} - random of its share": difference(mine.qoe, drawn.qoe),
        }
    for line in lines:
        say(line)
    for name, gap in compared.items():
        say(f"{name:<34} {gap}  ({gap.pairs} pairs)")
    return {
        "light": args.light,
        "traces": list(args.traces),
        "sessions": len(bench.starts),
        "weights": weights,
        "adapter_sha256": engine.info.adapter_sha256,
        "arms": [each.to_json() for each in rows],
        "differences": {name: vars(gap) for name, gap in compared.items()},
    }


def _random(bench: ArmBench, light: str, share: float) -> ArmResult:
    """Random routing of a share, each session the mean of a few draws."""
    drawn = [
        bench.play(Arm("random", "random", light, partial(_Seeded, share, number)))
        for number in range(RANDOM_SEEDS)
    ]
    return ArmResult(
        Arm(f"random {100 * share:.0f} %", "random", light, drawn[0].arm.scheduler),
        np.mean([each.qoe for each in drawn], axis=0),
        float(np.mean([each.llm_share for each in drawn])),
        float(np.mean([each.delay_ms for each in drawn])),
    )


class _Seeded(RandomShare):
    """Draws anew for every number."""

    def __init__(self, share: float, number: int) -> None:
        super().__init__(min(share, 1.0))
        self._number = number

    def reset(self, seed: int) -> None:
        super().reset(1000 * (self._number + 1) + seed)


def _shown(result: ArmResult) -> str:
    return (
        f"{result.arm.name:<16} share {100 * result.llm_share:5.1f} %  delay {result.delay_ms:6.2f} ms"
        f"  QoE {result.qoe.mean():.4f}"
    )
