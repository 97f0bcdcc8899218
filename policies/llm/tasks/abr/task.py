"""The task `abr`: the level of a video's next chunk."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from player.observation import Observation, PastChunk
from player.qoe import QoE
from player.video.video import Video
from policies.llm.head import Choice, Head
from policies.llm.modality import Modality
from policies.llm.task import Decided, Task, Vectors
from policies.llm.tasks.abr import features as abr
from policies.llm.tasks.abr import wire
from policies.llm.tasks.abr.features import LEVELS, PlanValues, VideoFacts
from policies.llm.tasks.abr.wire import VideoStep

History = tuple[PastChunk, ...]


class Bitrates(Task):
    """A context is `VideoFacts`, a step `wire.Step`, what is past the chunks before it, a value a level."""

    name = "abr"
    modalities: tuple[Modality, ...] = abr.MODALITIES
    head: Head = Choice(LEVELS)
    shipped: Path | None = Path(__file__).resolve().parent / "weights"
    teaches = "policies.llm.tasks.abr.course:VideoCourse"
    prompt = (
        "Choose the bitrate level of the next video chunk, 0 to 5. Goal: high bitrate in Mbit/s, no stall "
        "(each second costs 4.3), few changes. Each step tells throughput, download times in s, sizes in MB, "
        "buffer in s."
    )
    commands: Mapping[str, str] = {
        "collect": "policies.llm.tasks.abr.collect",
        "test": "policies.llm.studies.evaluate",
        "controls": "policies.llm.studies.controls",
        "prompt": "policies.llm.studies.ask_in_words",
        "cost": "policies.llm.studies.cost",
        "bench": "policies.llm.studies.bench",
        "arithmetic": "policies.llm.studies.arithmetic",
        "load": "policies.apc.load.command",
        "scale": "policies.llm.studies.scale",
    }
    options: Mapping[str, str] = {
        "collect": "policies.llm.tasks.abr.options:add_collect",
        "test": "policies.llm.studies.options:add_test",
        "controls": "policies.llm.studies.options:add_controls",
        "prompt": "policies.llm.studies.options:add_prompt",
        "cost": "policies.llm.studies.options:add_cost",
        "arithmetic": "policies.llm.studies.options:add_arithmetic",
        "load": "policies.apc.load.options:add_load",
        "scale": "policies.llm.studies.options:add_scale",
    }

    def __init__(self) -> None:
        self._plans: PlanValues | None = None

    def features(self, step: VideoStep, past: History, context: Any, target: float | None = None) -> Vectors:
        return self.seen(step.observation(_grown(past, step)), context, target)

    def seen(self, observation: Observation, context: Any, target: float | None = None) -> Vectors:
        """(width,) what the model is fed where a client sees this."""
        if self._plans is None:
            self.ready()
        goal = 0.0 if target is None else abr.goal(observation, context, target)
        return abr.features(observation, context, goal, self._plans)

    def context_of(self, video: Video, qoe: QoE) -> Any:
        """What holds for a session.

        Raises:
            ValueError: a video that the task is not made for.
        """
        return VideoFacts.of(video)

    def thinned(self, observation: Observation) -> Observation:
        """What of an observation is asked about."""
        return observation

    def level_of(self, value: int, video: Video) -> int:
        """The video's level that an answer names."""
        return value

    def after(self, past: History, step: VideoStep) -> History:
        return _grown(past, step)

    def scores(self, output: Vectors, vector: Vectors) -> Vectors:
        return abr.allowed(output[None], vector[None])[0]

    def answer(self, output: Vectors, vector: Vectors) -> Decided:
        margin = abr.margin(output, vector)
        return Decided(abr.level(output, vector), margin if math.isfinite(margin) else None)

    def ready(self) -> None:
        """Compile now, not at the first decision."""
        from policies.llm.tasks.abr.batch import plan_values  # brings numba along

        plan_values([[1] * LEVELS], 1.0, 0.0, 0, VideoFacts(tuple(range(1, LEVELS + 1)), 1.0))
        self._plans = plan_values

    def load_context(self, given: Any) -> Any:
        return wire.load_video(given)

    def dump_context(self, context: Any) -> Any:
        return wire.dump_video(context)

    def load_step(self, given: Any, where: str, index: int) -> VideoStep:
        return wire.load_step(given, where, index)

    def dump_step(self, step: VideoStep) -> Any:
        return wire.dump_step(step)

    def check(self, steps: Sequence[VideoStep], context: Any) -> None:
        wire.check_sizes(steps, len(context.ladder_kbps))

    def load_value(self, given: Any, where: str) -> int:
        return wire.load_level(given, where)


def _grown(past: History, step: VideoStep) -> History:
    return past if step.past is None else (*past, step.past)


TASK = Bitrates()
