"""Simulated calls as the model sees them: a vector each 200 ms; driven by anybody, or by an engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from player.call.simulated.batch import SimulatedCalls
from policies.call.small.collect import STILL_AWAY_MS, Drives, label_of
from policies.llm.engine.engine import Engine
from policies.llm.learning.pool import BY_PLAN, Experience
from policies.llm.tasks.call.memory import KEPT, digests_of
from policies.llm.tasks.call.task import MOST_LOG_MBPS, TASK
from policies.llm.tasks.call.vectors import Floats, Vectors, vectors_of
from policies.llm.tasks.call.wire import INTERVALS


class LastIntervals:
    """The last feedback intervals of every call of a batch, and what its decisions remember."""

    def __init__(self, calls: SimulatedCalls) -> None:
        self._calls, self._context = calls, TASK.context_of(calls.call)
        self._rows: Floats | None = None
        self._digests: list[Floats] = []

    def note(self) -> None:
        """A feedback came."""
        now = self._calls.facts[:, None]
        if self._rows is None:
            self._rows = np.repeat(now, INTERVALS, axis=1)
        else:
            self._rows = np.concatenate([self._rows[:, 1:], now], axis=1)

    def vectors(self) -> Vectors:
        """(calls, width) what the model is fed now; once at each decision, which is remembered."""
        assert self._rows is not None, "note first"
        self._digests = [*self._digests[-KEPT:], digests_of(self._rows)]
        return vectors_of(self._rows, np.stack(self._digests, axis=1), self._context)


class EngineRates:
    """An engine sets the rates of a batch: every call has a slot, which is fed a step at each decision.

    Args:
        engine: with as many free slots.
        scale: its rates are multiplied by this.
    """

    def __init__(self, engine: Engine, count: int, scale: float = 1.0) -> None:
        self._engine, self._scale = engine, scale
        self._slots = [engine.open() for _ in range(count)]

    def kbps(self, vectors: Vectors) -> Floats:
        """(calls,) for (calls, width)."""
        outputs = self._engine.forward([(slot, vectors[n : n + 1]) for n, slot in enumerate(self._slots)])
        mbps = np.exp(np.minimum(outputs[:, 0].astype(np.float64), MOST_LOG_MBPS))
        return np.asarray(1000.0 * self._scale * mbps)

    def close(self) -> None:
        """Give the slots back."""
        for slot in self._slots:
            self._engine.close(slot)
        self._slots = []


def watch(calls: SimulatedCalls, drives: Drives | EngineRates, teaches: Drives) -> Experience:
    """Play a batch, all but its last moments, and keep each decision's vector, rate and the teacher's.

    What is kept of rates is the logarithm of Mbit/s; the teacher's as `small.collect.label_of` has it.
    """
    call, last = calls.call, LastIntervals(calls)
    every = call.intervals_a_decision
    decisions = (call.intervals - round(STILL_AWAY_MS / call.feedback_ms)) // every
    vectors = np.zeros((len(calls), decisions, TASK.width), np.float32)
    taken, taught = (np.zeros((len(calls), decisions, 1), np.float32) for _ in range(2))
    told = np.zeros(len(calls))
    for heard in range(decisions * every):
        feedback = calls.to_next_feedback()
        last.note()
        told[:] = teaches(feedback, told)
        step, decides = heard // every, (heard + 1) % every == 0
        if decides:
            vectors[:, step] = last.vectors()
            taught[:, step, 0] = label_of(told, call)
        if not isinstance(drives, EngineRates):
            calls.set_rates(drives(feedback, told))
        elif decides:
            calls.set_rates(drives.kbps(vectors[:, step]))
        if decides:
            taken[:, step, 0] = np.log(calls.sender.record["target_kbps"] / 1000.0)
    nothing = np.zeros((len(calls), decisions), np.float32)
    return Experience(vectors, taken, nothing, taught, np.full(len(calls), BY_PLAN, np.int8))


def play_engine(calls: SimulatedCalls, engine: Engine, scale: float = 1.0) -> None:
    """Whole calls by an engine; whoever has finished is asked no more than the others are."""
    rates, last, heard = EngineRates(engine, len(calls), scale), LastIntervals(calls), 0
    try:
        while True:
            calls.to_next_feedback()
            if calls.finished.all():
                return
            last.note()
            heard += 1
            if heard % calls.call.intervals_a_decision == 0:
                calls.set_rates(rates.kbps(last.vectors()))
    finally:
        rates.close()


def in_parts(calls: int, most: int) -> Sequence[range]:
    """So many calls, `most` at a time."""
    return [range(begin, min(begin + most, calls)) for begin in range(0, calls, most)]
