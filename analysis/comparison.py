"""What a comparison of policies found, and what a reader must know to read it right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.beside import AHEAD, BEHIND, TIE, doubted, stall_words, verdict_of
from analysis.bootstrap import Interval
from analysis.cases.case import Case
from analysis.clusters import ClusterRule
from analysis.outcomes import Figures, Outcome, Outcomes
from player.qoe import scored_words
from traces.words import counted

MOST_TOGETHER = 6
"""Settings or points that are averaged and named; of more, a number."""

MOST_TWICE = 3
"""Sessions of two recordings that are named; of more, a number."""

FEWEST_CLUSTERS = 6
"""Signs of five independent differences agree by chance in 2 of 32 cases, those of six in 2 of 64."""

MEASURES: dict[str, Callable[[Figures], float]] = {
    "qoe": lambda one: one.qoe,
    "bitrate_mbps": lambda one: one.bitrate_mbps,
    "stall_ratio": lambda one: one.stall_ratio,
    "startup_s": lambda one: one.startup_s,
    "switches": lambda one: one.switches,
}
"""The figures whose means have intervals, by their names in `Figures`."""


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
    name: str
    """Its trace, and whatever varies among the cases of the pair."""


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
class ComparedPoint:
    """The differences at one setting, or at one point of its axes."""

    name: str
    pairs: tuple[PairResult, ...]
    """Without p: what is asked of all of them together is asked once."""


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
    together: tuple[str, ...]
    """The settings (`setting_names`) that it is over, each of an axis's points one."""
    place: str
    """What one of them is called: a setting, or where settings have axes a point."""
    points: tuple[ComparedPoint, ...] = ()
    """The differences at each of them; empty where there is one, or nobody asked."""

    @property
    def pooled(self) -> str | None:
        """That more than one setting or point are averaged here, and which; None where it is one."""
        return together_words(self.together, self.place)


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
    if twice := recorded_twice(outcomes.counted):
        found.append(twice)
    if outcomes.unfinished:
        found.append(
            f"{counted(len(outcomes.unfinished), 'session')} did not finish, counted with what was played"
            " and all the stall"
        )
    return found


def together_words(names: Sequence[str], place: str) -> str | None:
    """That figures are over several settings or points at once, and over which; None of one."""
    if len(names) < 2:
        return None
    more = f"; and {len(names) - MOST_TOGETHER} more" if len(names) > MOST_TOGETHER else ""
    return f"{counted(len(names), place)} together ({'; '.join(names[:MOST_TOGETHER])}{more})"


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


def recorded_twice(sessions: Sequence[Outcome]) -> str | None:
    """Which sessions were recorded more than once and not alike, and what differs; None where none was.

    Both count: nobody can say which one is right. They are averaged first, as repeats of a case are.
    """
    found: dict[tuple[object, ...], list[Outcome]] = {}
    for one in sessions:
        if one.repeat is not None:
            found.setdefault((one.policy, one.case, one.repeat), []).append(one)
    differing = [words for alike in found.values() if len(alike) > 1 and (words := _differing(alike))]
    if not differing:
        return None
    more = f"; and {len(differing) - MOST_TWICE} more" if len(differing) > MOST_TWICE else ""
    return (
        f"{counted(len(differing), 'session')} recorded more than once, and not alike; all count, averaged"
        f" first: {'; '.join(differing[:MOST_TWICE])}{more}"
    )


def _differing(alike: Sequence[Outcome]) -> str:
    """Two of these that differ, and by what; empty where all are the same."""
    first = alike[0]
    for other in alike[1:]:
        here, there = dict(first.made), dict(other.made)
        differ = [
            f"{key} {here.get(key, 'not said')} and {there.get(key, 'not said')}"
            for key in dict.fromkeys((*here, *there))
            if here.get(key) != there.get(key)
        ]
        if not differ and first.figures != other.figures:
            differ = ["the same was asked for, what came of it differs"]
        if differ:
            return f"{_path(first, other)} and {_path(other, first)} ({', '.join(differ)})"
    return ""


def _path(one: Outcome, other: Outcome) -> str:
    """A record's name, with its folder where both have the same name."""
    path = Path(one.record)
    return path.name if path.name != Path(other.record).name else f"{path.parent.name}/{path.name}"
