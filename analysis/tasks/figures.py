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
    units: str
    """What a box is over, in words: the points of the same clusters, averaged."""
    parts: tuple[str, ...]
    """Of `by`, what cases can be parted by."""
    horizons: tuple[Figure, ...]
    """Figures that are one, further and further ahead."""
    baseline: str
    """With whom a report compares where nobody says else."""
    fallback: str
    """Who decides in a policy's place."""
    points_of: Callable[[TaskRecord[Any]], list[Point]]
    setting_of: Callable[[TaskRecord[Any]], dict[str, str]]
    """How a case was played, in words, by what they are of."""

    @property
    def first(self) -> Figure:
        return self.figures[0]


def _trace(record: TaskRecord[Any]) -> str:
    told = record.told.trace
    return (told.name if told else None) or "?"


def _content(record: TaskRecord[Any]) -> str | None:
    """The hash of what was played: a sequence of fewer jobs has the same name."""
    told = record.told.trace
    return told.sha256 if told else None


SOURCE = "source"
"""Of a setting: the family, or the folder."""


def _setting(record: TaskRecord[Any], words: Mapping[tuple[str, str], str]) -> dict[str, str]:
    """Where it is from, and of each (section, name) of the manifest that is there the words."""
    told = record.told.trace
    found = {SOURCE: (told.family if told else None) or _trace(record).rpartition("/")[0] or "?"}
    for (section, name), said in words.items():
        values = record.manifest.get(section)
        value = values.get(name) if isinstance(values, dict) else None
        if value is not None:
            number = isinstance(value, int | float)
            found[name] = said.format(f"{value:g}" if number else str(value))
    return found


JOBS_WORDS = {
    ("cluster", "executors"): "{} executors",
    ("sequence", "jobs"): "{} jobs",
    ("sequence", "gap_s"): "{} s apart",
    ("cluster", "moving_ms"): "{} ms to move",
    ("cluster", "warm_up_ms"): "{} ms to warm up",
    ("cluster", "mode"): "{} durations",
}
VIEWPORT_WORDS = {
    ("windows", "history"): "{} samples seen",
    ("windows", "future"): "{} ahead",
    ("others", "earlier"): "earlier viewers of {}",
}


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
    return [Point((name, _content(record), record.told.seed), (name,), values)]


def _viewport(record: TaskRecord[ViewerRow]) -> list[Point]:
    name = _trace(record)
    return [
        Point(
            (name, _content(record), row.viewer, window),
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
    "sequences",
    (),
    (),
    "fair",
    "fair",
    _jobs,
    lambda record: _setting(record, JOBS_WORDS),
)
HORIZONS = (
    Figure("at_1s", "MAE @1 s"),
    Figure("at_2s", "MAE @2 s"),
    Figure("at_4s", "MAE @4 s"),
)
VIEWPORT_FIGURES = TaskFigures(
    VIEWPORT_RECORD,
    (
        Figure("mae", "MAE", ".3f"),
        Figure("yaw", "yaw"),
        Figure("great_circle", "great circle"),
        *HORIZONS,
        Figure("inside", "inside", ".3f", more_is_better=True),
    ),
    ("viewer", "video"),
    "windows",
    "recordings",
    ("viewer", "video"),
    HORIZONS,
    "static",
    "the head that stays",
    _viewport,
    lambda record: _setting(record, VIEWPORT_WORDS),
)
EVERY = {figures.records.task: figures for figures in (JOBS_FIGURES, VIEWPORT_FIGURES)}
