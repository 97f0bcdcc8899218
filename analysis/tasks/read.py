"""Records of a task, reduced to points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.sessions import AnalysisError, RecordRead, of_policies, read_each
from analysis.tasks.figures import Point, TaskFigures
from player.record import FINISHED, RecordError
from player.tasks.record import TaskRecord, read_task


@dataclass(frozen=True)
class TaskCase:
    """A record."""

    path: str
    policy: str
    settings: str
    """Of how it was played; cases of other settings are not compared."""
    points: tuple[Point, ...]
    finished: bool
    decided_by: Mapping[str, int]
    because: str


def case_of(figures: TaskFigures, record: TaskRecord[Any]) -> TaskCase:
    """A record as a case."""
    read = RecordRead(record)
    settings = {name: record.manifest.get(name) for name in ("cluster", "windows")}
    return TaskCase(
        record.path,
        read.policy,
        repr(settings),
        tuple(figures.points_of(record)),
        record.end.outcome == FINISHED,
        record.end.decided_by,
        record.end.reason,
    )


def read_cases(
    figures: TaskFigures, places: Sequence[Path], policies: Sequence[str] = ()
) -> tuple[list[TaskCase], tuple[str, ...]]:
    """All records, and the faults of those that can't be read.

    Raises:
        AnalysisError: none is of a policy that is asked for, or records of several settings.
        RecordError: none can be read.
    """
    found, faults = read_each(places, lambda path: case_of(figures, read_task(path, figures.records)))
    if not found:
        raise RecordError(faults[0][1])
    wanted = of_policies(found, policies)
    settings = {case.settings for case in wanted}
    if len(settings) > 1:
        raise AnalysisError(f"records of {len(settings)} settings are here together; name those of one")
    return wanted, tuple(fault for _, fault in faults)
