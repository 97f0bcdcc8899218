"""How an adapter learns a task from a pool: the loss, the student's own sessions, and what chooses.

A task brings its own (`Task.course`); `Imitation` is what one has that brings none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from policies.llm.engine.engine import Engine
from policies.llm.head import Choice, Pointer
from policies.llm.learning.pool import Experience
from policies.llm.learning.settings import DISTILL, AdaptError, LearningSettings
from policies.llm.model import heads
from policies.llm.task import Task

Floats = NDArray[np.float64]
MakeEngine = Callable[[int], Engine]
"""An engine of the adapter as it is now, with so many slots."""


@dataclass(frozen=True)
class Batch:
    """Sessions of one step of the optimizer: B of T steps."""

    vectors: torch.Tensor
    """(B, T, width)."""
    scores: torch.Tensor
    """(B, T, what the head learns by) what the teacher says."""
    answers: torch.Tensor
    """(B, T) what was taken of a choice, else (B, T, numbers)."""
    kinds: torch.Tensor
    """(B,) of the scores."""


class Course(ABC):
    """How one task is learned from one pool."""

    objectives: tuple[str, ...] = (DISTILL,)
    told: tuple[str, ...] = ()
    """Of the pool's facts, what an adapter's notes repeat."""
    plays: bool = False
    """Whether the student can play sessions of its own."""
    return_at: int | None = None
    """Where a step's vector holds the return that is asked for; None where none is."""
    gained: str = "score"
    """What `gains` are, in words."""
    cluster: str = "session"
    """What sessions that choose have in common where they are not independent, in a word: intervals draw
    whole ones."""

    @abstractmethod
    def begin(self, experience: Experience, settings: LearningSettings) -> Experience:
        """What is learned from; the rest may be kept to choose by.

        Raises:
            AdaptError: the pool cannot be learned from.
        """

    @abstractmethod
    def loss(self, objective: str, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """A number that falls as (B, T, head width) outputs come nearer to what is taught."""

    @abstractmethod
    def gains(self, engine: Engine, target: float | None) -> dict[str, Floats]:
        """By set: what the student gains over a baseline in each session that chooses.

        Args:
            target: the return to ask for; None asks for none.
        """

    @abstractmethod
    def score(self, gains: Mapping[str, Floats]) -> float:
        """One number that says how good the student is."""

    @property
    @abstractmethod
    def sessions(self) -> int:
        """The most that `gains` plays at once."""

    def clusters(self) -> dict[str, Sequence[str]]:
        """By set of `gains`, where several sessions are of one `cluster`: which one each is of."""
        return {}

    def specialists(self) -> dict[str, dict[str, Floats]]:
        """By name: what the small nets that are shipped for the task gain in the sessions that choose."""
        return {}

    def teacher_score(self) -> float | None:
        """What `score` is for the teacher, where it has one."""
        return None

    def own(self, make: MakeEngine, number: int, seed: tuple[int, ...], threads: int) -> Experience:
        """So many sessions that the student plays itself, with what the teacher says; where it `plays`."""
        raise NotImplementedError  # not abstract: only a course that says `plays` is asked, and has one

    def agreed(self, experience: Experience) -> float:
        """Share of the steps in which what was taken is what the teacher would take; of choices."""
        return float((experience.answers == experience.scores.argmax(-1)).mean())

    def conclusion(self, score: float, teacher: float | None) -> str:
        """The score in words."""
        return f"{score:+.3f}" + ("" if teacher is None else f"; the teacher has {teacher:+.3f}")


class Imitation(Course):
    """What the pool's scores say is learned; one session in `HELD_OUT` is kept to choose by.

    The score of a choice is the share of kept steps in which the best answer is the teacher's; of other heads
    it is the negative loss.
    """

    HELD_OUT = 5

    def __init__(self, task: Task, facts: Mapping[str, Any]) -> None:
        self._task = task
        self.told = tuple(name for name in ("seed",) if name in facts)
        self._kept: Experience | None = None

    def begin(self, experience: Experience, settings: LearningSettings) -> Experience:
        kept = np.arange(len(experience)) % self.HELD_OUT == 0
        if kept.all():
            raise AdaptError(
                f"a pool of {len(experience)} sessions: none is left to learn from; collect more"
            )
        self._kept = _where(experience, kept)
        return _where(experience, ~kept)

    def loss(self, objective: str, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        return heads.loss(self._task.head, outputs, batch.scores)

    @property
    def sessions(self) -> int:
        assert self._kept is not None
        return len(self._kept)

    def gains(self, engine: Engine, target: float | None) -> dict[str, Floats]:
        assert self._kept is not None
        kept = self._kept
        outputs = np.stack([_outputs(engine, vectors) for vectors in kept.vectors])
        if isinstance(self._task.head, Choice | Pointer):
            same = outputs.argmax(-1) == kept.scores.argmax(-1)
            return {"held out": same.mean(-1).astype(np.float64)}
        losses = [
            -heads.loss(self._task.head, torch.from_numpy(output), torch.from_numpy(taught)).item()
            for output, taught in zip(outputs, kept.scores, strict=True)
        ]
        return {"held out": np.array(losses)}

    def score(self, gains: Mapping[str, Floats]) -> float:
        return float(np.mean([values.mean() for values in gains.values()]))


def _where(experience: Experience, chosen: NDArray[np.bool_]) -> Experience:
    return Experience(**{each.name: getattr(experience, each.name)[chosen] for each in fields(Experience)})


def _outputs(engine: Engine, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, head width) of a session's (T, width), step by step."""
    slot = engine.open()
    try:
        return np.stack([engine.forward([(slot, step[None])])[0] for step in vectors])
    finally:
        engine.close(slot)
