"""Futures of a link from each of its nodes: what V is fitted on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from player.simulated.batch.compiled import compiled
from player.simulated.batch.library import Ints
from player.simulated.link_published import PAYLOAD
from policies.knowable.hidden import HiddenNodes
from policies.knowable.laws import Floats
from policies.knowable.walker import (
    FIELDS,
    LEVEL,
    OUTAGE_LEFT,
    OUTAGE_STEP,
    RATE,
    SCORE,
    WANDER,
    PackedClass,
    Words,
    advance,
    interpolated,
    normal,
    uniform,
)

BYTES_PER_MBIT = 125_000.0
CORNERS = 4
LEAST_MBPS = 0.02
"""Beyond a future's end the link is no slower: V needs no more of an outage so long."""


class Futures(NamedTuple):
    """Some futures from each node."""

    payload: Floats
    """(nodes, futures, steps) bytes of video that each step can carry."""
    corner: Ints
    """(nodes, futures, steps, CORNERS) the nodes around the step's state."""
    weight: Floats
    """(nodes, futures, steps, CORNERS) their weights."""


def draw_futures(
    nodes: HiddenNodes, offset: float, step_s: float, count: int, steps: int, seed: int
) -> Futures:
    """`count` futures from each node; the same luck for each, so that nodes differ by what they are.

    Args:
        offset: of the link, in units of the score.
        steps: the length of each.
    """
    shape = len(nodes), count, steps
    futures = Futures(
        np.empty(shape), np.empty((*shape, CORNERS), np.int64), np.empty((*shape, CORNERS), np.float64)
    )
    axes = nodes.levels, nodes.deviations, nodes.outage_steps
    _fill(PackedClass.of(nodes.part), *axes, offset, step_s, seed, *futures)
    return futures


@compiled
def _begin(
    part: PackedClass,
    levels: Floats,
    deviations: Floats,
    ages: Floats,
    offset: float,
    node: int,
    state: Floats,
    words: Words,
) -> None:
    """Put `state` on a node, with a wander that its deviation makes likely."""
    ups = len(levels) * len(deviations)
    aside = math_hypot(part.wander_sd, part.noise_sd)
    if node < ups:
        place, deviation = node // len(deviations), deviations[node % len(deviations)]
        state[OUTAGE_STEP] = state[OUTAGE_LEFT] = 0.0
    else:
        place = (node - ups) // len(ages)
        deviation = aside * normal(words)
        state[OUTAGE_STEP], state[OUTAGE_LEFT] = ages[(node - ups) % len(ages)], -1.0
    level = levels[place]
    state[LEVEL] = (level - offset) / part.level_sd if part.level_sd > 0 else 0.0
    state[WANDER] = 0.0
    if part.wander_sd > 0:
        share = part.wander_sd / aside
        spread = part.noise_sd / aside
        state[WANDER] = share * deviation / aside + spread * normal(words)
    state[SCORE] = level + deviation
    if node < ups:
        state[RATE] = interpolated(state[SCORE], part.grid, part.rate_mbps)
    else:
        state[RATE] = interpolated(uniform(words), part.shares, part.outage_mbps)


@compiled
def math_hypot(first: float, second: float) -> float:
    """Length of (first, second)."""
    return np.sqrt(first * first + second * second)


@compiled
def _bracket(nodes: Floats, place: float) -> tuple[int, float]:
    """The node below and the share of the one above it; the ends beyond the ends."""
    last = len(nodes) - 1
    if place <= nodes[0]:
        return 0, 0.0
    if place >= nodes[last]:
        return last - 1, 1.0
    below = np.searchsorted(nodes, place, side="right") - 1
    return below, (place - nodes[below]) / (nodes[below + 1] - nodes[below])


@compiled
def _fill(
    part: PackedClass,
    levels: Floats,
    deviations: Floats,
    ages: Floats,
    offset: float,
    step_s: float,
    seed: int,
    payload: Floats,
    corner: Ints,
    weight: Floats,
) -> None:
    nodes, count, steps = payload.shape
    ups = len(levels) * len(deviations)
    state, words = np.zeros(FIELDS), np.zeros(1, np.uint64)
    for node in range(nodes):
        for future in range(count):
            words[0] = np.uint64(seed + future * 1_000_003)
            _begin(part, levels, deviations, ages, offset, node, state, words)
            for step in range(steps):
                if step:
                    advance(part, offset, state, words)
                payload[node, future, step] = state[RATE] * BYTES_PER_MBIT * PAYLOAD * step_s
                level = offset + part.level_sd * state[LEVEL]
                if part.level_sd == 0:
                    level = levels[len(levels) // 2]
                below, share = _bracket(levels, level)
                if state[OUTAGE_STEP] > 0:
                    first, across = _bracket(ages, state[OUTAGE_STEP])
                    width, begin = len(ages), ups
                else:
                    first, across = _bracket(deviations, state[SCORE] - level)
                    width, begin = len(deviations), 0
                for each in range(4):
                    up, right = each // 2, each % 2
                    corner[node, future, step, each] = begin + (below + up) * width + first + right
                    weight[node, future, step, each] = (share if up else 1.0 - share) * (
                        across if right else 1.0 - across
                    )
