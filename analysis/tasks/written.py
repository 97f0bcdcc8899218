"""Comparisons as a table in a file: a row a pair of policies in a group.

Intervals are `…_low` and `…_high`, of 95 %; null where one cluster leaves nothing to resample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from analysis.tables.table_file import NUMBER, TEXT, WHOLE
from analysis.tasks.figures import EVERY, TaskFigures
from analysis.tasks.groups import Group
from analysis.tasks.pairs import TaskPair


def _columns(figures: TaskFigures) -> dict[str, str]:
    bounds = [f"by_{by}_{end}" for by in figures.by for end in ("low", "high")]
    return {
        "group": TEXT,  # of --by; null without
        "policy": TEXT,
        "baseline": TEXT,  # what is subtracted
        "figure": TEXT,
        figures.points: WHOLE,
        "difference": NUMBER,
        **dict.fromkeys(bounds, NUMBER),
        "share": NUMBER,  # of the baseline's mean
        "verdict": TEXT,
    }


PAIR_COLUMNS = {task: _columns(figures) for task, figures in EVERY.items()}
"""Task -> column -> kind, in order."""


def pair_rows(
    figures: TaskFigures, groups: Sequence[Group], pairs: Sequence[Sequence[TaskPair]]
) -> Iterator[dict[str, Any]]:
    """A row for each pair of each group."""
    for group, found in zip(groups, pairs, strict=True):
        for pair in found:
            row: dict[str, Any] = dict.fromkeys(PAIR_COLUMNS[figures.records.task])
            row |= {"group": group.title or None, "policy": pair.policy, "baseline": pair.baseline}
            row |= {"figure": pair.figure.name, figures.points: pair.points, "difference": pair.mean}
            row |= {"share": pair.share, "verdict": pair.verdict}
            for by, interval in pair.intervals.items():
                row |= {f"by_{by}_low": interval.low, f"by_{by}_high": interval.high}
            yield row
