"""The task `ladder`: the level of a video's next chunk, on any ladder, by the weights that are asked for.

What is seen is `policies/view`, the same that `hindsight` sees; the answer points at one of as many levels as
the ladder has. `policies/llm/tasks/abr` is the same for six levels and the published weights alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from player.observation import Observation
from player.qoe import QoE
from player.video.video import Video
from policies.llm.head import Pointer
from policies.llm.modality import OPTIONS, SCALAR, SERIES, Modality
from policies.llm.task import Decided, Vectors, best_of
from policies.llm.tasks.abr.features import LEVELS
from policies.llm.tasks.abr.task import Bitrates
from policies.llm.tasks.abr.wire import VideoStep, check_sizes
from policies.llm.tasks.ladder import wire
from policies.view import layout
from policies.view.asked import Asked, Floats, options
from policies.view.client_rows import ClientRows
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


class AnyLadder(Bitrates):
    """A context is `Asked`, a step `VideoStep`, what is past the chunks before it, a value a level.

    Of a ladder of more than MAX_LEVELS levels the client chooses among those that `view.asked.options` names.
    """

    name = "ladder"
    modalities = MODALITIES
    head = Pointer("levels", MAX_LEVELS)
    shipped: Path | None = Path(__file__).resolve().parent / "weights"
    teaches = "policies.llm.tasks.ladder.course:LadderCourse"
    player = "policies.llm.tasks.ladder.play:LadderEngine"
    prompt = (
        "Choose the bitrate level of the next video chunk. Goal: high quality, no stall (a second costs what"
        " is asked), few changes. Each step tells throughput, download times, sizes, buffer, the ladder."
    )
    commands: Mapping[str, str] = {
        "collect": "policies.llm.tasks.ladder.collect",
        "test": "policies.llm.tasks.ladder.evaluate",
        "controls": "policies.llm.studies.controls",
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
        "cost": "policies.llm.studies.options:add_cost",
        "arithmetic": "policies.llm.studies.options:add_arithmetic",
        "load": "policies.apc.load.options:add_load",
        "scale": "policies.llm.studies.options:add_scale",
        "gpu": "policies.gpu.options:add_gpu",
        "beside": "policies.llm.tasks.ladder.options:add_beside",
        "settings": "policies.llm.tasks.ladder.options:add_settings",
    }

    def context_of(self, video: Video, qoe: QoE) -> Any:
        asked = Asked.of(video, qoe, CAUTION)
        return asked.only(kept_levels(asked.levels))

    def thinned(self, observation: Observation) -> Observation:
        levels = len(observation.next_sizes_bytes[0])
        return observation if levels <= MAX_LEVELS else thinned(observation, kept_levels(levels))

    def level_of(self, value: int, video: Video) -> int:
        return kept_levels(video.levels)[value]

    def seen(self, observation: Observation, context: Any, target: float | None = None) -> Vectors:
        return view_of(observation, context)

    def scores(self, output: Vectors, vector: Vectors) -> Vectors:
        return allowed(output[None], vector[None])[0]

    def answer(self, output: Vectors, vector: Vectors) -> Decided:
        return self.answers(output[None], vector[None])[0]

    def answers(self, outputs: Vectors, vectors: Vectors) -> list[Decided]:
        return best_of(allowed(outputs, vectors))

    def _any_context(self) -> Asked:
        ladder = tuple(range(1, LEVELS + 1))
        return Asked(ladder, 1.0, tuple(map(float, ladder)), 1.0, 1.0)

    def packed(self, context: Any) -> Floats:
        return np.asarray(context.packed)

    def vectors_of(self, clients: ClientRows) -> Vectors:
        from policies.view.many import views_of  # brings numba along

        return views_of(clients)

    def load_context(self, given: Any) -> Asked:
        return wire.load_asked(given)

    def dump_context(self, context: Any) -> Any:
        return wire.dump_asked(context)

    def check(self, steps: Sequence[VideoStep], context: Any) -> None:
        check_sizes(steps, context.levels)


def kept_levels(levels: int) -> tuple[int, ...]:
    """Those of a ladder that are chosen among, in all of a session."""
    return options(levels, None)


def allowed(logits: Vectors, vectors: Vectors) -> Vectors:
    """(steps, MAX_LEVELS) logits, -inf where `guard.sane` forbids the level where there is a level."""
    over = vectors[:, layout.GLOBAL + layout.EXISTS] == 0.0
    return np.where(sane(vectors) | over[:, None], logits, FORBIDDEN)


TASK = AnyLadder()
