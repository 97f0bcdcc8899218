"""The net as a compiled rule: a step a feedback, for a batch or in a real-time loop."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from player.call.feedback_batch import FeedbackBatch
from player.call.media.facts import FACTS
from player.compiled.compiled import compiled
from policies.call.small.inputs import INTERVALS, NUMBERS, ROWS_WIDTH, add_row, begin_rows
from policies.call.small.memory import EVERY, MEMORIES, MEMORY, recall
from policies.call.small.net import HIDDEN, SmallNet

LEAST, MOST, SCALE = range(3)
_FIRST, _SECOND = HIDDEN
_HIGHEST_LOG = 20.0
"""No weights, however wrong, give an infinity."""


class SmallState(NamedTuple):
    """Of N calls; the weights are everyone's."""

    past: Any
    memory: Any
    """(N,) of `facts.FACTS` and of `memory.MEMORY`."""
    rows: Any
    """(N, INTERVALS, NUMBERS) float32."""
    recalled: Any
    """(N, MEMORIES) float32."""
    first: Any
    second: Any
    """(N, units) float32: where hidden units are computed."""
    limits: Any
    """(N, 3) kbit/s least and most; what the net's rate is multiplied by."""
    w1: Any
    b1: Any
    w2: Any
    b2: Any
    w3: Any
    b3: Any


def new_state(calls: int, net: SmallNet, scale: float) -> SmallState:
    """Room for so many calls."""
    limits = np.zeros((calls, 3))
    limits[:, SCALE] = scale
    return SmallState(
        np.zeros(calls, FACTS),
        np.zeros(calls, MEMORY),
        np.zeros((calls, INTERVALS, NUMBERS), np.float32),
        np.zeros((calls, MEMORIES), np.float32),
        np.zeros((calls, _FIRST), np.float32),
        np.zeros((calls, _SECOND), np.float32),
        limits,
        *(net.tensors[name] for name in net.tensors),
    )


@compiled
def begin(
    state: SmallState, call: int, start_kbps: float, min_kbps: float, max_kbps: float, may_probe: bool
) -> None:
    """A call begins at time 0."""
    begin_rows(state.past[call], state.memory[call], state.rows[call], start_kbps)
    state.limits[call, LEAST], state.limits[call, MOST] = min_kbps, max_kbps


@compiled
def log_mbps(state: SmallState, call: int) -> float:
    """The net's output for rows and memory as they are."""
    inputs, recalled = state.rows[call], state.recalled[call]
    first, second = state.first[call], state.second[call]
    first[:] = state.b1
    for row in range(INTERVALS):
        for number in range(NUMBERS):
            value = inputs[row, number]
            weights = state.w1[row * NUMBERS + number]
            for unit in range(_FIRST):
                first[unit] += value * weights[unit]
    for number in range(MEMORIES):
        value = recalled[number]
        weights = state.w1[ROWS_WIDTH + number]
        for unit in range(_FIRST):
            first[unit] += value * weights[unit]
    second[:] = state.b2
    for unit in range(_FIRST):
        value = max(first[unit], np.float32(0.0))
        for other in range(_SECOND):
            second[other] += value * state.w2[unit, other]
    out = state.b3[0]
    for unit in range(_SECOND):
        out += max(second[unit], np.float32(0.0)) * state.w3[unit, 0]
    return float(out)


@compiled
def note(state: SmallState, call: int, feedback: FeedbackBatch) -> None:
    """A feedback came, or was given up: rows are of now, what is recalled is renewed at each `EVERY`th."""
    memory = state.memory[call]
    add_row(state.past[call], memory, state.rows[call], feedback, call)
    if (memory.intervals - 1) % EVERY == 0:
        recall(memory, state.recalled[call])


@compiled
def step(state: SmallState, call: int, feedback: FeedbackBatch) -> float:
    """At the end of a feedback interval: the new target, kbit/s."""
    note(state, call, feedback)
    kbps = math.exp(min(log_mbps(state, call), _HIGHEST_LOG)) * 1000.0 * state.limits[call, SCALE]
    return min(max(kbps, state.limits[call, LEAST]), state.limits[call, MOST])


@compiled
def take_probe_kbps(state: SmallState, call: int) -> float:
    """It sends no probes."""
    return 0.0


@compiled
def step_all(state: SmallState, feedback: FeedbackBatch, kbps: Any, probe_kbps: Any) -> None:
    """`step` of every call of a batch: (calls,) targets and probes are written."""
    for call in range(kbps.shape[0]):
        kbps[call] = step(state, call, feedback)
        probe_kbps[call] = 0.0


@compiled
def watch_all(state: SmallState, feedback: FeedbackBatch, rows: Any, recalled: Any) -> None:
    """Note a feedback of every call without deciding; (calls, NUMBERS) the newest row and (calls, MEMORIES)
    what is remembered are written."""
    for call in range(rows.shape[0]):
        note(state, call, feedback)
        rows[call] = state.rows[call, INTERVALS - 1]
        recalled[call] = state.recalled[call]
