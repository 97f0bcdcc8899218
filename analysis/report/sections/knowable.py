"""What no controller can pass, in each setting, and how much of the way there each policy goes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes

from analysis.bootstrap import CONFIDENCE, Interval
from analysis.compare import cells, common_cases
from analysis.figures import KNOWABLE_BAND, KNOWABLE_LINE, KNOWABLE_WORDS
from analysis.knowable.bound_file import FamilyBound
from analysis.knowable.over_cases import KnowableBound, NoBound, bound_of
from analysis.report.parts.study import NetworkCondition, Study
from analysis.report.parts.table_rendering import (
    LEFT,
    NONE,
    Cell,
    Column,
    RowGroup,
    Table,
    with_interval,
    word,
)
from analysis.sessions import AnalysisError

BOUND_ROW = "bound"


def found_in(study: Study, condition: NetworkCondition) -> KnowableBound | NoBound:
    """The bound over the cases that all policies of a setting have."""
    common = common_cases(cells(condition.outcomes))
    return bound_of(study.bounds, condition.outcomes, common)


def with_bounds(study: Study, bounds: tuple[FamilyBound, ...]) -> Study:
    """The study with bounds, if there are any.

    Raises:
        AnalysisError: they hold for none of its settings.
    """
    bounded = replace(study, bounds=bounds)
    if bounds and len(without := without_bound(bounded)) == len(study.conditions):
        raise AnalysisError(f"--bound: it holds for none of these sessions ({without[0]})")
    return bounded


def without_bound(study: Study) -> list[str]:
    """Settings that have none, and why."""
    if not study.bounds:
        return []
    found = {one.name: found_in(study, one) for one in study.conditions}
    return [f"{name}: {each.why}" for name, each in found.items() if isinstance(each, NoBound)]


def draw_line(axis: Axes, study: Study, condition: NetworkCondition) -> None:
    """The bound across a panel whose x is QoE, over a band of its interval."""
    found = found_in(study, condition) if study.bounds else NoBound("")
    if isinstance(found, NoBound):
        return
    interval = found.interval
    if interval.low is not None and interval.high is not None:
        axis.axvspan(interval.low, interval.high, **KNOWABLE_BAND, zorder=1)
    axis.axvline(interval.mean, **KNOWABLE_LINE, zorder=2)


def in_caption(study: Study) -> str:
    """What the line is, and where it is not drawn."""
    if not study.bounds:
        return ""
    text = (
        f". The long dashes, over their {CONFIDENCE:.0%} interval: {KNOWABLE_WORDS} in the mean over members,"
        " whatever it is made of, unless it is told the future"
    )
    if without := without_bound(study):
        text += f" (not drawn: {'; '.join(without)})"
    return text


def knowable_table(study: Study) -> Table | None:
    """Each policy's share of the way from the baseline to the bound; None without either."""
    if not study.bounds or study.baseline is None:
        return None
    groups = []
    for one in study.conditions:
        found = found_in(study, one)
        if isinstance(found, KnowableBound):
            groups.append(
                RowGroup(one.title, _rows(study, one, found), note=f"The bound is {found.members}.")
            )
    columns = (
        Column("policy", ("policy",), LEFT),
        Column("QoE", ("qoe", "qoe_low", "qoe_high")),
        Column("of the knowable way", ("way", "way_low", "way_high")),
    )
    caption = (
        f"How much of the way from {study.baseline} to what no controller can pass each policy goes: its"
        f" gain over the bound's, with {CONFIDENCE:.0%} intervals over traces, none where there may be no"
        " way. Above 1 goes who is told the future, or was lucky."
    )
    return Table("knowable", caption, columns, tuple(groups), group_csv="setting")


def _rows(study: Study, condition: NetworkCondition, found: KnowableBound) -> tuple[tuple[Cell, ...], ...]:
    means = {one.policy: one.qoe for one in condition.means}
    ways = ways_of(study, condition, found)
    rows = [
        (word(policy), with_interval(means[policy], ".3f"), _way_cell(ways.get(policy)))
        for policy in study.policies
        if policy in means
    ]
    return (*rows, (word(BOUND_ROW), with_interval(found.interval, ".3f"), Cell("1", (1.0, None, None))))


def _way_cell(way: Interval | None) -> Cell:
    return Cell(NONE, (None, None, None)) if way is None else with_interval(way, ".2f")


def ways_of(study: Study, condition: NetworkCondition, found: KnowableBound) -> dict[str, Interval]:
    """The share of the way of each policy but the baseline; none where there is no way to go."""
    mine = cells(condition.outcomes)
    if study.baseline not in mine:
        return {}
    baseline = [mine[study.baseline][case].qoe for case in found.cases]
    ways = {}
    for policy in condition.policies:
        if policy != study.baseline and policy in mine:
            way = found.way([mine[policy][case].qoe for case in found.cases], baseline)
            if way is not None:
                ways[policy] = way
    return ways


def bound_json(study: Study, condition: NetworkCondition) -> dict[str, Any] | None:
    """The bound of a setting as the report's facts have it; None where nobody named one."""
    if not study.bounds:
        return None
    found = found_in(study, condition)
    if isinstance(found, NoBound):
        return {"none": found.why}
    ways = ways_of(study, condition, found)
    return {
        "qoe": _json(found.interval),
        "members": found.members,
        "ways": {policy: _json(way) for policy, way in ways.items()},
    }


def _json(interval: Interval) -> dict[str, Any]:
    return {"mean": interval.mean, "ci95": interval.bounds}
