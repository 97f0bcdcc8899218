"""A whole episode by a policy, and what is recorded of it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from player.faults import is_interrupt, one_line
from player.jobs.policy import (
    CompiledJobsRule,
    HasCompiledJobsRule,
    JobsPolicy,
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
    by, why = _play(episode, policy, seed)
    return Played(episode, rows_of(episode), _end(episode, by, why))


def _play(episode: Episode, policy: JobsPolicy, seed: int) -> tuple[Counter[str], str]:
    """By whom decisions were, and why the fallback decided first."""
    by, why = Counter[str](), ""
    fault = _fault_of(lambda: policy.reset(episode.cluster, seed))
    while not episode.over:
        seen = episode.observation()
        answer = None
        if not fault:
            try:
                answer = checked_assignment(policy.schedule(seen), seen)
            except BaseException as error:
                if is_interrupt(error):
                    raise
                fault_now = one_line(error)
                why = why or fault_now
        if answer is None:
            episode.play(FALLBACK, 1)
            by[BY_FALLBACK] += 1
        else:
            episode.give(answer)
            by[answer.by] += 1
    return by, fault or why


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
