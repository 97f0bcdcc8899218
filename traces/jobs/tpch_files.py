"""The published measurements of TPC-H jobs on Spark: `SIZE/adj_mat_Q.npy`, `SIZE/task_duration_Q.npy`.

Published with Decima (Mao et al., "Learning Scheduling Algorithms for Data Processing Clusters", SIGCOMM
2019): 22 queries x 7 sizes. The first file is the graph, the second a pickled dict: stage -> wave ->
executors -> durations in ms. They are not part of this project; name the folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from traces.jobs.job import Job, JobError, Spread, Stage, checked
from traces.jobs.npy import read_numbers, read_object

SIZES = ("2g", "5g", "10g", "20g", "50g", "80g", "100g")
QUERIES = 22
_NAMES = {"fresh": "fresh_durations", "first": "first_wave", "rest": "rest_wave"}


@dataclass(frozen=True)
class Library:
    """All jobs of a folder."""

    place: str
    jobs: Mapping[tuple[int, str], Job]
    """By query (1 to 22) and size."""


def is_library(folder: Path) -> bool:
    """Whether a folder is one of these."""
    return any((folder / size / "adj_mat_1.npy").is_file() for size in SIZES)


@cache
def read_library(folder: Path) -> Library:
    """Read all 154 jobs.

    Raises:
        JobError: a file that is missing or no such thing.
    """
    return Library(
        str(folder),
        {(query, size): read_job(folder / size, query) for size in SIZES for query in range(1, QUERIES + 1)},
    )


def read_job(folder: Path, query: int) -> Job:
    """One query of the folder of a size.

    Raises:
        JobError: see `read_library`.
    """
    matrix = read_numbers(folder / f"adj_mat_{query}.npy")
    durations = folder / f"task_duration_{query}.npy"
    told = read_object(durations)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise JobError(f"{folder}/adj_mat_{query}.npy: shape {matrix.shape}; expected (stages, stages)")
    if not isinstance(told, dict) or set(told) != set(range(len(matrix))):
        raise JobError(f"{durations}: expected one entry for each of {len(matrix)} stages")
    stages = []
    for place in range(len(matrix)):
        parents = tuple(int(parent) for parent in np.flatnonzero(matrix[:, place]))
        try:
            stages.append(_stage(told[place], parents))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise JobError(f"{durations}: stage {place}: {error}") from None
    return checked(Job(f"tpch-q{query}-{folder.name}", tuple(stages)))


def _stage(told: Any, parents: tuple[int, ...]) -> Stage:
    """A stage; of the first wave those are left out that are fresh, and a level without any takes those of
    the level below, as the published environment has it."""
    lists = {
        wave: {int(level): [float(ms) for ms in durations] for level, durations in told[name].items()}
        for wave, name in _NAMES.items()
    }
    level = next(iter(lists["first"]))  # the first that the file names, as it does
    tasks = len(lists["first"][level]) + len(lists["rest"][level])
    clean = {
        level: _without(lists["first"][level], lists["fresh"].get(level, []))
        for level in sorted(lists["first"])
    }
    below: list[float] = []
    for level, durations in clean.items():
        clean[level] = below = durations or below
    lists["first"] = clean
    known = [ms for by_level in lists.values() for durations in by_level.values() for ms in durations]
    return Stage(
        tasks,
        parents,
        {
            wave: {level: Spread(1.0, np.array(ms, np.float64)) for level, ms in by_level.items()}
            for wave, by_level in lists.items()
        },
        sum(known) / max(len(known), 1),
    )


def _without(durations: list[float], fresh: list[float]) -> list[float]:
    """The durations, less one for each that is fresh, in order."""
    left = Counter(fresh)
    kept = []
    for ms in durations:
        if left[ms] > 0:
            left[ms] -= 1
        else:
            kept.append(ms)
    return kept
