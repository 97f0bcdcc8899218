"""A fixed rate, compiled, so that batches can play it beside the others."""

from __future__ import annotations

import numpy as np

from player.call.feedback_batch import FeedbackBatch
from player.call.gcc.state import Floats
from player.compiled.compiled import compiled


def new_state(calls: int, kbps: float) -> Floats:
    """(calls, 1) the rate."""
    return np.full((calls, 1), kbps)


@compiled
def begin(
    state: Floats, call: int, start_kbps: float, min_kbps: float, max_kbps: float, may_probe: bool
) -> None:
    """A call begins; the first feedback sets the rate."""
    state[call, 0] = min(max(state[call, 0], min_kbps), max_kbps)


@compiled
def take_probe_kbps(state: Floats, call: int) -> float:
    """None, ever."""
    return 0.0


@compiled
def step(state: Floats, call: int, feedback: FeedbackBatch) -> float:
    """The rate, whatever is heard."""
    return state[call, 0]


@compiled
def step_all(state: Floats, feedback: FeedbackBatch, kbps: Floats, probe_kbps: Floats) -> None:
    """`step` of every call of a batch: (calls,) targets and probes are written."""
    for call in range(kbps.shape[0]):
        kbps[call] = step(state, call, feedback)
        probe_kbps[call] = 0.0
