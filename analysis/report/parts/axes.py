"""Settings met at several values of something: what each policy's figures do along such an axis.

A *line* is one setting along one of its axes, everything else held. What is followed are *cases*: a trace
from one moment, with all its seeds, repetitions and players averaged. A policy's change is taken case by
case, so only cases that it has at every point of the line count; and whether one policy suffers more than the
baseline is the difference of their changes over the cases that both have: a difference of differences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from analysis.beside import verdict_of
from analysis.bootstrap import Interval, mean_intervals
from analysis.clusters import ClusterRule
from analysis.outcomes import Figures
from analysis.report.parts.study import NetworkCondition, Study, plain_number
from analysis.significance import holm, wilcoxon_p
from analysis.style import in_order

TraceMoment = tuple[str, float]
"""Trace and start, s."""

MEASURES: dict[str, Callable[[Figures], float]] = {
    "qoe": lambda one: one.qoe,
    "stall_ratio": lambda one: one.stall_ratio,
}
"""What is followed along an axis."""
BETTER = {"qoe": 1, "stall_ratio": -1}
"""Whether more of it is better."""

RISES, FALLS = "rises", "falls"
SUFFERS_MORE, SUFFERS_LESS, GAINS_MORE, GAINS_LESS = (
    "suffers more",
    "suffers less",
    "gains more",
    "gains less",
)
"""Verdicts of a difference of differences; also `TIE` and `UNKNOWN`."""

UNITS = {"ms": "ms", "s": "s", "pct": "%", "bytes": "bytes", "mbps": "Mbit/s", "kbps": "kbit/s"}
"""By the last part of a key's name."""


@dataclass(frozen=True)
class AxisName:
    """A key of a setting as a reader sees it."""

    key: str

    @property
    def unit(self) -> str:
        """Empty for a number of things."""
        return UNITS.get(self.key.rpartition("_")[2], "") if "_" in self.key else ""

    @property
    def words(self) -> str:
        """`RTT`, `loss`, `players`."""
        stem = self.key.rpartition("_")[0] if self.unit else self.key
        return stem.replace("_", " ").replace("rtt", "RTT")

    @property
    def title(self) -> str:
        """`RTT (ms)`."""
        return f"{self.words} ({self.unit})" if self.unit else self.words

    def shown(self, value: float) -> str:
        """`80 ms`."""
        words = self.words.removesuffix("s") if value == 1 else self.words
        return f"{plain_number(value)} {self.unit or words}"


@dataclass(frozen=True)
class AxisPoint:
    """Where on an axis, and the sessions there."""

    value: float
    condition: NetworkCondition

    @cached_property
    def cases(self) -> dict[str, dict[TraceMoment, Figures]]:
        """[policy][case]: figures, seeds, repetitions and players averaged."""
        sessions: dict[str, dict[TraceMoment, list[Figures]]] = {}
        for one in self.condition.outcomes.counted:
            case = (one.case.trace, one.case.start_s)
            sessions.setdefault(one.policy, {}).setdefault(case, []).append(one.figures)
        return {
            policy: {case: Figures.mean_of(found) for case, found in mine.items()}
            for policy, mine in sessions.items()
        }


@dataclass(frozen=True)
class AxisLine:
    """A setting along one axis."""

    name: str
    """The setting's, with what else is held where it has other lists."""
    axis: AxisName
    points: tuple[AxisPoint, ...]
    """By value."""
    rule: ClusterRule

    @property
    def values(self) -> list[float]:
        return [point.value for point in self.points]

    @property
    def policies(self) -> list[str]:
        """Those that have a session at every point."""
        first, *others = (point.cases for point in self.points)
        return in_order(policy for policy in first if all(policy in other for other in others))

    def whole(self, *policies: str) -> list[TraceMoment]:
        """The cases that all of these policies have at every point, in the first one's order."""
        everywhere = [point.cases.get(policy, {}) for point in self.points for policy in policies]
        return [case for case in everywhere[0] if all(case in other for other in everywhere)]

    def of_cases(self, policy: str, measure: str, cases: Sequence[TraceMoment]) -> list[list[float]]:
        """(points, cases) of one measure."""
        get = MEASURES[measure]
        return [[get(point.cases[policy][case]) for case in cases] for point in self.points]

    def clusters(self, cases: Sequence[TraceMoment]) -> list[str]:
        """What each case belongs to."""
        return [self.rule.key(trace) for trace, _ in cases]

    @cached_property
    def slope_weights(self) -> list[float]:
        """(points,) by which a measure's values add up to its least-squares slope, per unit of the axis."""
        middle = sum(self.values) / len(self.values)
        spread = sum((value - middle) ** 2 for value in self.values)
        return [(value - middle) / spread for value in self.values]

    @property
    def step(self) -> float:
        """A round amount that slopes are told for: the power of ten below the axis's length."""
        length = self.values[-1] - self.values[0]
        power = 1.0
        while power * 10 <= length:
            power *= 10
        while power > length:
            power /= 10
        return power


@dataclass(frozen=True)
class MeasureAlong:
    """A measure of one policy along a line, over the cases that it has everywhere."""

    at: tuple[Interval, ...]
    """(points,)"""
    change: Interval
    """Last minus first, case by case."""
    slope: Interval
    """By least squares, for each `AxisLine.step`."""

    @property
    def verdict(self) -> str:
        """`rises` or `falls` where the interval of the change excludes 0."""
        return verdict_of(self.change, RISES, FALLS)

    @property
    def steadily(self) -> bool:
        """Whether the means go one way from point to point."""
        steps = [after.mean - before.mean for before, after in zip(self.at, self.at[1:], strict=False)]
        return all(step >= 0 for step in steps) or all(step <= 0 for step in steps)


@dataclass(frozen=True)
class PolicyAlong:
    """A policy along a line."""

    policy: str
    cases: int
    measures: Mapping[str, MeasureAlong]


@dataclass(frozen=True)
class ChangeDifference:
    """How much more a policy's measure changes along a line than the baseline's."""

    difference: Interval
    """Of the changes: the policy's minus the baseline's."""
    own: float
    """The policy's change over these cases …"""
    other: float
    """… and the baseline's."""
    better: int
    """1 where more of the measure is better, -1 where less is."""
    wilcoxon_p: float | None
    holm_p: float | None = None

    @property
    def verdict(self) -> str:
        """Does the policy suffer more than the baseline? A tie where the interval holds 0.

        Who loses and who gains is told by the means of the changes: of two that lose, one suffers more; of
        two that gain, one gains more; where one loses and one gains, it is said of the loser's side.
        """
        own, other = self.better * self.own, self.better * self.other
        if self.better * self.difference.mean > 0:
            word = SUFFERS_LESS if other < 0 else GAINS_MORE
        else:
            word = SUFFERS_MORE if own < 0 else GAINS_LESS
        return verdict_of(self.difference, word, word)


@dataclass(frozen=True)
class PairAlong:
    """A policy against the baseline along a line."""

    policy: str
    cases: int
    at: tuple[Interval, ...]
    """(points,) difference of QoE."""
    measures: Mapping[str, ChangeDifference]


@dataclass(frozen=True)
class LineResult:
    """All of a line."""

    line: AxisLine
    policies: tuple[PolicyAlong, ...]
    pairs: tuple[PairAlong, ...]


def results_along(study: Study) -> tuple[LineResult, ...]:
    """Each line of a study, with p values corrected by Holm over all lines and policies, a measure each."""
    found = []
    for line in lines_of(study):
        policies = tuple(_along(line, policy) for policy in line.policies if line.whole(policy))
        pairs = tuple(_pairs_along(line, study.baseline))
        if policies:
            found.append(LineResult(line, policies, pairs))
    return _corrected(found)


def lines_of(study: Study) -> list[AxisLine]:
    """A study's settings along each of their axes, each with at least two points that have sessions."""
    found: dict[tuple[str, str], list[AxisPoint]] = {}
    for one in study.conditions:
        for key, value in one.axis.items():
            found.setdefault((one.without(key), key), []).append(AxisPoint(value, one))
    keys = list(dict.fromkeys(key for _, key in found))  # all lines along one axis, then those along the next
    return [
        AxisLine(name, AxisName(key), tuple(sorted(points, key=lambda point: point.value)), study.rule)
        for (name, key), points in sorted(found.items(), key=lambda item: keys.index(item[0][1]))
        if len({point.value for point in points}) == len(points) > 1
    ]


def _along(line: AxisLine, policy: str) -> PolicyAlong:
    cases = line.whole(policy)
    columns: list[list[float]] = []
    for measure in MEASURES:
        rows = line.of_cases(policy, measure, cases)
        columns += [*rows, _change(rows), _slope(line, rows)]
    drawn = iter(mean_intervals(columns, line.clusters(cases)))
    return PolicyAlong(
        policy,
        len(cases),
        {
            measure: MeasureAlong(
                at=tuple(next(drawn) for _ in line.points), change=next(drawn), slope=next(drawn)
            )
            for measure in MEASURES
        },
    )


def _change(rows: Sequence[Sequence[float]]) -> list[float]:
    return [last - first for first, last in zip(rows[0], rows[-1], strict=True)]


def _slope(line: AxisLine, rows: Sequence[Sequence[float]]) -> list[float]:
    weighted = list(zip(line.slope_weights, rows, strict=True))
    return [line.step * sum(weight * row[place] for weight, row in weighted) for place in range(len(rows[0]))]


def _pairs_along(line: AxisLine, baseline: str | None) -> Iterator[PairAlong]:
    if baseline is None or baseline not in line.policies:
        return
    for policy in line.policies:
        cases = line.whole(policy, baseline)
        if policy != baseline and cases:
            yield _pair_along(line, policy, baseline, cases)


def _pair_along(line: AxisLine, policy: str, baseline: str, cases: Sequence[TraceMoment]) -> PairAlong:
    clusters = line.clusters(cases)
    changes: dict[str, tuple[list[float], list[float]]] = {}
    for measure in MEASURES:
        mine, other = (line.of_cases(who, measure, cases) for who in (policy, baseline))
        changes[measure] = _change(mine), _change(other)
    differences = {name: _minus(own, other) for name, (own, other) in changes.items()}
    of_qoe = [line.of_cases(who, "qoe", cases) for who in (policy, baseline)]
    at = [_minus(own, other) for own, other in zip(*of_qoe, strict=True)]
    drawn = iter(mean_intervals([*at, *differences.values()], clusters))
    at_points = tuple(next(drawn) for _ in line.points)
    return PairAlong(
        policy,
        len(cases),
        at_points,
        {
            name: ChangeDifference(
                difference=next(drawn),
                own=_mean(changes[name][0]),
                other=_mean(changes[name][1]),
                better=BETTER[name],
                wilcoxon_p=_p(differences[name], clusters),
            )
            for name in MEASURES
        },
    )


def _minus(own: Sequence[float], other: Sequence[float]) -> list[float]:
    return [mine - theirs for mine, theirs in zip(own, other, strict=True)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _p(differences: Sequence[float], clusters: Sequence[str]) -> float | None:
    """Wilcoxon's on the clusters' means; None with fewer than two."""
    parts: dict[str, list[float]] = {}
    for value, cluster in zip(differences, clusters, strict=True):
        parts.setdefault(cluster, []).append(value)
    return wilcoxon_p([_mean(values) for values in parts.values()]) if len(parts) > 1 else None


def _corrected(found: Sequence[LineResult]) -> tuple[LineResult, ...]:
    """The results with Holm's correction, over all tests of a measure."""
    corrected = {}
    for name in MEASURES:
        ones = [(one.line, pair) for one in found for pair in one.pairs]
        adjusted = holm([pair.measures[name].wilcoxon_p for _, pair in ones])
        for (line, pair), p in zip(ones, adjusted, strict=True):
            corrected[id(line), pair.policy, name] = p
    return tuple(
        replace(
            one,
            pairs=tuple(
                replace(
                    pair,
                    measures={
                        name: replace(found, holm_p=corrected[id(one.line), pair.policy, name])
                        for name, found in pair.measures.items()
                    },
                )
                for pair in one.pairs
            ),
        )
        for one in found
    )
