"""The task `jobs`: which stage gets executors, and how many, asked until none is left to give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from player.jobs.settings import ClusterSettings
from policies.llm.head import StageAndShare
from policies.llm.modality import OPEN
from policies.llm.serving.fields import FieldError
from policies.llm.task import Decided, Task, Vectors
from policies.llm.tasks.jobs import wire
from policies.llm.tasks.jobs.layout import COLUMNS, MOST_LOGIT, chosen
from policies.llm.tasks.jobs.vectors import (
    COUNT_UNIT,
    MODALITIES,
    NOBODY,
    OF_SHARE,
    PLACES,
    ROWS,
    SHARES,
    vector_of,
)
from policies.llm.tasks.jobs.wire import Given, JobsContext, JobStep


class SchedulesJobs(Task):
    """A context is `JobsContext`, a step `JobStep`, a value `Given`; nothing is past: a step says what was
    given before it.

    It takes the best stage, and of its shares the median: so many executors that more are as likely as fewer.
    """

    name = "jobs"
    modalities = MODALITIES
    head = StageAndShare("stages", ROWS, "shares", len(SHARES))
    shipped: Path | None = Path(__file__).resolve().parent / "weights"
    sampled = "policies.llm.tasks.jobs.sampled:sampled"
    teaches = "policies.llm.tasks.jobs.course:JobsCourse"
    prompt = (
        "Schedule jobs on a cluster. Goal: the least mean time from a job's arrival to its end. Each step"
        " tells the graph of stages of all jobs that are there, with tasks left and durations, how many"
        " executors each job has, and how many are to be given now."
    )
    commands: Mapping[str, str] = {
        "collect": "policies.llm.tasks.jobs.collect",
        "test": "policies.llm.tasks.jobs.evaluate",
        "controls": "policies.llm.tasks.jobs.controls",
    }
    options: Mapping[str, str] = {
        name: f"policies.llm.tasks.jobs.options:add_{name}" for name in ("collect", "test", "controls")
    }

    def context_of(self, cluster: ClusterSettings) -> JobsContext:
        """What holds for an episode."""
        return JobsContext(cluster.executors)

    def features(
        self, step: JobStep, past: Any, context: JobsContext, target: float | None = None
    ) -> Vectors:
        return vector_of(step, context)

    def scores(self, output: Vectors, vector: Vectors) -> Vectors:
        """(ROWS,) of nobody, then of the step's stages."""
        logits = np.clip(np.nan_to_num(output[:: 1 + len(SHARES)], nan=-MOST_LOGIT), -MOST_LOGIT, MOST_LOGIT)
        return np.where(vector[PLACES["stages"]][OPEN::COLUMNS] > 0.5, logits, np.float32(-np.inf))

    def answer(self, output: Vectors, vector: Vectors) -> Decided:
        rows = vector[PLACES["stages"]].reshape(ROWS, COLUMNS)
        shares = vector[PLACES["shares"]].reshape(len(SHARES), OF_SHARE)
        row, ahead, median = chosen(output.reshape(ROWS, -1), rows, shares)
        margin = ahead if math.isfinite(ahead) else None
        if row == NOBODY:
            return Decided(Given(None, 0), margin)
        executors = max(round(float(shares[median, 1]) * COUNT_UNIT), 1)
        return Decided(Given(row - 1, executors), margin)

    def ready(self) -> None:
        vector = vector_of(_PLAIN, JobsContext(1))
        self.answer(np.zeros(self.head.width, np.float32), vector)

    # ---- the wire ----------------------------------------------------------------------------------

    def load_context(self, given: Any) -> JobsContext:
        return wire.load_context(given)

    def dump_context(self, context: JobsContext) -> Any:
        return {"executors": context.executors}

    def load_step(self, given: Any, where: str, index: int) -> JobStep:
        return wire.load_step(given, where)

    def dump_step(self, step: JobStep) -> Any:
        return wire.dump_step(step)

    def check(self, steps: Sequence[JobStep], context: JobsContext) -> None:
        for place, step in enumerate(steps):
            if step.free > context.executors:
                raise FieldError(
                    f"steps[{place}].free", f"{step.free}; the cluster has {context.executors} executors"
                )

    def load_value(self, given: Any, where: str) -> Given:
        return wire.load_value(given, where)

    def dump_value(self, value: Given) -> Any:
        return {"stage": value.stage, "executors": value.executors}


_PLAIN = JobStep((1,), (0.0,), (1.0,), (0, 0), (1, 1), (1.0, 1.0), (1, 0), (1, 0), ((0, 1),), -1, 1, None)
TASK = SchedulesJobs()
