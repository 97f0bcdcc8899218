"""Sessions of calls to time a model with, or to try a server out."""

from __future__ import annotations

from typing import Any

from player.call.observation import CallObservation
from player.call.path import CallPath
from player.call.policy import Rate
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from player.call.simulated.playing import play_policies
from policies.llm.tasks.call.task import TASK
from policies.llm.tasks.call.wire import CallContext, CallStep
from traces.families.catalogue import resolve_many

FAMILY, CALL_S = "4g-fast", 10.0
SHARE = 0.9
"""Of what was acknowledged last, that is sent."""
LEAST_KBPS = 300.0


class _Watches:
    """A policy that keeps what it saw."""

    def __init__(self) -> None:
        self.steps: list[CallStep] = []

    def reset(self, call: CallSettings, seed: int, qoe: Any) -> None:
        """Nothing to forget."""

    def decide(self, observation: CallObservation) -> Rate:
        """Somewhat less than was acknowledged."""
        self.steps.append(CallStep.of(observation))
        return Rate(max(1000.0 * SHARE * observation.now.acked_mbps, LEAST_KBPS), "policy", "")


def sampled(number: int) -> tuple[CallContext, list[CallStep]]:
    """A call over the member of that number."""
    call, watches = CallSettings(duration_s=CALL_S, warm_up_s=0.0), _Watches()
    traces = resolve_many(f"{FAMILY}[{number}:{number + 1}]")
    play_policies(SimulatedCalls(call, traces, CallPath(), [number], [0.0], 1), [watches])
    return TASK.context_of(call), watches.steps
