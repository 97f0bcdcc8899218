"""The task `ladder`: the level of a video's next chunk, on any ladder, by the weights that are asked for.

What is seen is `policies/view`, the same that `hindsight` sees; the answer points at one of as many levels as
the ladder has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from player.observation import Observation
from player.qoe import QoE, Scoring
from player.video.video import Video
from policies.llm.head import Pointer
from policies.llm.modality import OPTIONS, SCALAR, SERIES, Modality
from policies.llm.task import Decided, NextSteps, Task, Vectors, best_of
from policies.llm.tasks.ladder import wire
from policies.llm.tasks.ladder.seen import SeenChunks
from policies.llm.tasks.ladder.wire import VideoStep
from policies.view import layout
from policies.view.asked import Asked, options
from policies.view.client_rows import PAST_NUMBERS, ClientRows
from policies.view.guard import sane
from policies.view.layout import ATTRIBUTES, HISTORY, MAX_LEVELS, PLACES
from policies.view.one import view_of
from policies.view.thinned import thinned

FORBIDDEN = np.float32(-np.inf)
CAUTION = 1.5
"""It decides as if a stall cost so many times what is asked: what was learned flattens the worst stalls.
Chosen on held-out lines, by the stall ratio beside RobustMPC's (`weights/card.md`)."""


def _size(first: str, last: str) -> int:
    return PLACES[last].stop - PLACES[first].start


MODALITIES = (
    Modality("past", SERIES, (3, HISTORY)),
    Modality("playback", SCALAR, (_size("playback", "playback"),)),
    Modality("asked", SCALAR, (_size("asked", "ladder"),)),
    Modality("link", SCALAR, (_size("guesses", "memory"),)),
    Modality("levels", OPTIONS, (MAX_LEVELS, len(ATTRIBUTES))),
)
"""The view's numbers in its own order."""


class AnyLadder(Task):
    """A context is `Asked`, a step `VideoStep`, what is past `SeenChunks`, a value a level.

    Of a ladder of more than MAX_LEVELS levels the client chooses among those that `view.asked.options` names.
    """

    name = "ladder"
    modalities = MODALITIES
    head = Pointer("levels", MAX_LEVELS)
    shipped: Path | None = Path(__file__).resolve().parent / "weights"
    teaches = "policies.llm.tasks.ladder.course:LadderCourse"
    sampled = "policies.llm.studies.bench:sampled"
    empty = SeenChunks()
    prompt = (
        "Choose the bitrate level of the next video chunk. Goal: high quality, no stall (a second costs what"
        " is asked), few changes. Each step tells throughput, download times, sizes, buffer, the ladder."
    )
    commands: Mapping[str, str] = {
        "collect": "policies.llm.tasks.ladder.collect",
        "test": "policies.llm.tasks.ladder.evaluate",
        "controls": "policies.llm.studies.controls",
        "prompt": "policies.llm.studies.ask_in_words",
        "cost": "policies.llm.studies.cost",
        "bench": "policies.llm.studies.bench",
        "arithmetic": "policies.llm.studies.arithmetic",
        "load": "policies.apc.load.command",
        "scale": "policies.llm.studies.scale",
        "gpu": "policies.gpu.command",
        "beside": "policies.llm.tasks.ladder.beside",
        "settings": "policies.llm.tasks.ladder.settings",
    }
    options: Mapping[str, str] = {
        "collect": "policies.llm.tasks.ladder.options:add_collect",
        "test": "policies.llm.tasks.ladder.options:add_test",
        "controls": "policies.llm.studies.options:add_controls",
        "prompt": "policies.llm.studies.options:add_prompt",
        "cost": "policies.llm.studies.options:add_cost",
        "arithmetic": "policies.llm.studies.options:add_arithmetic",
        "load": "policies.apc.load.options:add_load",
        "scale": "policies.llm.studies.options:add_scale",
        "gpu": "policies.gpu.options:add_gpu",
        "beside": "policies.llm.tasks.ladder.options:add_beside",
        "settings": "policies.llm.tasks.ladder.options:add_settings",
    }

    _is_ready = False

    # ---- a session ---------------------------------------------------------------------------------

    def context_of(self, video: Video, qoe: QoE) -> Asked:
        """What holds for a session.

        Raises:
            ValueError: `hd` for a ladder that its table does not know.
        """
        asked = Asked.of(video, qoe, CAUTION)
        return asked.only(kept_levels(asked.levels))

    def usual_context(self, video: Video) -> Asked:
        """A session's, with the weights that hold where none are named."""
        return self.context_of(video, Scoring().on(video.ladder_kbps))

    def thinned(self, observation: Observation) -> Observation:
        """What of an observation is asked about."""
        levels = len(observation.next_sizes_bytes[0])
        return observation if levels <= MAX_LEVELS else thinned(observation, kept_levels(levels))

    def level_of(self, value: int, video: Video) -> int:
        """The video's level that an answer names."""
        return kept_levels(video.levels)[value]

    # ---- a step ------------------------------------------------------------------------------------

    def seen(self, observation: Observation, context: Asked) -> Vectors:
        """(width,) what the model is fed where a client sees this."""
        return view_of(observation, context)

    def features(
        self, step: VideoStep, past: SeenChunks, context: Asked, target: float | None = None
    ) -> Vectors:
        return self.seen(step.observation(_grown(past, step).chunks), context)

    def after(self, past: SeenChunks, step: VideoStep) -> SeenChunks:
        return _grown(past, step)

    def fill(self, asked: Sequence[NextSteps]) -> list[Vectors]:
        clients = ClientRows()
        for each in asked:
            _lay(clients, each)
        ends = np.cumsum([len(each.steps) for each in asked])
        return np.split(self.vectors_of(clients), ends[:-1])

    def vectors_of(self, clients: ClientRows) -> Vectors:
        """(rows, width) of many clients at once."""
        from policies.view.many import views_of  # brings numba along

        return views_of(clients)

    def ready(self) -> None:
        """Compile now, not at the first decision."""
        if self._is_ready:
            return
        asked, clients = Asked((1, 2), 1.0, (1.0, 2.0), 1.0, 1.0), ClientRows()
        clients.begin_session(asked.packed, np.ones((1, PAST_NUMBERS)))
        clients.add(1.0, 1.0, 0, 1, 1, ((1, 1),))
        self.vectors_of(clients)
        self._is_ready = True

    # ---- an answer ---------------------------------------------------------------------------------

    def scores(self, output: Vectors, vector: Vectors) -> Vectors:
        return allowed(output[None], vector[None])[0]

    def answer(self, output: Vectors, vector: Vectors) -> Decided:
        return self.answers(output[None], vector[None])[0]

    def answers(self, outputs: Vectors, vectors: Vectors) -> list[Decided]:
        return best_of(allowed(outputs, vectors))

    # ---- the wire ----------------------------------------------------------------------------------

    def load_context(self, given: Any) -> Asked:
        return wire.load_asked(given)

    def dump_context(self, context: Asked) -> Any:
        return wire.dump_asked(context)

    def load_step(self, given: Any, where: str, index: int) -> VideoStep:
        return wire.load_step(given, where, index)

    def dump_step(self, step: VideoStep) -> Any:
        return wire.dump_step(step)

    def check(self, steps: Sequence[VideoStep], context: Asked) -> None:
        wire.check_sizes(steps, context.levels)

    def load_value(self, given: Any, where: str) -> int:
        return wire.load_level(given, where)


def _grown(past: SeenChunks, step: VideoStep) -> SeenChunks:
    return past if step.past is None else past.grown(step.past)


def _lay(clients: ClientRows, asked: NextSteps) -> None:
    """Lay a session's new steps there."""
    seen = [_grown(asked.past, asked.steps[0])]
    for step in asked.steps[1:]:
        seen.append(_grown(seen[-1], step))
    clients.begin_session(asked.context.packed, seen[-1].numbers)
    for step, past in zip(asked.steps, seen, strict=True):
        last, left = past.last_level, step.chunks_left
        clients.add(step.buffer_s, step.buffer_cap_s, last, left, len(past), step.next_sizes_bytes)


def kept_levels(levels: int) -> tuple[int, ...]:
    """Those of a ladder that are chosen among, in all of a session."""
    return options(levels, None)


def allowed(logits: Vectors, vectors: Vectors) -> Vectors:
    """(steps, MAX_LEVELS) logits, -inf where `guard.sane` forbids the level where there is a level."""
    over = vectors[:, layout.GLOBAL + layout.EXISTS] == 0.0
    return np.where(sane(vectors) | over[:, None], logits, FORBIDDEN)


TASK = AnyLadder()
