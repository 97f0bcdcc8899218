"""Small multiples: a panel a setting, a row a policy, named once at the left."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.figures import MEAN_MARK, colour
from analysis.style import BLACK, FAINT_COLOUR, GREY, TEXT_IN, is_bound, label, paler

MOST_COLUMNS = 3
ROW_IN = 0.19
"""Height of a policy's row."""
PANEL_IN = 0.62
"""Height of what a panel has besides: title, axis."""
HEAD_IN = 0.42
TITLE_CHARACTERS = 34
NAME_CHARACTERS = 26
BOX_WIDTH = 0.62
SEEN_GROUND, UNSEEN_GROUND = "#EEF3F8", "#FFFFFF"
DASHES = (0.0, (3.0, 2.0))


def policy_rows(titles: Sequence[str], policies: Sequence[str], x_label: str) -> tuple[Figure, list[Axes]]:
    """A figure as wide as a paper's text, a panel a title; the first policy is row 0, on top."""
    columns = min(len(titles), MOST_COLUMNS) if len(titles) != 4 else 2
    bands = -(-len(titles) // columns)
    wrapped = [textwrap.wrap(one, TITLE_CHARACTERS) or [""] for one in titles]
    title_in = 0.13 * (max(map(len, wrapped)) - 1)
    height_in = HEAD_IN + bands * (PANEL_IN + title_in + ROW_IN * len(policies))
    figure = Figure(figsize=(TEXT_IN, height_in), layout="constrained")
    axes = figure.subplots(bands, columns, squeeze=False)
    every = list(axes.flat)
    for axis in every[len(titles) :]:
        axis.set_axis_off()
    used = every[: len(titles)]
    for place, (axis, title) in enumerate(zip(used, wrapped, strict=True)):
        axis.set_ylim(len(policies) - 0.5, -0.5)
        names = [textwrap.shorten(label(policy), NAME_CHARACTERS, placeholder="…") for policy in policies]
        axis.set_yticks(range(len(policies)), names if place % columns == 0 else [""] * len(policies))
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        axis.grid(axis="x", color=FAINT_COLOUR, linewidth=0.3, zorder=0)
        axis.set_title("\n".join(title), loc="left")
        axis.locator_params(axis="x", nbins=5)
        if place + columns >= len(titles):
            axis.set_xlabel(x_label)
    return figure, used


def absent(axis: Axes, row: int, why: str = "none") -> None:
    """Say that a policy has nothing in a panel."""
    axis.text(0.02, row, why, transform=axis.get_yaxis_transform(), va="center", fontsize=6, color="#808080")


def box_in_row(axis: Axes, row: float, values: Sequence[float], policy: str) -> None:
    """Quartiles, 5th and 95th percentile, mean of a policy's values."""
    bound = is_bound(policy)
    thin = {"color": BLACK, "linewidth": 0.7}
    axis.boxplot(
        [list(values)],
        positions=[row],
        widths=BOX_WIDTH,
        orientation="horizontal",
        whis=(5, 95),
        showfliers=False,
        showmeans=True,
        meanprops=MEAN_MARK,
        patch_artist=True,
        manage_ticks=False,
        boxprops={
            "facecolor": "white" if bound else paler(colour(policy), 0.8),
            "edgecolor": BLACK,
            "linewidth": 0.7,
            "linestyle": "dotted" if bound else "solid",
        },
        medianprops={"color": BLACK, "linewidth": 1.1},
        whiskerprops=thin,
        capprops=thin,
        zorder=3,
    )


def mark_mean(axis: Axes, values: Sequence[float]) -> None:
    """A dashed line at the mean of a baseline's values."""
    axis.axvline(sum(values) / len(values), color=GREY, linewidth=0.8, linestyle=DASHES, zorder=1)


def mean_handles(baseline: str | None) -> list[Line2D]:
    """Of the means' marks, and of the baseline's line."""
    handles = [Line2D([], [], **MEAN_MARK, label="mean")]
    if baseline:
        line: Any = {"color": GREY, "linewidth": 0.8, "linestyle": DASHES}
        handles.append(Line2D([], [], **line, label=f"mean of {baseline}"))
    return handles


def seen_handles() -> list[Patch]:
    """Of the grounds of panels."""
    grounds = {"seen": SEEN_GROUND, "unseen": UNSEEN_GROUND}
    return [
        Patch(facecolor=ground, edgecolor=GREY, linewidth=0.4, label=name) for name, ground in grounds.items()
    ]
