"""How `call` is learned: the likelihood of the teacher's rates, and rounds of the student's own calls.

The score is what the student gains over GCC in linear QoE (`player.call.scored.qoe`) on traces held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from player.call.path import CallPath
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from policies.call.gcc import GCC
from policies.call.small.policy import Small
from policies.call.small.score import Plays, plays_rule, plays_teacher, scored
from policies.llm.engine.engine import Engine
from policies.llm.learning.course import Batch, Course, Floats, MakeEngine
from policies.llm.learning.pool import Experience
from policies.llm.learning.settings import LearningSettings
from policies.llm.model import heads
from policies.llm.tasks.call.collect import GROUP, calls_of, traces_of
from policies.llm.tasks.call.names import SMALL
from policies.llm.tasks.call.play import EngineRates, play_engine
from policies.llm.tasks.call.task import TASK
from traces.trace import Trace

NEAR = 0.1
"""A rate agrees with the teacher's where the logarithms are not further apart."""
VALIDATION_S = 20.0
"""Length of the calls that choose."""


class CallCourse(Course):
    """Simulated calls, as `collect` drew them.

    Args:
        facts: what the pool's manifest says.

    Raises:
        TraceError: its traces are not there.
    """

    told = ("traces", "duration_s", "policies", "seed", "teacher")
    plays = True
    gained = "linear QoE more than GCC"
    cluster = "trace"

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._learned, self._kept = traces_of(facts["traces"])
        self._teacher = facts["teacher"]
        self._call = CallSettings(duration_s=facts["duration_s"], warm_up_s=0.0)
        self._chooses: list[Trace] = []
        self._threads = 1

    def begin(self, experience: Experience, settings: LearningSettings) -> Experience:
        self._chooses, self._threads = self._kept[: settings.validation_sessions], settings.threads
        self._gcc = self._qoe(plays_rule(GCC().compiled_rule(), True))
        return experience

    def loss(self, objective: str, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Gaussian negative log likelihood."""
        return heads.loss(TASK.head, outputs, batch.scores)

    @property
    def sessions(self) -> int:
        return len(self._chooses)

    def gains(self, engine: Engine, target: float | None) -> dict[str, Floats]:
        def plays(calls: SimulatedCalls) -> None:
            play_engine(calls, engine)

        return {"held out": self._qoe(plays) - self._gcc}

    def score(self, gains: Mapping[str, Floats]) -> float:
        return float(np.mean([values.mean() for values in gains.values()]))

    def specialists(self) -> dict[str, dict[str, Floats]]:
        small = self._qoe(plays_rule(Small().compiled_rule(), False))
        return {"small": {"held out": small - self._gcc}}

    def teacher_score(self) -> float:
        plays = plays_rule(Small().compiled_rule(), False) if self._teacher == SMALL else plays_teacher
        return float((self._qoe(plays) - self._gcc).mean())

    def own(self, make: MakeEngine, number: int, seed: tuple[int, ...], threads: int) -> Experience:
        engine = make(min(GROUP, number))
        makes = partial(EngineRates, engine)
        random = np.random.default_rng(seed)
        return calls_of(self._learned, self._call, number, random, makes, self._teacher, threads)

    def agreed(self, experience: Experience) -> float:
        most = np.log(self._call.max_kbps / 1000.0)
        return float((np.abs(experience.answers - np.minimum(experience.scores, most)) < NEAR).mean())

    def conclusion(self, score: float, teacher: float | None) -> str:
        return f"{score:+.3f} linear QoE more than gcc on held-out traces; the teacher has {teacher:+.3f}"

    def _qoe(self, plays: Plays) -> Floats:
        call = CallSettings(duration_s=VALIDATION_S)
        return scored(self._chooses, plays, call, CallPath(), self._threads).qoe
