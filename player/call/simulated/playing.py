"""Play a batch of simulated calls to their end: by a compiled rule, or by policies that are asked.

A compiled rule acts on every feedback. A policy is asked every `decide_every_ms` (or at every feedback, where
it says so); in its shadow GCC runs, whose rate is taken where the policy has no answer, and whose overuse may
cut a rate that holds (`player/call/decide.py`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from player.call.compiled_rule import CompiledRule
from player.call.decide import BY_HELD, BY_POLICY, WORDS, decided
from player.call.feedback_batch import FeedbackBatch
from player.call.gcc.gcc import begin, overusing, step
from player.call.gcc.state import GccState, new_state
from player.call.media import facts
from player.call.policy import CallPolicy
from player.call.record import DecisionRow
from player.call.simulated.batch import SimulatedCalls
from player.call.simulated.seats import Seat, asker
from player.compiled.compiled import compiled


@dataclass
class Decisions:
    """What was decided in a batch of N calls with I feedbacks, as it is played."""

    kbps: Any
    """(I, N) in force after each feedback."""
    by: Any
    """(I, N) int8 codes of `player.call.decide`."""
    probe_kbps: Any
    """(I, N)"""
    facts: Any
    """(I, N, fields of `Interval`)"""
    took_ms: Any
    """(I, N) that a policy was asked for."""
    said: dict[tuple[int, int], tuple[str, str]] = field(default_factory=dict)
    """By feedback and call: who decided and why, where that is more than the code."""
    feedbacks: int = 0

    @classmethod
    def room(cls, calls: SimulatedCalls) -> Decisions:
        """For all that can be decided in these calls."""
        shape = (calls.call.intervals, len(calls))
        numbers = (np.zeros(shape), np.full(shape, BY_HELD, np.int8), np.zeros(shape))
        return cls(*numbers, np.zeros((*shape, facts.FIELDS), np.float32), np.zeros(shape))

    def note(self, calls: SimulatedCalls, kbps: Any, by: Any, probe_kbps: Any, took_ms: Any = 0.0) -> None:
        """What was decided at the newest feedback; of calls that are finished nothing is."""
        place = self.feedbacks
        self.kbps[place], self.by[place], self.probe_kbps[place] = kbps, by, probe_kbps
        self.facts[place], self.took_ms[place] = calls.facts, took_ms
        self.by[place][calls.finished] = BY_HELD
        self.feedbacks += 1

    def rows(self, n: int) -> list[DecisionRow]:
        """Those of call `n`, as its record has them."""
        return [self._row(place, n) for place in range(self.feedbacks) if self.by[place, n] != BY_HELD]

    def _row(self, place: int, n: int) -> DecisionRow:
        seen = self.facts[place, n]
        by, reason = self.said.get((place, n), (WORDS[self.by[place, n]], ""))
        return DecisionRow(
            at_s=float(seen[facts.ELAPSED_S]),
            kbps=float(self.kbps[place, n]),
            by=by,
            reason=reason,
            decision_ms=float(self.took_ms[place, n]),
            probe_kbps=float(self.probe_kbps[place, n]),
            heard=bool(seen[facts.HEARD]),
            receive_mbps=float(seen[facts.RECEIVE_MBPS]),
            queue_ms=float(seen[facts.QUEUE_MS]),
            loss_ratio=float(seen[facts.LOSS_RATIO]),
            rtt_ms=float(seen[facts.RTT_MS]),
            pacer_ms=float(seen[facts.PACER_MS]),
        )


def play_rule(calls: SimulatedCalls, rule: CompiledRule, may_probe: bool = True) -> Decisions:
    """The whole calls by one compiled rule, which may send probes at the start.

    Returns:
        what was decided; the calls are finished.
    """
    state, call, made = rule.new_state(len(calls)), calls.call, Decisions.room(calls)
    kbps, probe_kbps = np.full(len(calls), call.start_kbps), np.zeros(len(calls))
    for n in range(len(calls)):
        rule.begin(state, n, call.start_kbps, call.min_kbps, call.max_kbps, may_probe)
    while True:
        feedback = calls.to_next_feedback()
        if calls.finished.all():
            return made
        rule.step_all(state, feedback, kbps, probe_kbps)
        calls.set_rates(kbps, probe_kbps)
        made.note(calls, calls.sender.record["target_kbps"], BY_POLICY, probe_kbps)


def play_policies(
    calls: SimulatedCalls,
    policies: Sequence[CallPolicy],
    qoe: Any = None,
    delay_s: float = 0.0,
    one_spec: bool = False,
    strict: bool = False,
) -> Decisions:
    """The whole calls, each by a policy of its own.

    Args:
        policies: (N,) one a call; each is reset here, and told the link if it wants to know.
        qoe: what will be scored, for `reset`.
        delay_s: how long a decision takes on the call's clock; the real time is recorded, and costs nothing.
        one_spec: all policies are made by the same arguments; those that can are asked at once then.
        strict: GCC stands in for nobody: a policy's first fault is raised.

    Returns:
        what was decided; the calls are finished. What a policy raises is recorded as the reason why GCC
        decided.

    Raises:
        PolicyFault: see `strict`.
    """
    seats = [Seat(calls, n, policy, qoe, strict) for n, policy in enumerate(policies)]
    shadow, call, made = _Shadow(calls), calls.call, Decisions.room(calls)
    bounds, asks = (call.min_kbps, call.max_kbps), asker(policies, one_spec)
    while True:
        feedback = calls.to_next_feedback()
        finished = calls.finished
        if finished.all():
            return made
        shadow.hear(feedback)
        held = calls.sender.record["target_kbps"].copy()
        by, probes, took_ms = (np.zeros(len(calls), kind) for kind in (np.int8, np.float64, np.float64))
        delays_s = np.zeros(len(calls))
        under_way = [seat for seat in seats if not finished[seat.n]]
        for seat in under_way:
            seat.hear(calls)
        asks([seat for seat in under_way if seat.question is not None])
        for seat in under_way:
            n, rate = seat.n, seat.rate
            answer = math.nan if rate is None else rate.kbps
            held[n], by[n] = decided(answer, seat.asked, *shadow.of(n), held[n], *bounds)
            if rate is not None:
                probes[n], delays_s[n] = rate.probe_kbps, delay_s
            took_ms[n] = seat.took_ms
            if seat.asked:
                made.said[made.feedbacks, n] = seat.said(rate)
        calls.set_rates(held, probes, delays_s)
        made.note(calls, held, by, probes, took_ms)


class _Shadow:
    """GCC of every call of a batch, which sends no probes: what it would do with this feedback."""

    def __init__(self, calls: SimulatedCalls) -> None:
        call = calls.call
        self._state, self._kbps = new_state(len(calls)), np.zeros(len(calls))
        self._over = np.zeros(len(calls), np.bool_)
        for n in range(len(calls)):
            begin(self._state, n, call.start_kbps, call.min_kbps, call.max_kbps, False)

    def hear(self, feedback: FeedbackBatch) -> None:
        """A feedback of every call; of one that is finished nothing is asked any more."""
        _shadow_steps(self._state, feedback, self._kbps, self._over)

    def of(self, n: int) -> tuple[float, bool]:
        """Its rate for call `n`, and whether it sees the queue grow."""
        return float(self._kbps[n]), bool(self._over[n])


@compiled
def _shadow_steps(state: GccState, feedback: FeedbackBatch, kbps: Any, over: Any) -> None:
    for n in range(len(kbps)):
        kbps[n] = step(state, n, feedback)
        over[n] = overusing(state, n)
