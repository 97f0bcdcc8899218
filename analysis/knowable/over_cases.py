"""What no controller can pass, beside sessions over generated traces: for which a bound holds, where it lies.

A bound is one of the mean over a family's members. Where it was computed on the very members that were
streamed, it is taken over these, each as often as it was, with the luck that they had, which sessions over
them have, too. Else it is the family's, over the members that it was computed on, whoever was streamed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.bootstrap import CONFIDENCE, RESAMPLES, SEED, Interval, expanded_tail, resampled_weights
from analysis.cases.case import Case
from analysis.knowable.bound_file import FamilyBound
from analysis.outcomes import Outcome, Outcomes

Floats = NDArray[np.float64]

PUBLISHED = "published"
LEAST_WAY = 1e-6
"""A way to the bound that is no longer can't be shared out."""
PLAIN = ("simulated", "model", "rtt_ms", "buffer_cap_s", "noise")
"""What a link may say of itself that a bound knows of."""


@dataclass(frozen=True)
class NoBound:
    """Why there is none, in words."""

    why: str


@dataclass(frozen=True)
class KnowableBound:
    """The bound over some cases."""

    cases: tuple[Case, ...]
    families: tuple[FamilyBound, ...]
    """(cases,) whose bound it is."""
    same_members: bool
    """Whether it is over the very members that were streamed."""

    @property
    def interval(self) -> Interval:
        """Its mean, and the interval over members."""
        traces, weights = self._drawn()
        clusters = len(traces) if self.same_members else min(len(one.by_member) for one in self.families)
        return _of_draws(self.mean, self._means(traces, weights), clusters)

    @property
    def mean(self) -> float:
        return float(np.mean([self._of_case(place) for place in range(len(self.cases))]))

    @property
    def members(self) -> str:
        """Over which members it is, in words."""
        if self.same_members:
            return "over the members that were streamed"
        named = {
            one.family: f"{one.family}[{min(one.by_member)}:{max(one.by_member) + 1}]"
            for one in self.families
        }
        return f"over {', '.join(named.values())}, not the members that were streamed"

    def way(self, policy: Sequence[float], baseline: Sequence[float]) -> Interval | None:
        """The share of the way from a baseline to the bound that a policy goes; None where there is no way,
        no interval where there may be none.

        Args:
            policy, baseline: (cases,) QoE.
        """
        traces, weights = self._drawn()
        gone, begun = (_sums(self.cases, traces, each) for each in (policy, baseline))
        whole = self.mean - float(np.mean(baseline))
        if whole < LEAST_WAY:
            return None
        counts = weights @ _counts(self.cases, traces)
        before = weights @ begun / counts
        ahead = self._means(traces, weights) - before
        mean = float(np.mean(policy) - np.mean(baseline)) / whole
        if len(traces) < 2 or np.quantile(ahead, expanded_tail(len(traces), CONFIDENCE)) < LEAST_WAY:
            return Interval(mean, None, None, len(traces))  # there may be no way at all
        return _of_draws(mean, (weights @ gone / counts - before) / ahead, len(traces))

    def _of_case(self, place: int) -> float:
        bound = self.families[place]
        member = member_of(self.cases[place])
        if self.same_members and member is not None:
            return bound.by_member[member] + bound.luck[member]
        return float(np.mean(list(bound.by_member.values())))

    def _drawn(self) -> tuple[list[str], Floats]:
        """Traces, and (RESAMPLES, traces) how often each is drawn."""
        traces = sorted({case.trace for case in self.cases})
        return traces, np.concatenate(list(resampled_weights(len(traces), RESAMPLES, SEED)))

    def _means(self, traces: Sequence[str], weights: Floats) -> Floats:
        """(RESAMPLES,) means of the bound: over the traces that are drawn, or over members drawn anew."""
        if self.same_members:
            values = [self._of_case(place) for place in range(len(self.cases))]
            return weights @ _sums(self.cases, traces, values) / (weights @ _counts(self.cases, traces))
        random, total = np.random.default_rng(SEED), np.zeros(RESAMPLES)
        for family, count in Counter(one.family for one in self.families).items():
            (bound, *_) = (one for one in self.families if one.family == family)
            held = np.array(list(bound.by_member.values()))
            means = held[random.integers(len(held), size=(RESAMPLES, len(held)))].mean(axis=1)
            total += means * count / len(self.cases)
        return total


def bound_of(
    bounds: Sequence[FamilyBound], outcomes: Outcomes, cases: Sequence[Case]
) -> KnowableBound | NoBound:
    """The bound over cases of one group.

    Args:
        outcomes: sessions of these cases; they say what each was scored by.
        cases: those that all policies of the group have.
    """
    if not cases:
        return NoBound("no trace is common to all policies")
    sessions = {one.case: one for one in outcomes.counted}
    found: list[FamilyBound] = []
    for case in cases:
        one = _holds_for(bounds, case, sessions[case])
        if isinstance(one, NoBound):
            return one
        found.append(one)
    same = all(member_of(case) in one.by_member for case, one in zip(cases, found, strict=True))
    return KnowableBound(tuple(cases), tuple(found), same)


def line_over(bounds: Sequence[FamilyBound]) -> Callable[[Outcomes, Sequence[Case]], Interval | str]:
    """What a figure is given: the bound's interval over cases, or why there is none."""

    def over(outcomes: Outcomes, cases: Sequence[Case]) -> Interval | str:
        found = bound_of(bounds, outcomes, cases)
        return found.why if isinstance(found, NoBound) else found.interval

    return over


def _holds_for(bounds: Sequence[FamilyBound], case: Case, session: Outcome) -> FamilyBound | NoBound:
    """The first bound of a case's family that holds for it, or what is in the way."""
    family = case.trace.rpartition("/")[0]
    mine = [each for each in bounds if each.family == family and member_of(case) is not None]
    if not mine:
        there = ", ".join(dict.fromkeys(one.family for one in bounds))
        return NoBound(f"{case.trace} is no member of {there}")
    reasons = [_otherwise(each, case, session) for each in mine]
    for each, reason in zip(mine, reasons, strict=True):
        if not reason:
            return each
    return NoBound(f"{case.trace}: {reasons[0]}")


def _otherwise(bound: FamilyBound, case: Case, session: Outcome) -> str:
    """In what a case is not as a bound has it; empty where the bound holds for it."""
    link = json.loads(case.link)
    if not session.simulated or link.get("model") != PUBLISHED:
        return "the bound is for sessions simulated over the published link"
    cap_s = float(link.get("buffer_cap_s", bound.buffer_cap_s))
    told = (
        ("video", case.video, bound.video),
        ("ladder", _listed(session.ladder_kbps), _listed(bound.ladder_kbps)),
        ("chunks", str(case.chunks), str(bound.chunks)),
        ("RTT", f"{case.rtt_ms or 0:g} ms", f"{bound.rtt_ms:g} ms"),
        ("buffer cap", f"{cap_s:g} s", f"{bound.buffer_cap_s:g} s"),
        ("QoE", str(session.scored), str(bound.qoe)),
        ("start", f"{case.start_s:g} s", "0 s"),
    )
    for name, mine, its in told:
        if mine != its:
            return f"{name} {mine}, the bound is for {its}"
    besides = [name for name, value in link.items() if name not in PLAIN and value is not None]
    besides += ["noise"] if link.get("noise") else []
    besides += [] if case.cap_mbps is None else ["cap_mbps"]
    return f"{', '.join(besides)}, the bound is for a link without" if besides else ""


def _listed(ladder: Sequence[int]) -> str:
    return ",".join(map(str, ladder))


def member_of(case: Case) -> int | None:
    """Which member of its family a case's trace is; None of a trace that is none."""
    number = case.trace.rpartition("/")[2]
    return int(number) if number.isascii() and number.isdigit() else None


def _sums(cases: Sequence[Case], traces: Sequence[str], values: Sequence[float]) -> Floats:
    """(traces,) sums of values."""
    place = {trace: index for index, trace in enumerate(traces)}
    where = [place[case.trace] for case in cases]
    return np.asarray(
        np.bincount(where, weights=np.asarray(values, np.float64), minlength=len(traces)), np.float64
    )


def _counts(cases: Sequence[Case], traces: Sequence[str]) -> Floats:
    return _sums(cases, traces, [1.0] * len(cases))


def _of_draws(mean: float, draws: Floats, clusters: int) -> Interval:
    """The expanded percentile interval (`bootstrap.py`); none of a single cluster."""
    if clusters < 2:
        return Interval(mean, None, None, clusters)
    tail = expanded_tail(clusters, CONFIDENCE)
    low, high = np.quantile(draws, [tail, 1.0 - tail])
    return Interval(mean, float(low), float(high), clusters)
