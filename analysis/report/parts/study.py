"""What a report is about: sessions in their settings, and how each policy stands to the baseline there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from analysis.cases.case import Case
from analysis.cases.grouping import Grouping
from analysis.clusters import ClusterRule
from analysis.compare import compare, grouped, policy_means, setting_names
from analysis.comparison import Comparison, PairResult, PolicyMeans
from analysis.knowable.bound_file import FamilyBound
from analysis.outcomes import INVALID, LeftOut, Outcomes, outcomes_of, told_apart
from analysis.report.parts.planned import Sweep
from analysis.report.parts.session_rows import SessionRow, Unreadable
from analysis.sessions import AnalysisError
from analysis.style import in_order, natural
from player.qoe import Scoring
from traces.words import meant

SEEN_WORDS = {True: "seen", False: "unseen", None: ""}


def plain_number(value: float) -> str:
    """As a sweep's labels have it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class NetworkCondition:
    """A setting as a sweep has it, at one point of its axes: its sessions differ in policy, trace and seed,
    not in the network."""

    name: str
    group: str
    """The setting's own name, which all points of its axes have in common."""
    axis: Mapping[str, float]
    """Where on its axes it is, by key; empty where it has none."""
    seen: bool | None
    stress: bool
    """Whether the sweep meant to break policies here."""
    outcomes: Outcomes
    means: tuple[PolicyMeans, ...]
    """In the figures' order of policies; empty when no trace is common to all."""
    pairs: dict[str, PairResult]
    """Of each policy against the baseline."""

    @property
    def videos(self) -> frozenset[str]:
        """What was streamed here."""
        return frozenset(one.case.video for one in self.outcomes.counted)

    @property
    def setting(self) -> str:
        """The setting's name: this one's, without where it is on its axes."""
        name = self.name
        for key in self.axis:
            name = self.without(key, name)
        return name

    def without(self, key: str, name: str | None = None) -> str:
        """A name (this one's) without where on one axis it is: the same for all points along it."""
        words = f"{key} {plain_number(self.axis[key])}"
        return (self.name if name is None else name).replace(f", {words}", "", 1)

    @property
    def title(self) -> str:
        """The name, and whether the policies had seen such networks."""
        told = SEEN_WORDS[self.seen]
        return f"{self.name} ({told})" if told and told not in self.name.split() else self.name

    @property
    def policies(self) -> list[str]:
        return in_order(self.outcomes.policies)

    @property
    def traces(self) -> int:
        return len({one.case.trace_sha256 for one in self.outcomes.counted})


@dataclass(frozen=True)
class Study:
    """All that the sections of a report draw on."""

    rows: tuple[SessionRow, ...]
    unreadable: tuple[Unreadable, ...]
    outcomes: Outcomes
    sweep: Sweep | None
    rule: ClusterRule
    grouping: Grouping
    baseline: str | None
    no_baseline: str
    """Why there is none, if there is none."""
    comparison: Comparison | None
    """By setting; None where nothing can be paired."""
    together: Comparison | None
    """Over all settings; None with one setting, or where nothing can be paired."""
    conditions: tuple[NetworkCondition, ...]
    bounds: tuple[FamilyBound, ...] = ()
    """What no controller can pass; empty where nobody named a file of it."""

    @property
    def policies(self) -> list[str]:
        return in_order(self.outcomes.policies)

    @property
    def scoring(self) -> Scoring:
        return self.outcomes.scoring

    @property
    def weights(self) -> str:
        """What sessions are scored by, in words."""
        return self.outcomes.weights

    @property
    def of_several_ladders(self) -> bool:
        """Whether not all sessions are scored by the same weights."""
        return len({one.scored for one in self.outcomes.counted}) > 1

    @property
    def settings(self) -> int:
        """How many; one that has axes counts once."""
        return len({one.setting for one in self.conditions})

    @property
    def points(self) -> int:
        """At how many points of their axes; 0 where none has any."""
        return len(self.conditions) if self.place == "point" else 0

    @property
    def place(self) -> str:
        """What a condition is called here: a setting, or where settings have axes a point."""
        return "point" if any(one.axis for one in self.conditions) else "setting"

    @property
    def simulated(self) -> set[bool]:
        """{True}, {False}, or both."""
        return {one.simulated for one in self.outcomes.counted}

    @property
    def kind(self) -> str:
        """How the sessions were made, in a word or three."""
        if len(self.simulated) > 1:
            return "simulated and emulated"
        return "simulated" if True in self.simulated else "emulated"


def study_of(
    rows: Sequence[SessionRow],
    unreadable: Sequence[Unreadable],
    scoring: Scoring,
    *,
    sweep: Sweep | None,
    baseline: str,
    baseline_asked: bool,
    rule: ClusterRule,
) -> Study:
    """Put sessions into settings and compare them.

    Args:
        baseline: the policy that is subtracted.
        baseline_asked: whether somebody asked for it; else there may be none.

    Raises:
        AnalysisError: no session can be counted, or a baseline that was asked for is not there.
    """
    rows = [
        replace(row, outcome=outcome)
        for row, outcome in zip(rows, told_apart([row.outcome for row in rows]), strict=True)
    ]
    outcomes = outcomes_of(scoring, [row.outcome for row in rows])
    if not outcomes.counted:
        raise AnalysisError(_nothing(outcomes, unreadable))
    no_baseline = _no_baseline(outcomes, baseline, baseline_asked)
    used = None if no_baseline else baseline
    grouping = conditions_of(outcomes, sweep)
    by_setting = _compared(outcomes, used, grouping, rule)
    pairs = {group.name: group.pairs for group in by_setting.groups} if by_setting else {}
    conditions = tuple(
        _condition(str(name), part, pairs.get(name, ()), rule, sweep)
        for name, part in grouped(outcomes, grouping).items()
        if part.counted
    )
    return Study(
        rows=tuple(rows),
        unreadable=tuple(unreadable),
        outcomes=outcomes,
        sweep=sweep,
        rule=rule,
        grouping=grouping,
        baseline=used,
        no_baseline=no_baseline,
        comparison=by_setting,
        together=_compared(outcomes, used, None, rule) if len(conditions) > 1 else None,
        conditions=conditions,
    )


def _no_baseline(outcomes: Outcomes, baseline: str, asked: bool) -> str:
    """Why no policy is subtracted; empty where one is.

    Raises:
        AnalysisError: somebody asked for one that is not there.
    """
    there = dict.fromkeys(outcome.policy for outcome in outcomes.counted)
    if baseline not in there:
        if asked:
            raise AnalysisError(
                f"--baseline {baseline}: no session that counts is of this policy{meant(baseline, there)};"
                f" there are {', '.join(there)}"
            )
        return f"{baseline} is not among the policies; --baseline names another"
    return f"{baseline} is the only policy" if len(there) < 2 else ""


def _nothing(outcomes: Outcomes, unreadable: Sequence[Unreadable]) -> str:
    why = Counter(one.reason for one in outcomes.left_out)
    parts = [f"{count} left out, {reason}" for reason, count in why.items()]
    for one in unreadable[:1]:
        parts.append(f"{len(unreadable)} unreadable, such as {one.path}: {one.reason}")
    return f"no session can be counted: {'; '.join(parts)}"


def conditions_of(outcomes: Outcomes, sweep: Sweep | None) -> Grouping:
    """Settings under names no longer than it takes to tell them apart.

    In the sweep's order; without one those that the policies had seen first, then by name.
    """
    found: dict[tuple[str, ...], bool | None] = {}
    cases = [one.case for one in outcomes.counted] + [one.case for one in outcomes.left_out]
    for case in cases:
        if case is not None:
            found.setdefault(case.condition, case.seen)
    names = setting_names(outcomes)
    planned = [one.label for one in sweep.settings] if sweep else []

    def place(facts: tuple[str, ...]) -> tuple[int, int, list[str | float]]:
        rank = {True: 0, False: 1, None: 2}[found[facts]]
        return planned.index(facts[0]) if facts[0] in planned else len(planned), rank, natural(names[facts])

    def name(case: Case) -> str:
        return names[case.condition]

    return Grouping("setting", name, tuple(names[facts] for facts in sorted(found, key=place)))


def _compared(
    outcomes: Outcomes, baseline: str | None, by: Grouping | None, rule: ClusterRule
) -> Comparison | None:
    if baseline is None:
        return None
    try:
        return compare(outcomes, baseline=baseline, by=by, rule=rule)
    except AnalysisError:  # nothing can be paired, as happens when a sweep has just begun
        return None


def _condition(
    name: str,
    outcomes: Outcomes,
    pairs: Sequence[PairResult],
    rule: ClusterRule,
    sweep: Sweep | None,
) -> NetworkCondition:
    means = {one.policy: one for one in policy_means(outcomes, rule)}
    group, axis = _place(name, outcomes.counted[0].case, sweep)
    return NetworkCondition(
        name=name,
        group=group,
        axis=axis,
        seen=outcomes.counted[0].case.seen,
        stress=outcomes.counted[0].case.stress,
        outcomes=outcomes,
        means=tuple(means[policy] for policy in in_order(means)),
        pairs={pair.policy: pair for pair in pairs},
    )


def _place(name: str, case: Case, sweep: Sweep | None) -> tuple[str, dict[str, float]]:
    """Of which setting a condition is a point, and where on its axes: as its records say, else as planned."""
    if case.group is not None:
        return case.group, dict(case.axis)
    planned = {one.label: one for one in sweep.settings} if sweep else {}
    found = planned.get(case.condition[0])
    return (found.group, dict(found.axis)) if found else (name, {})


def per_setting(study: Study, count: Callable[[NetworkCondition], int | str]) -> str:
    """Counts in words: one for all settings (or points) where they are the same, else one for each."""
    found = {one.name: str(count(one)) for one in study.conditions}
    if len(set(found.values())) > 1:
        return "; ".join(f"{name}: {value}" for name, value in found.items())
    each = {"point": " at each point", "setting": " in each setting"}[study.place]
    return f"{next(iter(found.values()))}{each if len(found) > 1 else ''}"


def only(outcomes: Outcomes, policies: Sequence[str]) -> Outcomes:
    """The sessions of some policies."""
    return replace(
        outcomes,
        counted=tuple(one for one in outcomes.counted if one.policy in policies),
        left_out=tuple(one for one in outcomes.left_out if one.policy in policies),
    )


def invalid_rows(study: Study) -> list[SessionRow]:
    """Sessions over links that were not what they should be."""
    return [row for row in study.rows if isinstance(row.outcome, LeftOut) and row.outcome.reason == INVALID]


def pairs_counted(one: NetworkCondition) -> str:
    """How many pairs a setting's policies make with the baseline."""
    counts = sorted({pair.cases for pair in one.pairs.values()})
    if not counts:
        return "none"
    return f"{counts[0]}" + (f" to {counts[-1]}" if len(counts) > 1 else "")
