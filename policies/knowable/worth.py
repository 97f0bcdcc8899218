"""V: what a state of link and player is worth to whoever knows what the link hides.

By value iteration over chunks, the last first: from each node of the link (`hidden.py`) futures are drawn,
each level's download is followed along each, and the mean of what comes after it is what the level is
worth. V is told at the beginning of a step of the link, with a chunk in flight: by chunk, its level, the share
of it that is still to come, the buffer, and the link's node; between the figures it is linear.

V need not be exact: the bound holds with any, and with a good one it is close.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from player.simulated.batch.compiled import compiled
from policies.knowable.futures import CORNERS, Futures, draw_futures
from policies.knowable.hidden import HiddenNodes
from policies.knowable.laws import Floats
from policies.knowable.terms import FINE, LEFT, Terms

PHASES = (0.0, 0.5, 1.0)
"""Shares of a step that may have passed when a chunk is asked for."""
FUTURES = 64
"""From each node, drawn anew for each chunk: so their luck does not add up over the video."""
HORIZON_S = 45.0
"""Of a future; beyond it the link goes on as in its last step, but no slower than a trickle."""
SEED = 20_101


@dataclass(frozen=True)
class Worth:
    """V of one class at one offset."""

    offset: float
    values: Floats
    """(chunks, levels, LEFT, buffers, nodes) QoE to come, that chunk's stall included."""


def fit(nodes: HiddenNodes, offset: float, terms: Terms, futures: int = FUTURES, seed: int = SEED) -> Worth:
    """V for links of a class and an offset.

    Args:
        futures: drawn from each node.
    """
    steps = max(int(HORIZON_S / terms.step_s + 0.5), 4)
    chunks, levels = terms.sizes.shape
    values = np.zeros((chunks, levels, len(LEFT), len(terms.buffers), len(nodes)))
    asked = np.zeros((levels, len(nodes), len(PHASES), len(terms.buffers)))
    phases, left = np.array(PHASES), np.array(LEFT)
    for chunk in range(chunks - 1, -1, -1):
        chosen = np.zeros_like(asked)
        drawn = draw_futures(nodes, offset, terms.step_s, futures, steps, seed + chunk)
        _of_chunk(terms, drawn, chunk, left, phases, asked, values[chunk], chosen)
        asked = _best(terms, chosen)
    return Worth(offset, values)


def _best(terms: Terms, chosen: Floats) -> Floats:
    """(levels, nodes, phases, buffers) the worth of asking, by the level before."""
    gain = terms.quality[:, None] - terms.smooth * np.abs(terms.quality[:, None] - terms.quality[None, :])
    best = np.empty_like(chosen)
    for before in range(len(gain)):
        best[before] = (chosen + gain[:, before, None, None, None]).max(axis=0)
    return best


@compiled
def _of_chunk(
    terms: Terms,
    futures: Futures,
    chunk: int,
    left: Floats,
    phases: Floats,
    asked: Floats,
    values: Floats,
    chosen: Floats,
) -> None:
    """Fill `values` (levels, LEFT, buffers, nodes) of a chunk in flight, and `chosen` of one asked for."""
    levels, nodes = chosen.shape[0], chosen.shape[1]
    mean = np.empty(len(terms.buffers))
    for level in range(levels):
        size = terms.sizes[chunk, level]
        for node in range(nodes):
            for place in range(len(left)):
                _follow(terms, futures, chunk, level, node, 0.0, left[place] * size, phases, asked, mean)
                values[level, place, :, node] = mean
            chosen[level, node, 0] = mean  # the last share is the whole chunk
            for phase in range(1, len(phases)):
                _follow(terms, futures, chunk, level, node, phases[phase], size, phases, asked, mean)
                chosen[level, node, phase] = mean


@compiled
def _follow(
    terms: Terms,
    futures: Futures,
    chunk: int,
    level: int,
    node: int,
    phase: float,
    size: float,
    phases: Floats,
    asked: Floats,
    mean: Floats,
) -> None:
    """Fill `mean` (buffers,) with the worth of `size` bytes to come, over a node's futures."""
    mean[:] = 0.0
    count, steps = futures.payload.shape[1], futures.payload.shape[2]
    row = np.empty(len(mean))
    for future in range(count):
        step, passed, sent, took = 0, phase, 0.0, 0.0
        while True:
            carried = futures.payload[node, future, step]
            rest = carried * (1.0 - passed)
            if step == steps - 1:
                carried = max(carried, 0.02 * 125_000.0 * terms.step_s)
                rest = np.inf
            if sent + rest > size:
                share = (size - sent) / carried
                took += share * terms.step_s
                passed = min(passed + share, 1.0)
                break
            sent += rest
            took += (1.0 - passed) * terms.step_s
            step += 1
            passed = 0.0
        _blend(futures, node, future, step, passed, phases, asked[level], row)
        took += terms.rtt_s
        for place in range(len(mean)):
            buffer = terms.buffers[place] - took
            stall = max(-buffer, 0.0)
            buffer = max(buffer, 0.0) + terms.chunk_s
            mean[place] += interpolate_row(terms, row, buffer) - terms.mu * stall
    mean /= count


@compiled
def _blend(
    futures: Futures,
    node: int,
    future: int,
    step: int,
    passed: float,
    phases: Floats,
    asked: Floats,
    row: Floats,
) -> None:
    """Fill `row` (buffers,) with the worth of asking at a state of a future."""
    phase = 0
    while phase + 2 < len(phases) and passed > phases[phase + 1]:
        phase += 1
    across = (passed - phases[phase]) / (phases[phase + 1] - phases[phase])
    row[:] = 0.0
    for each in range(CORNERS):
        weight = futures.weight[node, future, step, each]
        if weight > 0.0:
            corner = futures.corner[node, future, step, each]
            early, late = asked[corner, phase], asked[corner, phase + 1]
            for place in range(len(row)):
                row[place] += weight * ((1.0 - across) * early[place] + across * late[place])


@compiled
def interpolate_row(terms: Terms, row: Floats, buffer: float) -> float:
    """A row over `terms.buffers` at a buffer, constant beyond its ends."""
    if buffer <= 0.0:
        return row[0]
    if buffer >= terms.buffers[-1]:
        return row[-1]
    below = terms.below[int(buffer / terms.buffers[-1] * FINE)]
    share = (buffer - terms.buffers[below]) / (terms.buffers[below + 1] - terms.buffers[below])
    return row[below] + share * (row[below + 1] - row[below])
