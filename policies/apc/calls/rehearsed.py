"""Calls played beforehand: what a scheduler and the model would be told at each decision, for `load`.

Nothing that a server answers changes them, so that any number of calls may ask at the same moment that a
machine could not simulate beside the server. What routing costs or gains is `test`'s to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from player.call.path import CallPath
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from policies.apc.call_facts import CallFacts
from policies.apc.calls.batch import Heard
from policies.llm.tasks.call.wire import CallStep
from traces.trace import Trace


@dataclass(frozen=True)
class Rehearsal:
    """One call by its light policy, decision by decision."""

    facts: Sequence[CallFacts]
    steps: Sequence[CallStep]


def rehearse(
    traces: Sequence[Trace], light: str, duration_s: float, seed: int, threads: int = 1
) -> list[Rehearsal]:
    """A call over each trace, from a drawn moment.

    Args:
        light: the light policy's name.

    Raises:
        PolicyError: no such light policy.
    """
    random, call = np.random.default_rng(seed), CallSettings(duration_s=duration_s, warm_up_s=0.0)
    starts = [float(random.uniform(0.0, trace.duration_s)) for trace in traces]
    seeds = random.integers(1 << 62, size=len(traces))
    calls = SimulatedCalls(call, list(traces), CallPath(), seeds, starts, threads)
    heard, every = Heard(calls, light), call.intervals_a_decision
    facts: list[list[CallFacts]] = [[] for _ in traces]
    steps: list[list[CallStep]] = [[] for _ in traces]
    nobody = np.full(len(traces), np.nan)
    for number in range(1, call.intervals - 2 * every):
        heard.next()
        if number % every == 0:
            for n in range(len(traces)):
                facts[n].append(CallFacts(*heard.facts(n)))
                steps[n].append(heard.step(n))
        heard.set(nobody)
    return [Rehearsal(*each) for each in zip(facts, steps, strict=True)]
