"""How `ladder` is learned: the teacher's levels in whole sessions, and rounds of the student's own sessions.

The score is what is gained over RobustMPC in mean relative QoE a chunk, on held-out lines and drawn ladders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch

from policies.hindsight.draws import SessionMix
from policies.llm.engine.engine import Engine
from policies.llm.learning.course import Batch, Course, Floats, MakeEngine
from policies.llm.learning.pool import Experience
from policies.llm.learning.settings import AdaptError, LearningSettings
from policies.llm.tasks.ladder.collect import drawn, mix_of
from policies.llm.tasks.ladder.play import BATCH, LadderEngine, watch
from policies.llm.tasks.ladder.small import WEIGHTS
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.teacher import LadderTeacher, plays, read_teacher
from policies.llm.tasks.ladder.validation import LadderValidation
from policies.view import layout


class MixWords(NamedTuple):
    """What a mix is read from, as the pool's manifest has it."""

    traces: tuple[str, ...]
    rescaled: tuple[str, ...]
    video: tuple[str, ...]


@lru_cache(maxsize=1)
def mix_read(words: MixWords) -> SessionMix:
    """The mix; kept, for the runs of a study ask for the same one, and it is read from hundreds of files."""
    return mix_of(words._asdict())


@lru_cache(maxsize=1)
def validation_of(words: MixWords, sessions: int, threads: int) -> LadderValidation:
    """What is chosen by, RobustMPC played; kept as the mix is."""
    return LadderValidation.of(mix_read(words), sessions, threads)


@lru_cache(maxsize=1)
def score_of_teacher(words: MixWords, sessions: int, threads: int, teacher: str | None, sha256: str) -> float:
    """The teacher's score there, of the weights of a digest; kept as the mix is."""
    net, validation = read_teacher(teacher), validation_of(words, sessions, threads)
    return validation.score(validation.of_policy(lambda each: plays(each, net)))


class LadderCourse(Course):
    """Simulated sessions, as `collect` drew them.

    Args:
        facts: what the pool's manifest says.

    Raises:
        AdaptError: none of its traces is held out.
        DataError, OptionNetError, TraceError, VideoError: something is not there.
    """

    told = ("traces", "rescaled", "video", "policies", "seed", "teacher_sha256")
    plays = True
    gained = "relative QoE a chunk more than RobustMPC"
    cluster = "trace"

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._words = MixWords(*(tuple(facts[name]) for name in MixWords._fields))
        self._mix = mix_read(self._words)
        if not any(source.validation for source in self._mix.sources):
            raise AdaptError(
                "none of the pool's traces is held out, so that no checkpoint could be chosen;"
                " collect on more: a folder of logs, or members of a family such as 4g[0:50]"
            )
        self._teacher = facts.get("teacher")
        self._net = read_teacher(self._teacher)
        if (made := facts.get("teacher_sha256")) != self._net.sha256:
            raise AdaptError(
                f"the pool's teacher was {str(made)[:12]}, the one here is {self._net.sha256[:12]};"
                " collect again"
            )

    def begin(self, experience: Experience, settings: LearningSettings) -> Experience:
        self._sessions, self._threads = settings.validation_sessions, settings.threads
        self._validation = validation_of(self._words, self._sessions, self._threads)
        return experience

    def loss(self, objective: str, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Cross entropy over the steps that there are."""
        there = batch.vectors[..., layout.GLOBAL + layout.EXISTS] > 0.0  # (B, T)
        taught = torch.softmax(batch.scores[there], -1)
        return -(taught * torch.log_softmax(outputs[there], -1)).sum(-1).mean()

    @property
    def sessions(self) -> int:
        return self._validation.sessions

    def gains(self, engine: Engine, target: float | None) -> dict[str, Floats]:
        return self._validation.of_engine(engine)

    def score(self, gains: Mapping[str, Floats]) -> float:
        return self._validation.score(dict(gains))

    def clusters(self) -> dict[str, Sequence[str]]:
        return {group.name: [str(trace) for trace in group.setup.trace] for group in self._validation.groups}

    def specialists(self) -> dict[str, dict[str, Floats]]:
        small = Engine(TASK, WEIGHTS, slots=self.sessions, threads=self._threads)
        net = read_teacher(None)
        return {
            "hindsight": self._validation.of_policy(lambda each: plays(each, net)),
            "small": self._validation.of_engine(small),
        }

    def teacher_score(self) -> float:
        return score_of_teacher(self._words, self._sessions, self._threads, self._teacher, self._net.sha256)

    def own(self, make: MakeEngine, number: int, seed: tuple[int, ...], threads: int) -> Experience:
        parts, engine = [], make(min(BATCH, number))
        for batch, begin in enumerate(range(0, number, BATCH)):
            sessions = drawn(self._mix, min(BATCH, number - begin), (*seed, batch), threads)
            player, random = LadderEngine(sessions, engine), np.random.default_rng([*seed, batch, 1])
            parts.append(watch(sessions, player, LadderTeacher(sessions, self._net), random))
            player.close()
        return Experience.joined(parts)

    def agreed(self, experience: Experience) -> float:
        there = experience.vectors[..., layout.GLOBAL + layout.EXISTS] > 0.0
        return float((experience.answers == experience.scores.argmax(-1))[there].mean())

    def conclusion(self, score: float, teacher: float | None) -> str:
        return (
            f"{score:+.3f} relative QoE a chunk more than robustmpc on held-out lines; the teacher has"
            f" {teacher:+.3f}"
        )
