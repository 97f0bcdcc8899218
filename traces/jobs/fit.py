"""Fit the model of jobs to a folder of published measurements: medians and straight lines, nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from traces.jobs.job import LEVELS, WAVES, Job, Spread, Stage
from traces.jobs.model import (
    REFERENCE_GB,
    REFERENCE_LEVEL,
    ROLES,
    SCAN_TASKS,
    JobsModel,
    RoleModel,
    StageModel,
)
from traces.jobs.tpch_files import QUERIES, SIZES, Library

Sizes = Sequence[tuple[float, Stage]]
"""One stage of a query at every size in GB."""


def gigabytes(size: str) -> float:
    """Of `50g`."""
    return float(size.removesuffix("g"))


def fit(library: Library, family: str, about: str) -> JobsModel:
    """The model."""
    every = {
        (query, place): [(gigabytes(size), library.jobs[query, size].stages[place]) for size in SIZES]
        for query in range(1, QUERIES + 1)
        for place in range(len(library.jobs[query, SIZES[0]].stages))
    }
    role_of = {key: _role(library.jobs[key[0], SIZES[-1]], key[1]) for key in every}
    exponents = {role: _exponents([every[key] for key in every if role_of[key] == role]) for role in ROLES}
    queries = tuple(
        tuple(
            _stage_model(every[query, place], role_of[query, place], exponents[role_of[query, place]])
            for place in range(len(library.jobs[query, SIZES[0]].stages))
        )
        for query in range(1, QUERIES + 1)
    )
    roles = {
        role: _role_model(
            [(every[key], queries[key[0] - 1][key[1]].log_ms) for key in every if role_of[key] == role],
            exponents[role],
        )
        for role in ROLES
    }
    return JobsModel(family, about, tuple(map(gigabytes, SIZES)), queries, roles)


def _role(job: Job, place: int) -> str:
    if not job.children[place]:
        return "sink"
    if job.stages[place].parents:
        return "inner"
    return "scan" if job.stages[place].tasks > SCAN_TASKS else "root"


def log_mean(stage: Stage, wave: str, level: int = REFERENCE_LEVEL) -> float | None:
    """Logarithm of the mean duration; None where none is known."""
    spread = stage.durations[wave].get(level)
    if spread is None or not len(spread.values) or spread.mean_ms <= 0.0:
        return None
    return math.log(spread.mean_ms)


def _exponents(stages: Sequence[Sizes]) -> tuple[float, float, float]:
    """The slope of log mean over log size, by wave, each stage about its own mean."""
    found = []
    for wave in WAVES:
        across, along = 0.0, 0.0
        for sizes in stages:
            points = [
                (math.log(gb), value) for gb, stage in sizes if (value := log_mean(stage, wave)) is not None
            ]
            if len(points) > 1:
                x, y = np.array(points).T
                across += float(((x - x.mean()) * (y - y.mean())).sum())
                along += float(((x - x.mean()) ** 2).sum())
        found.append(round(across / along, 4) if along else 0.0)
    return found[0], found[1], found[2]


def _stage_model(sizes: Sizes, role: str, exponents: tuple[float, float, float]) -> StageModel:
    logs = [_at_reference(sizes, wave, exponent) for wave, exponent in zip(WAVES, exponents, strict=True)]
    first = logs[1] if logs[1] is not None else logs[0]
    assert first is not None
    whole = [value if value is not None else first for value in logs]
    tasks = [stage.tasks for _, stage in sizes]
    grows = max(tasks) > 2 * min(tasks)
    fresh = sum(log_mean(stage, "fresh") is not None for _, stage in sizes)
    return StageModel(
        sizes[0][1].parents,
        role,
        int(np.median(tasks)),
        round(tasks[-1] / sizes[-1][0], 4) if grows else 0.0,
        (round(whole[0], 3), round(whole[1], 3), round(whole[2], 3)),
        2 * fresh > len(sizes),
    )


def _at_reference(sizes: Sizes, wave: str, exponent: float) -> float | None:
    values = [
        value - exponent * math.log(gb / REFERENCE_GB)
        for gb, stage in sizes
        if (value := log_mean(stage, wave)) is not None
    ]
    return float(np.mean(values)) if values else None


def _role_model(
    stages: Sequence[tuple[Sizes, tuple[float, float, float]]], exponents: tuple[float, float, float]
) -> RoleModel:
    rows = [_slowdown([sizes for sizes, _ in stages], wave) for wave in WAVES]
    return RoleModel(
        exponents,
        _each_wave(lambda place: _job_sd(stages, place, exponents[place])),
        _each_wave(lambda place: _task_sd([sizes for sizes, _ in stages], WAVES[place])),
        (rows[0], rows[1], rows[2]),
    )


def _each_wave(of: Callable[[int], float]) -> tuple[float, float, float]:
    return round(of(0), 4), round(of(1), 4), round(of(2), 4)


def _job_sd(stages: Sequence[tuple[Sizes, tuple[float, float, float]]], place: int, exponent: float) -> float:
    """What is left of a stage's log means after its mean and its size."""
    left = [
        value - logs[place] - exponent * math.log(gb / REFERENCE_GB)
        for sizes, logs in stages
        for gb, stage in sizes
        if (value := log_mean(stage, WAVES[place])) is not None
    ]
    return float(np.std(left)) if left else 0.0


def _task_sd(stages: Iterable[Sizes], wave: str) -> float:
    """Median over stages of the log's sd of a lognormal with the coefficient of variation of the
    durations."""
    found = []
    for sizes in stages:
        for _, stage in sizes:
            spread = stage.durations[wave].get(REFERENCE_LEVEL)
            if spread is not None and len(spread.values) >= 5 and spread.mean_ms > 0.0:
                found.append(_log_sd(spread))
    return float(np.median(found)) if found else 0.0


def _log_sd(spread: Spread) -> float:
    variation = float(spread.values.std()) * spread.scale_ms / spread.mean_ms
    return math.sqrt(math.log(1.0 + variation * variation))


def _slowdown(stages: Sequence[Sizes], wave: str) -> tuple[float, ...]:
    """Median over stages of each level's mean duration to the reference's; between known levels a line."""
    ratios: dict[int, list[float]] = {level: [] for level in LEVELS}
    for sizes in stages:
        for _, stage in sizes:
            reference = log_mean(stage, wave)
            for level in LEVELS:
                value = log_mean(stage, wave, level)
                if reference is not None and value is not None:
                    ratios[level].append(value - reference)
    known = [level for level in LEVELS if len(ratios[level]) >= 3]
    if not known:
        return (1.0,) * len(LEVELS)
    medians: NDArray[np.float64] = np.array([np.median(ratios[level]) for level in known])
    return tuple(round(float(value), 4) for value in np.exp(np.interp(LEVELS, known, medians)))
