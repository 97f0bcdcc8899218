"""Rules for who gets executors: first come, fair shares, shortest first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from player.jobs.observation import JobsObservation
from player.jobs.policy import CompiledJobsRule
from player.jobs.settings import JobsError
from player.jobs.simulated.rule_steps import FAIR, FIFO, LEAST_CAP, SJF, SQRT
from policies.jobs.rule import Rule, same_for_all, work_ms


class Fifo(Rule):
    """Jobs as they came, each with half of the executors at most."""

    def compiled_rule(self) -> CompiledJobsRule:
        """The rule for whole episodes."""
        return CompiledJobsRule(FIFO)

    def caps(self, seen: JobsObservation) -> NDArray[np.int64]:
        """(jobs,) half of the executors, rounded up."""
        return same_for_all(seen, seen.executors / 2)


class Fair(Rule):
    """Jobs as they came, each with an equal share of the executors at most."""

    def compiled_rule(self) -> CompiledJobsRule:
        """The rule for whole episodes."""
        return CompiledJobsRule(FAIR)

    def caps(self, seen: JobsObservation) -> NDArray[np.int64]:
        """(jobs,) the share, rounded up."""
        return same_for_all(seen, seen.executors / max(1, len(seen.supply)))


class ShortestFirst(Rule):
    """Jobs with the least work left first, each with so many executors at most.

    Args:
        cap: executors a job.

    Raises:
        JobsError: a cap under 1.
    """

    def __init__(self, cap: int = 20) -> None:
        if cap < 1:
            raise JobsError(f"sjf: cap={cap}: expected 1 or more executors")
        self._cap = cap

    def compiled_rule(self) -> CompiledJobsRule:
        """The rule for whole episodes."""
        return CompiledJobsRule(SJF, float(self._cap))

    def caps(self, seen: JobsObservation) -> NDArray[np.int64]:
        """(jobs,) the cap."""
        return same_for_all(seen, min(self._cap, seen.executors))

    def order(self, seen: JobsObservation) -> NDArray[np.int64]:
        """(jobs,) least work first; of two alike the one that came first."""
        return np.argsort(work_ms(seen), kind="stable")


class SquareRoot(Rule):
    """Jobs with the least work left first, each with c times the square root of its work in executor-seconds.

    Args:
        c: executors for a job of one executor-second.

    Raises:
        JobsError: a c that is no number over 0.
    """

    def __init__(self, c: float = 0.7) -> None:
        if not 0.0 < c < 1e6:
            raise JobsError(f"sqrt: c={c}: expected a number over 0")
        self._c = c

    def compiled_rule(self) -> CompiledJobsRule:
        """The rule for whole episodes."""
        return CompiledJobsRule(SQRT, self._c)

    def caps(self, seen: JobsObservation) -> NDArray[np.int64]:
        """(jobs,) 3 at least, all executors at most."""
        wanted = np.ceil(self._c * np.sqrt(work_ms(seen) / 1000.0)).astype(np.int64)
        return np.clip(wanted, LEAST_CAP, seen.executors)

    def order(self, seen: JobsObservation) -> NDArray[np.int64]:
        """(jobs,) least work first; of two alike the one that came first."""
        return np.argsort(work_ms(seen), kind="stable")
