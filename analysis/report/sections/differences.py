"""How far each policy is from the baseline in each setting: the figure that a claim rests on."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.beside import TIE, UNKNOWN
from analysis.figures import colour
from analysis.report.parts.grids import absent, policy_rows
from analysis.report.parts.study import Study
from analysis.style import BLACK, share_scale, short_name

MARK: dict[str, Any] = {"marker": "o", "markersize": 4.5, "linestyle": "none", "markeredgewidth": 1.0}


def draw_differences(study: Study) -> Figure:
    """Mean difference of QoE in pairs, with its interval; filled where the interval excludes 0.

    To be called within `matplotlib.rc_context(style.RC)`, and with a baseline.
    """
    policies = [policy for policy in study.policies if policy != study.baseline]
    figure, axes = policy_rows(
        [one.title for one in study.conditions], policies, f"QoE minus {short_name(study.baseline or '')}'s"
    )
    for axis, condition in zip(axes, study.conditions, strict=True):
        axis.axvline(0, color=BLACK, linewidth=0.7, zorder=1)
        for row, policy in enumerate(policies):
            pair = condition.pairs.get(policy)
            if pair is None:
                absent(axis, row, "no pair")
                continue
            mark = colour(policy)
            found = pair.difference
            if found.low is not None and found.high is not None:
                axis.hlines(row, found.low, found.high, color=mark, linewidth=1.6, zorder=2)
            hollow = pair.verdict in (TIE, UNKNOWN)
            axis.plot(
                found.mean,
                row,
                **MARK,
                color=mark,
                markerfacecolor="white" if hollow else mark,
                markeredgecolor=mark,
                zorder=3,
            )
        axis.margins(x=0.08)
    share_scale(axes, "x", of=[one.videos for one in study.conditions])
    handles = [
        Line2D([], [], **MARK, color=BLACK, label="interval excludes 0"),
        Line2D([], [], **MARK, color=BLACK, markerfacecolor="white", label="tie: interval holds 0"),
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure
