"""The seats of a batch of simulated calls: what each call's policy is asked, and what it answers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from player.call.decide import BY_FALLBACK, WORDS
from player.call.observation import HISTORY, CallObservation, Interval, ReportedPacket
from player.call.policy import CallPolicy, DecidesRatesTogether, IllegalRate, KnowsLink, Rate, as_rate
from player.call.simulated.batch import SimulatedCalls
from player.faults import PolicyFault, is_interrupt, one_line, traceback_of


class Seat:
    """A call of a batch and the policy that decides it."""

    def __init__(
        self, calls: SimulatedCalls, n: int, policy: CallPolicy, qoe: Any, strict: bool = False
    ) -> None:
        self.n, self.policy, self._call, self._strict = n, policy, calls.call, strict
        self._every = 1 if getattr(policy, "every_feedback", False) else calls.call.intervals_a_decision
        self._history: list[Interval] = []
        self._heard = 0
        self.asked = False
        """Whether the policy's answer is due at the newest feedback."""
        self.question: CallObservation | None = None
        """What it is to answer; None too where its `reset` failed, and nobody asks it."""
        self.rate: Rate | None = None
        """Its answer; None: it has none."""
        self.took_ms = 0.0
        """That it was asked for; of answers that are made together nobody knows."""
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

    def hear(self, calls: SimulatedCalls) -> None:
        """A feedback came."""
        now = Interval(*typed(calls.facts[self.n]))
        self._heard += 1
        self.asked, self.took_ms = self._heard % self._every == 0, 0.0
        self.rate, self.question, self._why = None, None, self._unfit
        if self.asked and not self._unfit:
            self.question = CallObservation(now, _packets(calls, self.n), tuple(self._history))
        self._history.append(now)
        del self._history[:-HISTORY]

    def ask(self) -> None:
        """Have the question answered."""
        assert self.question is not None
        begun = time.perf_counter()
        try:
            answer: object = self.policy.decide(self.question)
        except BaseException as error:
            answer = error
        self.took_ms = 1000.0 * (time.perf_counter() - begun)
        self.settle(answer)

    def settle(self, answer: object) -> None:
        """Take an answer to the question, or what was raised in its place."""
        try:
            if isinstance(answer, BaseException):
                raise answer
            self.rate = as_rate(answer, self._call)
        except IllegalRate as error:
            self._why = str(error)
            self._stop(self._why)
        except BaseException as error:
            if is_interrupt(error):
                raise
            self._why = f"raised {one_line(error)}"
            self._stop(self._why, traceback_of(error))

    def _stop(self, why: str, shown: str = "") -> None:
        """Raises PolicyFault where a fault is to stop everything."""
        if self._strict:
            raise PolicyFault(f"the policy {why}", shown)

    def said(self, rate: Rate | None) -> tuple[str, str]:
        """Who decided, and why."""
        return (WORDS[BY_FALLBACK], self._why) if rate is None else (rate.by, rate.reason)


def asker(policies: Sequence[CallPolicy], one_spec: bool) -> Callable[[Sequence[Seat]], None]:
    """How seats with a question are asked: each by itself, or all at once where their policies can.

    Args:
        one_spec: whether all policies are made by the same arguments.
    """
    spokesman = policies[0]
    if not one_spec or len(policies) == 1:
        return _ask_one_by_one
    if not isinstance(spokesman, DecidesRatesTogether) or spokesman.together() < 2:
        return _ask_one_by_one
    try:
        most = spokesman.ready_together()
    except Exception:  # each call's reset has said it, or says it again
        return _ask_one_by_one
    return _ask_one_by_one if most < 2 else partial(_ask_together, spokesman, most)


def _ask_one_by_one(seats: Sequence[Seat]) -> None:
    for seat in seats:
        seat.ask()


def _ask_together(spokesman: DecidesRatesTogether, most: int, seats: Sequence[Seat]) -> None:
    """Ask `most` at a time; what one raises for all is each one's fault."""
    for first in range(0, len(seats), most):
        part = seats[first : first + most]
        asked = [(seat.policy, seat.question) for seat in part if seat.question is not None]
        try:
            answers: Sequence[object] = spokesman.decide_together(asked)
        except BaseException as error:
            if is_interrupt(error):
                raise
            answers = [error] * len(part)
        for seat, answer in zip(part, answers, strict=True):
            seat.settle(answer)


_WHOLE = frozenset({"interval", "lost_packets", "frames_dropped"})


def typed(row: Any) -> list[Any]:
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
