"""A task as the study learns it: its pool, what of it is learned from, and the sessions that choose."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from policies.generalist.rows import TaskRow, numbered, weights_of
from policies.llm.learning import batches, pool
from policies.llm.learning.course import Batch, Course, Floats, Imitation
from policies.llm.learning.pool import Experience
from policies.llm.learning.settings import LearningSettings
from policies.llm.task import Task, TaskError, task_named
from traces.safe_reading import BadFileError, read_json_object

DIGEST = 12
"""Of a pool's digest."""


@dataclass(frozen=True)
class Lesson:
    """One task, its course begun: nothing of the sessions that choose is among what is learned from."""

    task: Task
    course: Course
    held: Experience
    pool: str
    """Begin of the digest of its manifest."""
    batch: int
    """Sessions of a step."""

    @classmethod
    def of(cls, folder: Path, tokens: int, judged: int, settings: LearningSettings) -> Lesson:
        """A pool's.

        Args:
            tokens: of a step, about: sessions of other tasks may be longer.
            judged: tokens of the sessions of a source that choose, about.

        Raises:
            PoolError, AdaptError, TaskError, DataError: it can't be learned from.
        """
        task = task_of(folder)
        held, facts = pool.read(folder, task)
        course: Course = task.course(facts) or Imitation(task, facts)
        steps = held.answers.shape[1]
        learned = course.begin(held, replace(settings, validation_sessions=max(round(judged / steps), 1)))
        digest = hashlib.sha256((folder / pool.MANIFEST).read_bytes()).hexdigest()[:DIGEST]
        return cls(task, course, learned, digest, max(round(tokens / steps), 1))

    def share(self, percent: float, seed: int) -> Lesson:
        """A share of the sessions that are learned from: with one seed a larger share holds the smaller
        ones."""
        order = np.random.default_rng([seed, 0x5EED]).permutation(len(self.held))
        kept = np.sort(order[: max(round(len(self.held) * percent / 100.0), 1)])
        some = Experience(**{each.name: getattr(self.held, each.name)[kept] for each in fields(Experience)})
        return Lesson(self.task, self.course, some, self.pool, min(self.batch, len(kept)))

    @property
    def steps(self) -> int:
        """Of a session."""
        return int(self.held.answers.shape[1])

    def seen(self) -> torch.Tensor:
        """(steps, width) of all sessions; steps after a session's end, which are zeros, left out."""
        whole = torch.from_numpy(self.held.vectors).flatten(0, 1)
        return whole[whole.any(1)]

    def drawn(self, seed: int, step: int, device: torch.device) -> Batch:
        """The sessions of a step."""
        rows, begin = batches.drawn(self.held, self.batch, seed, step)
        return batches.batch_of(self.task, self.held, rows, begin, self.held.vectors[rows], device)

    @cached_property
    def teacher(self) -> float | None:
        """The teacher's score."""
        return self.course.teacher_score()

    def row(self, gains: dict[str, Floats]) -> TaskRow:
        """What holds for the task.

        Args:
            gains: of any run.
        """
        return TaskRow(
            task=self.task.name,
            gained=self.course.gained,
            cluster=self.course.cluster,
            clusters=numbered(self.course.clusters(), gains),
            weights=weights_of(self.course.score, gains),
            pool=self.pool,
            teacher=self.teacher,
        )


def task_of(folder: Path) -> Task:
    """Whose a pool is.

    Raises:
        PoolError: it says nothing of it.
        TaskError: there is no such task.
    """
    try:
        named: Any = read_json_object(folder / pool.MANIFEST).get("task")
    except (OSError, BadFileError):
        named = None
    if not isinstance(named, str):
        raise pool.PoolError(f"{folder}: no pool; make one with: python -m policies.llm collect --task NAME")
    return task_named(named)


def lessons_of(
    folders: Sequence[Path], tokens: int, judged: int, settings: LearningSettings
) -> dict[str, Lesson]:
    """By task.

    Raises:
        TaskError: two pools of one task.
        PoolError, AdaptError, DataError: as `Lesson.of`.
    """
    found: dict[str, Lesson] = {}
    for folder in folders:
        lesson = Lesson.of(folder, tokens, judged, settings)
        if lesson.task.name in found:
            raise TaskError(f"--pool {folder}: a second pool of the task {lesson.task.name}; name one a task")
        found[lesson.task.name] = lesson
    return dict(sorted(found.items()))
