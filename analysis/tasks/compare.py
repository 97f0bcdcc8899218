"""Policies compared in pairs: differences of the same sequence, or of the same window, with intervals."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.bootstrap import Interval, mean_interval
from analysis.sessions import AnalysisError, tell_unreadable
from analysis.tasks.figures import EVERY, Point, TaskFigures
from analysis.tasks.means import as_json, bounds_words, means_of, table
from analysis.tasks.read import TaskCase, read_cases
from traces.commands import PIPE_COLUMNS
from traces.console import VisibleConsole
from traces.words import meant


@dataclass(frozen=True)
class TaskPair:
    """A policy minus a baseline, in the figure that decides."""

    policy: str
    baseline: str
    points: int
    share: float
    """The mean difference over the baseline's mean."""
    intervals: tuple[Interval, ...]
    """One for each of what is drawn anew."""

    def verdict(self, more_is_better: bool) -> str:
        """`ahead`, `behind` or `no difference seen`: by the widest of the intervals."""
        if any(interval.holds_zero for interval in self.intervals):
            return "no difference seen"
        better = (self.intervals[0].mean > 0.0) == more_is_better
        return "ahead" if better else "behind"


def pairs_of(figures: TaskFigures, cases: Sequence[TaskCase], baseline: str | None) -> list[TaskPair]:
    """Each with the baseline, or, without one, each with each.

    Raises:
        AnalysisError: a baseline that is not there, fewer than two policies, nothing that two have.
    """
    policies = list(dict.fromkeys(case.policy for case in cases))
    if baseline is not None and baseline not in policies:
        raise AnalysisError(
            f"--baseline {baseline}{meant(baseline, policies)}: there are {', '.join(policies)}"
        )
    if len(policies) < 2:
        raise AnalysisError(f"a comparison needs two policies; there is {', '.join(policies)}")
    points = {
        policy: {point.key: point for case in cases if case.policy == policy for point in case.points}
        for policy in policies
    }
    wanted = (
        [(second, first) for first, second in combinations(policies, 2)]
        if baseline is None
        else [(policy, baseline) for policy in policies if policy != baseline]
    )
    found = [
        _pair(figures, policy, other, points[policy], points[other])
        for policy, other in wanted
        if points[policy].keys() & points[other].keys()
    ]
    if not found:
        raise AnalysisError(f"no two policies have {figures.points} in common; nothing can be paired")
    return found


def _pair(
    figures: TaskFigures, policy: str, other: str, mine: dict[Any, Point], others: dict[Any, Point]
) -> TaskPair:
    name, both = figures.first.name, [key for key in others if key in mine]
    differences = [mine[key].values[name] - others[key].values[name] for key in both]
    total = sum(others[key].values[name] for key in both)
    return TaskPair(
        policy,
        other,
        len(both),
        sum(differences) / total if total else 0.0,
        tuple(
            mean_interval(differences, [others[key].clusters[place] for key in both])
            for place in range(len(figures.by))
        ),
    )


def pairs_table(figures: TaskFigures, pairs: Sequence[TaskPair]) -> Table:
    """What a person sees of them."""
    first = figures.first
    shown = Table(
        title=f"{first.heading}, paired: policy less baseline", title_justify="left", box=None, pad_edge=False
    )
    shown.add_column("policy")
    shown.add_column("baseline")
    for name in (figures.points, "difference", *(f"95 % by {by}" for by in figures.by), "of it"):
        shown.add_column(name, justify="right")
    shown.add_column("verdict")
    for pair in pairs:
        cells = (
            pair.policy,
            pair.baseline,
            str(pair.points),
            f"{pair.intervals[0].mean:+{first.form}}",
            *(bounds_words(interval, f"+{first.form}") for interval in pair.intervals),
            f"{pair.share:+.1%}",
            pair.verdict(first.more_is_better),
        )
        shown.add_row(*map(Text, cells))
    return shown


def command_of(task: str, name: str) -> Callable[[argparse.Namespace], int]:
    """The command of this name for a task.

    Raises:
        AnalysisError: there is none.
    """
    figures = EVERY[task]
    if name != "compare":
        raise AnalysisError(
            f"{name}: these records are of {figures.records.task}, for which there is compare"
        )
    return lambda args: _compare(figures, args)


def _compare(figures: TaskFigures, args: argparse.Namespace) -> int:
    cases, faults = read_cases(figures, args.results, args.policy)
    status = tell_unreadable(faults)
    means, pairs = means_of(figures, cases), pairs_of(figures, cases, args.baseline)
    if args.json:
        print(json.dumps(as_json(figures, means) | {"pairs": [_pair_json(figures, pair) for pair in pairs]}))
        return status
    console: Console = VisibleConsole(width=None if sys.stdout.isatty() else PIPE_COLUMNS)
    console.print(table(figures, means))
    console.print()
    console.print(pairs_table(figures, pairs))
    return status


def _pair_json(figures: TaskFigures, pair: TaskPair) -> dict[str, Any]:
    return {
        "policy": pair.policy,
        "baseline": pair.baseline,
        figures.points: pair.points,
        "figure": figures.first.name,
        "difference": pair.intervals[0].mean,
        "share": pair.share,
        **{f"ci95_by_{by}": interval.bounds for by, interval in zip(figures.by, pair.intervals, strict=True)},
        "verdict": pair.verdict(figures.first.more_is_better),
    }
