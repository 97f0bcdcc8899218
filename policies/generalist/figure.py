"""Rows as a picture: a column for each task, what each kind scores above, transfer by shares below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from policies.generalist.plan import FROZEN_BASE, FROZEN_RANDOM, PERCENTS, RANDOM, SCRATCH, TRANSFER
from policies.generalist.rows import Rows
from policies.generalist.scores import Interval, interval
from policies.generalist.table import scored
from policies.generalist.verdict import Makes, own_of, shared_by, transferred
from traces.files import aside

BLUE, RED, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
NOT_YET = "not run yet"
COLUMN_INCHES, HEIGHT_INCHES = 2.9, 5.4


def draw(rows: Rows, path: Path) -> None:
    """The figure; hollow marks are of one seed, and what has no row is said.

    Raises:
        OSError: it can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tasks = tuple(rows.tasks)
    size = (COLUMN_INCHES * max(len(tasks), 1) + 1.0, HEIGHT_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(tasks), squeeze=False, height_ratios=(1.25, 1.0))
    for place, task in enumerate(tasks):
        _kinds(axes[0, place], rows, task, named=place == 0)
        _shares(axes[1, place], rows, task)
    axes[1, 0].set_ylabel("score")
    if named := next((axis for axis in axes[1] if axis.get_legend_handles_labels()[1]), None):
        named.legend(fontsize="small", frameon=False)
    with aside(path, keep_suffix=True) as partial:
        figure.savefig(partial, dpi=150)


def _kinds(axis: Any, rows: Rows, task: str, named: bool) -> None:
    """What each kind scores, with its interval."""
    tasks = tuple(rows.tasks)
    kinds: list[tuple[str, Makes, str]] = [
        ("shared", shared_by(tasks), RED),
        ("own", own_of(task), BLUE),
        ("frozen", own_of(task, FROZEN_BASE), GREY),
        ("frozen random", own_of(task, FROZEN_RANDOM), GREY),
        ("own, random", own_of(task, RANDOM), BLUE),
        ("shared, random", shared_by(tasks, RANDOM), RED),
        ("own, scratch", own_of(task, SCRATCH), BLUE),
        ("shared, scratch", shared_by(tasks, SCRATCH), RED),
    ]
    for height, (_, makes, colour) in enumerate(kinds):
        found = scored(rows, makes, task)
        if found is not None:
            _bar(axis, found, height, colour)
        else:
            axis.text(
                0.02, height, NOT_YET, transform=axis.get_yaxis_transform(), va="center", fontsize="x-small",
                color=GREY,
            )  # fmt: skip
    for place, row in enumerate(rows.specialists(task)):
        score = interval([row.gains], rows.tasks[task]).mean
        axis.axvline(score, color=GREEN, linestyle=":", linewidth=1)
        axis.annotate(
            row.backbone, (score, 1.0), (1, 2 + 9 * place), xycoords=("data", "axes fraction"),
            textcoords="offset points", fontsize="x-small", color=GREEN,
        )  # fmt: skip
    axis.set_yticks(range(len(kinds)), [name if named else "" for name, _, _ in kinds], fontsize="small")
    axis.set_ylim(len(kinds) - 0.5, -0.5)
    axis.set_title(task, pad=22)
    axis.set_xlabel(rows.tasks[task].gained, fontsize="x-small")
    axis.tick_params(axis="x", labelsize="x-small")


def _bar(axis: Any, found: Interval, height: float, colour: str) -> None:
    reach = [[max(found.mean - found.low, 0.0)], [max(found.high - found.mean, 0.0)]]
    filled = colour if found.seeds > 1 else "white"
    axis.errorbar(
        [found.mean], [height], xerr=reach, color=colour, marker="o", markersize=4, capsize=2, linewidth=1,
        markerfacecolor=filled,
    )  # fmt: skip


def _shares(axis: Any, rows: Rows, task: str) -> None:
    """Transfer, frozen and frozen random weights on shares of the pool."""
    tasks = tuple(rows.tasks)
    kinds = (TRANSFER, RED, "s"), (FROZEN_BASE, BLUE, "o"), (FROZEN_RANDOM, GREY, "D")
    for name, colour, marker in kinds:
        points = []
        for percent in PERCENTS:
            makes = transferred(tasks, task, percent) if name == TRANSFER else own_of(task, name, percent)
            found = scored(rows, makes, task)
            if found is not None:
                points.append((percent, found))
        if points:
            means = np.array([found.mean for _, found in points])
            reach = np.maximum(
                [means - [found.low for _, found in points], [found.high for _, found in points] - means], 0.0
            )
            axis.errorbar(
                [percent for percent, _ in points], means, reach, color=colour, marker=marker, markersize=4,
                capsize=2, linewidth=1, label=name,
                markerfacecolor=colour if points[0][1].seeds > 1 else "white",
            )  # fmt: skip
    if not axis.get_legend_handles_labels()[1]:
        axis.text(
            0.5, 0.5, "not run yet", transform=axis.transAxes, ha="center", fontsize="small", color=GREY
        )
        axis.set_yticks([])
    axis.set_xscale("log")
    axis.set_xlim(0.7 * PERCENTS[0], 1.4 * PERCENTS[-1])
    axis.set_xticks(PERCENTS, [f"{each:g}" for each in PERCENTS])
    axis.minorticks_off()
    axis.set_xlabel("% of the pool", fontsize="small")
    axis.tick_params(labelsize="x-small")
