"""Box plots of policies, a panel a group: settings that policies have learned in beside others."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.report.parts.grids import (
    SEEN_GROUND,
    absent,
    box_in_row,
    mark_mean,
    mean_handles,
    policy_rows,
    seen_handles,
)
from analysis.sessions import AnalysisError
from analysis.style import in_order, share_scale
from analysis.tasks.figures import TaskFigures
from analysis.tasks.groups import Group


def common_values(group: Group) -> dict[str, list[float]]:
    """Each policy's means over units (sequences, recordings) that all of the group have."""
    values: dict[str, dict[tuple[str, ...], list[float]]] = {}
    for case in group.cases:
        mine = values.setdefault(case.policy, {})
        for point in case.points:
            mine.setdefault(point.clusters, []).append(point.values[group.figure.name])
    common = [unit for unit in next(iter(values.values())) if all(unit in mine for mine in values.values())]
    return {policy: [sum(mine[unit]) / len(mine[unit]) for unit in common] for policy, mine in values.items()}


def draw_boxes(figures: TaskFigures, groups: Sequence[Group], baseline: str | None) -> Picture:
    """Quartiles, 5th and 95th percentile, mean; a line at the baseline's mean. Panels share a scale.

    To be called within `matplotlib.rc_context(style.RC)`.

    Raises:
        AnalysisError: in no group have all policies something in common.
    """
    policies = in_order(dict.fromkeys(case.policy for group in groups for case in group.cases))
    found = [common_values(group) for group in groups]
    if not any(map(any, (values.values() for values in found))):
        raise AnalysisError(f"no {figures.units} are common to all of {', '.join(policies)}")
    figure, axes = policy_rows([group.shown for group in groups], policies, _label(figures, groups))
    for axis, group, values in zip(axes, groups, found, strict=True):
        if group.seen:
            axis.set_facecolor(SEEN_GROUND)
        if of_baseline := values.get(baseline or ""):
            mark_mean(axis, of_baseline)
        for row, policy in enumerate(policies):
            if values.get(policy):
                box_in_row(axis, row, values[policy], policy)
            else:
                absent(axis, row)
        axis.margins(x=0.05)
    share_scale(axes, "x")
    handles: list[Line2D | Patch] = [*mean_handles(baseline)]
    if any(group.seen is not None for group in groups):
        handles += seen_handles()
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    return figure


def _label(figures: TaskFigures, groups: Sequence[Group]) -> str:
    names = dict.fromkeys(group.figure.heading for group in groups)
    heading = next(iter(names)) if len(names) == 1 else figures.first.heading
    return f"{heading}, of {figures.units}"


def boxes_caption(figures: TaskFigures, groups: Sequence[Group], baseline: str | None) -> str:
    """What is shown, of how many."""
    counts = [max(map(len, common_values(group).values()), default=0) for group in groups]
    n = ", ".join(map(str, counts))
    return (
        f"{figures.first.heading} by policy over the {figures.units} that all policies have (n: {n}); less is"
        " better. Boxes are quartiles, whiskers the 5th and 95th percentile, diamonds means"
        + (f"; the dashed line is {baseline}'s mean." if baseline else ".")
    )
