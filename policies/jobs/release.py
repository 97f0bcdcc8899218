"""The rule that lets executors go: the shortest job first, whoever has them now."""

from __future__ import annotations

import math

import numpy as np

from player.jobs.observation import JobsObservation
from player.jobs.policy import Assignment, CompiledJobsRule
from player.jobs.settings import ClusterSettings, JobsError
from player.jobs.simulated.rule_steps import LEAST_CAP, RELEASE
from policies.jobs.rule import stage_of, work_ms


class Release:
    """Jobs with the least work left first; one that holds enough lets executors go to others.

    Its figures were found on members 20000 to 20013 of `tpch`, which no table is made of.

    Args:
        c: a job's cap is c times the square root of its work in executor-seconds.
        keep: of its cap that a job keeps of executors that become free there.
        spread: of their caps that jobs get where else executors would idle.

    Raises:
        JobsError: one that is no number over 0.
    """

    def __init__(self, c: float = 0.8, keep: float = 2.0, spread: float = 2.0) -> None:
        self.figures = (float(c), float(keep), float(spread))
        for name, value in zip(("c", "keep", "spread"), self.figures, strict=True):
            if not 0.0 < value < 1e6:
                raise JobsError(f"release: {name}={value}: expected a number over 0")

    def compiled_rule(self) -> CompiledJobsRule:
        """The rule for whole episodes."""
        return CompiledJobsRule(RELEASE, release=self.figures)

    def reset(self, cluster: ClusterSettings, seed: int) -> None:
        """Nothing is kept from decision to decision."""
        del cluster, seed

    def schedule(self, seen: JobsObservation) -> Assignment:
        """The rule's answer."""
        work_s = work_ms(seen) / 1000.0
        for last in (False, True):
            for job in np.argsort(work_s, kind="stable"):
                if job != seen.source and seen.supply[job] >= seen.executors:
                    continue
                room = self._room(seen, int(job), float(work_s[job]), last)
                if room > 0 and (stage := stage_of(seen, int(job))) is not None:
                    return Assignment(stage, min(seen.free, room))
        return Assignment(None)

    def _room(self, seen: JobsObservation, job: int, work_s: float, last: bool) -> int:
        """Executors that the job may get now; `last`: all are at their caps."""
        c, keep, spread = self.figures
        wanted, has = max(LEAST_CAP, math.ceil(c * math.sqrt(work_s))), int(seen.supply[job])
        if job != seen.source:
            return math.ceil(wanted * (spread if last else 1.0)) - has
        return seen.free if last else math.ceil(wanted * keep) - (has - seen.free)
