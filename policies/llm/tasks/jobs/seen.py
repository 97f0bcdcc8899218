"""From what a scheduler sees to a step of the model, and what it remembers from decision to decision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.jobs.observation import NO_JOB, JobsObservation
from player.jobs.policy import Assignment
from policies.llm.tasks.jobs.wire import MOST_STAGES, Given, JobStep, Previous

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class SeenStep:
    """A step, and where its stages stand among the observation's."""

    step: JobStep
    kept: Whole
    """(stages of the step,)"""

    def assignment(self, given: Given, by: str) -> Assignment:
        """An answer as the cluster hears it."""
        if given.stage is None:
            return Assignment(None, by=by)
        return Assignment(int(self.kept[given.stage]), given.executors, by)


class JobsMemory:
    """What one scheduler remembers of its last decision."""

    def __init__(self) -> None:
        self._at_s, self._executors, self._work_s = -1.0, 0, 0.0

    def step(self, seen: JobsObservation) -> SeenStep:
        """The step of what is seen now."""
        previous = None
        if self._at_s >= 0.0:
            previous = Previous(self._executors, self._work_s, max(seen.now_s - self._at_s, 0.0))
        return step_of(seen, previous)

    def gave(self, seen: JobsObservation, answer: Assignment | None) -> None:
        """What was answered to that; None: nobody knows, for somebody else answered."""
        self._at_s, self._executors, self._work_s = seen.now_s, 0, 0.0
        if answer is not None and answer.stage is not None:
            self._executors = min(answer.executors, seen.free)
            self._work_s = float(work_s_of(seen)[seen.job[answer.stage]])


def work_s_of(seen: JobsObservation) -> NDArray[np.float64]:
    """(jobs,) what is left of each, executor-s: tasks that have not begun times the newest duration."""
    return np.bincount(seen.job, seen.left * seen.duration_ms, len(seen.supply)) / 1000.0


def kept_of(seen: JobsObservation, work_s: NDArray[np.float64]) -> Whole:
    """Which stages a step tells of: all; of more than `MOST_STAGES` first those that can take executors, then
    the others, both by job: the one that gives its executors, then those with the least work left."""
    count = len(seen.job)
    if count <= MOST_STAGES:
        return np.arange(count)
    first = np.where(np.arange(len(work_s)) == seen.source, -1.0, work_s)
    order = np.lexsort((np.arange(count), first[seen.job], ~seen.ready))
    return np.sort(order[:MOST_STAGES])


def step_of(seen: JobsObservation, previous: Previous | None) -> SeenStep:
    """The step, and which stages it tells of. What it says of a job is true of the whole job."""
    work_s = work_s_of(seen)
    kept = kept_of(seen, work_s)
    if len(kept) == len(seen.job):
        jobs, job, edges, source = np.arange(len(work_s)), seen.job, seen.edges, seen.source
    else:
        jobs, job = np.unique(seen.job[kept], return_inverse=True)
        row = np.full(len(seen.job), -1)
        row[kept] = np.arange(len(kept))
        edges = row[seen.edges]
        edges = edges[(edges >= 0).all(axis=1)]
        source = int(np.flatnonzero(jobs == seen.source)[0]) if seen.source in jobs else NO_JOB
    step = JobStep(
        tuple(seen.supply[jobs].tolist()),
        tuple(seen.age_s[jobs].tolist()),
        tuple(work_s[jobs].tolist()),
        tuple(job.tolist()),
        tuple(seen.left[kept].tolist()),
        tuple(seen.duration_ms[kept].tolist()),
        tuple(seen.ready[kept].astype(np.int64).tolist()),
        tuple(seen.begins[kept].astype(np.int64).tolist()),
        tuple(map(tuple, edges.tolist())),
        source,
        seen.free,
        previous,
    )
    return SeenStep(step, kept)
