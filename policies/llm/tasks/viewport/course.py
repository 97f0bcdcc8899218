"""How `viewport` is learned: the absolute error of all horizons at once, round the full turn.

The score is how many degrees nearer the student is than the head that stays, in windows of videos held out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from player.viewport.windows import FUTURE, HISTORY
from policies.llm.engine.engine import Engine
from policies.llm.learning.course import Batch, Course, Floats
from policies.llm.learning.pool import Experience
from policies.llm.learning.settings import LearningSettings
from policies.llm.tasks.viewport.collect import rows_of
from policies.llm.tasks.viewport.small_nets import Moment, small_errors
from policies.llm.tasks.viewport.vectors import mirrored
from policies.viewport.mirroring import TURNS, signs_of
from policies.viewport.units import UNIT
from traces.heads.head import AXES, YAW

TURN = 360.0 / UNIT
IMAGES = TURNS[1:]
"""Axes that are turned of a session's mirror images."""
TOGETHER = 128
"""Sessions of one forward."""
HELD_OUT = "held out"


class ViewCourse(Course):
    """Windows of recordings, as `collect` made them.

    Args:
        facts: what the pool's manifest says.
    """

    told = ("traces", "hold_out", "seed")
    gained = "degrees nearer than the head that stays"
    cluster = "viewer"

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._learned = int(facts["learned"])
        self._facts = facts
        self._moments: list[Moment] = [
            (str(v), str(who), int(at)) for v, who, at in facts.get("kept_moments", ())
        ]
        """Of all windows held out, later of those that choose; none of a pool that doesn't tell."""
        self._kept: Experience | None = None

    def begin(self, experience: Experience, settings: LearningSettings) -> Experience:
        whole = np.arange(len(experience))
        held_out = whole[self._learned :]
        few = np.linspace(0, len(held_out) - 1, min(len(held_out), settings.validation_sessions)).astype(int)
        self._kept = rows_of(experience, held_out[few])
        self._chosen = [self._moments[place] for place in few] if self._moments else []
        learned = rows_of(experience, whole[: self._learned])
        return Experience.joined([learned, images(learned, np.random.default_rng(settings.seed))])

    def loss(self, objective: str, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Samples count the more the more was seen before them: the last is what is asked."""
        error = error_of(outputs, batch.scores).mean(-1)
        weight = torch.arange(1, error.shape[1] + 1, device=error.device) / error.shape[1]
        return (error * weight).mean() / weight.mean()

    @property
    def sessions(self) -> int:
        return min(TOGETHER, len(self._kept) if self._kept is not None else TOGETHER)

    def gains(self, engine: Engine, target: float | None) -> dict[str, Floats]:
        assert self._kept is not None
        taught = self._kept.scores[:, HISTORY - 1]
        error = absolute(answers_of(engine, self._kept.vectors, self.sessions), taught)
        return {HELD_OUT: absolute(np.zeros_like(taught), taught) - error}

    def score(self, gains: Mapping[str, Floats]) -> float:
        return float(np.mean([values.mean() for values in gains.values()]))

    def clusters(self) -> dict[str, Sequence[str]]:
        return {HELD_OUT: [f"{video}/{viewer}" for video, viewer, _ in self._chosen]} if self._chosen else {}

    def specialists(self) -> dict[str, dict[str, Floats]]:
        if not self._chosen:
            return {}
        errors = small_errors(self._facts["traces"], int(self._facts["hold_out"]), self._chosen)
        static = errors.pop("static")
        return {name: {HELD_OUT: static - each} for name, each in errors.items()}

    def conclusion(self, score: float, teacher: float | None) -> str:
        return f"{score:+.3f} degrees nearer than the head that stays, on held-out videos"


def error_of(outputs: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
    """(…, FUTURE * 3) absolute errors in `UNIT`s, of axis 2 the shorter way."""
    apart = (outputs - taught).unflatten(-1, (FUTURE, AXES))
    yaw = apart[..., YAW]
    turned = yaw - TURN * torch.round(yaw.detach() / TURN)
    return torch.cat([apart[..., :YAW], turned.unsqueeze(-1)], -1).abs().flatten(-2)


def absolute(answers: Any, taught: Any) -> Floats:
    """(n,) mean absolute errors in degrees of (n, FUTURE * 3) answers."""
    error = error_of(torch.from_numpy(np.asarray(answers)), torch.from_numpy(np.asarray(taught)))
    return np.asarray(UNIT * error.mean(-1).numpy().astype(np.float64))


def answers_of(engine: Engine, vectors: Any, together: int) -> Floats:
    """(n, FUTURE * 3) what an engine answers after the last of (n, HISTORY, WIDTH) samples."""
    found = []
    for begin in range(0, len(vectors), together):
        part = vectors[begin : begin + together]
        slots = [engine.open() for _ in part]
        try:
            found.append(engine.forward(list(zip(slots, part, strict=True))))
        finally:
            for slot in slots:
                engine.close(slot)
    return np.concatenate(found)


def images(experience: Experience, random: np.random.Generator) -> Experience:
    """The mirror image of each session, in one of `IMAGES`."""
    which, parts = random.integers(len(IMAGES), size=len(experience)), []
    for number, axes in enumerate(IMAGES):
        part = rows_of(experience, np.flatnonzero(which == number))
        vectors = part.vectors
        for axis in axes:
            vectors = mirrored(vectors, axis)
        scores = part.scores * np.tile(signs_of(axes), FUTURE).astype(np.float32)
        parts.append(replace(part, vectors=vectors, scores=scores))
    return Experience.joined(parts)
