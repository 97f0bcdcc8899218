"""The task `jobs`: which stage gets executors, and how many, asked until none is left to give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from player.jobs.settings import ClusterSettings
from policies.llm.head import StageAndShare
from policies.llm.modality import OPEN
from policies.llm.serving.fields import FieldError
from policies.llm.task import Decided, Task, Vectors, best_of
from policies.llm.tasks.jobs import wire
from policies.llm.tasks.jobs.vectors import (
    COLUMNS,
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

WEIGHTS = Path(__file__).resolve().parent / "weights"
MOST_LOGIT = 1e6
"""No output, however wrong, counts as more."""


class SchedulesJobs(Task):
    """A context is `JobsContext`, a step `JobStep`, a value `Given`; nothing is past: a step says what was
    given before it.

    It takes the best stage, and of its shares the median: so many executors that more are as likely as fewer.
    """

    name = "jobs"
    modalities = MODALITIES
    head = StageAndShare("stages", ROWS, "shares", len(SHARES))
    shipped: Path | None = WEIGHTS if WEIGHTS.exists() else None
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
        open_rows = vector[PLACES["stages"]].reshape(ROWS, COLUMNS)[:, OPEN] > 0.5
        return np.where(open_rows, _bounded(output.reshape(ROWS, -1)[:, 0]), np.float32(-np.inf))

    def answer(self, output: Vectors, vector: Vectors) -> Decided:
        best = best_of(self.scores(output, vector)[None])[0]
        if best.value == NOBODY:
            return Decided(Given(None, 0), best.margin)
        shares = vector[PLACES["shares"]].reshape(len(SHARES), OF_SHARE)
        logits = _bounded(output.reshape(ROWS, -1)[best.value, 1:]).astype(np.float64)
        chances = np.where(shares[:, 0] > 0.0, np.exp(logits - logits.max()), 0.0).cumsum()
        median = int(np.searchsorted(chances, chances[-1] / 2.0)) if chances[-1] > 0.0 else len(SHARES) - 1
        executors = max(round(float(shares[median, 1]) * COUNT_UNIT), 1)
        return Decided(Given(best.value - 1, executors), best.margin)

    def ready(self) -> None:
        vector_of(_PLAIN, JobsContext(1))

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


def _bounded(logits: Vectors) -> Vectors:
    return np.clip(np.nan_to_num(logits, nan=-MOST_LOGIT), -MOST_LOGIT, MOST_LOGIT)


_PLAIN = JobStep((1,), (0.0,), (1.0,), (0, 0), (1, 1), (1.0, 1.0), (1, 0), (1, 0), ((0, 1),), -1, 1, None)
TASK = SchedulesJobs()
