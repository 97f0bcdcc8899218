"""One sequence of jobs on a simulated cluster, from decision to decision.

episode = Episode(sequence, ClusterSettings(), seed=1)
while not episode.over:
    episode.give(scheduler.schedule(episode.observation()))
episode.job_times_s
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from player.jobs.observation import NO_JOB, JobsObservation
from player.jobs.policy import Assignment, CompiledJobsRule, IllegalAssignment
from player.jobs.settings import ClusterSettings
from player.jobs.simulated.events import begin, decide
from player.jobs.simulated.pools import free_executors, job_of_pool
from player.jobs.simulated.release_steps import play_release
from player.jobs.simulated.rule_steps import play
from player.jobs.simulated.state import (
    ACTIVE,
    DECISIONS,
    FINISHED,
    JOB_TIME,
    NOW,
    NOWHERE,
    READY,
    SOURCE,
    State,
    copied,
    new_state,
)
from player.jobs.simulated.watching import BEGINS, JOB, LEFT, READY_NOW, STAGE, edges_of, nodes_of
from player.jobs.simulated.world import World, world_of
from traces.jobs.sequence import JobSequence

_ALL = 1 << 40


def seed_of(sequence: JobSequence, seed: int) -> int:
    """63 bits from a sequence and a run's seed: durations differ from sequence to sequence."""
    text = f"{seed}/{sequence.name}/{sequence.sha256}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


class Episode:
    """An episode; equal arguments and equal answers give equal episodes, bit for bit.

    Args:
        world: of the sequence and the cluster, if it is at hand.
    """

    def __init__(
        self,
        sequence: JobSequence,
        cluster: ClusterSettings | None = None,
        seed: int = 0,
        world: World | None = None,
    ) -> None:
        self.sequence, self.cluster = sequence, cluster or ClusterSettings()
        self.world = world_of(sequence, self.cluster) if world is None else world
        self.state = new_state(self.world, seed_of(sequence, seed))
        begin(self.world, self.state)

    @property
    def over(self) -> bool:
        """Whether there is nothing more to decide: all jobs are done, or it is `stuck`."""
        return int(self.state.whole[READY]) == 0

    @property
    def stuck(self) -> bool:
        """Whether jobs wait that no executor was given to, and nothing else will happen."""
        return self.over and int(self.state.whole[FINISHED]) < len(self.sequence)

    @property
    def decisions(self) -> int:
        return int(self.state.whole[DECISIONS])

    @property
    def now_ms(self) -> float:
        return float(self.state.clock[NOW])

    @property
    def job_time_ms(self) -> float:
        """The time that jobs have spent so far, all together; an episode's return is minus this."""
        return float(self.state.clock[JOB_TIME])

    @property
    def job_times_s(self) -> NDArray[np.float64]:
        """(jobs,) from arrival to the end; nan for those that are not done."""
        return np.asarray((self.state.done_ms - self.world.arrival_ms) / 1000.0)

    def copy(self) -> Episode:
        """The same point, to try something from."""
        twin = object.__new__(Episode)
        twin.sequence, twin.cluster, twin.world = self.sequence, self.cluster, self.world
        twin.state = copied(self.state)
        return twin

    def observation(self) -> JobsObservation:
        """What a scheduler sees now."""
        nodes = nodes_of(self.world, self.state)
        active = self.state.active[: self.state.whole[ACTIVE]]
        source = job_of_pool(self.world, int(self.state.whole[SOURCE]))
        places = np.flatnonzero(active == source)
        return JobsObservation(
            now_s=self.now_ms / 1000.0,
            job=nodes[:, JOB],
            left=nodes[:, LEFT],
            duration_ms=self.state.recent_ms[nodes[:, STAGE]],
            ready=nodes[:, READY_NOW] != 0,
            begins=nodes[:, BEGINS] != 0,
            edges=edges_of(self.world, nodes),
            supply=self.state.supply[active],
            age_s=(self.now_ms - self.world.arrival_ms[active]) / 1000.0,
            source=int(places[0]) if len(places) else NO_JOB,
            free=int(free_executors(self.state)),
            executors=self.cluster.executors,
        )

    def give(self, assignment: Assignment) -> None:
        """A scheduler's answer to what it sees now.

        Raises:
            IllegalAssignment: the episode is over, or no such stage is schedulable.
        """
        if self.over:
            raise IllegalAssignment("the episode is over")
        if assignment.stage is None:
            decide(self.world, self.state, NOWHERE, 0)
            return
        nodes = nodes_of(self.world, self.state)
        if not 0 <= assignment.stage < len(nodes) or not nodes[assignment.stage, READY_NOW]:
            raise IllegalAssignment(f"stage {assignment.stage} is not schedulable")
        if assignment.executors < 1:
            raise IllegalAssignment(f"{assignment.executors} executors; expected 1 or more")
        decide(self.world, self.state, int(nodes[assignment.stage, STAGE]), int(assignment.executors))

    def play(self, rule: CompiledJobsRule, decisions: int = _ALL) -> None:
        """Go on by a rule, to the end or for so many decisions."""
        if self.over:
            return
        if rule.release is not None:
            play_release(self.world, self.state, rule.release, decisions)
        else:
            play(self.world, self.state, rule.rule, rule.figure, decisions)


def state_bytes(state: State) -> bytes:
    """All of a state, to be compared."""
    return b"".join(part.tobytes() for part in state)
