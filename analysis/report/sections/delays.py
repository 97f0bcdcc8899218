"""What does it cost when the same decision comes later? Policies that differ in their delay only."""

from __future__ import annotations

import re
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.beside import TIE, UNKNOWN
from analysis.report.parts.study import Study
from analysis.report.sections.differences import MARK
from analysis.style import BLACK, COLUMN_IN, FAINT_COLOUR, TEXT_IN, policy_colour, share_scale, short_name

OPTION = re.compile(r":delay_ms=(\d+(?:\.\d+)?)")
"""As a policy is asked for that decides so much later."""
HEIGHT_IN = 2.1
MOST_COLUMNS = 3


def delayed(policies: Sequence[str]) -> dict[str, dict[float, str]]:
    """[policy without its delay][ms]: the policy; of those that are there with several delays."""
    found: dict[str, dict[float, str]] = {}
    for policy in policies:
        match = OPTION.search(policy)
        found.setdefault(OPTION.sub("", policy), {})[float(match[1]) if match else 0.0] = policy
    return {base: dict(sorted(delays.items())) for base, delays in found.items() if len(delays) > 1}


def _used(axes: Sequence[Axes], number: int) -> Sequence[Axes]:
    """The first so many; the others are off."""
    for axis in axes[number:]:
        axis.set_axis_off()
    return axes[:number]


def draw_delays(study: Study) -> Figure | None:
    """Difference of QoE to the baseline against the delay; None where no policy has several.

    To be called within `matplotlib.rc_context(style.RC)`.
    """
    bases = delayed(study.policies)
    if study.baseline is None or not bases:
        return None
    columns = min(len(study.conditions), MOST_COLUMNS)
    bands = -(-len(study.conditions) // columns)
    width_in = COLUMN_IN if columns == 1 else TEXT_IN
    figure = Figure(figsize=(width_in, HEIGHT_IN * bands), layout="constrained")
    every = list(figure.subplots(bands, columns, squeeze=False).flat)
    axes = _used(every, len(study.conditions))
    for place, (axis, condition) in enumerate(zip(axes, study.conditions, strict=True)):
        axis.axhline(0, color=BLACK, linewidth=0.7, zorder=1)
        for base, delays in bases.items():
            look = policy_colour(base)
            pairs = {
                ms: condition.pairs[policy] for ms, policy in delays.items() if policy in condition.pairs
            }
            for ms, pair in pairs.items():
                found = pair.difference
                if found.low is not None and found.high is not None:
                    axis.vlines(ms, found.low, found.high, color=look, linewidth=1.4, zorder=2)
                fill = "white" if pair.verdict in (TIE, UNKNOWN) else look
                axis.plot(ms, found.mean, **MARK, color=look, markerfacecolor=fill, zorder=3)
            means = {ms: pair.difference.mean for ms, pair in pairs.items()}
            means |= {ms: 0.0 for ms, policy in delays.items() if policy == study.baseline}
            times_ms = sorted(means)
            axis.plot(
                times_ms, [means[ms] for ms in times_ms], color=look, linewidth=0.9, label=short_name(base)
            )
        axis.set_title(condition.title, loc="left")
        axis.set_xlabel("delay of each decision (ms)")
        axis.xaxis.set_major_locator(MaxNLocator(6))
        axis.grid(axis="y", color=FAINT_COLOUR, linewidth=0.3)
        if place % columns == 0:
            axis.set_ylabel(f"QoE minus\n{short_name(study.baseline)}'s")
    share_scale(axes, "x")
    share_scale(axes, "y", of=[one.videos for one in study.conditions])
    if len(bases) > 1:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(bases))
    return figure
