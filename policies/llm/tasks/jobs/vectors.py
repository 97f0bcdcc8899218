"""What the model is fed at a decision: the cluster in numbers, the graph of stages, and shares to give.

In the graph a row is a stage, in any order; the first stands for nobody, which may be chosen where executors
may idle. Groups are jobs. All numbers are of the order of 1.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from player.jobs.features import TASKS, WORK_MS, levels
from policies.llm.modality import (
    CHILD,
    CHILDREN,
    GRAPH,
    GRAPH_COLUMNS,
    GROUP,
    LEVEL,
    OPEN,
    OPTIONS,
    SCALAR,
    THERE,
    Modality,
)
from policies.llm.modality import places as places_of
from policies.llm.tasks.jobs.wire import MOST_STAGES, JobsContext, JobStep

NOBODY, ROWS = 0, 1 + MOST_STAGES
SHARES = tuple(count / 50 for count in (*range(1, 11), 12, 14, 17, 20, 24, 29, 35, 42, 50))
"""Of the cluster's executors, rounded up; the last is all that are free."""
COUNT_UNIT = 64.0
"""A power of two: numbers of executors pass exactly."""
OF_SHARE = 4
OF_STAGE, OF_CLUSTER = 10, 11
COLUMNS = GRAPH_COLUMNS + OF_STAGE
MODALITIES = (
    Modality("cluster", SCALAR, (OF_CLUSTER,)),
    Modality("stages", GRAPH, (ROWS, COLUMNS)),
    Modality("shares", OPTIONS, (len(SHARES), OF_SHARE)),
)
PLACES = places_of(MODALITIES)
WIDTH = sum(each.size for each in MODALITIES)
MOST_UNITS = 50.0

Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]


def vector_of(step: JobStep, context: JobsContext) -> Vectors:
    """(WIDTH,) of one step."""
    vector = np.zeros(WIDTH, np.float32)
    job = np.array(step.job, np.int64)
    vector[PLACES["cluster"]] = _cluster(step, context)
    table = vector[PLACES["stages"]].reshape(ROWS, COLUMNS)
    table[NOBODY, [THERE, OPEN, GROUP]] = 1.0, may_idle(step), len(step.supply)
    stages = table[1 : 1 + len(job)]
    stages[:, THERE], stages[:, OPEN], stages[:, GROUP] = 1.0, step.ready, job
    _hang_together(stages, step)
    stages[:, GRAPH_COLUMNS:] = _stages(step, context, job)
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


def _hang_together(stages: Vectors, step: JobStep) -> None:
    """Levels and children: of more than a node has room for, those with the longest ways below them."""
    if not step.edges:
        return
    edges = np.array(step.edges, np.int64)
    level = levels(len(stages), edges)
    stages[:, LEVEL] = level
    edges = edges[np.lexsort((-level[edges[:, 1]], edges[:, 0]))]
    rank = np.arange(len(edges)) - np.searchsorted(edges[:, 0], edges[:, 0])
    kept = rank < CHILDREN
    stages[edges[kept, 0], CHILD + rank[kept]] = 2 + edges[kept, 1]  # counted from 1, nobody's row before


def _stages(step: JobStep, context: JobsContext, job: NDArray[np.int64]) -> Floats:
    """(stages, OF_STAGE): Decima's five, as `player.jobs.features.JobsGraph` has them, then our own."""
    executors, supply = context.executors, np.array(step.supply, np.float64)
    caps = np.minimum(np.maximum(executors - supply, 0.0), step.free)
    source = np.arange(len(supply)) == step.source
    caps[source] = step.free
    left, duration_ms = np.array(step.left, np.float64), np.array(step.duration_ms)
    work_s = np.array(step.work_s)
    of_jobs = np.stack(
        [
            caps / executors,
            np.where(source, 1.0, -1.0),
            supply / executors,
            np.sqrt(work_s) / executors,
            np.log1p(work_s) / 8.0,
            np.log1p(step.age_s) / 8.0,
        ],
        axis=1,
    )[job]
    of_stages = np.stack(
        [
            left / TASKS,
            left * duration_ms / WORK_MS,
            np.array(step.begins, np.float64),
            np.log1p(duration_ms) / 8.0,
        ],
        axis=1,
    )
    return np.minimum(np.concatenate([of_jobs[:, :3], of_stages, of_jobs[:, 3:]], axis=1), MOST_UNITS)


@lru_cache(maxsize=4096)
def _shares(free: int, executors: int) -> Floats:
    """(shares x OF_SHARE,): 1 where it may be taken; executors, in `COUNT_UNIT`, of all, of those free."""
    counts, allowed = counts_of(free, executors)
    parts = [allowed, counts / COUNT_UNIT, counts / executors, counts / free]
    return np.where(allowed[:, None], np.stack(parts, axis=1), 0.0).ravel()
