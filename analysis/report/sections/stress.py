"""Where a sweep meant to break policies: stalls, who decided, and how late the latest decision was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.bootstrap import CONFIDENCE, Interval, mean_intervals
from analysis.cases.case import Case
from analysis.clusters import ClusterRule
from analysis.compare import Cells, cells, common_cases
from analysis.outcomes import NO_CHUNK, Outcome, Outcomes
from analysis.report.parts.blocks import Paragraph, Section
from analysis.report.parts.session_rows import FALLBACK, SessionRow
from analysis.report.parts.study import NetworkCondition, Study
from analysis.report.parts.table_rendering import (
    LEFT,
    NONE,
    Cell,
    Column,
    RowGroup,
    Table,
    number,
    shown,
    with_interval,
    word,
)
from analysis.report.sections.deciding import PLAYER, decided_by, milliseconds, times_ms
from analysis.report.sections.headline import rows_by_place
from player.record import FINISHED
from traces.words import counted

BUDGETED = "apc"
"""The policy that promises each decision within a budget."""
BUDGET_MS = 100.0
"""The budget where a record names none."""

DECIDERS = ("llm", "light", "policy", FALLBACK)
"""Whose shares are always told."""

NO_INTERVAL = (None, None, None)


def stress_table(study: Study) -> Table | None:
    """Every policy in every setting that was meant to break it; None where there is no such setting."""
    stressed = [one for one in study.conditions if one.stress]
    if not stressed:
        return None
    by_place = rows_by_place(study)
    there = {by for one in stressed for policy in one.policies for by in _deciders(by_place, one, policy)}
    deciders = [*DECIDERS, *sorted(there - {*DECIDERS, PLAYER})]
    columns = [
        Column("policy", ("policy",), LEFT),
        Column("sessions", ("sessions",)),
        Column("finished / cut short / invalid", ("finished", "cut_short", "invalid")),
        Column("stall s", ("cases", *_names("stall_s"))),
        *(Column(f"by {by} %", (f"share_{by}",)) for by in deciders),
        Column("latest decision ms", ("decision_max_ms",)),
    ]
    if study.baseline is not None:
        columns.append(Column(f"stall s minus {study.baseline}", ("pairs", *_names("stall_difference_s"))))
    groups = [RowGroup(one.title, tuple(_rows(study, one, by_place, deciders))) for one in stressed]
    return Table("stress", _caption(study), tuple(columns), tuple(groups), group_csv="setting", wide=True)


def _caption(study: Study) -> str:
    text = (
        "Settings that the sweep calls stress. Sessions are all that left a record; a cut short one stalls"
        " and decides with what it played, if two chunks came in, and an invalid one is in no other column."
        f" Stall: mean of a session, startup left out, over the n traces and starts that all policies of a"
        f" {study.place} have, with its {CONFIDENCE:.0%} interval (bootstrap over {study.rule}). Shares are"
        " of decisions; a first chunk whose level is fixed is none."
    )
    if study.baseline is not None:
        text += f" Differences of stall to {study.baseline} are over all pairs; below 0 is less stall."
    return text


def _names(measure: str) -> tuple[str, str, str]:
    return measure, f"{measure}_low", f"{measure}_high"


def _deciders(
    by_place: dict[tuple[str, str], list[SessionRow]], one: NetworkCondition, policy: str
) -> set[str]:
    return set(decided_by(by_place.get((one.name, policy), [])))


def _rows(
    study: Study,
    one: NetworkCondition,
    by_place: dict[tuple[str, str], list[SessionRow]],
    deciders: Sequence[str],
) -> list[tuple[Cell, ...]]:
    found = cells(one.outcomes)
    stalls = _mean_stalls(found, study.rule)
    rows = []
    for policy in one.policies:
        mine = by_place.get((one.name, policy), [])
        finished, cut_short, invalid = _ends(one.outcomes, policy)
        shares = decided_by(mine)
        del shares[PLAYER]
        total = sum(shares.values())
        times = times_ms(mine)
        cells_here = [
            word(policy),
            number(finished + cut_short + invalid, "d"),
            Cell(f"{finished} / {cut_short} / {invalid}", (finished, cut_short, invalid)),
            _stall_cell(*stalls[policy]) if policy in stalls else _nothing("nothing common to all"),
            *(_share(shares[by], total) for by in deciders),
            Cell(milliseconds(max(times)), (float(max(times)),)) if len(times) else number(None),
        ]
        if study.baseline is not None:
            cells_here.append(_difference_cell(found, policy, study.baseline, study.rule))
        rows.append(tuple(cells_here))
    return rows


def _ends(outcomes: Outcomes, policy: str) -> tuple[int, int, int]:
    """How many of a policy's sessions finished, were cut short, and ran over an invalid link."""
    mine = [one for one in outcomes.counted if one.policy == policy]
    finished = sum(one.ended == FINISHED for one in mine)
    before_two_chunks = sum(one.policy == policy and one.reason == NO_CHUNK for one in outcomes.left_out)
    invalid = sum(one.policy == policy for one in outcomes.invalid)
    return finished, len(mine) - finished + before_two_chunks, invalid


def _mean_stalls(found: Cells, rule: ClusterRule) -> dict[str, tuple[int, Interval]]:
    """Each policy's number of cases and mean stall over those that all have; empty if there are none."""
    common = common_cases(found)
    if not common:
        return {}
    columns = [[mine[case].stall_s for case in common] for mine in found.values()]
    intervals = mean_intervals(columns, [rule.key(case.trace) for case in common])
    return {policy: (len(common), one) for policy, one in zip(found, intervals, strict=True)}


def _stall_cell(n: int, interval: Interval) -> Cell:
    return _with_n(n, with_interval(interval, ".2f"))


def _difference_cell(found: Cells, policy: str, baseline: str, rule: ClusterRule) -> Cell:
    """Stall minus the baseline's, over the cases that both have."""
    if policy == baseline:
        return Cell(NONE, (None, *NO_INTERVAL))
    mine, other = found.get(policy, {}), found.get(baseline, {})
    both = [case for case in mine if case in other]
    if not both:
        return _nothing("no pair")
    differences = [mine[case].stall_s - other[case].stall_s for case in both]
    (interval,) = mean_intervals([differences], [rule.key(case.trace) for case in both])
    return _with_n(len(both), with_interval(interval, "+.2f"))


def _with_n(n: int, cell: Cell) -> Cell:
    return Cell(cell.text, (n, *cell.values), small=f"{cell.small}, n {n}")


def _nothing(why: str) -> Cell:
    return Cell(NONE, (0, *NO_INTERVAL), small=why)


def _share(count: int, total: int) -> Cell:
    if not total:
        return number(None)
    return Cell(shown(100 * count / total, ".1f") if count else "0", (count / total,))


# ---- the budget's promise ----------------------------------------------------------------------


@dataclass(frozen=True)
class Kept:
    """In how many pairs of one setting the promise held."""

    condition: str
    held: int
    pairs: int


def budget_sentences(study: Study) -> list[str]:
    """In how many pairs `apc` stalled no longer than the baseline and one budget a decision together."""
    if study.baseline is None:
        return []
    names = {one.policy: one.policy_name for one in study.outcomes.counted}
    budgeted = [one for one in study.policies if names.get(one) == BUDGETED and one != study.baseline]
    return [text for policy in budgeted if (text := _budget_sentence(study, policy, study.baseline))]


def _budget_sentence(study: Study, policy: str, baseline: str) -> str:
    by_place = rows_by_place(study)
    kept: list[Kept] = []
    budget_ms = BUDGET_MS
    for one in study.conditions:
        mine, other = (by_place.get((one.name, each), []) for each in (policy, baseline))
        if one.stress and mine:
            budget_ms = budget_ms_of(mine[0])
            kept.append(_kept(one.name, mine, other, budget_ms))
    pairs = sum(one.pairs for one in kept)
    if not pairs:
        return ""
    short = "; ".join(f"{one.condition}: {one.held} of {one.pairs}" for one in kept if one.held < one.pairs)
    return (
        f"{policy} finished with at most {baseline}'s stall and one budget ({budget_ms:g} ms) a decision in"
        f" {sum(one.held for one in kept)} of {counted(pairs, 'paired session')}"
        f"{f' (not in all: {short})' if short else ''}."
    )


def budget_ms_of(row: SessionRow) -> float:
    """The budget of one decision that a record's policy was asked for with."""
    found = json.loads(row.made.policy.parameters)
    value = found.get("budget_ms") if isinstance(found, dict) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else BUDGET_MS


def _kept(condition: str, mine: Sequence[SessionRow], other: Sequence[SessionRow], budget_ms: float) -> Kept:
    """Seeds and repeats of a case are one pair: their means are compared, and all have to finish."""
    ours, theirs = _by_case(mine), _by_case(other)
    both = [case for case in ours if case in theirs]
    return Kept(condition, sum(_within(ours[one], theirs[one], budget_ms) for one in both), pairs=len(both))


def _by_case(rows: Sequence[SessionRow]) -> dict[Case, list[tuple[Outcome, int]]]:
    """Sessions that count, with how many decisions each had."""
    found: dict[Case, list[tuple[Outcome, int]]] = {}
    for row in rows:
        assert isinstance(row.outcome, Outcome)
        decisions = sum(len(times) for by, times in row.decisions_ms.items() if by != PLAYER)
        found.setdefault(row.outcome.case, []).append((row.outcome, decisions))
    return found


def _within(
    mine: Sequence[tuple[Outcome, int]], other: Sequence[tuple[Outcome, int]], budget_ms: float
) -> bool:
    if any(one.ended != FINISHED for one, _ in mine):
        return False
    allowed_s = sum(count for _, count in mine) / len(mine) * budget_ms / 1000.0
    return _mean_stall_s(mine) <= _mean_stall_s(other) + allowed_s + 1e-9


def _mean_stall_s(sessions: Sequence[tuple[Outcome, int]]) -> float:
    return sum(one.figures.stall_s for one, _ in sessions) / len(sessions)


def under_stress(study: Study) -> Section | None:
    """What policies did where the sweep meant to break them; None where it did not."""
    table = stress_table(study)
    if table is None:
        return None
    sentences = budget_sentences(study)
    return Section("stress", "Under stress", (*map(Paragraph, sentences), table))
