"""Policies compared in pairs of sessions: same trace, same start, same video, same link.

What is averaged first are a policy's seeds and repeats within a case. Then, for each pair of
policies, differences of QoE over all cases that both have: their mean with a bootstrap interval
over clusters of traces, Wilcoxon's test on the clusters' means, corrected by Holm over all tests of
the comparison, the share of traces won, and the cases where it went worst. What one of two
policies lacks is listed, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from analysis.beside import AHEAD, BEHIND, BESIDE, TIE, doubted, stall_words, verdict_of
from analysis.bootstrap import Interval, mean_intervals
from analysis.clusters import ClusterRule
from analysis.grouping import GROUPINGS, JOIN, Grouping
from analysis.outcomes import Case, Figures, Outcomes, means
from analysis.sessions import AnalysisError
from analysis.significance import SAME, holm, wilcoxon_p
from analysis.style import in_order, natural
from player.qoe import scored_words
from player.record import FINISHED
from traces.words import counted, meant

WORST = 5
"""Cases that are named for each pair of policies."""

FEWEST_CLUSTERS = 6
"""Signs of five independent differences agree by chance in 2 of 32 cases, those of six in 2 of 64."""

NOT_STREAMED = "there is no such session"


MEASURES: dict[str, Callable[[Figures], float]] = {
    "qoe": lambda one: one.qoe,
    "bitrate_mbps": lambda one: one.bitrate_mbps,
    "stall_ratio": lambda one: one.stall_ratio,
    "startup_s": lambda one: one.startup_s,
    "switches": lambda one: one.switches,
}
"""The figures whose means have intervals, by their names in `Figures`."""

DIFFERENCES = ("qoe", *(one.name for one in BESIDE))
"""The measures that are subtracted, pair by pair."""

Cells = dict[str, dict[Case, Figures]]
"""[policy][case]: figures, seeds and repeats averaged."""


@dataclass(frozen=True)
class Missing:
    """A case that another policy has streamed and this one has not, or not so that it counts."""

    policy: str
    case: Case
    reason: str


@dataclass(frozen=True)
class PolicyMeans:
    """A policy's means over the cases that all policies of its group have."""

    policy: str
    cases: int
    sessions: int
    """Counted ones of this policy in the group, seeds and those without a counterpart included."""
    unfinished: int
    invalid: int
    figures: Figures
    intervals: dict[str, Interval]
    """Of each of `MEASURES`."""

    @property
    def qoe(self) -> Interval:
        return self.intervals["qoe"]


@dataclass(frozen=True)
class WorstCase:
    """A case and how far the policy is ahead there (negative: behind)."""

    case: Case
    difference: float


@dataclass(frozen=True)
class PairResult:
    """A policy against a baseline: differences are the policy's QoE minus the baseline's."""

    policy: str
    baseline: str
    cases: int
    traces: int
    difference: Interval
    wilcoxon_p: float | None
    holm_p: float | None
    won: float
    """Share of traces with a mean difference above 0."""
    drawn: float
    """Share of traces where both are the same."""
    worst: tuple[WorstCase, ...]
    beside: dict[str, Interval]
    """Differences of the other measures over the same pairs, by the names of `beside.BESIDE`."""

    @property
    def verdict(self) -> str:
        """`ahead` or `behind` where the interval excludes 0, else `tie`; `unknown` without interval."""
        return verdict_of(self.difference, AHEAD, BEHIND)

    @property
    def doubtful(self) -> bool:
        """Whether p says that the verdict may be chance, after Holm's correction."""
        return doubted(self.verdict, self.holm_p)

    @property
    def words(self) -> str:
        """The verdict as a sentence, with the stalls where they point the other way."""
        stall = stall_words(self.verdict, self.beside)
        return f"{self._of_qoe}; {stall}" if stall else self._of_qoe

    @property
    def _of_qoe(self) -> str:
        mean, bounds = self.difference.mean, self.difference.bounds
        if bounds is None:
            return f"{self.policy} against {self.baseline}: {mean:+.3f} on one trace or line, no interval"
        interval = f"[{bounds[0]:+.3f}, {bounds[1]:+.3f}]"
        if self.verdict == TIE:
            return f"{self.policy} and {self.baseline}: a tie ({mean:+.3f}, interval {interval} holds 0)"
        place = "ahead of" if self.verdict == AHEAD else "behind"
        doubt = f", but p (Holm) {self.holm_p:.2g}: it may be chance" if self.doubtful else ""
        return f"{self.policy} is {place} {self.baseline}: {mean:+.3f}, interval {interval}{doubt}"


@dataclass(frozen=True)
class ComparedGroup:
    """The comparison within one family, video or RTT, or within all."""

    name: str | None
    cases: int
    """That any policy has."""
    traces: int
    clusters: int
    policies: tuple[PolicyMeans, ...]
    """Empty when no case is common to all."""
    pairs: tuple[PairResult, ...]


@dataclass(frozen=True)
class Comparison:
    """All of it."""

    outcomes: Outcomes
    baseline: str | None
    by: str | None
    rule: ClusterRule
    groups: tuple[ComparedGroup, ...]
    missing: tuple[Missing, ...]
    pooled: str | None = None
    """That a group's means are over several stall weights, where one's are."""


def compare(
    outcomes: Outcomes,
    *,
    baseline: str | None = None,
    by: str | Grouping | None = None,
    rule: ClusterRule | None = None,
) -> Comparison:
    """Compare all policies with a baseline, or, without one, each with each.

    Args:
        outcomes: sessions as read.
        baseline: the policy that is subtracted.
        by: a grouping, or a name in `GROUPINGS`; None: one group of all.
        rule: which traces are one draw.

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
            f"a comparison needs two policies with sessions that count: {_uncounted(outcomes)}"
        )
    parts = grouped(outcomes, by)
    groups = [_group(name, part, duels(part.policies, baseline), rule) for name, part in parts.items()]
    if not any(group.pairs for group in groups):
        raise AnalysisError(
            "no two policies have a session with the same trace, start, video and link; nothing can be paired"
            + (f" ({_uncounted(outcomes)})" if outcomes.left_out else "")
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


def _uncounted(outcomes: Outcomes) -> str:
    """Of each policy what is left out, and why."""
    left = dict.fromkeys(one.policy for one in outcomes.left_out)
    return "; ".join(f"{policy}: {outcomes.why_left_out(policy)}" for policy in left)


def check_baseline(outcomes: Outcomes, baseline: str | None) -> None:
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


def grouped(outcomes: Outcomes, by: str | Grouping | None) -> dict[str | None, Outcomes]:
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
        name: Outcomes(
            outcomes.scoring,
            tuple(one for one in outcomes.counted if name_of(one.case) == name),
            tuple(one for one in outcomes.left_out if one.case and name_of(one.case) == name),
        )
        for name in names
    }


def setting_names(outcomes: Outcomes) -> dict[tuple[str, ...], str]:
    """What each condition is called among those that are here: what all have in common is left out."""
    cases = [one.case for one in outcomes.counted]
    cases += [one.case for one in outcomes.left_out if one.case is not None]
    found = list(dict.fromkeys(case.condition for case in cases))
    common = [fact for fact in found[0] if all(fact in others for others in found)] if found else []
    names = {
        facts: JOIN.join(fact for fact in facts if fact not in common) or JOIN.join(facts) for facts in found
    }
    return names if len(set(names.values())) == len(names) else {facts: JOIN.join(facts) for facts in found}


def cells(outcomes: Outcomes) -> Cells:
    """Figures of each policy in each case, its seeds and repeats averaged."""
    sessions: dict[str, dict[Case, list[Figures]]] = {}
    for one in outcomes.counted:
        sessions.setdefault(one.policy, {}).setdefault(one.case, []).append(one.figures)
    return {
        policy: {case: means(figures) for case, figures in mine.items()} for policy, mine in sessions.items()
    }


def common_cases(found: Cells) -> list[Case]:
    """The cases that all policies have, in the first one's order."""
    first, *others = found.values()
    return [case for case in first if all(case in other for other in others)]


def missing_of(outcomes: Outcomes) -> tuple[Missing, ...]:
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
    )


def policy_means(outcomes: Outcomes, rule: ClusterRule) -> list[PolicyMeans]:
    """Each policy's means over the cases that all have; empty when there are none."""
    every = cells(outcomes)
    found = {policy: every[policy] for policy in in_order(every)}
    common = common_cases(found)
    if not common:
        return []
    clusters = [rule.key(case.trace) for case in common]
    columns = [[get(mine[case]) for case in common] for mine in found.values() for get in MEASURES.values()]
    intervals = iter(mean_intervals(columns, clusters))
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
                figures=means(figures),
                intervals={name: next(intervals) for name in MEASURES},
            )
        )
    return result


def _pairs(duels: Sequence[tuple[str, str]], found: Cells, rule: ClusterRule) -> list[PairResult]:
    """Each duel that has a case in common. Those over the same cases are resampled together."""

    def difference(policy: str, baseline: str, cases: Sequence[Case], name: str) -> Iterator[float]:
        get = MEASURES[name]
        return (get(found[policy][case]) - get(found[baseline][case]) for case in cases)

    together: dict[tuple[Case, ...], list[tuple[str, str]]] = {}
    for policy, baseline in duels:
        mine, other = found.get(policy, {}), found.get(baseline, {})
        if both := tuple(case for case in mine if case in other):
            together.setdefault(both, []).append((policy, baseline))
    intervals: dict[tuple[str, str], dict[str, Interval]] = {}
    for cases, ones in together.items():
        clusters = [rule.key(case.trace) for case in cases]
        columns = [list(difference(*duel, cases, name)) for duel in ones for name in DIFFERENCES]
        drawn = iter(mean_intervals(columns, clusters))
        intervals |= {duel: {name: next(drawn) for name in DIFFERENCES} for duel in ones}
    places = {duel: cases for cases, ones in together.items() for duel in ones}
    return [
        _pair(
            *duel,
            dict(zip(places[duel], difference(*duel, places[duel], "qoe"), strict=True)),
            intervals[duel],
            rule,
        )
        for duel in duels
        if duel in places
    ]


def _pair(
    policy: str,
    baseline: str,
    differences: dict[Case, float],
    intervals: dict[str, Interval],
    rule: ClusterRule,
) -> PairResult:
    of_traces = list(_means_by(differences, _trace).values())
    of_clusters = list(_means_by(differences, lambda case: rule.key(case.trace)).values())
    worst = sorted(differences.items(), key=lambda item: item[1])[:WORST]
    return PairResult(
        policy=policy,
        baseline=baseline,
        cases=len(differences),
        traces=len(of_traces),
        difference=intervals["qoe"],
        wilcoxon_p=wilcoxon_p(of_clusters) if len(of_clusters) > 1 else None,
        holm_p=None,
        won=sum(value > SAME for value in of_traces) / len(of_traces),
        drawn=sum(abs(value) <= SAME for value in of_traces) / len(of_traces),
        worst=tuple(WorstCase(case, value) for case, value in worst),
        beside={one.name: intervals[one.name] for one in BESIDE},
    )


def _trace(case: Case) -> tuple[str, str]:
    return case.trace, case.trace_sha256


def _means_by(differences: dict[Case, float], key: Callable[[Case], object]) -> dict[object, float]:
    parts: dict[object, list[float]] = {}
    for case, value in differences.items():
        parts.setdefault(key(case), []).append(value)
    return {name: sum(values) / len(values) for name, values in parts.items()}


def _corrected(groups: Sequence[ComparedGroup]) -> tuple[ComparedGroup, ...]:
    """The groups with Holm's correction over all tests of all of them."""
    adjusted = iter(holm([pair.wilcoxon_p for group in groups for pair in group.pairs]))
    return tuple(
        replace(group, pairs=tuple(replace(pair, holm_p=next(adjusted)) for pair in group.pairs))
        for group in groups
    )


def notes(comparison: Comparison) -> list[str]:
    """What a reader must know to read the figures right."""
    outcomes = comparison.outcomes
    found = [text for text in (comparison.rule.doubt(outcomes.traces), comparison.pooled) if text]
    if others := told_others(outcomes):
        found.append(
            f"some sessions were told another QoE ({'; '.join(others)}) than they are scored by here:"
            " their policies aimed at something else, and an oracle's plan is no bound"
        )
    lacking = {missing.policy for missing in comparison.missing}
    if lacking:
        lack = "lacks" if len(lacking) == 1 else "lack"
        found.append(
            f"{', '.join(sorted(lacking))} {lack} sessions that others have; a table of means counts only"
            " what all its policies have, a difference what both have"
        )
    kinds = {one.simulated for one in outcomes.counted}
    if len(kinds) > 1:
        found.append("simulated and emulated sessions are both here; they are never paired with each other")
    if most_repeats(outcomes) > 1:
        found.append(f"up to {most_repeats(outcomes)} sessions of a policy in one case were averaged first")
    pairs = [pair for group in comparison.groups for pair in group.pairs]
    if any(pair.doubtful for pair in pairs):
        found.append(
            "doubtful: a verdict is that of the pair's own interval; p (Holm) is held"
            f" against {counted(len(pairs), 'question')} asked here, and says that it may be chance"
        )
    few = [pair.difference.clusters for pair in pairs]
    if few and min(few) < FEWEST_CLUSTERS:
        found.append(
            f"some differences are over {min(few)} independent traces: under {FEWEST_CLUSTERS},"
            " Wilcoxon's p is above 0.05 whatever they are, and an interval is rough"
        )
    if outcomes.unfinished:
        found.append(
            f"{counted(len(outcomes.unfinished), 'session')} did not finish, counted with what was played"
            " and all the stall"
        )
    return found


def told_others(outcomes: Outcomes) -> list[str]:
    """The QoEs that sessions were told, where they are not the one that scores them."""
    return sorted({str(one.told) for one in outcomes.counted if one.told != one.scored})


def pooled_ladders(parts: Iterable[Outcomes]) -> str | None:
    """That means are over sessions of several stall weights, where in one of the parts they are."""
    mixed = [
        scored for part in parts if len({one.scored for one in part.counted}) > 1 for scored in part.scored
    ]
    if not mixed:
        return None
    return (
        f"means and differences are over videos of several ladders, each scored by its own weights"
        f" ({scored_words(mixed)}): the higher ladder weighs more; --by video keeps them apart"
    )


def most_repeats(outcomes: Outcomes) -> int:
    """The most sessions that one policy has in one case: seeds or repeats, which are averaged."""
    return max(Counter((one.policy, one.case) for one in outcomes.counted).values(), default=0)
