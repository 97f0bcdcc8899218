"""Each policy's means, with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from analysis.bootstrap import Interval, mean_intervals
from analysis.tasks.figures import Figure, Point, TaskFigures
from analysis.tasks.read import TaskCase


@dataclass(frozen=True)
class TaskMeans:
    """A policy's."""

    policy: str
    cases: int
    points: int
    unfinished: int
    by: str
    intervals: Mapping[str, Interval]
    """Empty where there is no point."""
    decisions: int
    decided_by: Mapping[str, int]
    because: str


def means_of(figures: TaskFigures, cases: Sequence[TaskCase], by: str | None = None) -> list[TaskMeans]:
    """In the order in which policies come.

    Args:
        by: what is drawn anew; one of the task's own, the first where None is named.
    """
    return [
        _means(figures, policy, [case for case in cases if case.policy == policy], by or figures.by[0])
        for policy in dict.fromkeys(case.policy for case in cases)
    ]


def _means(figures: TaskFigures, policy: str, mine: Sequence[TaskCase], by: str) -> TaskMeans:
    place = figures.by.index(by)
    points = [point for case in mine for point in case.points]
    decided = sum((Counter(case.decided_by) for case in mine), Counter[str]())
    return TaskMeans(
        policy,
        len(mine),
        len(points),
        sum(not case.finished for case in mine),
        by,
        intervals_of(figures, points, [point.clusters[place] for point in points]) if points else {},
        sum(decided.values()),
        dict(decided),
        next((case.because for case in mine if case.because), ""),
    )


def intervals_of(
    figures: TaskFigures, points: Sequence[Point], clusters: Sequence[str]
) -> dict[str, Interval]:
    """Of each figure."""
    names = [figure.name for figure in figures.figures]
    columns = [[point.values[name] for point in points] for name in names]
    return dict(zip(names, mean_intervals(columns, clusters), strict=True))


def as_json(figures: TaskFigures, means: Sequence[TaskMeans]) -> dict[str, Any]:
    """The object of `--json`."""
    return {
        "task": figures.records.task,
        "simulated": True,
        "intervals_by": means[0].by,
        "policies": [mean_json(figures, one) for one in means],
    }


def mean_json(figures: TaskFigures, one: TaskMeans) -> dict[str, Any]:
    """A policy's, as `--json` has them."""
    return {
        "policy": one.policy,
        "records": one.cases,
        figures.points: one.points,
        "unfinished": one.unfinished,
        **{name: interval.mean for name, interval in one.intervals.items()},
        **{f"{name}_ci95": interval.bounds for name, interval in one.intervals.items()},
        "decisions": one.decisions,
        "decided_by": dict(one.decided_by),
    }


def table(figures: TaskFigures, means: Sequence[TaskMeans]) -> Table:
    """What a person sees."""
    shown = Table(
        title=f"{figures.first.heading}: mean over {figures.points}, 95 % interval by {means[0].by}",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    shown.add_column("policy")
    headings = (figure.heading for figure in figures.figures[1:])
    for name in (figures.points, figures.first.heading, "95 %", *headings, "decisions"):
        shown.add_column(name, justify="right")
    for one in means:
        rest = (_mean(figure, one) for figure in figures.figures[1:])
        bounds = bounds_words(one.intervals.get(figures.first.name), figures.first.form)
        cells = (one.policy, str(one.points), _mean(figures.first, one), bounds, *rest, str(one.decisions))
        shown.add_row(*map(Text, cells))
    return shown


def _mean(figure: Figure, one: TaskMeans) -> str:
    return f"{one.intervals[figure.name].mean:{figure.form}}" if one.intervals else "-"


def bounds_words(interval: Interval | None, form: str) -> str:
    """`1.2 to 3.4`, or a dash."""
    if interval is None or interval.low is None or interval.high is None:
        return "-"
    return f"{interval.low:{form}} to {interval.high:{form}}"
