"""Ways to route, played over the same sessions and compared pair by pair."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.commands.options import scoring
from player.defaults import CHUNKS
from player.qoe import Scored, Scoring, scored_words
from policies.apc.light import Light
from policies.apc.router import Router
from policies.apc.scheduler import Always, Never, Scheduler
from policies.apc.study.lockstep import Lockstep, play
from policies.apc.study.starts import ALL, StudySetting, StudyStart, chunks_of, starts_of
from policies.bootstrap import percentile_interval
from policies.llm.engine.contract import ServingEngine
from policies.llm.serving.step_time import StepTime
from traces.totals import running_total

TIMED_STEPS = (1, 2, 4, 8, 16)
TIMED_EACH = 12

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """One way to route."""

    name: str
    kind: str
    """llm, light, random, rule or learned."""
    light: str
    scheduler: Callable[[], Scheduler]


@dataclass(frozen=True)
class ArmResult:
    """What came of an arm."""

    arm: Arm
    qoe: Floats
    """(sessions,)"""
    stall_ratio: Floats
    """(sessions,) stall / (stall + played)."""
    llm_share: float
    delay_ms: float
    """Mean over all decisions, on this machine when it does nothing else."""

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.arm.name,
            "kind": self.arm.kind,
            "light": self.arm.light,
            "llm_share": round(self.llm_share, 4),
            "delay_ms": round(self.delay_ms, 3),
            "qoe": round(float(self.qoe.mean()), 4),
            "stall_ratio": round(float(self.stall_ratio.mean()), 5),
        }


@dataclass(frozen=True)
class PairedDifference:
    """Mean of paired differences with its 95 % interval, bootstrapped over lines."""

    mean: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"

    @property
    def better(self) -> bool:
        """Whether the interval excludes 0, on the good side."""
        return self.low > 0.0


def difference(
    mine: Floats, other: Floats, lines: Sequence[str] | None = None, seed: int = 20_220_822
) -> PairedDifference:
    """The first less the second.

    Args:
        mine, other: (sessions,) of the same sessions.
        lines: (sessions,) what each was measured on; whole lines are drawn. None: each is its own.
    """
    gaps = mine - other
    return PairedDifference(float(gaps.mean()), *percentile_interval(gaps, lines, seed), len(gaps))


def scored_in(starts: Sequence[StudyStart], scoring: Scoring) -> list[Scored]:
    """What the sessions are scored by, once a video.

    Raises:
        ValueError: a ladder that the QoE asked for does not know.
    """
    videos = {start.video.name: start.video for start in starts}.values()
    return [(video.name, video.ladder_kbps, scoring.on(video.ladder_kbps)) for video in videos]


def always(light: str) -> Arm:
    """The model alone (after the first chunk, which nobody decides)."""
    return Arm("llm only", "llm", light, Always)


def never(light: str) -> Arm:
    """The light policy alone."""
    return Arm(f"{light} only", "light", light, Never)


@dataclass(frozen=True)
class ArmBench:
    """What an arm is played on."""

    engine: ServingEngine
    starts: Sequence[StudyStart]
    together: int
    asking: StepTime
    """What a question to the model takes here."""
    chunks: int = CHUNKS
    scoring: Scoring = field(default_factory=Scoring)

    @property
    def lines(self) -> list[str]:
        """(sessions,) what each was measured on."""
        return [start.line or start.trace.name for start in self.starts]

    @property
    def weights(self) -> str:
        """What sessions are scored by, in words."""
        return scored_words(scored_in(self.starts, self.scoring))

    @property
    def told(self) -> str:
        """What is played, for a person who waits for it."""
        return (
            f"{len(self.starts)} sessions on {len(set(self.lines))} lines, QoE {self.weights}; each way to"
            " decide plays all of them, which takes minutes"
        )

    def play(self, arm: Arm) -> ArmResult:
        """Every session to its end."""
        played = play(
            self.engine,
            self.starts,
            lambda: Router(Light(arm.light), arm.scheduler()),
            together=self.together,
            chunks=self.chunks,
            scoring=self.scoring,
        )
        asked_ms = 1000.0 * running_total(self.asking.expect_s(steps) for steps in played.asked_steps)
        own_ms = routing_ms(arm, self.starts[0])
        delay_ms = asked_ms / played.decisions + own_ms
        return ArmResult(arm, played.qoe, played.stall_ratio, float(played.by_llm.mean()), delay_ms)


def bench_of(args: argparse.Namespace, engine: ServingEngine, purpose: str) -> ArmBench:
    """What a command's options ask to play.

    Args:
        purpose: which measured lines, unless all are asked for.

    Raises:
        TraceError, VideoError, ValueError: as of `starts_of`, or a weight that is none.
    """
    setting = StudySetting(args.video, args.ladder, args.chunk_s)
    purpose = ALL if args.all_lines else purpose
    starts = starts_of(args.traces, setting, starts=args.starts, purpose=purpose)
    return ArmBench(
        engine, starts, args.together, asking_time(engine), chunks_of(starts, args.chunks), scoring(args),
    )  # fmt: skip


def asking_time(engine: ServingEngine) -> StepTime:
    """What the model takes for one session's question with a few steps: the best of a dozen, now."""
    width, times = engine.info.feature_width, StepTime()
    slot = engine.open()
    engine.forward([(slot, np.zeros((4, width), np.float32))])
    for steps in TIMED_STEPS:
        took = []
        for _ in range(TIMED_EACH):
            begun_s = time.perf_counter()
            engine.forward([(slot, np.zeros((steps, width), np.float32))])
            took.append(time.perf_counter() - begun_s)
        for _ in range(TIMED_EACH):
            times.took(steps, min(took))
    engine.close(slot)
    return times


class _Nobody:
    """An engine that is not asked."""

    def __init__(self, info: Any) -> None:
        self.info = info

    def open(self) -> int:
        return 0

    def close(self, slot: int) -> None:
        """Nothing to give back."""

    def rows(self, slot: int, new: int) -> int:
        return new

    def forward(self, work: Sequence[Any]) -> NDArray[np.float32]:
        raise AssertionError("nobody asks")


@dataclass(frozen=True)
class _NoInfo:
    target: float | None = None


def routing_ms(arm: Arm, start: StudyStart) -> float:
    """What light policy and routing take for a decision together, the median over one session."""
    router = Router(Light(arm.light), arm.scheduler())
    nobody = _Nobody(_NoInfo())
    chunks = min(CHUNKS, start.video.chunks)
    lockstep = Lockstep(nobody, [start], lambda: Router(Light(arm.light), Never()), chunks=chunks)
    router.reset(start.video, 0, lockstep.qoe_of(start))
    took = []
    for moments in lockstep.moments():
        begun_s = time.perf_counter()
        router.consider(moments[0].observation)
        took.append(time.perf_counter() - begun_s)
    return 1000.0 * median(took)
