"""Play a batch of simulated calls to their end: by a compiled rule, or by policies that are asked.

A compiled rule acts on every feedback. A policy is asked every `decide_every_ms` (or at every feedback, where
it says so); in its shadow GCC runs, whose rate is taken where the policy has no answer, and whose overuse may
cut a rate that holds (`player/call/decide.py`)."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from player.call.compiled_rule import CompiledRule
from player.call.decide import BY_FALLBACK, BY_HELD, BY_POLICY, WORDS, decided
from player.call.feedback_batch import FeedbackBatch
from player.call.gcc.gcc import begin, overusing, step
from player.call.gcc.state import GccState, new_state
from player.call.media import facts
from player.call.observation import HISTORY, CallObservation, Interval, ReportedPacket
from player.call.policy import CallPolicy, IllegalRate, KnowsLink, Rate, as_rate
from player.call.record import DecisionRow
from player.call.simulated.batch import SimulatedCalls
from player.compiled.compiled import compiled
from player.faults import PolicyFault, is_interrupt, one_line, traceback_of


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
    strict: bool = False,
) -> Decisions:
    """The whole calls, each by a policy of its own.

    Args:
        policies: (N,) one a call; each is reset here, and told the link if it wants to know.
        qoe: what will be scored, for `reset`.
        delay_s: how long a decision takes on the call's clock; the real time is recorded, and costs nothing.
        strict: GCC stands in for nobody: a policy's first fault is raised.

    Returns:
        what was decided; the calls are finished. What a policy raises is recorded as the reason why GCC
        decided.

    Raises:
        PolicyFault: see `strict`.
    """
    seats = [_Seat(calls, n, policy, qoe, strict) for n, policy in enumerate(policies)]
    shadow, call, made = _Shadow(calls), calls.call, Decisions.room(calls)
    bounds = call.min_kbps, call.max_kbps
    while True:
        feedback = calls.to_next_feedback()
        finished = calls.finished
        if finished.all():
            return made
        shadow.hear(feedback)
        held = calls.sender.record["target_kbps"].copy()
        by, probes, took_ms = (np.zeros(len(calls), kind) for kind in (np.int8, np.float64, np.float64))
        delays_s = np.zeros(len(calls))
        for seat in seats:
            n = seat.n
            if finished[n]:
                continue
            rate = seat.heard(calls)
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


class _Seat:
    """A call of a batch and the policy that decides it."""

    def __init__(
        self, calls: SimulatedCalls, n: int, policy: CallPolicy, qoe: Any, strict: bool = False
    ) -> None:
        self.n, self._policy, self._call, self._strict = n, policy, calls.call, strict
        self._every = 1 if getattr(policy, "every_feedback", False) else calls.call.intervals_a_decision
        self._history: list[Interval] = []
        self._heard = 0
        self.asked = False
        """Whether the policy was asked at the newest feedback."""
        self.took_ms = 0.0
        self._why = ""
        self._unfit = ""
        try:
            policy.reset(calls.call, int(calls.seeds[n]), qoe)
            if isinstance(policy, KnowsLink):
                policy.tell(calls.traces[n], float(calls.start_s[n]), calls.path)
        except BaseException as error:
            if is_interrupt(error):
                raise
            self._unfit = f"reset raised {one_line(error)}"
            self._stop(self._unfit, traceback_of(error))

    def heard(self, calls: SimulatedCalls) -> Rate | None:
        """A feedback came: the policy's answer, where it is asked and has one."""
        now = Interval(*_typed(calls.facts[self.n]))
        self._heard += 1
        self.asked, self.took_ms = self._heard % self._every == 0, 0.0
        rate = self._ask(calls, now) if self.asked else None
        self._history.append(now)
        del self._history[:-HISTORY]
        return rate

    def _ask(self, calls: SimulatedCalls, now: Interval) -> Rate | None:
        self._why = self._unfit
        if self._unfit:
            return None
        observation = CallObservation(now, _packets(calls, self.n), tuple(self._history))
        begun = time.perf_counter()
        try:
            return as_rate(self._policy.decide(observation), self._call)
        except IllegalRate as error:
            self._why = str(error)
            self._stop(self._why)
        except BaseException as error:
            if is_interrupt(error):
                raise
            self._why = f"raised {one_line(error)}"
            self._stop(self._why, traceback_of(error))
        finally:
            self.took_ms = 1000.0 * (time.perf_counter() - begun)
        return None

    def _stop(self, why: str, shown: str = "") -> None:
        """Raises PolicyFault where a fault is to stop everything."""
        if self._strict:
            raise PolicyFault(f"the policy {why}", shown)

    def said(self, rate: Rate | None) -> tuple[str, str]:
        """Who decided, and why."""
        return (WORDS[BY_FALLBACK], self._why) if rate is None else (rate.by, rate.reason)


_WHOLE = frozenset({"interval", "lost_packets", "frames_dropped"})


def _typed(row: Any) -> list[Any]:
    """A row of facts as `Interval` has them."""
    values = row.tolist()
    return [
        int(value) if name in _WHOLE else bool(value) if name == "heard" else value
        for name, value in zip(Interval._fields, values, strict=True)
    ]


def _packets(calls: SimulatedCalls, n: int) -> tuple[ReportedPacket, ...]:
    feedback = calls.feedback
    count = int(feedback.packets[n])
    columns = (feedback.seq, feedback.size_bytes, feedback.sent_s, feedback.arrived_s)
    return tuple(
        ReportedPacket(seq, size, sent_s, None if math.isnan(arrived_s) else arrived_s)
        for seq, size, sent_s, arrived_s in zip(*(each[n, :count].tolist() for each in columns), strict=True)
    )
