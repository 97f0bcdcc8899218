"""The task `abr`: the level of a video's next chunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from player.observation import Observation
from player.qoe import QoE
from player.video.video import Video
from policies.llm.head import Choice, Head
from policies.llm.modality import Modality
from policies.llm.task import Decided, NextSteps, Task, Vectors, best_of
from policies.llm.tasks.abr import features as abr
from policies.llm.tasks.abr import wire
from policies.llm.tasks.abr.features import LEVELS, VideoFacts
from policies.llm.tasks.abr.seen import SeenChunks
from policies.llm.tasks.abr.wire import VideoStep
from policies.view.asked import Floats
from policies.view.client_rows import PAST_NUMBERS, ClientRows


class Bitrates(Task):
    """A context is `VideoFacts`, a step `VideoStep`, what is past `SeenChunks`, a value a level."""

    name = "abr"
    modalities: tuple[Modality, ...] = abr.MODALITIES
    head: Head = Choice(LEVELS)
    shipped: Path | None = Path(__file__).resolve().parent / "weights"
    teaches = "policies.llm.tasks.abr.course:VideoCourse"
    empty = SeenChunks()
    player: str = "policies.llm.tasks.abr.play:BatchEngine"
    """`module:name` of an engine as the policy of simulated sessions, given a batch and the engine."""
    prompt = (
        "Choose the bitrate level of the next video chunk, 0 to 5. Goal: high bitrate in Mbit/s, no stall "
        "(each second costs 4.3), few changes. Each step tells throughput, download times in s, sizes in MB, "
        "buffer in s."
    )
    commands: Mapping[str, str] = {
        "collect": "policies.llm.tasks.abr.collect",
        "test": "policies.llm.studies.evaluate",
        "beside": "policies.llm.tasks.ladder.beside",
        "settings": "policies.llm.tasks.ladder.settings",
        "controls": "policies.llm.studies.controls",
        "prompt": "policies.llm.studies.ask_in_words",
        "cost": "policies.llm.studies.cost",
        "bench": "policies.llm.studies.bench",
        "arithmetic": "policies.llm.studies.arithmetic",
        "load": "policies.apc.load.command",
        "scale": "policies.llm.studies.scale",
        "gpu": "policies.gpu.command",
    }
    options: Mapping[str, str] = {
        "collect": "policies.llm.tasks.abr.options:add_collect",
        "test": "policies.llm.studies.options:add_test",
        "beside": "policies.llm.tasks.ladder.options:add_beside",
        "settings": "policies.llm.tasks.ladder.options:add_settings",
        "controls": "policies.llm.studies.options:add_controls",
        "prompt": "policies.llm.studies.options:add_prompt",
        "cost": "policies.llm.studies.options:add_cost",
        "arithmetic": "policies.llm.studies.options:add_arithmetic",
        "load": "policies.apc.load.options:add_load",
        "scale": "policies.llm.studies.options:add_scale",
        "gpu": "policies.gpu.options:add_gpu",
    }

    _is_ready = False

    def features(
        self, step: VideoStep, past: SeenChunks, context: Any, target: float | None = None
    ) -> Vectors:
        return self.seen(step.observation(_grown(past, step).chunks), context, target)

    def fill(self, asked: Sequence[NextSteps]) -> list[Vectors]:
        if any(each.target is not None for each in asked):
            return super().fill(asked)
        clients = ClientRows()
        for each in asked:
            _lay(clients, each, self.packed(each.context))
        ends = np.cumsum([len(each.steps) for each in asked])
        return np.split(self.vectors_of(clients), ends[:-1])

    def packed(self, context: Any) -> Floats:
        """A context as `vectors_of` wants it."""
        return abr.packed(context)

    def vectors_of(self, clients: ClientRows) -> Vectors:
        """(rows, width) of many clients at once."""
        from policies.llm.tasks.abr.many import vectors_of  # brings numba along

        return vectors_of(clients)

    def seen(self, observation: Observation, context: Any, target: float | None = None) -> Vectors:
        """(width,) what the model is fed where a client sees this."""
        from policies.llm.tasks.abr.batch import plan_values  # brings numba along

        goal = 0.0 if target is None else abr.goal(observation, context, target)
        return abr.features(observation, context, goal, plan_values)

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

    def after(self, past: SeenChunks, step: VideoStep) -> SeenChunks:
        return _grown(past, step)

    def scores(self, output: Vectors, vector: Vectors) -> Vectors:
        return abr.allowed(output[None], vector[None])[0]

    def answer(self, output: Vectors, vector: Vectors) -> Decided:
        return self.answers(output[None], vector[None])[0]

    def answers(self, outputs: Vectors, vectors: Vectors) -> list[Decided]:
        return best_of(abr.allowed(outputs, vectors))

    def ready(self) -> None:
        """Compile now, not at the first decision."""
        if self._is_ready:
            return
        clients = ClientRows()
        clients.begin_session(self.packed(self._any_context()), np.ones((1, PAST_NUMBERS)))
        clients.add(1.0, 1.0, 0, 1, 1, ((1,) * LEVELS,))
        self.vectors_of(clients)
        self._is_ready = True

    def _any_context(self) -> Any:
        """Of a ladder of LEVELS levels."""
        return VideoFacts(tuple(range(1, LEVELS + 1)), 1.0)

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


def _grown(past: SeenChunks, step: VideoStep) -> SeenChunks:
    return past if step.past is None else past.grown(step.past)


def _lay(clients: ClientRows, asked: NextSteps, context: Floats) -> None:
    """Lay a session's new steps there."""
    seen = [_grown(asked.past, asked.steps[0])]
    for step in asked.steps[1:]:
        seen.append(_grown(seen[-1], step))
    clients.begin_session(context, seen[-1].numbers)
    for step, past in zip(asked.steps, seen, strict=True):
        last, left = past.last_level, step.chunks_left
        clients.add(step.buffer_s, step.buffer_cap_s, last, left, len(past), step.next_sizes_bytes)


TASK = Bitrates()
