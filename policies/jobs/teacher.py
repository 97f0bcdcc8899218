"""The teacher: tries answers to the end of the next jobs, in the simulator that it plays in."""

from __future__ import annotations

import numpy as np

from player.jobs.observation import JobsObservation
from player.jobs.policy import Assignment
from player.jobs.settings import ClusterSettings, JobsError
from player.jobs.simulated.episode import Episode
from player.jobs.simulated.state import NOWHERE
from player.jobs.simulated.trying import best_answer
from player.jobs.simulated.watching import STAGE, nodes_of
from policies.jobs.release import Release


class Teacher:
    """Of some answers the one after which the jobs that are there and the next ones end soonest, in sum, if
    `release` goes on from there. It knows what is to come, so it is no scheduler but what one learns from.

    Args:
        jobs: so many of the rule's shortest jobs are tried, each with its cap and with all that is free.
        ahead: jobs that have not come yet and count, too.
        least_free: with fewer free executors the rule answers.

    Raises:
        JobsError: a number below 1, or below 0 of those ahead.
    """

    def __init__(self, jobs: int = 1, ahead: int = 0, least_free: int = 1) -> None:
        for name, value, least in (("jobs", jobs, 1), ("ahead", ahead, 0), ("least_free", least_free, 1)):
            if value < least:
                raise JobsError(f"teacher: {name}={value}: expected {least} or more")
        self._jobs, self._ahead, self._least_free = int(jobs), int(ahead), int(least_free)
        self._rule = Release()
        self._episode: Episode | None = None

    def watch(self, episode: Episode) -> None:
        """The episode that is played."""
        self._episode, self._copy = episode, episode.copy()

    def reset(self, cluster: ClusterSettings, seed: int) -> None:
        """Nothing is kept from decision to decision."""
        del cluster, seed

    def schedule(self, seen: JobsObservation) -> Assignment:
        """The best answer.

        Raises:
            JobsError: there is no episode to try it in.
        """
        if self._episode is None:
            raise JobsError("teacher: plays in the simulator alone, where it can see what is to come")
        if seen.free < self._least_free:
            return self._rule.schedule(seen)
        world, state = self._episode.world, self._episode.state
        figures = self._rule.figures
        stage, executors = best_answer(world, state, self._copy.state, figures, self._jobs, self._ahead)
        if stage == NOWHERE:
            return Assignment(None)
        (place,) = np.flatnonzero(nodes_of(world, state)[:, STAGE] == stage)
        return Assignment(int(place), int(executors))
