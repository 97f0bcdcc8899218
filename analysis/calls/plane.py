"""The plane of calls: mean bitrate against stall ratio, better up and to the right."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from analysis.calls.comparison import CallMeans
from analysis.calls.measures import BITRATE, STALL
from analysis.calls.outcomes import FoundCalls
from analysis.figures import LEAST_PERCENT, colour, errors, mark_better_corner, marker, policy_handle
from analysis.sessions import AnalysisError
from analysis.style import COLUMN_IN, FAINT_COLOUR, in_order, is_bound

HEIGHT_IN = 2.9
MARGIN = 0.12


def draw_plane(found: FoundCalls, means: Sequence[CallMeans]) -> Figure:
    """Each policy's mean bitrate and stall ratio over the cases that all have, with intervals over lines.

    To be called within `matplotlib.rc_context(style.RC)`.

    Raises:
        AnalysisError: no case is common to all policies.
    """
    if not means:
        raise AnalysisError(
            f"no case is common to {', '.join(found.policies)}; choose policies with --policy"
        )
    policies = in_order(one.policy for one in means)
    figure = Figure(figsize=(COLUMN_IN, HEIGHT_IN), layout="constrained")
    axis = figure.subplots()
    for one in means:
        stall, rate = one.intervals[STALL], one.intervals[BITRATE]
        axis.errorbar(
            100 * stall.mean,
            rate.mean,
            xerr=_in_percent(errors(stall)),
            yerr=errors(rate),
            fmt=marker(one.policy, policies),
            color=colour(one.policy),
            markerfacecolor="white" if is_bound(one.policy) else colour(one.policy),
            markersize=5,
            elinewidth=0.8,
            capsize=2,
            zorder=3,
        )
    axis.margins(MARGIN)
    left, right = axis.get_xlim()
    right = max(right, LEAST_PERCENT)
    axis.set_xlim(right, min(max(left, -0.05 * right), -0.02 * right))
    axis.set_xlabel("stall ratio (%), fewer to the right")
    axis.set_ylabel("mean bitrate (Mbit/s)")
    axis.grid(color=FAINT_COLOUR, linewidth=0.3, zorder=0)
    mark_better_corner(axis)
    figure.suptitle(_head(found, means[0].cases), x=0.01, ha="left", fontsize=7)
    handles = [policy_handle(policy, policies) for policy in policies]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 3))
    return figure


def _in_percent(bars: list[list[float]] | None) -> list[list[float]] | None:
    return None if bars is None else [[100 * value for value in side] for side in bars]


def _head(found: FoundCalls, cases: int) -> str:
    kinds = {one.simulated for one in found.counted}
    made = "simulated" if kinds == {True} else "emulated" if kinds == {False} else "simulated and emulated"
    return f"{cases} cases, {made}; stalls: gaps of over 200 ms\nwhiskers: 95 % intervals over traces"
