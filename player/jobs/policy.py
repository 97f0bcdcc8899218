"""What a scheduler of jobs is: two calls, and an answer of a stage and a number of executors.

A policy is any object with `reset(cluster, seed)` and `schedule(observation)`. One that also has
`compiled_rule()` is played without Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from player.jobs.observation import JobsObservation
from player.jobs.settings import ClusterSettings
from player.policy import BY_POLICY, shortly


@dataclass(frozen=True, slots=True)
class Assignment:
    """Executors for a stage."""

    stage: int | None
    """A place among the observation's stages, one that is ready; None: none of those that are left over."""
    executors: int = 1
    """Cut to what is free and to what the stage can take."""
    by: str = BY_POLICY


@dataclass(frozen=True)
class CompiledJobsRule:
    """A rule of `player/jobs/simulated/rule_steps.py`, or of `release_steps.py`."""

    rule: int
    figure: float = 0.0
    release: tuple[float, float, float] | None = None
    """The figures of `release`, which it then is."""


@runtime_checkable
class JobsPolicy(Protocol):
    """A scheduler."""

    def reset(self, cluster: ClusterSettings, seed: int) -> None:
        """A new episode begins: forget the last one."""

    def schedule(self, observation: JobsObservation) -> Assignment:
        """Whom to give free executors; asked again until none is left, or no stage can take any."""


@runtime_checkable
class HasCompiledJobsRule(Protocol):
    """A policy that is played without Python."""

    def compiled_rule(self) -> CompiledJobsRule:
        """The rule."""


@runtime_checkable
class SchedulesTogether(Protocol):
    """A scheduler whose decisions for many simulated episodes cost less when they are made at once.

    Each episode still has an object of its own, reset as ever; one of them is handed the questions of all.
    """

    def another(self) -> JobsPolicy:
        """A new one, made by the same arguments; called before any `reset`."""

    def together(self) -> int:
        """How many episodes may be decided at once at the most; 1: none. Loads nothing."""

    def ready_together(self) -> int:
        """Load what it takes; how many may be decided at once in this process, each as it would be alone, to
        the last digit."""

    def schedule_together(self, asked: Sequence[tuple[JobsPolicy, JobsObservation]]) -> Sequence[object]:
        """What `schedule` of each would have answered, or the exception that it would have raised.

        Args:
            asked: policies made by the same spec, each at most once, and what its episode's scheduler sees.
        """


class IllegalAssignment(ValueError):
    """A policy's answer is none."""


def checked_assignment(answer: object, seen: JobsObservation) -> Assignment:
    """The answer.

    Raises:
        IllegalAssignment: not an Assignment, a stage that is not ready, fewer executors than 1.
    """
    if not isinstance(answer, Assignment):
        raise IllegalAssignment(f"answered {shortly(answer)}; expected an Assignment")
    if answer.stage is None:
        return answer
    if not 0 <= answer.stage < len(seen.ready) or not seen.ready[answer.stage]:
        raise IllegalAssignment(f"answered stage {answer.stage}, which is not schedulable")
    if not answer.executors >= 1:
        raise IllegalAssignment(f"answered {answer.executors} executors; expected 1 or more")
    return answer
