"""What a difference of QoE is made of: bitrate, stalls and switches beside it, each with its own verdict."""

from __future__ import annotations

from analysis.beside import BESIDE, LESS, MORE, BesideMeasure, beside_verdict, stall_against_qoe
from analysis.bootstrap import CONFIDENCE, Interval
from analysis.comparison import PairResult
from analysis.report.parts.study import NetworkCondition, Study, pairs_counted, per_setting
from analysis.report.parts.table_rendering import (
    LEFT,
    NONE,
    Cell,
    Column,
    RowGroup,
    Table,
    bounds,
    shown,
    with_interval,
    word,
)

NOTED = {MORE: "more stall", LESS: "less stall"}
"""Under a difference of QoE, where stalls point the other way."""


def tradeoffs_table(study: Study) -> Table | None:
    """Each policy's differences to the baseline in each setting; None without a baseline or a pair."""
    if study.baseline is None or not any(one.pairs for one in study.conditions):
        return None
    groups = [RowGroup(one.title, _rows(study, one)) for one in study.conditions if one.pairs]
    columns = (
        Column("policy", ("policy",), LEFT),
        Column("QoE", ("difference", "difference_low", "difference_high", "verdict")),
        *beside_columns(),
    )
    caption = (
        f"Mean differences to {study.baseline} over the pairs of each {study.place}, with {CONFIDENCE:.0%}"
        " intervals: of QoE, and of what it is made of. More or less: the interval excludes 0; stall ratio in"
        f" percentage points, switches of a session. Pairs: {per_setting(study, pairs_counted)}."
    )
    return Table("tradeoffs", caption, columns, tuple(groups), group_csv="setting", wide=True)


def _rows(study: Study, one: NetworkCondition) -> tuple[tuple[Cell, ...], ...]:
    ordered = [one.pairs[policy] for policy in study.policies if policy in one.pairs]
    return tuple(
        (word(pair.policy), verdict_interval(pair.difference, pair.verdict, "+.3f"), *beside_cells(pair))
        for pair in ordered
    )


def beside_columns() -> tuple[Column, ...]:
    """A column for each measure that stands beside QoE."""
    return tuple(Column(one.title, beside_names(one.name)) for one in BESIDE)


def beside_names(measure: str) -> tuple[str, str, str, str]:
    """CSV names of a difference beside QoE."""
    name = f"{measure}_difference"
    return name, f"{name}_low", f"{name}_high", f"{name}_verdict"


def beside_cells(pair: PairResult) -> tuple[Cell, ...]:
    """A cell for each of `beside_columns`."""
    return tuple(_beside_cell(one, pair.beside[one.name]) for one in BESIDE)


def _beside_cell(measure: BesideMeasure, interval: Interval) -> Cell:
    return verdict_interval(interval, beside_verdict(interval), measure.form, measure.scale)


def verdict_interval(interval: Interval, verdict: str, form: str, scale: float = 1.0) -> Cell:
    """A difference with its verdict, the interval below it; CSV has all four, unscaled."""
    found = with_interval(interval, form, scale)
    return Cell(f"{found.text} {verdict}", (*found.values, verdict), small=found.small, kind=verdict)


def glance_cell(pair: PairResult | None) -> Cell:
    """A difference of QoE with its verdict, and a word where stalls point the other way."""
    if pair is None:
        return Cell(NONE, (None, None, None, "no pair"), small="no pair", kind="none")
    found, against = pair.difference, stall_against_qoe(pair.verdict, pair.beside)
    small = "no interval"
    if found.low is not None and found.high is not None:
        small = bounds(found.low, found.high, "+.3f")
    if against is not None:
        small += f", {NOTED[against]}"
    text = f"{shown(found.mean, '+.3f')} {pair.verdict}"
    return Cell(text, (found.mean, found.low, found.high, pair.verdict), small=small, kind=pair.verdict)


def stall_sentence(study: Study, policy: str) -> str:
    """Where a policy's stalls point the other way than its QoE; empty where they do nowhere.

    With the interval of each, for a lead that is bought with stalls is the first thing to know of it.
    """
    parts = []
    for verdict in ("ahead", "tie", "behind"):
        for against in (MORE, LESS):
            places = [
                f"{one.name} {_stall_points(one.pairs[policy])}"
                for one in study.conditions
                if policy in one.pairs
                and one.pairs[policy].verdict == verdict
                and stall_against_qoe(verdict, one.pairs[policy].beside) == against
            ]
            if places:
                parts.append(f"{_BEGINNINGS[verdict, against]} ({'; '.join(places)})")
    return f"{'; '.join(parts)}. Stall ratios are differences in percentage points." if parts else ""


_BEGINNINGS = {
    ("ahead", MORE): "The lead comes with more stall",
    ("tie", MORE): "The tie comes with more stall",
    ("tie", LESS): "The tie comes with less stall",
    ("behind", LESS): "It is behind with less stall",
}


def _stall_points(pair: PairResult) -> str:
    """`+0.42 [+0.10, +0.80]`."""
    (measure,) = (one for one in BESIDE if one.name == "stall_ratio")
    cell = with_interval(pair.beside[measure.name], measure.form, measure.scale)
    return f"{cell.text} {cell.small}"
