"""How `abr` is learned: the teacher's levels in whole sessions, and rounds of sessions of the student's own.

The score is what is gained over RobustMPC in mean QoE a chunk, on traces of lines that are held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from policies.hindsight.net import OptionNet
from policies.llm.engine.engine import Engine
from policies.llm.learning.course import Batch, Course, Floats, MakeEngine
from policies.llm.learning.pool import BY_PLAN, Experience
from policies.llm.learning.settings import DISTILL, RETURN, AdaptError, LearningSettings
from policies.llm.tasks.abr import features as abr
from policies.llm.tasks.abr.draw import VideoMix, draw
from policies.llm.tasks.abr.play import BATCH, BatchEngine, part_of, watch
from policies.llm.tasks.abr.teacher import SHARPNESS, Teacher
from policies.llm.tasks.abr.validation import VideoValidation

PLAN_WEIGHT = 0.3
"""Of the squared error of planned values beside the cross entropy of probabilities."""


class VideoCourse(Course):
    """Simulated sessions, as `collect` drew them.

    Args:
        facts: what the pool's manifest says.

    Raises:
        AdaptError: none of its traces is held out.
        DataError, TraceError, VideoError: something is not there.
    """

    objectives = (DISTILL, RETURN)
    told = ("traces", "rescaled", "video", "ladders", "policies", "seed")
    return_at = abr.GOAL_AT
    plays = True

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._mix = VideoMix.of(dict(facts))
        if not any(source.validation for source in self._mix.sources):
            raise AdaptError(
                "none of the pool's traces is held out, so that no checkpoint could be chosen;"
                " collect on more: a folder of logs, or members of a family such as 4g[0:50]"
            )
        teacher = facts.get("teacher")
        self._teacher = OptionNet.read(Path(teacher)) if teacher else None

    def begin(self, experience: Experience, settings: LearningSettings) -> Experience:
        self._validation = VideoValidation.of(
            self._mix.sources, self._mix.videos[0], settings.threads, settings.validation_sessions
        )
        return experience

    def loss(self, objective: str, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        if objective == RETURN:
            return functional.cross_entropy(outputs.flatten(0, 1), batch.answers.flatten())
        taught = torch.softmax(batch.scores, -1)
        cross = -(taught * torch.log_softmax(outputs, -1)).sum(-1).mean(-1)  # (B,)
        # Planned values are those of one future; their mean over futures is what a client can know.
        planned = batch.scores / SHARPNESS
        said = outputs / SHARPNESS
        error = (
            (said - said.mean(-1, keepdim=True) - planned + planned.mean(-1, keepdim=True))
            .square()
            .mean((-1, -2))
        )
        return torch.where(batch.kinds == BY_PLAN, PLAN_WEIGHT * error, cross).mean()

    @property
    def sessions(self) -> int:
        return max((len(group.setup) for group in self._validation.groups), default=1)

    def gains(self, engine: Engine, target: float | None) -> dict[str, Floats]:
        return self._validation.gains(engine, target)

    def score(self, gains: Mapping[str, Floats]) -> float:
        return self._validation.score(dict(gains))

    def teacher_score(self) -> float:
        return self._validation.score(self._validation.of_baseline("hindsight"))

    def own(self, make: MakeEngine, number: int, seed: tuple[int, ...], threads: int) -> Experience:
        parts = []
        for drawn in draw(self._mix, number, seed):
            engine = make(min(BATCH, len(drawn)))
            for begin in range(0, len(drawn), BATCH):
                part = type(drawn)(drawn.library, part_of(drawn.setup, begin, begin + BATCH))
                sessions = part.sessions(threads)
                player = BatchEngine(sessions, engine)
                parts.append(watch(sessions, player, Teacher(sessions, self._teacher)))
                player.close()
        return Experience.joined(parts)

    def agreed(self, experience: Experience) -> float:
        by_policy = experience.kinds != BY_PLAN
        return float((experience.answers == experience.scores.argmax(-1))[by_policy].mean())

    def conclusion(self, score: float, teacher: float | None) -> str:
        return (
            f"{score:+.3f} QoE a chunk more than robustmpc on held-out traces; the teacher has {teacher:+.3f}"
        )
