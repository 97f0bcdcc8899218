"""What an episode is made of, as arrays for machine code: jobs, stages, durations. Nothing here changes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from player.jobs.settings import ClusterSettings
from traces.jobs.job import LEVELS, WAVES, Stage
from traces.jobs.sequence import JobSequence

FRESH, FIRST, REST = range(len(WAVES))
LEAST_LEVEL = 1
"""Place in `LEVELS` of the lowest that is ever asked for: 5 executors."""
HIGHEST = len(LEVELS)
"""Place of the highest that a stage has, whatever it is, for those that it lacks."""


class Durations(NamedTuple):
    """S stages, L levels, `HIGHEST` behind them."""

    scale_ms: NDArray[np.float64]  # (S, 3, L + 1)
    first_value: NDArray[np.int64]  # (S, 3, L + 1) into values
    value_count: NDArray[np.int64]  # (S, 3, L + 1) 0: not known
    values: NDArray[np.float64]
    has_level: NDArray[np.bool_]  # (S, L)
    level_executors: NDArray[np.int64]  # (L,)
    warm_up_ms: float
    published: bool


class World(NamedTuple):
    """J jobs, S stages; stages of a job stand together."""

    arrival_ms: NDArray[np.float64]  # (J,)
    first_stage: NDArray[np.int64]  # (J + 1,)
    job_of: NDArray[np.int64]  # (S,)
    tasks: NDArray[np.int64]  # (S,)
    first_parent: NDArray[np.int64]  # (S + 1,) into parents
    parents: NDArray[np.int64]  # stages
    first_child: NDArray[np.int64]  # (S + 1,) into children
    children: NDArray[np.int64]  # stages
    rough_ms: NDArray[np.float64]  # (S,)
    durations: Durations
    executors: int
    moving_ms: float


def world_of(sequence: JobSequence, cluster: ClusterSettings) -> World:
    """The arrays of a sequence on a cluster."""
    stages = [stage for job in sequence.jobs for stage in job.stages]
    counts = [len(job.stages) for job in sequence.jobs]
    first_stage = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    parents = [
        [first + parent for parent in stage.parents]
        for first, job in zip(first_stage, sequence.jobs, strict=False)
        for stage in job.stages
    ]
    children = [
        [first + child for child in each]
        for first, job in zip(first_stage, sequence.jobs, strict=False)
        for each in job.children
    ]
    first_parent, flat_parents = _flat(parents)
    first_child, flat_children = _flat(children)
    return World(
        np.ascontiguousarray(sequence.arrivals_ms, np.float64),
        first_stage,
        np.repeat(np.arange(len(counts)), counts),
        np.array([stage.tasks for stage in stages], np.int64),
        first_parent,
        flat_parents,
        first_child,
        flat_children,
        np.array([stage.rough_ms for stage in stages]),
        _durations(stages, cluster),
        cluster.executors,
        float(cluster.moving_ms),
    )


def _flat(lists: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first = np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)
    return first, np.array([value for each in lists for value in each], np.int64)


def _durations(stages: list[Stage], cluster: ClusterSettings) -> Durations:
    """Each array of values that stages share is there once."""
    shape = len(stages), len(WAVES), len(LEVELS) + 1
    scale, first, count = np.ones(shape), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    place_of: dict[int, int] = {}
    pool: list[NDArray[np.float64]] = []
    filled = 0
    for row, stage in enumerate(stages):
        for wave, name in enumerate(WAVES):
            by_level = stage.durations[name]
            columns = {LEVELS.index(level): level for level in by_level if level in LEVELS}
            for column, level in {**columns, HIGHEST: stage.levels[-1]}.items():
                spread = by_level.get(level)
                if spread is None:
                    continue
                if id(spread.values) not in place_of:
                    place_of[id(spread.values)] = filled
                    pool.append(spread.values)
                    filled += len(spread.values)
                scale[row, wave, column] = spread.scale_ms
                first[row, wave, column] = place_of[id(spread.values)]
                count[row, wave, column] = len(spread.values)
    return Durations(
        scale,
        first,
        count,
        np.concatenate([np.zeros(0), *pool]),
        np.array([[level in stage.levels for level in LEVELS] for stage in stages]),
        np.array(LEVELS, np.int64),
        float(cluster.warm_up_ms),
        cluster.mode == "published",
    )
