"""`test`: the shipped schedulers on traces that chose nothing, beside their controls, pair by pair."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from policies.apc.policy import make_scheduler
from policies.apc.scheduler import RandomShare
from policies.apc.study.arms import (
    Arm,
    ArmBench,
    ArmResult,
    PairedDifference,
    always,
    bench_of,
    difference,
    never,
)
from policies.apc.study.options import load_engine
from policies.apc.study.starts import MEASURE, sets_of

RANDOM_SEEDS = 3


@dataclass(frozen=True)
class ComparedArms:
    """Two ways to decide, over all sessions and over those of each word."""

    name: str
    whole: PairedDifference
    parts: dict[str, PairedDifference]

    @classmethod
    def of(cls, mine: ArmResult, other: ArmResult, bench: ArmBench, name: str = "") -> ComparedArms:
        lines = bench.lines

        def over(places: Sequence[int]) -> PairedDifference:
            return difference(mine.qoe[places], other.qoe[places], [lines[at] for at in places])

        parts = {word: over(places) for word, places in sets_of(bench.starts).items()}
        whole = over(range(len(lines)))
        return cls(f"{mine.arm.name} - {name or other.arm.name}", whole, parts if len(parts) > 1 else {})

    def told(self) -> Iterator[str]:
        """A line for all, then one for each word."""
        yield f"{self.name:<34} {self.whole}  ({self.whole.pairs} pairs)"
        for word, gap in self.parts.items():
            yield f"  {word:<32} {gap}  ({gap.pairs} pairs)"

    def to_json(self) -> dict[str, Any]:
        return {"all": vars(self.whole), **{word: vars(gap) for word, gap in self.parts.items()}}


def run(args: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Play; what `--json` says.

    Raises:
        ValueError, OSError: something named can't be used.
    """
    makers = {kind: partial(make_scheduler, kind, args.light, 0.5, None) for kind in args.scheduler}
    for make in makers.values():
        make()  # what can't be read is said before anything is played
    engine = load_engine(args)
    bench = bench_of(args, engine, MEASURE)
    say(bench.told)
    model, light = bench.play(always(args.light)), bench.play(never(args.light))
    rows, compared = [model, light], [ComparedArms.of(light, model, bench)]
    for kind, make in makers.items():
        mine = bench.play(Arm(f"apc {kind}", kind, args.light, make))
        drawn = _random(bench, args.light, mine.llm_share)
        rows += [mine, drawn]
        compared += [
            ComparedArms.of(mine, model, bench),
            ComparedArms.of(mine, light, bench),
            ComparedArms.of(mine, drawn, bench, "random of its share"),
        ]
    for row in rows:
        say(_shown(row))
    for each in compared:
        for line in each.told():
            say(line)
    return {
        "light": args.light,
        "traces": list(args.traces),
        "sessions": len(bench.starts),
        "lines": len(set(bench.lines)),
        "weights": bench.weights,
        "adapter_sha256": engine.info.adapter_sha256,
        "arms": [each.to_json() for each in rows],
        "differences": {each.name: each.to_json() for each in compared},
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
        np.mean([each.stall_ratio for each in drawn], axis=0),
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
        f"  QoE {result.qoe.mean():.4f}  stalls {100 * result.stall_ratio.mean():.2f} %"
    )
