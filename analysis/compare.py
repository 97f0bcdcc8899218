"""Policies compared in pairs of sessions: same trace, same start, same video, same link.

What is averaged first are a policy's seeds and repeats within a case. Then, for each pair of
policies, differences of QoE over all cases that both have: their mean with a bootstrap interval
over clusters of traces, Wilcoxon's test on the clusters' means, corrected by Holm over all tests of
the comparison, the share of traces won, and the cases where it went worst. What one of two
policies lacks is listed, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, TypeVar

from analysis.beside import BESIDE
from analysis.bootstrap import Interval, mean_intervals
from analysis.cases.case import Case
from analysis.cases.grouping import GROUPINGS, JOIN, Grouping, place_word
from analysis.cases.naming import names_among
from analysis.clusters import ClusterRule
from analysis.comparison import (
    MEASURES,
    ComparedGroup,
    ComparedPoint,
    Comparison,
    Missing,
    PairResult,
    PolicyMeans,
    WorstCase,
    pooled_ladders,
    together_words,
)
from analysis.outcomes import Accounted, F, Figures, Outcomes
from analysis.sessions import AnalysisError
from analysis.significance import SAME, holm, wilcoxon_p
from analysis.style import in_order, natural
from player.record import FINISHED
from traces.words import meant

WORST = 5
"""Cases that are named for each pair of policies."""

NOT_STREAMED = "there is no such session"

SUBTRACTED = {name: MEASURES[name] for name in ("qoe", *(one.name for one in BESIDE))}
"""The measures of which differences are taken, pair by pair."""

CellsOf = dict[str, dict[Case, F]]
"""[policy][case]: figures, seeds and repeats averaged."""
Cells = CellsOf[Figures]

Measures = Mapping[str, Callable[[F], float]]
"""Figures by their names."""

Sessions = TypeVar("Sessions", bound=Accounted[Any])


@dataclass(frozen=True)
class Differences:
    """A policy minus a baseline, over the cases that both have."""

    policy: str
    baseline: str
    values: dict[str, dict[Case, float]]
    """[measure][case]."""
    intervals: dict[str, Interval]
    """Of each measure's mean."""


@dataclass(frozen=True)
class Tested:
    """Differences of one measure, held against chance."""

    traces: int
    wilcoxon_p: float | None
    """Over clusters' means; None of one cluster."""
    won: float
    """Share of traces with a mean difference above 0 …"""
    drawn: float
    """… and of those where both are the same."""


def compare(
    outcomes: Outcomes,
    *,
    baseline: str | None = None,
    by: str | Grouping | None = None,
    rule: ClusterRule | None = None,
    at_points: bool = False,
) -> Comparison:
    """Compare all policies with a baseline, or, without one, each with each.

    Args:
        outcomes: sessions as read.
        baseline: the policy that is subtracted.
        by: a grouping, or a name in `GROUPINGS`; None: one group of all.
        rule: which traces are one draw.
        at_points: within a group of several settings or points also the differences at each.

    Raises:
        AnalysisError: a baseline that is not there, fewer than two policies, no pair at all.
    """
    rule = rule or ClusterRule()
    policies = outcomes.policies
    check_baseline(outcomes, baseline)
    if len(policies) < 2:
        raise AnalysisError(f"only {policies[0]} is there; a comparison needs two policies")
    if len(policies) - len(outcomes.without_figures) < 2:
        raise AnalysisError(
            f"a comparison needs two policies with sessions that count: {uncounted(outcomes)}"
        )
    parts = grouped(outcomes, by)
    groups = [_group(name, part, duels(part.policies, baseline), rule) for name, part in parts.items()]
    if at_points:
        groups = [
            replace(group, points=_at_points(part, duels(part.policies, baseline), rule))
            for group, part in zip(groups, parts.values(), strict=True)
        ]
    if not any(group.pairs for group in groups):
        raise AnalysisError(
            "no two policies have a session with the same trace, start, video and link; nothing can be paired"
            + (f" ({uncounted(outcomes)})" if outcomes.left_out else "")
        )
    name = by.name if isinstance(by, Grouping) else by
    pooled = pooled_ladders(parts.values())
    return Comparison(outcomes, baseline, name, rule, _corrected(groups), missing_of(outcomes), pooled)


def groups_with_means(
    outcomes: Outcomes, by: str | Grouping | None, baseline: str | None, rule: ClusterRule
) -> tuple[ComparedGroup, ...]:
    """Each group's means, and its differences to the baseline where one is named; no corrected p values.

    Raises:
        AnalysisError: a baseline that is not there.
    """
    check_baseline(outcomes, baseline)
    return tuple(
        _group(name, part, [] if baseline is None else duels(part.policies, baseline), rule)
        for name, part in grouped(outcomes, by).items()
    )


def uncounted(outcomes: Accounted[F]) -> str:
    """Of each policy what is left out, and why."""
    left = dict.fromkeys(one.policy for one in outcomes.left_out)
    return "; ".join(f"{policy}: {outcomes.why_left_out(policy)}" for policy in left)


def check_baseline(outcomes: Accounted[F], baseline: str | None) -> None:
    """That sessions of this policy are there and count.

    Raises:
        AnalysisError: there is none, or none that counts.
    """
    if baseline is not None and baseline not in outcomes.policies:
        raise AnalysisError(
            f"--baseline {baseline}: no record is of this policy{meant(baseline, outcomes.policies)};"
            f" there are {', '.join(outcomes.policies)}"
        )
    if baseline in outcomes.without_figures:
        raise AnalysisError(
            f"--baseline {baseline}: none of its sessions counts: {outcomes.why_left_out(baseline)}"
        )


def duels(policies: Sequence[str], baseline: str | None) -> list[tuple[str, str]]:
    """(policy, what is subtracted from it): all with the baseline, or each with each before it, in the order
    of tables and figures."""
    policies = in_order(policies)
    if baseline is None:
        return [(policy, other) for other, policy in combinations(policies, 2)]
    return [(policy, baseline) for policy in policies if policy != baseline]


def grouped(outcomes: Sessions, by: str | Grouping | None) -> dict[str | None, Sessions]:
    """The sessions of each group, in order; one group, None, without `by`."""
    if by is None:
        return {None: outcomes}
    grouping = by if isinstance(by, Grouping) else GROUPINGS[by]
    if by == "setting":
        called = setting_names(outcomes)
        grouping = Grouping("setting", lambda case: called[case.condition])
    name_of, order = grouping.of, list(grouping.order)
    names = sorted(
        {name_of(one.case) for one in outcomes.counted},
        key=lambda name: (order.index(name) if name in order else len(order), natural(name)),
    )
    return {
        name: outcomes.with_only(
            counted=tuple(one for one in outcomes.counted if name_of(one.case) == name),
            left_out=tuple(one for one in outcomes.left_out if one.case and name_of(one.case) == name),
        )
        for name in names
    }


def told_together(outcomes: Accounted[F], by: str | Grouping | None) -> list[str]:
    """Which groups are over several settings or points at once, a line each."""
    told = []
    for name, part in grouped(outcomes, by).items():
        place = place_word(one.case for one in part.counted)
        words = together_words(list(map(str, grouped(part, "setting"))), place)
        if words:
            told.append(f"{words if name is None else f'{name}: {words}'}; --by setting keeps them apart")
    return told


def setting_names(outcomes: Accounted[F]) -> dict[tuple[str, ...], str]:
    """What each condition is called among those that are here: what all have in common is left out."""
    cases = [one.case for one in outcomes.counted]
    cases += [one.case for one in outcomes.left_out if one.case is not None]
    found = list(dict.fromkeys(case.condition for case in cases))
    common = [fact for fact in found[0] if all(fact in others for others in found)] if found else []
    names = {
        facts: JOIN.join(fact for fact in facts if fact not in common) or JOIN.join(facts) for facts in found
    }
    return names if len(set(names.values())) == len(names) else {facts: JOIN.join(facts) for facts in found}


def cells(outcomes: Accounted[F]) -> CellsOf[F]:
    """Figures of each policy in each case, its seeds and repeats averaged."""
    sessions: dict[str, dict[Case, list[F]]] = {}
    for one in outcomes.counted:
        sessions.setdefault(one.policy, {}).setdefault(one.case, []).append(one.figures)
    return {
        policy: {case: type(figures[0]).mean_of(figures) for case, figures in mine.items()}
        for policy, mine in sessions.items()
    }


def common_cases(found: CellsOf[F]) -> list[Case]:
    """The cases that all policies have, in the first one's order."""
    first, *others = found.values()
    return [case for case in first if all(case in other for other in others)]


def can_be_compared(outcomes: Accounted[F]) -> bool:
    """Whether two policies have a case in common, without which `compare` refuses."""
    found = list(cells(outcomes).values())
    return any(case in other for one, other in combinations(found, 2) for case in one)


def missing_of(outcomes: Accounted[F]) -> tuple[Missing, ...]:
    """What each policy lacks of what another one has, and of what it has streamed in vain."""
    missing: list[Missing] = []
    reasons = {(one.policy, one.case): one.reason for one in outcomes.left_out if one.case is not None}
    found = cells(outcomes)
    cases = list(dict.fromkeys([*(s for mine in found.values() for s in mine), *(s for _, s in reasons)]))
    for policy in outcomes.policies:
        for case in cases:
            if case not in found.get(policy, {}):
                reason = reasons.get((policy, case), NOT_STREAMED)
                missing.append(Missing(policy, case, reason))
    return tuple(missing)


def _group(
    name: str | None, outcomes: Outcomes, duels: Sequence[tuple[str, str]], rule: ClusterRule
) -> ComparedGroup:
    found = cells(outcomes)
    cases = list(dict.fromkeys(case for mine in found.values() for case in mine))
    pairs = _pairs(duels, found, rule)
    return ComparedGroup(
        name=name,
        cases=len(cases),
        traces=len({_trace(case) for case in cases}),
        clusters=len({rule.key(case.trace) for case in cases}),
        policies=tuple(policy_means(outcomes, rule)),
        pairs=tuple(pairs),
        together=tuple(map(str, grouped(outcomes, "setting"))),
        place=place_word(cases),
    )


def _at_points(
    outcomes: Outcomes, duels: Sequence[tuple[str, str]], rule: ClusterRule
) -> tuple[ComparedPoint, ...]:
    """The differences at each setting and point; none where all are of one."""
    parts = grouped(outcomes, "setting")
    return tuple(
        ComparedPoint(
            str(name),
            tuple(replace(pair, wilcoxon_p=None) for pair in _pairs(duels, cells(part), rule)),
        )
        for name, part in parts.items()
        if len(parts) > 1
    )


def policy_means(outcomes: Outcomes, rule: ClusterRule) -> list[PolicyMeans]:
    """Each policy's means over the cases that all have; empty when there are none."""
    every = cells(outcomes)
    found = {policy: every[policy] for policy in in_order(every)}
    common = common_cases(found)
    if not common:
        return []
    intervals = intervals_of_means(found, common, MEASURES, rule)
    invalid = outcomes.invalid
    result = []
    for policy, mine in found.items():
        figures = [mine[case] for case in common]
        sessions = [one for one in outcomes.counted if one.policy == policy]
        result.append(
            PolicyMeans(
                policy=policy,
                cases=len(common),
                sessions=len(sessions),
                unfinished=sum(one.ended != FINISHED for one in sessions),
                invalid=sum(one.policy == policy for one in invalid),
                figures=Figures.mean_of(figures),
                intervals=intervals[policy],
            )
        )
    return result


def intervals_of_means(
    found: CellsOf[F], common: Sequence[Case], measures: Measures[F], rule: ClusterRule
) -> dict[str, dict[str, Interval]]:
    """[policy][measure]: means over the cases that all have, resampled together."""
    columns = [[get(mine[case]) for case in common] for mine in found.values() for get in measures.values()]
    drawn = iter(mean_intervals(columns, [rule.key(case.trace) for case in common]))
    return {policy: {name: next(drawn) for name in measures} for policy in found}


def differences(
    duels: Sequence[tuple[str, str]], found: CellsOf[F], measures: Measures[F], rule: ClusterRule
) -> list[Differences]:
    """Each duel that has a case in common. Those over the same cases are resampled together."""
    together: dict[tuple[Case, ...], list[tuple[str, str]]] = {}
    for policy, baseline in duels:
        mine, other = found.get(policy, {}), found.get(baseline, {})
        if both := tuple(case for case in mine if case in other):
            together.setdefault(both, []).append((policy, baseline))
    made: dict[tuple[str, str], Differences] = {}
    for cases, ones in together.items():
        values = {
            (policy, baseline): {
                name: {case: get(found[policy][case]) - get(found[baseline][case]) for case in cases}
                for name, get in measures.items()
            }
            for policy, baseline in ones
        }
        columns = [list(values[duel][name].values()) for duel in ones for name in measures]
        drawn = iter(mean_intervals(columns, [rule.key(case.trace) for case in cases]))
        for duel in ones:
            made[duel] = Differences(*duel, values[duel], {name: next(drawn) for name in measures})
    return [made[duel] for duel in duels if duel in made]


def tested(values: Mapping[Case, float], rule: ClusterRule) -> Tested:
    """One measure's differences by case, their means by trace and by cluster looked at."""
    of_traces = list(_means_by(values, _trace).values())
    of_clusters = list(_means_by(values, lambda case: rule.key(case.trace)).values())
    return Tested(
        traces=len(of_traces),
        wilcoxon_p=wilcoxon_p(of_clusters) if len(of_clusters) > 1 else None,
        won=sum(value > SAME for value in of_traces) / len(of_traces),
        drawn=sum(abs(value) <= SAME for value in of_traces) / len(of_traces),
    )


def _pairs(duels: Sequence[tuple[str, str]], found: Cells, rule: ClusterRule) -> list[PairResult]:
    """Each duel that has a case in common."""
    return [_pair(one, rule) for one in differences(duels, found, SUBTRACTED, rule)]


def _pair(one: Differences, rule: ClusterRule) -> PairResult:
    of_qoe = one.values["qoe"]
    held = tested(of_qoe, rule)
    return PairResult(
        policy=one.policy,
        baseline=one.baseline,
        cases=len(of_qoe),
        traces=held.traces,
        difference=one.intervals["qoe"],
        wilcoxon_p=held.wilcoxon_p,
        holm_p=None,
        won=held.won,
        drawn=held.drawn,
        worst=worst_of(of_qoe),
        beside={measure.name: one.intervals[measure.name] for measure in BESIDE},
    )


def worst_of(values: Mapping[Case, float]) -> tuple[WorstCase, ...]:
    """The cases with the least differences, by names that tell them apart."""
    worst = sorted(values, key=lambda case: values[case])[:WORST]
    names = names_among(worst, values)
    return tuple(WorstCase(case, values[case], name) for case, name in zip(worst, names, strict=True))


def _trace(case: Case) -> tuple[str, str]:
    return case.trace, case.trace_sha256


def _means_by(values: Mapping[Case, float], key: Callable[[Case], object]) -> dict[object, float]:
    parts: dict[object, list[float]] = {}
    for case, value in values.items():
        parts.setdefault(key(case), []).append(value)
    return {name: sum(values) / len(values) for name, values in parts.items()}


def _corrected(groups: Sequence[ComparedGroup]) -> tuple[ComparedGroup, ...]:
    """The groups with Holm's correction over all tests of all of them."""
    adjusted = iter(holm([pair.wilcoxon_p for group in groups for pair in group.pairs]))
    return tuple(
        replace(group, pairs=tuple(replace(pair, holm_p=next(adjusted)) for pair in group.pairs))
        for group in groups
    )
