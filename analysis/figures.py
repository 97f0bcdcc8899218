"""Figures that compare policies over many sessions: CDF, bars, box plots, bitrate against stalls.

Each draws only cases (trace, start, video, link) that all its policies have, seeds averaged
first, so that no policy looks better by what it was spared. All are to be called within
`matplotlib.rc_context(style.RC)`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon
from matplotlib.ticker import MaxNLocator, PercentFormatter

from analysis.bootstrap import Interval, mean_intervals
from analysis.cases.case import Case
from analysis.cases.grouping import Grouping
from analysis.clusters import ClusterRule
from analysis.compare import Cells, cells, common_cases, grouped
from analysis.comparison import told_others
from analysis.outcomes import Figures, Outcomes
from analysis.sessions import AnalysisError
from analysis.style import (
    BLACK,
    COLUMN_IN,
    FAINT_COLOUR,
    GREY,
    KNOWN,
    TEXT_IN,
    in_order,
    is_bound,
    label,
    paler,
    policy_colour,
    policy_line,
    share_scale,
    short_name,
)

BOUND_LINE: dict[str, Any] = {"color": GREY, "linestyle": (0.0, (1.0, 1.0)), "linewidth": 1.2}

KNOWABLE_LINE: dict[str, Any] = {"color": BLACK, "linestyle": (0.0, (6.0, 1.5)), "linewidth": 1.0}
"""What no controller can pass (`knowable.py`), over a band of …"""
KNOWABLE_BAND: dict[str, Any] = {"color": "#E4E4E4", "linewidth": 0.0}
"""… its interval."""
KNOWABLE_WORDS = "no controller can pass this"

Knowable = Callable[[Outcomes, Sequence[Case]], Interval | str]
"""The bound over some of the sessions' cases, or why there is none."""

HEIGHT_IN = 2.5
BAR_WIDTH = 0.8
"""Of a group of bars or boxes; the rest is the gap to the next group."""
MOST_POLICIES = 14
"""More cannot be told apart."""
LEAST_PERCENT = 0.1
"""An axis of stall ratios reaches so far, even if nobody stalled."""
MARGIN = 0.06
"""Of an axis, free beyond the outermost value."""

MOST_COLUMNS = 4
"""Of panels side by side."""
WIDE_COLUMNS = 2
"""With more columns than this, panels are narrow, and …"""
NARROW_CHARACTERS = 24
"""… their titles' lines hold so many characters."""

CHARACTERS_PER_IN = 21
"""That a line of the legend holds."""
HANDLE_CHARACTERS = 6
"""That a handle and its gaps take."""

MARKERS = "osD^vP*Xph<>d8"
"""By place in the legend: a policy is told by more than its colour."""


@dataclass(frozen=True)
class Panel:
    """What one group has: figures of all policies over the same cases."""

    name: str | None
    policies: tuple[str, ...]
    cases: tuple[Case, ...]
    cells: Cells

    @property
    def videos(self) -> frozenset[str]:
        """What was streamed."""
        return frozenset(case.video for case in self.cases)

    def values(self, policy: str, get: Callable[[Figures], float]) -> list[float]:
        """(cases,) of one policy."""
        return [get(self.cells[policy][case]) for case in self.cases]

    def intervals(self, get: Callable[[Figures], float], rule: ClusterRule) -> dict[str, Interval]:
        """Each policy's mean over the cases, with its interval over traces."""
        columns = [self.values(policy, get) for policy in self.policies]
        found = mean_intervals(columns, [rule.key(case.trace) for case in self.cases])
        return dict(zip(self.policies, found, strict=True))


@dataclass(frozen=True)
class DrawnFigure:
    """A figure, and how many cases it could not show because a policy lacks them."""

    figure: Figure
    cases: int
    not_common: int
    without_bound: tuple[str, ...] = ()
    """Of a figure with bounds: the groups that have none, and why."""


def panels(outcomes: Outcomes, by: str | Grouping | None = None) -> tuple[Panel, ...]:
    """The groups of a figure; within each, the cases that all its policies have.

    Raises:
        AnalysisError: too many policies, or a group in which no case is common to all.
    """
    found = []
    for name, part in grouped(outcomes, by).items():
        mine = cells(part)
        common = common_cases(mine)
        if not common:
            where = "" if name is None else f" of {name}"
            raise AnalysisError(
                f"no case{where} is common to {', '.join(mine)}; choose policies with --policy"
            )
        found.append(Panel(name, tuple(in_order(mine)), tuple(common), mine))
    policies = {policy for panel in found for policy in panel.policies}
    if len(policies) > MOST_POLICIES:
        raise AnalysisError(
            f"{len(policies)} policies; a figure shows {MOST_POLICIES} at most: choose with --policy"
        )
    return tuple(found)


def line(policy: str) -> dict[str, Any]:
    """The policy's line; the bound's own."""
    return BOUND_LINE if is_bound(policy) else policy_line(policy)


def colour(policy: str) -> str:
    """The policy's colour; the bound's own."""
    return GREY if is_bound(policy) else policy_colour(policy)


def draw_cdf(outcomes: Outcomes, by: str | Grouping | None, rule: ClusterRule) -> DrawnFigure:
    """The share of sessions at or below each QoE; a panel a group."""
    parts = panels(outcomes, by)
    figure, axes = _row_of_axes(len(parts), share_y=True)
    for axis, part in zip(axes, parts, strict=True):
        for policy in part.policies:
            values = np.sort(part.values(policy, _qoe))
            shares = np.arange(1, len(values) + 1) / len(values)
            axis.step(
                [values[0], *values],
                [0.0, *shares],
                where="post",
                **line(policy),
                zorder=2 if is_bound(policy) else 3,
            )
        axis.set_ylim(0, 1.01)
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axis.margins(x=MARGIN)
        axis.set_xlabel("QoE per chunk")
        axis.grid(axis="y", color=FAINT_COLOUR, linewidth=0.3)
        _title(axis, part, len(parts))
    share_scale(axes, "x", of=[part.videos for part in parts])
    axes[0].set_ylabel("share of sessions")
    _head_and_legend(figure, outcomes, parts, [_line_handle(policy) for policy in _policies(parts)])
    return _drawn(figure, outcomes, parts)


def draw_bars(
    outcomes: Outcomes, by: str | Grouping | None, rule: ClusterRule, knowable: Knowable | None = None
) -> DrawnFigure:
    """Mean QoE of each policy in each group, with its interval over traces; the bound as a line."""
    parts = panels(outcomes, by)
    policies = [policy for policy in _policies(parts) if not is_bound(policy)]
    figure, (axis,) = _row_of_axes(1, wide=len(parts) * len(policies) > 8)
    places = _places(len(policies))
    for group, part in enumerate(parts):
        intervals = part.intervals(_qoe, rule)
        for policy, place in zip(policies, places, strict=True):
            if policy not in part.policies:
                continue
            interval = intervals[policy]
            axis.bar(
                group + place,
                interval.mean,
                _width(len(policies)),
                color=colour(policy),
                edgecolor="white",
                linewidth=0.5,
                hatch=_hatch(policy),
                zorder=2,
            )
            _whisker(axis, group + place, interval)
        for policy in filter(is_bound, part.policies):
            mean = intervals[policy].mean
            axis.hlines(mean, group - 0.46, group + 0.46, **BOUND_LINE, zorder=4)
    without = _draw_knowable(axis, outcomes, parts, knowable)
    axis.axhline(0, color=BLACK, linewidth=0.6, zorder=3)
    _group_ticks(axis, parts)
    axis.set_ylabel("mean QoE per chunk")
    axis.grid(axis="y", color=FAINT_COLOUR, linewidth=0.3, zorder=0)
    handles: list[Line2D | Patch] = [_patch_handle(policy) for policy in policies]
    handles += [_line_handle(policy) for policy in _policies(parts) if is_bound(policy)]
    handles += [knowable_handle()] if knowable else []
    _head_and_legend(
        figure, outcomes, parts, handles, "whiskers: 95 % interval of each mean; of differences see compare"
    )
    return replace(_drawn(figure, outcomes, parts), without_bound=without)


def draw_box(
    outcomes: Outcomes,
    by: str | Grouping | None,
    rule: ClusterRule,
    knowable: Knowable | None = None,
) -> DrawnFigure:
    """QoE of the sessions of each policy in each group: quartiles, 5th and 95th percentile, mean."""
    parts = panels(outcomes, by)
    policies = _policies(parts)
    figure, (axis,) = _row_of_axes(1, wide=len(parts) * len(policies) > 8)
    places = _places(len(policies))
    for group, part in enumerate(parts):
        for policy, place in zip(policies, places, strict=True):
            if policy not in part.policies:
                continue
            _box(axis, group + place, part.values(policy, _qoe), policy, _width(len(policies)))
    without = _draw_knowable(axis, outcomes, parts, knowable)
    _group_ticks(axis, parts)
    axis.set_ylabel("mean QoE of a session")
    axis.grid(axis="y", color=FAINT_COLOUR, linewidth=0.3, zorder=0)
    handles: list[Line2D | Patch] = [_patch_handle(policy) for policy in policies]
    handles.append(Line2D([], [], **MEAN_MARK, label="mean"))
    handles += [knowable_handle(" in the mean")] if knowable else []
    _head_and_legend(
        figure, outcomes, parts, handles, "box: quartiles; whiskers: 5th and 95th percentile of sessions"
    )
    return replace(_drawn(figure, outcomes, parts), without_bound=without)


def _draw_knowable(
    axis: Axes, outcomes: Outcomes, parts: Sequence[Panel], knowable: Knowable | None
) -> tuple[str, ...]:
    """A line and a band across each group for which a bound holds; why there is none across the others.

    Raises:
        AnalysisError: there are bounds, and none holds for any group.
    """
    if knowable is None:
        return ()
    without: list[str] = []
    for group, part in enumerate(parts):
        interval = knowable(outcomes, part.cases)
        if isinstance(interval, str):
            without.append(interval if part.name is None else f"{part.name}: {interval}")
            continue
        reach = (group - 0.46, group + 0.46)
        if interval.low is not None and interval.high is not None:
            axis.fill_between(reach, interval.low, interval.high, **KNOWABLE_BAND, zorder=1)
        axis.hlines(interval.mean, *reach, **KNOWABLE_LINE, zorder=4)
    if len(without) == len(parts):
        raise AnalysisError(f"--bound: it holds for none of these sessions ({without[0]})")
    return tuple(without)


def knowable_handle(more: str = "") -> Line2D:
    """The bound in a legend."""
    return Line2D([], [], **KNOWABLE_LINE, label=f"{KNOWABLE_WORDS}{more}")


MEAN_MARK: dict[str, Any] = {
    "marker": "D",
    "markersize": 3.2,
    "markerfacecolor": "white",
    "markeredgecolor": BLACK,
    "markeredgewidth": 0.7,
    "linestyle": "none",
}


def _box(axis: Axes, place: float, values: Sequence[float], policy: str, width: float) -> None:
    fill = colour(policy)
    thin = {"color": BLACK, "linewidth": 0.7}
    axis.boxplot(
        [list(values)],
        positions=[place],
        widths=width * 0.85,
        whis=(5, 95),
        showfliers=False,
        showmeans=True,
        meanprops=MEAN_MARK,
        patch_artist=True,
        manage_ticks=False,
        boxprops={
            "facecolor": "white" if is_bound(policy) else paler(fill, 0.75),
            "hatch": _hatch(policy),
            "edgecolor": BLACK,
            "linewidth": 0.7,
            "linestyle": "dotted" if is_bound(policy) else "solid",
        },
        medianprops={"color": BLACK, "linewidth": 1.1},
        whiskerprops=thin,
        capprops=thin,
        zorder=3,
    )


def draw_scatter(outcomes: Outcomes, by: str | Grouping | None, rule: ClusterRule) -> DrawnFigure:
    """Mean bitrate against stall ratio with intervals over traces; better is up and to the right."""
    parts = panels(outcomes, by)
    policies = _policies(parts)
    figure, axes = _row_of_axes(len(parts))
    wide = len(parts) <= WIDE_COLUMNS
    for axis, part in zip(axes, parts, strict=True):
        _scatter_points(axis, part, policies, rule)
        axis.margins(0.12)
        left, right = axis.get_xlim()
        right = max(right, LEAST_PERCENT)
        axis.set_xlim(right, min(max(left, -0.05 * right), -0.02 * right))
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.set_xlabel("stall ratio (%)," + (" " if wide else "\n") + "fewer to the right")
        axis.grid(color=FAINT_COLOUR, linewidth=0.3, zorder=0)
        mark_better_corner(axis)
        _title(axis, part, len(parts))
    share_scale(axes, "xy", of=[part.videos for part in parts])
    axes[0].set_ylabel("mean bitrate (Mbit/s)")
    handles = [policy_handle(policy, policies) for policy in policies]
    _head_and_legend(figure, outcomes, parts, handles, "whiskers: 95 % intervals of the means over traces")
    return _drawn(figure, outcomes, parts)


def _scatter_points(axis: Any, part: Any, policies: Sequence[str], rule: ClusterRule) -> None:
    """A cross for each policy of a part."""
    stalls = part.intervals(lambda one: 100 * one.stall_ratio, rule)
    rates = part.intervals(lambda one: one.bitrate_mbps, rule)
    for policy in part.policies:
        stall, rate = stalls[policy], rates[policy]
        axis.errorbar(
            stall.mean,
            rate.mean,
            xerr=errors(stall),
            yerr=errors(rate),
            fmt=marker(policy, policies),
            color=colour(policy),
            markerfacecolor="white" if is_bound(policy) else colour(policy),
            markersize=5,
            elinewidth=0.8,
            capsize=2,
            zorder=2 if is_bound(policy) else 3,
        )


def policy_handle(policy: str, policies: Sequence[str]) -> Line2D:
    """A policy's mark in the legend."""
    return Line2D(
        [],
        [],
        color=colour(policy),
        marker=marker(policy, policies),
        markersize=5,
        markerfacecolor="white" if is_bound(policy) else colour(policy),
        linestyle="none",
        label=label(policy),
    )


def mark_better_corner(axis: Axes) -> None:
    """Up and to the right."""
    corner = Polygon(
        [(1.0, 1.0), (0.93, 1.0), (1.0, 0.9)], transform=axis.transAxes, color=GREY, linewidth=0, zorder=1
    )
    axis.add_patch(corner)
    axis.set_title("better", loc="right", color=GREY, fontsize=7)


FIGURES: dict[str, Callable[..., DrawnFigure]] = {
    "cdf": draw_cdf,
    "bars": draw_bars,
    "box": draw_box,
    "scatter": draw_scatter,
}
"""What can be drawn of many sessions, by which groups, with which clusters …"""
WITH_BOUNDS = ("bars", "box")
"""… and in which of them bounds show."""


def _qoe(figures: Figures) -> float:
    return figures.qoe


def _policies(parts: Sequence[Panel]) -> list[str]:
    """All policies of a figure, the bound last."""
    return in_order(dict.fromkeys(policy for part in parts for policy in part.policies))


def _row_of_axes(columns: int, share_y: bool = False, wide: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure with axes side by side, as wide as a paper's column or its text."""
    width_in = TEXT_IN if wide or columns > 1 else COLUMN_IN
    rows = -(-columns // MOST_COLUMNS)
    beside = -(-columns // rows)
    figure = Figure(figsize=(width_in, HEIGHT_IN * rows), layout="constrained")
    axes = figure.subplots(rows, beside, squeeze=False, sharey=share_y)
    every = list(axes.flat)
    for axis in every[columns:]:
        axis.set_axis_off()
    return figure, every[:columns]


def _places(policies: int) -> list[float]:
    """Of bars side by side, about 0."""
    width = _width(policies)
    return [(index - (policies - 1) / 2) * width for index in range(policies)]


def _width(policies: int) -> float:
    return BAR_WIDTH / policies


def _whisker(axis: Axes, place: float, interval: Interval) -> None:
    """The interval at a bar's end."""
    reach = errors(interval)
    if reach is not None:
        axis.errorbar(place, interval.mean, yerr=reach, color=BLACK, elinewidth=0.8, capsize=2, zorder=3)


def errors(interval: Interval) -> list[list[float]] | None:
    """How far the interval reaches below and above its mean, as matplotlib wants it."""
    if interval.low is None or interval.high is None:
        return None
    return [[max(interval.mean - interval.low, 0.0)], [max(interval.high - interval.mean, 0.0)]]


def _hatch(policy: str) -> str | None:
    """Policies that share colours with known ones have their areas hatched, as their lines are dashed."""
    return None if is_bound(policy) or short_name(policy) in KNOWN else "////"


def marker(policy: str, policies: Sequence[str]) -> str:
    return MARKERS[list(policies).index(policy)]


def _group_ticks(axis: Axes, parts: Sequence[Panel]) -> None:
    if parts[0].name is None:
        axis.set_xticks([])
        return
    names = [f"{part.name}\n{_counted(part)}" for part in parts]
    axis.set_xticks(range(len(parts)), names)
    axis.tick_params(axis="x", length=0)


def _counted(part: Panel) -> str:
    return f"n = {len(part.cases)}"


def _title(axis: Axes, part: Panel, parts: int) -> None:
    """What group it is; in narrow panels on lines of their own."""
    if part.name is None:
        return
    if parts <= WIDE_COLUMNS:
        axis.set_title(f"{part.name} ({_counted(part)})", loc="left")
        return
    name = textwrap.fill(part.name, NARROW_CHARACTERS)
    axis.set_title(f"{name}\n({_counted(part)})", loc="left")


def _line_handle(policy: str) -> Line2D:
    return Line2D([], [], **line(policy), label=label(policy))


def _patch_handle(policy: str) -> Patch:
    bound = is_bound(policy)
    return Patch(
        facecolor="white" if bound else colour(policy),
        edgecolor=BLACK if bound else "white",
        linestyle="dotted" if bound else "solid",
        hatch=_hatch(policy),
        label=label(policy),
    )


def _head_and_legend(
    figure: Figure,
    outcomes: Outcomes,
    parts: Sequence[Panel],
    handles: Sequence[Line2D | Patch],
    how_to_read: str = "",
) -> None:
    """What was measured above, who is who below."""
    cases = sum(len(part.cases) for part in parts)
    kinds = {one.simulated for one in outcomes.counted}
    made = "simulated" if kinds == {True} else "emulated" if kinds == {False} else "simulated and emulated"
    head = [f"QoE {outcomes.weights}; {cases} cases, {made}"]
    if others := told_others(outcomes):
        head += [f"told {'; '.join(others)}: policies aimed at another QoE, an oracle is no bound"]
    head += [how_to_read] if how_to_read else []
    figure.suptitle("\n".join(head), x=0.01, ha="left", fontsize=7)
    longest = max(len(str(handle.get_label())) for handle in handles) + HANDLE_CHARACTERS
    columns = int(figure.get_size_inches()[0] * CHARACTERS_PER_IN / longest)
    figure.legend(handles=list(handles), loc="outside lower center", ncols=min(max(columns, 1), len(handles)))


def _drawn(figure: Figure, outcomes: Outcomes, parts: Sequence[Panel]) -> DrawnFigure:
    cases = sum(len(part.cases) for part in parts)
    return DrawnFigure(figure, cases, len({one.case for one in outcomes.counted}) - cases)
