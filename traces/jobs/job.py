"""A job: a graph of stages, each of so many tasks, and how long a task takes.

A task's duration depends on how many executors the job has (`LEVELS`) and on what its executor did before
(`WAVES`). This is how the published measurements of Spark are laid out (Mao et al., SIGCOMM 2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from traces.trace import TraceError

WAVES = ("fresh", "first", "rest")
"""The executor came to the job, or idled; it came from another stage of the job; it goes on in its stage."""
LEVELS = (2, 5, 10, 20, 40, 50, 60, 80, 100)
"""Executors at the job, for which durations are asked for."""
MOST_LEVEL = 1000
"""Other numbers may be known of a stage, too: its highest stands for what it lacks."""
MOST_STAGES = 256
MOST_TASKS = 100_000


@dataclass(frozen=True)
class Spread:
    """Durations of equal chance: each of `values` times `scale_ms`, in ms.

    `values` may be shared by many spreads.
    """

    scale_ms: float
    values: NDArray[np.float64]

    @property
    def mean_ms(self) -> float:
        return self.scale_ms * float(self.values.mean())


@dataclass(frozen=True)
class Stage:
    """One stage: it may begin when all its parents are done."""

    tasks: int
    parents: tuple[int, ...]
    """Places in the job's stages."""
    durations: Mapping[str, Mapping[int, Spread]]
    """By wave, then by level. What is not known is not there, or has no values."""
    rough_ms: float
    """What a scheduler is told of a task's duration before one has run: the mean over all that is known."""

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """Levels that the stage has, known or not for a wave."""
        return tuple(sorted(self.durations["first"]))


@dataclass(frozen=True)
class Job:
    """A job, without when it arrives."""

    name: str
    """`tpch-q9-50g`."""
    stages: tuple[Stage, ...]

    @property
    def tasks(self) -> int:
        return sum(stage.tasks for stage in self.stages)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """Of each stage: those that wait for it, in order."""
        found: list[list[int]] = [[] for _ in self.stages]
        for place, stage in enumerate(self.stages):
            for parent in stage.parents:
                found[parent].append(place)
        return tuple(map(tuple, found))


class JobError(TraceError):
    """What is no job, and why."""


def faults_of(job: Job) -> list[str]:
    """Why a job cannot be run; empty if it can."""
    found = []
    if not 1 <= len(job.stages) <= MOST_STAGES:
        found.append(f"{len(job.stages)} stages; expected 1 to {MOST_STAGES}")
    for place, stage in enumerate(job.stages):
        found += [f"stage {place}: {fault}" for fault in _stage_faults(stage, place, len(job.stages))]
    if not found and (waiting := _never_ready(job.stages)):
        found.append(f"stages {', '.join(map(str, waiting))} wait for each other, or for themselves")
    return found


def _stage_faults(stage: Stage, place: int, stages: int) -> list[str]:
    found = []
    if not 1 <= stage.tasks <= MOST_TASKS:
        found.append(f"{stage.tasks} tasks; expected 1 to {MOST_TASKS}")
    wrong = [parent for parent in stage.parents if not 0 <= parent < stages]
    if wrong:
        found.append(f"parent {wrong[0]} is no stage of this job")
    if set(stage.durations) != set(WAVES):
        found.append(f"waves {', '.join(sorted(stage.durations))}; expected {', '.join(WAVES)}")
        return found
    for wave, by_level in stage.durations.items():
        if unknown := [level for level in by_level if not 1 <= level <= MOST_LEVEL]:
            found.append(f"{wave}: {unknown[0]} executors; expected 1 to {MOST_LEVEL}")
        if any(not _are_durations(spread) for spread in by_level.values()):
            found.append(f"{wave}: a duration that is no number of ms from 0 up")
    if not any(_known(stage, wave) for wave in ("first", "fresh")):
        found.append("no duration of a first task is known")
    return found


def _are_durations(spread: Spread) -> bool:
    values = spread.values * spread.scale_ms
    return bool(np.isfinite(values).all() and (values >= 0.0).all())


def _known(stage: Stage, wave: str) -> bool:
    return any(len(spread.values) for spread in stage.durations[wave].values())


def _never_ready(stages: Sequence[Stage]) -> list[int]:
    """Stages that no order of work reaches."""
    left = set(range(len(stages)))
    while ready := {place for place in left if not left & set(stages[place].parents)}:
        left -= ready
    return sorted(left)


def checked(job: Job) -> Job:
    """The job.

    Raises:
        JobError: it cannot be run; says why.
    """
    if faults := faults_of(job):
        raise JobError(f"{job.name}: {faults[0]}")
    return job
