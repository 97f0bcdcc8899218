"""What the model is fed at a decision: the cluster in numbers, the graph of stages, and shares to give.

In the graph a row is a stage, in any order; the first stands for nobody, which may be chosen where executors
may idle. Groups are jobs. All numbers are of the order of 1.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from policies.llm.modality import GRAPH, GROUP, OPEN, OPTIONS, SCALAR, THERE, Modality
from policies.llm.modality import places as places_of
from policies.llm.tasks.jobs.layout import COLUMNS, MOST_UNITS, fill_stages
from policies.llm.tasks.jobs.wire import MOST_STAGES, JobsContext, JobStep

NOBODY, ROWS = 0, 1 + MOST_STAGES
SHARES = tuple(count / 50 for count in (*range(1, 11), 12, 14, 17, 20, 24, 29, 35, 42, 50))
"""Of the cluster's executors, rounded up; the last is all that are free."""
COUNT_UNIT = 64.0
"""A power of two: numbers of executors pass exactly."""
OF_SHARE = 4
OF_CLUSTER = 11
MODALITIES = (
    Modality("cluster", SCALAR, (OF_CLUSTER,)),
    Modality("stages", GRAPH, (ROWS, COLUMNS)),
    Modality("shares", OPTIONS, (len(SHARES), OF_SHARE)),
)
PLACES = places_of(MODALITIES)
WIDTH = sum(each.size for each in MODALITIES)

Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]


def vector_of(step: JobStep, context: JobsContext) -> Vectors:
    """(WIDTH,) of one step."""
    vector = np.zeros(WIDTH, np.float32)
    vector[PLACES["cluster"]] = _cluster(step, context)
    table = vector[PLACES["stages"]].reshape(ROWS, COLUMNS)
    table[NOBODY, THERE], table[NOBODY, OPEN], table[NOBODY, GROUP] = 1.0, may_idle(step), len(step.supply)
    fill_stages(
        table[1 : 1 + len(step.job)],
        np.array((step.job, step.left, step.ready, step.begins), np.int64),
        np.array(step.duration_ms),
        np.array(step.edges, np.int64).reshape(-1, 2),
        np.array((step.supply, step.age_s, step.work_s), np.float64),
        np.array((step.source, step.free, context.executors), np.int64),
    )
    vector[PLACES["shares"]] = _shares(step.free, context.executors)
    return vector


def may_idle(step: JobStep) -> bool:
    """Whether nobody need get executors: the job that gives them can take none, and others hold some, so that
    something will happen."""
    here = step.source >= 0
    if here and any(ready and job == step.source for ready, job in zip(step.ready, step.job, strict=True)):
        return False
    return sum(step.supply) > (step.free if here else 0)


@lru_cache(maxsize=4096)
def counts_of(free: int, executors: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(shares,) executors that each comes to, and which of them may be taken: those below all that are free,
    each number once, and all. Not to be changed: they are kept."""
    counts = np.ceil(np.array(SHARES) * executors - 1e-9).astype(np.int64)
    counts[-1] = free
    allowed = (counts < free) & (np.diff(counts, prepend=0) > 0)
    allowed[-1] = True
    return counts, allowed


def share_of(count: int, free: int, executors: int) -> int:
    """The number of the share that is nearest to so many executors, by their ratio."""
    counts, allowed = counts_of(free, executors)
    if count >= free:
        return len(SHARES) - 1
    apart = np.abs(np.log(np.maximum(counts, 1) / max(count, 1)))
    return int(np.where(allowed, apart, np.inf).argmin())


def _cluster(step: JobStep, context: JobsContext) -> Floats:
    """(OF_CLUSTER,)"""
    executors, before = context.executors, step.previous
    numbers = np.array(
        [
            step.free / executors,
            len(step.supply) / 10.0,
            sum(step.ready) / 20.0,
            len(step.job) / 100.0,
            float(step.source >= 0),
            np.log(executors / 50.0),
            sum(step.supply) / executors,
            np.log1p(sum(step.work_s)) / 10.0,
            before.executors / executors if before else 0.0,
            np.log1p(before.work_s) / 8.0 if before else 0.0,
            np.log1p(before.gap_s) / 4.0 if before else 0.0,
        ]
    )
    return np.minimum(numbers, MOST_UNITS)


@lru_cache(maxsize=4096)
def _shares(free: int, executors: int) -> Floats:
    """(shares x OF_SHARE,): 1 where it may be taken; executors, in `COUNT_UNIT`, of all, of those free."""
    counts, allowed = counts_of(free, executors)
    parts = [allowed, counts / COUNT_UNIT, counts / executors, counts / free]
    return np.where(allowed[:, None], np.stack(parts, axis=1), 0.0).ravel()
