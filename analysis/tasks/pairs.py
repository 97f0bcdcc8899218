"""Policies compared in pairs: differences of the same sequence, or of the same window, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from rich.table import Table
from rich.text import Text

from analysis.bootstrap import Interval, mean_interval
from analysis.sessions import AnalysisError
from analysis.tasks.figures import Figure, Point, TaskFigures
from analysis.tasks.groups import Group
from analysis.tasks.means import bounds_words
from traces.words import meant

AHEAD, BEHIND, UNKNOWN = "ahead", "behind", "no difference seen"


@dataclass(frozen=True)
class TaskPair:
    """A policy minus a baseline, in a figure."""

    policy: str
    baseline: str
    points: int
    share: float
    """The mean difference over the baseline's mean."""
    figure: Figure
    intervals: Mapping[str, Interval]
    """By what is drawn anew."""

    @property
    def mean(self) -> float:
        """The difference."""
        return next(iter(self.intervals.values())).mean

    @property
    def verdict(self) -> str:
        """`ahead`, `behind` or `no difference seen`: by the widest of the intervals."""
        if any(interval.holds_zero for interval in self.intervals.values()):
            return UNKNOWN
        return AHEAD if (self.mean > 0.0) == self.figure.more_is_better else BEHIND


def pairs_of(figures: TaskFigures, group: Group, baseline: str | None) -> list[TaskPair]:
    """Each with the baseline, or, without one, each with each.

    Raises:
        AnalysisError: a baseline that is not there, fewer than two policies, nothing that two have.
    """
    cases = group.cases
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
        _pair(figures, group, (policy, other), points[policy], points[other])
        for policy, other in wanted
        if points[policy].keys() & points[other].keys()
    ]
    if not found:
        raise AnalysisError(f"no two policies have {figures.points} in common; nothing can be paired")
    return found


def _pair(
    figures: TaskFigures,
    group: Group,
    who: tuple[str, str],
    mine: dict[Any, Point],
    others: dict[Any, Point],
) -> TaskPair:
    name, both = group.figure.name, [key for key in others if key in mine]
    differences = [mine[key].values[name] - others[key].values[name] for key in both]
    total = sum(others[key].values[name] for key in both)
    return TaskPair(
        *who,
        len(both),
        sum(differences) / total if total else 0.0,
        group.figure,
        {
            by: mean_interval(differences, [others[key].clusters[figures.by.index(by)] for key in both])
            for by in group.by
        },
    )


def pairs_table(figures: TaskFigures, pairs: Sequence[TaskPair]) -> Table:
    """What a person sees of them."""
    first = pairs[0]
    title = f"{first.figure.heading}, paired: policy less baseline"
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    shown.add_column("policy")
    shown.add_column("baseline")
    for name in (figures.points, "difference", *(f"95 % by {by}" for by in first.intervals), "of it"):
        shown.add_column(name, justify="right")
    shown.add_column("verdict")
    for pair in pairs:
        cells = (
            pair.policy,
            pair.baseline,
            str(pair.points),
            f"{pair.mean:+{pair.figure.form}}",
            *(bounds_words(interval, f"+{pair.figure.form}") for interval in pair.intervals.values()),
            f"{pair.share:+.1%}",
            pair.verdict,
        )
        shown.add_row(*map(Text, cells))
    return shown


def pair_json(figures: TaskFigures, pair: TaskPair) -> dict[str, Any]:
    """As `--json` has it."""
    return {
        "policy": pair.policy,
        "baseline": pair.baseline,
        figures.points: pair.points,
        "figure": pair.figure.name,
        "difference": pair.mean,
        "share": pair.share,
        **{f"ci95_by_{by}": interval.bounds for by, interval in pair.intervals.items()},
        "verdict": pair.verdict,
    }
