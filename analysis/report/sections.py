"""The order of the sections on the page; each topic makes its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analysis.report.parts.blocks import Section
from analysis.report.parts.pictures import Picture
from analysis.report.parts.study import Study
from analysis.report.topics.comparison import comparison
from analysis.report.topics.deciding import decisions
from analysis.report.topics.distributions import distributions
from analysis.report.topics.extremes import over_time
from analysis.report.topics.generalization import generalization
from analysis.report.topics.headline import results
from analysis.report.topics.links import fidelity
from analysis.report.topics.missing import lacking
from analysis.report.topics.repeat import repeating
from analysis.report.topics.setting import setting
from analysis.report.topics.sharing import sharing_section
from analysis.report.topics.stress import under_stress


def in_order(
    study: Study, timelines: Iterable[Picture], command: Sequence[str], checksums: str
) -> tuple[Section, ...]:
    """The sections that this study has something for, from the results to how to repeat them.

    `timelines` may still be in the making by other processes: they are asked for last.
    """
    before = (
        results(study),
        setting(study),
        comparison(study),
        generalization(study),
        under_stress(study),
        distributions(study),
    )
    after = (
        decisions(study),
        sharing_section(study),
        fidelity(study),
        lacking(study),
        repeating(study, command, checksums),
    )
    sections = (*before, over_time(list(timelines)), *after)
    return tuple(section for section in sections if section is not None)
