"""QoE, its difference to the baseline, and stall ratio over the values of an axis: a column a setting."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.bootstrap import Interval
from analysis.figures import HANDLE_CHARACTERS, line
from analysis.report.parts.axes import LineResult
from analysis.report.parts.study import plain_number
from analysis.style import (
    BLACK,
    COLUMN_IN,
    FAINT_COLOUR,
    TEXT_IN,
    in_order,
    label,
    share_scale,
    short_name,
)

MOST_COLUMNS = 3
ROW_IN = 1.55
"""Height of a panel."""
HEAD_IN = 0.55
TITLE_CHARACTERS = 34
DODGE = 0.012
"""Of the axis's length, from a policy to the next, so that intervals do not hide each other."""
LABEL_IN = 0.24
"""What a value's label takes."""
CHARACTERS_PER_IN = 15
"""Of a legend's line."""

Curves = Mapping[str, Sequence[Interval]]
"""[policy]: (points,)"""
Row = tuple[str, Callable[[LineResult], Curves], float]
"""What the y axis is called, what is drawn, and so many times the value."""


def draw_axis(results: Sequence[LineResult], baseline: str | None) -> Figure:
    """Curves over one axis, with intervals; all panels of a row, and all x axes, have one scale.

    To be called within `matplotlib.rc_context(style.RC)`.
    """
    rows = _rows(results, baseline)
    columns = min(len(results), MOST_COLUMNS)
    bands = -(-len(results) // columns)
    width_in = COLUMN_IN if columns == 1 else TEXT_IN
    figure = Figure(figsize=(width_in, HEAD_IN + bands * len(rows) * ROW_IN), layout="constrained")
    grid = figure.subplots(bands * len(rows), columns, squeeze=False)
    policies = in_order(dict.fromkeys(each.policy for one in results for each in one.policies))
    for place in range(bands * columns):
        band, column = divmod(place, columns)
        panels = [grid[band * len(rows) + row][column] for row in range(len(rows))]
        if place < len(results):
            _column(panels, rows, results[place], policies)
        else:
            for panel in panels:
                panel.set_axis_off()
    for row, (title, _, _) in enumerate(rows):
        for band in range(bands):
            grid[band * len(rows) + row][0].set_ylabel(title)
        share_scale(grid[row :: len(rows)].flat, "y")
    share_scale(grid.flat, "x")
    for panel in filter(lambda one: one.axison, grid.flat):
        _label_values(panel, LABEL_IN * columns / width_in)
    _legend(figure, policies)
    return figure


def _rows(results: Sequence[LineResult], baseline: str | None) -> list[Row]:
    def at(measure: str) -> Callable[[LineResult], Curves]:
        return lambda one: {each.policy: each.measures[measure].at for each in one.policies}

    rows: list[Row] = [("mean QoE", at("qoe"), 1.0)]
    if baseline is not None and any(one.pairs for one in results):
        title = f"QoE minus\n{short_name(baseline)}'s"
        rows.append((title, lambda one: {pair.policy: pair.at for pair in one.pairs}, 1.0))
    return [*rows, ("stall ratio (%)", at("stall_ratio"), 100.0)]


def _column(panels: Sequence[Axes], rows: Sequence[Row], result: LineResult, policies: Sequence[str]) -> None:
    """A setting's panels, one below the other."""
    values = result.line.values
    length = values[-1] - values[0]
    for panel, (title, curves, scale) in zip(panels, rows, strict=True):
        if "minus" in title:
            panel.axhline(0, color=BLACK, linewidth=0.7, zorder=1)
        for policy, intervals in curves(result).items():
            shift = DODGE * length * (policies.index(policy) - (len(policies) - 1) / 2)
            places = [value + shift for value in values]
            look = line(policy)
            panel.plot(places, [scale * one.mean for one in intervals], **look, marker="o", markersize=3)
            for place, one in zip(places, intervals, strict=True):
                if one.low is not None and one.high is not None:
                    panel.vlines(place, scale * one.low, scale * one.high, color=look["color"], linewidth=1.1)
        panel.grid(axis="y", color=FAINT_COLOUR, linewidth=0.3, zorder=0)
        panel.xaxis.set_major_locator(FixedLocator(values))
        panel.xaxis.set_minor_locator(NullLocator())
    panels[0].set_title(textwrap.fill(result.line.name, TITLE_CHARACTERS), loc="left")
    panels[-1].set_xlabel(result.line.axis.title)


def _label_values(panel: Axes, share: float) -> None:
    """Write a value at its tick, unless the one written before is nearer than this share of the axis."""
    left, right = panel.get_xlim()
    written: list[float] = []
    for value in panel.get_xticks():
        if not written or value - written[-1] >= share * (right - left):
            written.append(value)
    panel.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: plain_number(float(value)) if value in written else "")
    )


def _legend(figure: Figure, policies: Sequence[str]) -> None:
    handles = [
        Line2D([], [], **line(policy), marker="o", markersize=3, label=label(policy)) for policy in policies
    ]
    longest = max(len(label(policy)) for policy in policies) + HANDLE_CHARACTERS
    columns = max(int(figure.get_size_inches()[0] * CHARACTERS_PER_IN / longest), 1)
    figure.legend(handles=handles, loc="outside lower center", ncols=min(columns, len(handles)))
