"""The order of the sections on the page; each file of `sections/` makes its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analysis.report.parts.blocks import Section
from analysis.report.parts.pictures import Picture
from analysis.report.parts.study import Study
from analysis.report.sections.axis import along_axes
from analysis.report.sections.comparison import comparison
from analysis.report.sections.deciding import decisions
from analysis.report.sections.distributions import distributions
from analysis.report.sections.extremes import over_time
from analysis.report.sections.generalization import generalization
from analysis.report.sections.headline import results
from analysis.report.sections.links import fidelity
from analysis.report.sections.missing import lacking
from analysis.report.sections.real import RealSessions, real_section
from analysis.report.sections.repeat import repeating
from analysis.report.sections.setting import setting
from analysis.report.sections.sharing import sharing_section
from analysis.report.sections.stress import under_stress
from analysis.together.section import together_section


def in_order(
    study: Study,
    timelines: Iterable[Picture],
    command: Sequence[str],
    checksums: str,
    real: RealSessions | None = None,
) -> tuple[Section, ...]:
    """The sections that this study has something for, from the results to how to repeat them.

    `real`: the sessions over a real network, where there are some; the study's are all over traces.
    `timelines` may still be in the making by other processes: they are asked for last.
    """
    before = (
        results(study),
        setting(study),
        along_axes(study),
        comparison(study),
        generalization(study),
        under_stress(study),
        distributions(study),
    )
    after = (
        decisions(study),
        sharing_section(study),
        together_section([row.path for row in study.rows if row.shared and row.shared.beside], study.rule),
        fidelity(study),
        None if real is None else real_section(real),
        lacking(study),
        repeating(study, command, checksums),
    )
    sections = (*before, over_time(list(timelines), study.place), *after)
    return tuple(section for section in sections if section is not None)
