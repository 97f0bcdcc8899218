"""Policies compared in pairs of calls: the verdict is of bitrate and stall, one number stands beside them.

As for videos: calls of one policy in one case are averaged, differences are over the cases that both have,
intervals draw clusters of traces. Wilcoxon's test is asked twice a pair, of bitrate and of stall, and Holm's
correction is over all of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from analysis.bootstrap import Interval
from analysis.calls.measures import BITRATE, GETTERS, STALL, carried_by, verdict_of, words_of
from analysis.calls.outcomes import CallFigures, FoundCalls
from analysis.cases.grouping import place_word
from analysis.clusters import ClusterRule
from analysis.compare import (
    CellsOf,
    Differences,
    Tested,
    cells,
    check_baseline,
    common_cases,
    differences,
    duels,
    grouped,
    intervals_of_means,
    missing_of,
    tested,
    uncounted,
    worst_of,
)
from analysis.comparison import Missing, WorstCase, together_words
from analysis.sessions import AnalysisError
from analysis.significance import LEVEL, holm
from analysis.style import in_order
from player.record import FINISHED

TESTED = (BITRATE, STALL)


@dataclass(frozen=True)
class CallMeans:
    """A policy's means over the cases that all policies of its group have."""

    policy: str
    cases: int
    calls: int
    unfinished: int
    invalid: int
    figures: CallFigures
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class CallPair:
    """A policy minus a baseline."""

    policy: str
    baseline: str
    cases: int
    traces: int
    intervals: dict[str, Interval]
    """Of each measure's difference."""
    tests: dict[str, Tested]
    """Of bitrate and of stall."""
    holm_p: dict[str, float | None]
    worst: tuple[WorstCase, ...]
    """By the QoE asked for."""

    @property
    def verdict(self) -> str:
        """See `measures.verdict_of`."""
        return verdict_of(self.intervals)

    @property
    def doubtful(self) -> bool:
        """Whether p, after Holm's correction, calls all that the verdict rests on chance."""
        found = [p for name in carried_by(self.intervals) if (p := self.holm_p[name]) is not None]
        return bool(found) and min(found) >= LEVEL

    @property
    def words(self) -> str:
        """The verdict as a sentence."""
        return words_of(
            self.policy,
            self.baseline,
            self.intervals,
            "; p (Holm): it may be chance" if self.doubtful else "",
        )


@dataclass(frozen=True)
class CallGroup:
    """The comparison within one group of `--by`, or within all."""

    name: str | None
    cases: int
    traces: int
    clusters: int
    policies: tuple[CallMeans, ...]
    """Empty when no case is common to all."""
    pairs: tuple[CallPair, ...]
    pooled: str | None
    """That several settings are averaged here, and which."""


@dataclass(frozen=True)
class CallComparison:
    """All of it."""

    found: FoundCalls
    baseline: str | None
    by: str | None
    rule: ClusterRule
    groups: tuple[CallGroup, ...]
    missing: tuple[Missing, ...]


def compare_calls(
    found: FoundCalls, *, baseline: str | None = None, by: str | None = None, rule: ClusterRule | None = None
) -> CallComparison:
    """Compare all policies with a baseline, or, without one, each with each.

    Raises:
        AnalysisError: a baseline that is not there, fewer than two policies, no pair at all.
    """
    rule = rule or ClusterRule()
    check_baseline(found, baseline)
    if len(found.policies) - len(found.without_figures) < 2:
        raise AnalysisError(
            f"a comparison needs two policies with calls that count; there are {', '.join(found.policies)}"
            + (f" ({uncounted(found)})" if found.left_out else "")
        )
    groups = [_group(name, part, baseline, rule) for name, part in grouped(found, by).items()]
    if not any(group.pairs for group in groups):
        raise AnalysisError(
            "no two policies have a call with the same trace, start, link, settings and seed; nothing can be"
            " paired" + (f" ({uncounted(found)})" if found.left_out else "")
        )
    return CallComparison(found, baseline, by, rule, _corrected(groups), missing_of(found))


def means_of(found: FoundCalls, rule: ClusterRule) -> tuple[CallMeans, ...]:
    """Each policy's means over the cases that all have; empty when there are none."""
    every: CellsOf[CallFigures] = cells(found)
    mine = {policy: every[policy] for policy in in_order(every)}
    common = common_cases(mine)
    if not common:
        return ()
    intervals = intervals_of_means(mine, common, GETTERS, rule)
    return tuple(
        CallMeans(
            policy=policy,
            cases=len(common),
            calls=sum(one.policy == policy for one in found.counted),
            unfinished=sum(one.policy == policy and one.ended != FINISHED for one in found.counted),
            invalid=sum(one.policy == policy for one in found.invalid),
            figures=CallFigures.mean_of([figures[case] for case in common]),
            intervals=intervals[policy],
        )
        for policy, figures in mine.items()
    )


def _group(name: str | None, part: FoundCalls, baseline: str | None, rule: ClusterRule) -> CallGroup:
    every: CellsOf[CallFigures] = cells(part)
    cases = list(dict.fromkeys(case for mine in every.values() for case in mine))
    wanted = duels(part.policies, baseline)
    return CallGroup(
        name=name,
        cases=len(cases),
        traces=len({(case.trace, case.trace_sha256) for case in cases}),
        clusters=len({rule.key(case.trace) for case in cases}),
        policies=means_of(part, rule),
        pairs=tuple(_pair(one, rule) for one in differences(wanted, every, GETTERS, rule)),
        pooled=together_words(list(map(str, grouped(part, "setting"))), place_word(cases)),
    )


def _pair(one: Differences, rule: ClusterRule) -> CallPair:
    tests = {name: tested(one.values[name], rule) for name in TESTED}
    return CallPair(
        policy=one.policy,
        baseline=one.baseline,
        cases=len(one.values[BITRATE]),
        traces=tests[BITRATE].traces,
        intervals=one.intervals,
        tests=tests,
        holm_p={name: held.wilcoxon_p for name, held in tests.items()},
        worst=worst_of(one.values["qoe"]),
    )


def _corrected(groups: Sequence[CallGroup]) -> tuple[CallGroup, ...]:
    """The groups with Holm's correction over all tests of all of them."""
    asked = [pair.tests[name].wilcoxon_p for group in groups for pair in group.pairs for name in TESTED]
    adjusted = iter(holm(asked))
    return tuple(
        replace(
            group,
            pairs=tuple(
                replace(pair, holm_p={name: next(adjusted) for name in TESTED}) for pair in group.pairs
            ),
        )
        for group in groups
    )
