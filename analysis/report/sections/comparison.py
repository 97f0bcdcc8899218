"""The large table, with its differences as figures."""

from __future__ import annotations

from analysis.report.parts.blocks import Block, Section, drawn
from analysis.report.parts.study import Study, pairs_counted, per_setting
from analysis.report.sections import headline
from analysis.report.sections.delays import draw_delays
from analysis.report.sections.differences import draw_differences


def comparison(study: Study) -> Section:
    """The large table, and differences as a figure."""
    blocks: list[Block] = []
    if study.baseline is not None:
        pairs = f"Pairs: {per_setting(study, pairs_counted)}."
        blocks += drawn(
            "differences",
            lambda: draw_differences(study),
            f"Mean difference of QoE to {study.baseline} in pairs of sessions, with 95 % intervals over"
            " traces."
            " To the right of the line is better; a hollow mark is a tie, as its interval holds 0."
            f" {pairs}",
            f"Differences of QoE to {study.baseline} by policy and setting; the table of verdicts has the"
            " numbers.",
        )
        blocks += drawn(
            "delays",
            lambda: draw_delays(study),
            f"Mean difference of QoE to {study.baseline} against how much later each decision came, with 95 %"
            f" intervals over traces; a hollow mark is a tie. {pairs}",
            "Difference of QoE against the delay of decisions; the table of verdicts has the numbers.",
        )
    blocks.append(headline.headline_table(study))
    if study.together is not None:
        blocks.append(headline.together_table(study))
    return Section("comparison", "Comparison in full", tuple(blocks))
