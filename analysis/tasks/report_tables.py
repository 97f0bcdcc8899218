"""Tables of the report of jobs or viewports."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.bootstrap import CONFIDENCE
from analysis.report.parts.table_rendering import (
    LEFT,
    Cell,
    Column,
    RowGroup,
    Table,
    number,
    with_interval,
    word,
)
from analysis.tasks.figures import TaskFigures
from analysis.tasks.means import TaskMeans
from analysis.tasks.pairs import TaskPair


def means_table(figures: TaskFigures, found: Sequence[tuple[str, Sequence[TaskMeans]]]) -> Table:
    """Each policy's means, group by group.

    Args:
        found: (title, means); an empty title where there is one group.
    """
    columns = [Column("policy", ("policy",), LEFT), Column(figures.points, (figures.points,))]
    for figure in figures.figures:
        names = (figure.name, f"{figure.name}_low", f"{figure.name}_high")
        columns.append(Column(figure.heading, names))
    by = found[0][1][0].by
    groups = tuple(
        RowGroup(title or None, tuple(_means_row(figures, one) for one in means)) for title, means in found
    )
    caption = f"Means over {figures.points}, with {CONFIDENCE:.0%} intervals by {by}."
    return Table("means", caption, tuple(columns), groups, group_csv="setting", wide=True)


def _means_row(figures: TaskFigures, one: TaskMeans) -> tuple[Cell, ...]:
    cells = (
        with_interval(one.intervals[figure.name], figure.form) if one.intervals else Cell("–", (None,) * 3)
        for figure in figures.figures
    )
    return word(one.policy), number(one.points, "d"), *cells


def paired_table(name: str, figures: TaskFigures, found: Sequence[tuple[str, Sequence[TaskPair]]]) -> Table:
    """Differences in pairs, group by group.

    Args:
        name: of its files.
        found: (title, pairs), all drawn anew by the same.
    """
    intervals = tuple(found[0][1][0].intervals)
    columns = [Column("policy", ("policy",), LEFT), Column("minus", ("baseline",), LEFT)]
    columns += [Column("verdict", ("verdict",), LEFT)]
    for by in intervals:
        names = tuple(f"difference_by_{by}{end}" for end in ("", "_low", "_high"))
        columns.append(Column(f"difference, by {by}", names))
    columns += [Column("of it", ("share",)), Column(figures.points, (figures.points,))]
    groups = tuple(RowGroup(title or None, tuple(map(_pair_row, pairs))) for title, pairs in found)
    caption = (
        f"Differences of {figures.first.heading} over pairs of {figures.points}, with {CONFIDENCE:.0%}"
        f" intervals by {' and by '.join(intervals)}. Less is better."
    )
    return Table(name, caption, tuple(columns), groups, wide=True)


def _pair_row(pair: TaskPair) -> tuple[Cell, ...]:
    form = f"+{pair.figure.form}"
    return (
        word(pair.policy),
        word(pair.baseline),
        word(pair.verdict, pair.verdict.partition(" ")[0]),
        *(with_interval(interval, form) for interval in pair.intervals.values()),
        Cell(f"{pair.share:+.1%}", (pair.share,)),
        number(pair.points, "d"),
    )
