"""What is measured of a task: which figures, of what unit of pairing, drawn anew by what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from player.jobs.record import JOBS_RECORD, JobRow
from player.tasks.record import RecordKind, TaskRecord
from player.viewport.record import VIEWPORT_RECORD, ViewerRow


@dataclass(frozen=True)
class Point:
    """What is paired: a sequence of jobs, or a window of a viewer of a video."""

    key: tuple[Any, ...]
    clusters: tuple[str, ...]
    """One for each of `TaskFigures.by`."""
    values: Mapping[str, float]


@dataclass(frozen=True)
class Figure:
    """A figure; less is better, but for those that say otherwise."""

    name: str
    heading: str
    form: str = ".2f"
    more_is_better: bool = False


@dataclass(frozen=True)
class TaskFigures:
    """A task's figures; the first decides."""

    records: RecordKind[Any]
    figures: tuple[Figure, ...]
    by: tuple[str, ...]
    """What is drawn anew for intervals: the first for the table, all for comparisons."""
    points: str
    """What the points are, in words."""
    fallback: str
    """Who decides in a policy's place."""
    points_of: Callable[[TaskRecord[Any]], list[Point]]

    @property
    def first(self) -> Figure:
        return self.figures[0]


def _trace(record: TaskRecord[Any]) -> str:
    told = record.told.trace
    return (told.name if told else None) or "?"


def _jobs(record: TaskRecord[JobRow]) -> list[Point]:
    """One point; none where no job is done."""
    times = [row.done_s - row.arrival_s for row in record.rows if row.done_s is not None]
    if not times or len(times) < len(record.rows):
        return []
    name = _trace(record)
    values = {
        "job_s": float(np.mean(times)),
        "p90_s": float(np.quantile(times, 0.9)),
        "makespan_s": max(row.done_s or 0.0 for row in record.rows),
    }
    return [Point((name, record.told.seed), (name,), values)]


def _viewport(record: TaskRecord[ViewerRow]) -> list[Point]:
    name = _trace(record)
    return [
        Point(
            (name, row.viewer, window),
            (row.viewer, name),
            {figure.name: getattr(row, figure.name)[window] for figure in VIEWPORT_FIGURES.figures},
        )
        for row in record.rows
        for window in range(row.windows)
    ]


JOBS_FIGURES = TaskFigures(
    JOBS_RECORD,
    (
        Figure("job_s", "job time s"),
        Figure("p90_s", "p90 s", ".1f"),
        Figure("makespan_s", "all done s", ".0f"),
    ),
    ("sequence",),
    "sequences",
    "fair",
    _jobs,
)
VIEWPORT_FIGURES = TaskFigures(
    VIEWPORT_RECORD,
    (
        Figure("mae", "MAE", ".3f"),
        Figure("yaw", "yaw"),
        Figure("great_circle", "great circle"),
        Figure("at_1s", "MAE @1 s"),
        Figure("at_2s", "@2 s"),
        Figure("at_4s", "@4 s"),
        Figure("inside", "inside", ".3f", more_is_better=True),
    ),
    ("viewer", "video"),
    "windows",
    "the head that stays",
    _viewport,
)
EVERY = {figures.records.task: figures for figures in (JOBS_FIGURES, VIEWPORT_FIGURES)}
