"""Small multiples: a panel a setting, a row a policy, named once at the left."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.report.parts.study import NetworkCondition
from analysis.style import FAINT_COLOUR, TEXT_IN, label

MOST_COLUMNS = 3
ROW_IN = 0.19
"""Height of a policy's row."""
PANEL_IN = 0.62
"""Height of what a panel has besides: title, axis."""
HEAD_IN = 0.42
TITLE_CHARACTERS = 34
NAME_CHARACTERS = 26


def policy_rows(
    conditions: Sequence[NetworkCondition], policies: Sequence[str], x_label: str
) -> tuple[Figure, list[Axes]]:
    """A figure as wide as a paper's text, a panel a condition; the first policy is row 0, on top."""
    columns = min(len(conditions), MOST_COLUMNS) if len(conditions) != 4 else 2
    bands = -(-len(conditions) // columns)
    titles = [textwrap.wrap(one.title, TITLE_CHARACTERS) or [""] for one in conditions]
    title_in = 0.13 * (max(map(len, titles)) - 1)
    height_in = HEAD_IN + bands * (PANEL_IN + title_in + ROW_IN * len(policies))
    figure = Figure(figsize=(TEXT_IN, height_in), layout="constrained")
    axes = figure.subplots(bands, columns, squeeze=False)
    every = list(axes.flat)
    for axis in every[len(conditions) :]:
        axis.set_axis_off()
    used = every[: len(conditions)]
    for place, (axis, title) in enumerate(zip(used, titles, strict=True)):
        axis.set_ylim(len(policies) - 0.5, -0.5)
        names = [textwrap.shorten(label(policy), NAME_CHARACTERS, placeholder="…") for policy in policies]
        axis.set_yticks(range(len(policies)), names if place % columns == 0 else [""] * len(policies))
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        axis.grid(axis="x", color=FAINT_COLOUR, linewidth=0.3, zorder=0)
        axis.set_title("\n".join(title), loc="left")
        axis.locator_params(axis="x", nbins=5)
        if place + columns >= len(conditions):
            axis.set_xlabel(x_label)
    return figure, used


def absent(axis: Axes, row: int, why: str = "none") -> None:
    """Say that a policy has nothing in a panel."""
    axis.text(0.02, row, why, transform=axis.get_yaxis_transform(), va="center", fontsize=6, color="#808080")
