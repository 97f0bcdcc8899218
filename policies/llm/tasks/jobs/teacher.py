"""Who teaches the model of jobs, and who plays while it is taught."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from player.jobs.policy import Assignment, JobsPolicy
from player.jobs.simulated.episode import Episode
from policies.jobs.decima.policy import Decima
from policies.jobs.release import Release
from policies.jobs.rules import Fair
from policies.jobs.teacher import Teacher
from policies.llm.tasks.jobs.names import DECIMA, LOOKS_AHEAD, RELEASE, TEACHERS
from policies.llm.tasks.jobs.play import Drives, Moment

ASTRAY = 0.15
"""Of decisions that are drawn."""
PLAYERS = ("itself", "astray", "fair")
"""The teacher, the teacher gone astray, and a rule that is far from it."""


class TaughtBy:
    """A teacher beside some episodes.

    Raises:
        ValueError: no such teacher.
    """

    def __init__(self, name: str, episodes: Sequence[Episode]) -> None:
        self._policies = [_teacher(name, episode) for episode in episodes]
        self._last: tuple[Moment | None, Assignment | None] = (None, None)

    def __call__(self, moment: Moment) -> Assignment:
        """What it would answer."""
        last, answer = self._last
        if moment is not last or answer is None:
            answer = self._policies[moment.episode].schedule(moment.seen)
            self._last = moment, answer
        return answer


def _teacher(name: str, episode: Episode) -> JobsPolicy:
    if name == LOOKS_AHEAD:
        policy = Teacher()
        policy.watch(episode)
        return policy
    made: dict[str, Callable[[], JobsPolicy]] = {RELEASE: Release, DECIMA: Decima}
    if name not in made:
        raise ValueError(f"teacher {name!r}; there are {', '.join(TEACHERS)}")
    return made[name]()


def drives_of(player: str, teaches: TaughtBy, random: np.random.Generator) -> Drives:
    """One of `PLAYERS`."""
    if player == "fair":
        fair = Fair()
        return lambda moments: [fair.schedule(moment.seen) for moment in moments]
    if player == "astray":
        return lambda moments: [
            _drawn(moment, random) if random.random() < ASTRAY else teaches(moment) for moment in moments
        ]
    return lambda moments: [teaches(moment) for moment in moments]


def _drawn(moment: Moment, random: np.random.Generator) -> Assignment:
    """Any stage, any number."""
    stage = int(random.choice(np.flatnonzero(moment.seen.ready)))
    return Assignment(stage, int(random.integers(1, moment.seen.free + 1)))
