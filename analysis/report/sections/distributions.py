"""The sessions' QoE as distributions, and bitrate against stalls."""

from __future__ import annotations

from analysis.figures import draw_cdf, draw_scatter
from analysis.outcomes import Outcomes
from analysis.report.parts.blocks import Block, Paragraph, Section, drawn
from analysis.report.parts.study import Study, per_setting
from analysis.report.sections.generalization import boxes


def distributions(study: Study) -> Section:
    """The sessions' QoE as CDFs, and what bitrate was bought with what stalls."""
    outcomes, left = drawable(study)
    blocks: list[Block] = [Paragraph(text, "warning") for text in left]
    n = per_setting(study, lambda one: one.means[0].cases if one.means else 0)
    if all(one.seen is None for one in study.conditions):  # else the section on unseen networks has them
        blocks += boxes(study, "boxes")
    if outcomes is not None:
        blocks += drawn(
            "cdf",
            lambda: draw_cdf(outcomes, study.grouping, study.rule).figure,
            "Share of sessions at or below each QoE, over the traces that all policies have"
            f" (n: {n}). A curve further to the right is better; where two cross, neither is better"
            " everywhere.",
            "Cumulative distributions of session QoE by policy and setting.",
        )
        blocks += drawn(
            "bitrate-stall",
            lambda: draw_scatter(outcomes, study.grouping, study.rule).figure,
            "Mean bitrate against mean stall ratio with 95 % intervals over traces"
            f" (n: {n}). Up and to the right is better: more bitrate, fewer stalls.",
            "Mean bitrate against stall ratio by policy and setting; the headline table has the numbers.",
        )
    return Section("distributions", "Distributions, and bitrate against stalls", tuple(blocks))


def drawable(study: Study) -> tuple[Outcomes | None, list[str]]:
    """The sessions of settings in which all policies have a trace in common, and what was left out."""
    kept = [one for one in study.conditions if one.means]
    left = [
        f"{one.name}: no trace is common to all of {', '.join(one.policies)} yet; it is not in these figures."
        for one in study.conditions
        if not one.means
    ]
    if not kept:
        return None, left
    sessions = tuple(one for condition in kept for one in condition.outcomes.counted)
    return Outcomes(study.scoring, sessions, study.outcomes.left_out), left
