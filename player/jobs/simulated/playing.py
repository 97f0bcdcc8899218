"""A whole episode by a policy, and what is recorded of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from player.faults import is_interrupt, one_line
from player.jobs.observation import JobsObservation
from player.jobs.policy import (
    CompiledJobsRule,
    HasCompiledJobsRule,
    JobsPolicy,
    SchedulesTogether,
    checked_assignment,
)
from player.jobs.record import JobRow
from player.jobs.settings import ClusterSettings
from player.jobs.simulated.episode import Episode
from player.jobs.simulated.rule_steps import FAIR
from player.policy import BY_FALLBACK, BY_POLICY
from player.record import FINISHED
from player.tasks.record import TaskEnd
from traces.jobs.sequence import JobSequence

FALLBACK = CompiledJobsRule(FAIR)
"""Decides in the place of a policy that has none, or an illegal answer."""
STUCK = "stuck"


@runtime_checkable
class WatchesEpisode(Protocol):
    """A policy that tries its answers in the simulator: it knows what is to come."""

    def watch(self, episode: Episode) -> None:
        """The episode that is played, before it begins; not to be changed."""


@dataclass(frozen=True)
class Played:
    """What came of it."""

    episode: Episode
    rows: tuple[JobRow, ...]
    end: TaskEnd


def play_jobs(sequence: JobSequence, cluster: ClusterSettings, policy: Any, seed: int) -> Played:
    """Play an episode to its end.

    Args:
        policy: a `JobsPolicy`, or one with a compiled rule, which is played without Python.
        seed: of durations and of the policy.
    """
    episode = Episode(sequence, cluster, seed)
    if isinstance(policy, HasCompiledJobsRule):
        episode.play(policy.compiled_rule())
        return Played(episode, rows_of(episode), _end(episode, Counter({BY_POLICY: episode.decisions}), ""))
    if isinstance(policy, WatchesEpisode):
        policy.watch(episode)
    seat = Seat(episode, policy, seed)
    while not episode.over:
        seat.ask()
    return seat.played()


def play_together(
    sequences: Sequence[JobSequence], cluster: ClusterSettings, policy: SchedulesTogether, seed: int
) -> list[Played]:
    """Play an episode of each sequence to its end, as many at once as the policy can; each comes out as it
    would alone.

    Args:
        seed: of durations and of the policy, for each.
    """
    try:
        most = policy.ready_together()
    except Exception:  # each episode's reset says it again
        most = 1
    found: list[Played] = []
    for begin in range(0, len(sequences), most):
        part = sequences[begin : begin + most]
        seats = [Seat(Episode(sequence, cluster, seed), policy.another(), seed) for sequence in part]
        while playing := [seat for seat in seats if not seat.episode.over]:
            _ask_together(playing)
        found += [seat.played() for seat in seats]
    return found


def _ask_together(seats: Sequence[Seat]) -> None:
    """Have all questions answered at once; what is raised for all is each one's fault."""
    able = [seat for seat in seats if not seat.fault]
    asked = [(seat.policy, seat.episode.observation()) for seat in able]
    answers: Sequence[object] = []
    if asked:
        spokesman = able[0].policy
        assert isinstance(spokesman, SchedulesTogether)
        try:
            answers = spokesman.schedule_together(asked)
        except BaseException as error:
            if is_interrupt(error):
                raise
            answers = [error] * len(asked)
    for seat, (_, seen), answer in zip(able, asked, answers, strict=True):
        seat.settle(answer, seen)
    for seat in seats:
        if seat.fault:
            seat.stand_in()


class Seat:
    """An episode and its scheduler. Who can't begin is never asked: the fallback decides all.

    Args:
        seed: of the policy.
    """

    def __init__(self, episode: Episode, policy: JobsPolicy, seed: int) -> None:
        self.episode, self.policy = episode, policy
        self._by, self._why = Counter[str](), ""
        self.fault = _fault_of(lambda: policy.reset(episode.cluster, seed))
        """Why it can't begin; empty where it can."""

    def ask(self) -> None:
        """One decision."""
        if self.fault:
            self.stand_in()
            return
        seen = self.episode.observation()
        try:
            answer: object = self.policy.schedule(seen)
        except BaseException as error:
            answer = error
        self.settle(answer, seen)

    def settle(self, answer: object, seen: JobsObservation) -> None:
        """Take an answer to what is seen, or what was raised in its place."""
        try:
            if isinstance(answer, BaseException):
                raise answer
            given = checked_assignment(answer, seen)
        except BaseException as error:
            if is_interrupt(error):
                raise
            self._why = self._why or one_line(error)
            self.stand_in()
            return
        self.episode.give(given)
        self._by[given.by] += 1

    def stand_in(self) -> None:
        """The fallback decides."""
        self.episode.play(FALLBACK, 1)
        self._by[BY_FALLBACK] += 1

    def played(self) -> Played:
        """What came of it."""
        end = _end(self.episode, self._by, self.fault or self._why)
        return Played(self.episode, rows_of(self.episode), end)


def _fault_of(call: Any) -> str:
    try:
        call()
    except BaseException as error:
        if is_interrupt(error):
            raise
        return one_line(error)
    return ""


def rows_of(episode: Episode) -> tuple[JobRow, ...]:
    """A row a job, to the microsecond."""
    return tuple(
        JobRow(
            job.name,
            len(job.stages),
            job.tasks,
            round(float(arrival) / 1000.0, 6),
            None if math.isnan(done) else round(float(done) / 1000.0, 6),
        )
        for job, arrival, done in zip(
            episode.sequence.jobs, episode.world.arrival_ms, episode.state.done_ms, strict=True
        )
    )


def _end(episode: Episode, by: Counter[str], why: str) -> TaskEnd:
    if episode.stuck:
        why = why or "jobs wait that no executor was given to"
    return TaskEnd(STUCK if episode.stuck else FINISHED, why, episode.decisions, dict(by))
