"""What is computed at every decision, as machine code: rows of stages, and what an output comes to."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from player.compiled.compiled import compiled
from player.jobs.features import TASKS, WORK_MS, levels
from policies.llm.modality import CHILD, CHILDREN, GRAPH_COLUMNS, GROUP, LEVEL, OPEN, THERE

OF_STAGE = 10
COLUMNS = GRAPH_COLUMNS + OF_STAGE
MOST_UNITS = 50.0
MOST_LOGIT = 1e6
"""No output, however wrong, counts as more."""

Numbers = NDArray[np.float32]
Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@compiled
def fill_stages(
    rows: Numbers, of_stages: Whole, duration_ms: Floats, edges: Whole, of_jobs: Floats, given: Whole
) -> None:
    """Fill the rows of n stages of a jobs; the first of them is the table's second.

    A row's own numbers: Decima's five, as `player.jobs.features.JobsGraph` has them; whether it begins; its
    duration by logarithm; of its job the square root of the work over the executors, and work and age by
    logarithm.

    Args:
        rows: (n, COLUMNS) of zeros.
        of_stages: (4, n) job, tasks left, ready, begins.
        duration_ms: (n,)
        edges: (e, 2) parent, child.
        of_jobs: (3, a) executors, age in s, work in executor-s.
        given: (3,) the job that gives, executors that it gives, executors in all.
    """
    count, executors = len(rows), float(given[2])
    level = levels(count, edges)
    for stage in range(count):
        job, row = of_stages[0, stage], rows[stage]
        supply, work_s, source = of_jobs[0, job], of_jobs[2, job], job == given[0]
        row[THERE], row[OPEN], row[GROUP], row[LEVEL] = 1.0, of_stages[2, stage], job, level[stage]
        own, left = row[GRAPH_COLUMNS:], float(of_stages[1, stage])
        own[0] = (given[1] if source else min(max(executors - supply, 0.0), given[1])) / executors
        own[1] = 1.0 if source else -1.0
        own[2] = min(supply / executors, MOST_UNITS)
        own[3] = min(left / TASKS, MOST_UNITS)
        own[4] = min(left * duration_ms[stage] / WORK_MS, MOST_UNITS)
        own[5] = of_stages[3, stage]
        own[6] = math.log1p(duration_ms[stage]) / 8.0
        own[7] = min(math.sqrt(work_s) / executors, MOST_UNITS)
        own[8] = math.log1p(work_s) / 8.0
        own[9] = math.log1p(of_jobs[1, job]) / 8.0
    _add_children(rows, edges, level)


@compiled
def _add_children(rows: Numbers, edges: Whole, level: Whole) -> None:
    """Of more children than a row has room for, those with the longest ways below them; these first."""
    for edge in range(len(edges)):
        row, child = rows[edges[edge, 0]], edges[edge, 1]
        place = 0
        while (
            place < CHILDREN and row[CHILD + place] > 0 and level[int(row[CHILD + place]) - 2] >= level[child]
        ):
            place += 1
        if place == CHILDREN:
            continue
        for later in range(CHILDREN - 1, place, -1):
            row[CHILD + later] = row[CHILD + later - 1]
        row[CHILD + place] = 2 + child  # counted from 1, nobody's row before


@compiled
def bounded(logit: float) -> float:
    """A logit that can be counted with."""
    if math.isnan(logit):
        return -MOST_LOGIT
    return min(max(logit, -MOST_LOGIT), MOST_LOGIT)


@compiled
def chosen(output: Numbers, rows: Numbers, shares: Numbers) -> tuple[int, float, int]:
    """(best row, how far it is ahead of the second best, the median of its shares).

    Args:
        output: (rows, 1 + shares) of the head.
        rows: (rows, COLUMNS) what may be chosen.
        shares: (shares, …) 1 in front of those that may be given; the last always may.
    """
    best, first, second = 0, -math.inf, -math.inf
    for row in range(len(rows)):
        if rows[row, OPEN] > 0.5:
            logit = bounded(output[row, 0])
            if logit > first:
                best, first, second = row, logit, first
            elif logit > second:
                second = logit
    most = -math.inf
    for share in range(len(shares)):
        if shares[share, 0] > 0.0:
            most = max(most, bounded(output[best, 1 + share]))
    total = 0.0
    reached = np.zeros(len(shares))
    for share in range(len(shares)):
        if shares[share, 0] > 0.0:
            total += math.exp(bounded(output[best, 1 + share]) - most)
        reached[share] = total
    median = 0
    while median < len(shares) - 1 and not (shares[median, 0] > 0.0 and reached[median] >= total / 2.0):
        median += 1
    return best, first - second, median
