"""A session as its decider knows it: the steps so far, and what the model is fed of each.

The same for a session that the server keeps and for one that is decided in the player's own process, so
that both feed the model the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from player.observation import Observation, PastChunk
from policies.llm.serving.protocol import Step
from policies.llm.tasks.abr import features as abr
from policies.llm.tasks.abr.features import VideoFacts

Vectors = NDArray[np.float32]
_ANY_VIDEO = VideoFacts(tuple(range(1, abr.LEVELS + 1)), 1.0)


class Task(Protocol):
    """What turns an observation into the model's input, and its output into a level."""

    def features(self, observation: Observation, video: VideoFacts) -> Vectors:
        """(width,) one step's input."""

    def level(self, logits: Vectors, vector: Vectors) -> int:
        """The level that (levels,) logits choose at a step of this input."""

    def margin(self, logits: Vectors, vector: Vectors) -> float:
        """How far its logit is above the second best's; inf where only one may be taken."""


class Bitrates:
    """The task `abr`.

    Args:
        target: the mean return a chunk that the adapter wants to be asked for, `EngineInfo.target`; None
            for one that was made without returns.
    """

    def __init__(self, target: float | None = None) -> None:
        from policies.llm.tasks.abr.batch import plan_values  # brings numba along

        self._target, self._plans = target, plan_values
        plan_values([[1] * abr.LEVELS], 1.0, 0.0, 0, _ANY_VIDEO)  # compiled now, not at the first decision

    def features(self, observation: Observation, video: VideoFacts) -> Vectors:
        goal = 0.0 if self._target is None else abr.goal(observation, video, self._target)
        return abr.features(observation, video, goal, self._plans)

    def level(self, logits: Vectors, vector: Vectors) -> int:
        return abr.level(logits, vector)

    def margin(self, logits: Vectors, vector: Vectors) -> float:
        return abr.margin(logits, vector)


class Transcript:
    """All steps of one session, in order."""

    def __init__(self, task: Task, video: VideoFacts) -> None:
        self._task = task
        self.video = video
        self.steps: list[Step] = []
        self._history: tuple[PastChunk, ...] = ()

    def features(self, steps: Sequence[Step]) -> Vectors:
        """(len(steps), width) the model's input for steps that follow those of the session."""
        return np.stack(list(self.rows(steps)))

    def rows(self, steps: Sequence[Step]) -> Iterator[Vectors]:
        """The rows of `features`, one by one; the session may not grow in between."""
        history = self._history
        for step in steps:
            history = _grown(history, step)
            yield self._task.features(step.observation(history), self.video)

    def append(self, steps: Sequence[Step]) -> None:
        """The model has taken these steps in."""
        for step in steps:
            self._history = _grown(self._history, step)
            self.steps.append(step)

    def decide(self, logits: Vectors, vector: Vectors) -> tuple[int, float | None]:
        """Level and `Answer.margin`, by the (levels,) logits after the last step and its (width,) input."""
        margin = self._task.margin(logits, vector)
        return self._task.level(logits, vector), margin if math.isfinite(margin) else None


def _grown(history: tuple[PastChunk, ...], step: Step) -> tuple[PastChunk, ...]:
    return history if step.past is None else (*history, step.past)
