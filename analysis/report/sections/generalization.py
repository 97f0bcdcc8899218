"""QoE of every policy in every setting, seen and unseen side by side."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.compare import cells, common_cases
from analysis.figures import knowable_handle
from analysis.report.parts.blocks import Block, Paragraph, Section, drawn
from analysis.report.parts.grids import (
    SEEN_GROUND,
    absent,
    box_in_row,
    mark_mean,
    mean_handles,
    policy_rows,
    seen_handles,
)
from analysis.report.parts.study import NetworkCondition, Study, per_setting
from analysis.report.sections import headline, knowable
from analysis.style import is_bound, share_scale


def common_values(condition: NetworkCondition) -> dict[str, list[float]]:
    """QoE of each policy over the traces that all have, seeds and repeats averaged."""
    found = cells(condition.outcomes)
    common = common_cases(found)
    return {policy: [mine[case].qoe for case in common] for policy, mine in found.items()}


def draw_generalization(study: Study) -> Figure:
    """Box plots: quartiles, 5th and 95th percentile, mean; a line at the baseline's mean.

    To be called within `matplotlib.rc_context(style.RC)`.
    """
    policies = study.policies
    figure, axes = policy_rows([one.title for one in study.conditions], policies, "mean QoE of a session")
    for axis, condition in zip(axes, study.conditions, strict=True):
        values = common_values(condition)
        if condition.seen:
            axis.set_facecolor(SEEN_GROUND)
        if of_baseline := values.get(study.baseline or ""):
            mark_mean(axis, of_baseline)
        knowable.draw_line(axis, study, condition)
        for row, policy in enumerate(policies):
            if values.get(policy):
                box_in_row(axis, row, values[policy], policy)
            else:
                absent(axis, row)
        axis.margins(x=0.05)
    share_scale(axes, "x", of=[one.videos for one in study.conditions])
    handles: list[Line2D | Patch] = [*mean_handles(study.baseline)]
    if study.bounds:
        handles.append(knowable_handle(" in the mean"))
    if any(one.seen for one in study.conditions):
        handles += seen_handles()
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    return figure


def generalization(study: Study) -> Section | None:
    """Does it hold where the policies have not been? None where nobody says where that is."""
    if all(one.seen is None for one in study.conditions):
        return None
    blocks: list[Block] = [
        *map(Paragraph, headline.generalization_sentences(study)),
        *boxes(study, "generalization"),
    ]
    return Section("generalization", "Does it hold on networks it has not seen?", tuple(blocks))


def boxes(study: Study, name: str) -> list[Block]:
    """The figure of the sessions' QoE, by policy and setting.

    Args:
        name: of its files.
    """
    n = per_setting(study, lambda one: max(map(len, common_values(one).values()), default=0))
    figure = drawn(
        name,
        lambda: draw_generalization(study),
        f"QoE of sessions by policy and {study.place}, over the traces that all policies of a {study.place}"
        f" have ({n}). Boxes are quartiles, whiskers the 5th and 95th percentile, diamonds means"
        + (f"; the dashed line is {study.baseline}'s mean" if study.baseline else "")
        + (". The oracle, which is told the future, is the bound" if _has_bound(study) else "")
        + knowable.in_caption(study)
        + ". Panels of one video have one scale.",
        "Box plots of session QoE by policy in every setting; the headline table has the means.",
    )
    table = knowable.knowable_table(study)
    return figure if table is None else [*figure, table]


def _has_bound(study: Study) -> bool:
    return any(is_bound(policy) for policy in study.policies)
