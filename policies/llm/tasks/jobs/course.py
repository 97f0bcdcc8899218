"""How `jobs` is learned: the likelihood of the teacher's answers, and rounds of the student's own episodes.

The score is how many seconds of a job's time the student is ahead of `fair`, in the mean over sequences that
were held out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from player.jobs.policy import CompiledJobsRule
from player.jobs.settings import ClusterSettings
from player.jobs.simulated.episode import Episode
from player.jobs.simulated.rule_steps import FAIR
from policies.llm.engine.engine import Engine
from policies.llm.learning.course import Batch, Course, Floats, MakeEngine
from policies.llm.learning.pool import Experience
from policies.llm.learning.settings import LearningSettings
from policies.llm.model import heads
from policies.llm.tasks.jobs.collect import A_JOB, episodes_of, sequences_of
from policies.llm.tasks.jobs.names import DECIMA, RELEASE
from policies.llm.tasks.jobs.play import EngineDrives, play, play_engine
from policies.llm.tasks.jobs.task import TASK
from policies.llm.tasks.jobs.teacher import TaughtBy
from traces.jobs.sequence import JobSequence

MOST_TOGETHER = 48
"""Episodes of a round."""
SEED = 0
"""Of durations in the episodes that choose."""


class JobsCourse(Course):
    """Simulated episodes, as `collect` played them.

    Args:
        facts: what the pool's manifest says.

    Raises:
        JobError: its sequences are not there.
    """

    told = ("traces", "held_out", "length", "decisions", "policies", "seed", "teacher")
    plays = True
    gained = "seconds of a job's time less than fair"
    cluster = "sequence"

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._length, self._decisions = int(facts["length"]), int(facts["decisions"])
        self._learned = sequences_of(facts["traces"], self._length)
        self._held = sequences_of(facts["held_out"], self._length)
        self._teacher = str(facts["teacher"])

    def begin(self, experience: Experience, settings: LearningSettings) -> Experience:
        self._held = self._held[: settings.validation_sessions]
        self._fair = self._times(_fair)
        return experience

    def loss(self, objective: str, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        return heads.loss(TASK.head, outputs, batch.scores)

    @property
    def sessions(self) -> int:
        return min(len(self._held), MOST_TOGETHER)

    def gains(self, engine: Engine, target: float | None) -> dict[str, Floats]:
        return {"held out": self._fair - self._times(lambda episodes: play_engine(episodes, engine))}

    def score(self, gains: Mapping[str, Floats]) -> float:
        return float(np.mean([values.mean() for values in gains.values()]))

    def specialists(self) -> dict[str, dict[str, Floats]]:
        return {name: {"held out": self._gains_of(name)} for name in (RELEASE, DECIMA)}

    def teacher_score(self) -> float:
        return float(self._gains_of(self._teacher).mean())

    def _gains_of(self, teacher: str) -> Floats:
        """(sequences,) what one of `TEACHERS` gains."""

        def plays(episodes: Sequence[Episode]) -> None:
            teaches = TaughtBy(teacher, episodes)
            play(
                episodes, lambda moments: [teaches(moment) for moment in moments], lambda moment, answer: None
            )

        return self._fair - self._times(plays)

    def own(self, make: MakeEngine, number: int, seed: tuple[int, ...], threads: int) -> Experience:
        random = np.random.default_rng(seed)
        wanted = int(np.ceil(number * self._decisions / (A_JOB * self._length)))
        count = min(max(wanted, 1), MOST_TOGETHER, len(self._learned))
        chosen = random.choice(len(self._learned), count, replace=False)
        drives = EngineDrives(make(count), count)
        sequences: list[JobSequence] = [self._learned[place] for place in np.sort(chosen)]
        return episodes_of(sequences, drives, self._teacher, number, self._decisions, random)

    def agreed(self, experience: Experience) -> float:
        taught = experience.scores[..., 0] >= 0.0
        return float((experience.answers[..., 0] == experience.scores[..., 0])[taught].mean())

    def conclusion(self, score: float, teacher: float | None) -> str:
        return f"{score:+.2f} s less job time than fair on held-out sequences; the teacher has {teacher:+.2f}"

    def _times(self, plays: Callable[[Sequence[Episode]], None]) -> Floats:
        """(sequences,) mean job time in s; infinite where jobs were never done."""
        episodes = [Episode(sequence, ClusterSettings(), SEED) for sequence in self._held]
        plays(episodes)
        return np.array([np.nan_to_num(episode.job_times_s, nan=np.inf).mean() for episode in episodes])


def _fair(episodes: Sequence[Episode]) -> None:
    for episode in episodes:
        episode.play(CompiledJobsRule(FAIR))
