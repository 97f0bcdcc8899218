"""A batch of calls as APC sees it: the light policy and GCC hear every feedback, and facts are made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.call.compiled_rule import CompiledRule
from player.call.feedback_batch import FeedbackBatch
from player.call.gcc.gcc import overusing
from player.call.gcc.state import GccState
from player.call.gcc.trendline import THRESHOLD, TREND
from player.call.observation import CallObservation, Interval
from player.call.simulated.batch import SimulatedCalls
from player.call.simulated.seats import typed
from player.compiled.compiled import compiled
from policies.apc.call_facts import WINDOW, facts_of
from policies.apc.calls.policy import light_rule
from policies.call.gcc import GCC
from policies.llm.tasks.call.wire import INTERVALS, CallStep

Floats = NDArray[np.float64]


@dataclass
class Ruled:
    """A compiled rule that hears every feedback of a batch."""

    rule: CompiledRule
    state: Any
    kbps: Floats
    probes: Floats

    @classmethod
    def over(cls, calls: SimulatedCalls, rule: CompiledRule, may_probe: bool) -> Ruled:
        """From the beginning of the calls on."""
        call, state = calls.call, rule.new_state(len(calls))
        for n in range(len(calls)):
            rule.begin(state, n, call.start_kbps, call.min_kbps, call.max_kbps, may_probe)
        return cls(rule, state, np.full(len(calls), call.start_kbps), np.zeros(len(calls)))

    def hear(self, feedback: FeedbackBatch) -> Floats:
        """(calls,) its rates now."""
        self.rule.step_all(self.state, feedback, self.kbps, self.probes)
        return self.kbps

    def copy(self) -> Ruled:
        """As it stands; both go on apart."""
        state = type(self.state)(*(np.copy(each) for each in self.state))
        return Ruled(self.rule, state, self.kbps.copy(), self.probes.copy())


class Heard:
    """What all calls of a batch have heard.

    Args:
        light: the light policy's name.
    """

    def __init__(self, calls: SimulatedCalls, light: str) -> None:
        self.calls = calls
        chosen = light_rule(light)
        self.light = Ruled.over(calls, chosen.compiled_rule(), chosen.may_probe)
        same = isinstance(chosen, GCC)
        self.gcc = self.light if same else Ruled.over(calls, GCC().compiled_rule(), False)
        self._rows: Floats | None = None
        self._over = np.zeros(len(calls), np.bool_)
        self._facts: Floats | None = None

    def next(self) -> FeedbackBatch:
        """Run to the next feedback."""
        feedback = self.calls.to_next_feedback()
        self.light.hear(feedback)
        if self.gcc is not self.light:
            self.gcc.hear(feedback)
        _overusing(self.gcc.state, self._over)
        now = self.calls.facts[:, None]
        before = np.repeat(now, WINDOW, axis=1) if self._rows is None else self._rows
        self._rows, self._facts = np.concatenate([before[:, 1:], now], axis=1), None
        return feedback

    def all_facts(self) -> Floats:
        """(calls, facts) now."""
        assert self._rows is not None
        if self._facts is None:
            trend = self.gcc.state.trend
            overuse = np.asarray(trend[:, TREND] / trend[:, THRESHOLD])
            self._facts = facts_of(self._rows, overuse, self.light.kbps, self.calls.call.max_kbps)
        return self._facts

    def facts(self, n: int) -> list[float]:
        """Of call `n`."""
        return list(self.all_facts()[n].tolist())

    def step(self, n: int) -> CallStep:
        """What the model is told of call `n`."""
        assert self._rows is not None
        *past, now = (Interval(*typed(row)) for row in self._rows[n, -INTERVALS:])
        return CallStep.of(CallObservation(now, (), tuple(past)))

    def set(self, held: Floats, guard: bool = True) -> Floats:
        """Set all rates: the model's where one holds, which GCC may cut; else the light policy's.

        Args:
            held: (calls,) the model's rates, NaN where none holds.
            guard: whether GCC may cut them; not those that were decided just now.

        Returns:
            (calls,) what holds from now on, NaN as before.
        """
        over = self._over if guard else False
        guarded = np.where(over, np.minimum(held, self.gcc.kbps), held)
        lights = np.isnan(held)
        self.calls.set_rates(
            np.where(lights, self.light.kbps, guarded), np.where(lights, self.light.probes, 0.0)
        )
        return guarded


@compiled
def _overusing(state: GccState, over: Any) -> None:
    for n in range(len(over)):
        over[n] = overusing(state, n)
