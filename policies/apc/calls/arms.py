"""Ways to route calls, played over the same calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from player.call.path import CallPath
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from player.call.simulated.playing import play_policies
from policies.apc.calls.policy import APC
from policies.apc.scheduler import Scheduler
from policies.call.small.score import Scored, scored
from policies.llm.serving.protocol import BY_LLM
from traces.trace import Trace


@dataclass(frozen=True)
class Arm:
    """One way to route."""

    name: str
    scheduler: Scheduler


@dataclass(frozen=True)
class Played:
    """What came of an arm."""

    arm: Arm
    scored: Scored
    llm_share: float
    """Of decisions."""


def play(
    arm: Arm, policy: APC, traces: Sequence[Trace], call: CallSettings, threads: int, starts: int = 1
) -> Played:
    """Calls over each trace, as `policies.call.small.score.scored` has them."""
    asked: list[bool] = []

    def plays(calls: SimulatedCalls) -> None:
        mine = [policy.routed_by(arm.scheduler) for _ in range(len(calls))]
        made = play_policies(calls, mine, one_spec=True)
        every = call.intervals_a_decision
        asked.extend(by == BY_LLM for (place, _), (by, _) in made.said.items() if (place + 1) % every == 0)

    found = scored(traces, plays, call, CallPath(), threads, starts)
    return Played(arm, found, float(np.mean(asked)))
