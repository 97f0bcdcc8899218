"""Records of a task, reduced to points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.sessions import AnalysisError, RecordRead, of_policies, read_each
from analysis.tasks.figures import SOURCE, Point, TaskFigures
from player.record import FINISHED, RecordError
from player.tasks.record import TaskRecord, read_task


@dataclass(frozen=True)
class TaskCase:
    """A record."""

    path: str
    policy: str
    setting: Mapping[str, str]
    """How it was played, in words, by what they are of."""
    points: tuple[Point, ...]
    finished: bool
    decided_by: Mapping[str, int]
    because: str


def case_of(figures: TaskFigures, record: TaskRecord[Any]) -> TaskCase:
    """A record as a case."""
    return TaskCase(
        record.path,
        RecordRead(record).policy,
        figures.setting_of(record),
        tuple(figures.points_of(record)),
        record.end.outcome == FINISHED,
        record.end.decided_by,
        record.end.reason,
    )


def read_cases(
    figures: TaskFigures, places: Sequence[Path], policies: Sequence[str] = (), mixed: bool = False
) -> tuple[list[TaskCase], tuple[str, ...]]:
    """All records, and the faults of those that can't be read.

    Args:
        mixed: whether they may be of several settings. Of several families or folders they always may.

    Raises:
        AnalysisError: none is of a policy that is asked for, or records of several settings.
        RecordError: none can be read.
    """
    found, faults = read_each(places, lambda path: case_of(figures, read_task(path, figures.records)))
    if not found:
        raise RecordError(faults[0][1])
    wanted = of_policies(found, policies)
    differing = [axis for axis in axes_of(wanted) if axis != SOURCE]
    if differing and not mixed:
        settings = {tuple(case.setting.get(axis, "") for axis in differing) for case in wanted}
        raise AnalysisError(
            f"records of {len(settings)} settings are here together; name those of one, or --by setting"
        )
    return wanted, tuple(fault for _, fault in faults)


def axes_of(cases: Sequence[TaskCase]) -> list[str]:
    """In what of their settings cases differ."""
    names = dict.fromkeys(name for case in cases for name in case.setting)
    return [name for name in names if len({case.setting.get(name) for case in cases}) > 1]
