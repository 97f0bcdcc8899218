"""What the rules have in common: a compiled rule, and `schedule`, which says the same of what it sees."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from player.jobs.observation import JobsObservation
from player.jobs.policy import Assignment, CompiledJobsRule
from player.jobs.settings import ClusterSettings


class Rule(ABC):
    """First the job whose executors are free, then others in some order, each up to a cap."""

    @abstractmethod
    def compiled_rule(self) -> CompiledJobsRule:
        """The rule for whole episodes."""

    @abstractmethod
    def caps(self, seen: JobsObservation) -> NDArray[np.int64]:
        """(jobs,) executors that each may hold."""

    def order(self, seen: JobsObservation) -> NDArray[np.int64]:
        """(jobs,) places, first served first: as they came."""
        return np.arange(len(seen.supply))

    def reset(self, cluster: ClusterSettings, seed: int) -> None:
        """Nothing is kept from decision to decision."""
        del cluster, seed

    def schedule(self, seen: JobsObservation) -> Assignment:
        """The rule's answer."""
        if seen.source >= 0 and (stage := stage_of(seen, seen.source)) is not None:
            return Assignment(stage, seen.free)
        caps = self.caps(seen)
        for job in self.order(seen):
            if job == seen.source or seen.supply[job] >= caps[job]:
                continue
            if (stage := stage_of(seen, int(job))) is not None:
                return Assignment(stage, min(seen.free, int(caps[job] - seen.supply[job])))
        return Assignment(None)


def stage_of(seen: JobsObservation, job: int) -> int | None:
    """The job's first schedulable stage whose parents are done, else its first."""
    ready = np.flatnonzero(seen.ready & (seen.job == job))
    if not len(ready):
        return None
    begins = ready[seen.begins[ready]]
    return int(begins[0] if len(begins) else ready[0])


def work_ms(seen: JobsObservation) -> NDArray[np.float64]:
    """(jobs,) what is left of each, in executor-ms: tasks that have not begun times the newest duration.

    Summed stage after stage, as the compiled rule does.
    """
    total = np.zeros(len(seen.supply))
    for job, work in zip(seen.job, seen.left * seen.duration_ms, strict=True):
        total[job] += work
    return total


def same_for_all(seen: JobsObservation, cap: float) -> NDArray[np.int64]:
    """(jobs,) one cap for every job."""
    return np.full(len(seen.supply), math.ceil(cap), np.int64)
