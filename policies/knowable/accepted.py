"""What it changes that a member is drawn anew where its mean is out of bounds.

So the next step's law is that of the walk *given* that the member's mean will fit. Its mean is estimated
without bias: a walk to the member's end that does not fit is drawn anew until one does; the weights of the
second's next step less those of the first's have the very difference of the two laws as their mean. What is
left of chance in it a planner may exploit, which errs in its favour.
"""

from __future__ import annotations

import numpy as np

from player.compiled.compiled import compiled
from policies.knowable.hidden import HiddenNodes, Unveiled
from policies.knowable.laws import Floats
from policies.knowable.walker import (
    FIELDS,
    LEVEL,
    OUTAGE_STEP,
    RATE,
    SCORE,
    PackedClass,
    Words,
    advance,
)
from traces.families.generator import Draw
from traces.families.model import FamilyModel

PAIRS = 128
"""Of walks from each step."""
_MOST_TRIES = 1_000_000


def changed_means(
    model: FamilyModel, nodes: HiddenNodes, drawn: Draw, steps: int, seed: int, pairs: int = PAIRS
) -> Floats:
    """(steps, nodes) what is to be added to the mean of each next state's weights.

    Args:
        steps: of the member, from its first.

    Raises:
        ArithmeticError: from some step hardly any walk fits.
    """
    rates = np.array(drawn.rates)
    seen = Unveiled.of(drawn.offset, drawn.states)
    columns = (seen.level, seen.wander, seen.score, seen.outage_step, -seen.outage_step, rates, seen.is_long)
    begin = np.ascontiguousarray(np.array(columns).T[:steps])
    most = np.inf if model.max_mean_mbps is None else model.max_mean_mbps * len(rates)
    least = model.min_mean_mbps * len(rates)
    changed = np.zeros((steps, len(nodes)))
    axes = nodes.levels, nodes.deviations, nodes.outage_steps
    words = np.array([seed], np.uint64)
    carried = np.cumsum(rates)[:steps]
    packed = PackedClass.of(nodes.part)
    if not _fill(packed, *axes, drawn.offset, begin, carried, len(rates), least, most, pairs, words, changed):
        raise ArithmeticError("of a million walks to the member's end none has a mean that fits")
    return changed


@compiled
def _fill(
    part: PackedClass,
    levels: Floats,
    deviations: Floats,
    ages: Floats,
    offset: float,
    begin: Floats,
    carried: Floats,
    length: int,
    least: float,
    most: float,
    pairs: int,
    words: Words,
    changed: Floats,
) -> bool:
    state, first = np.empty(FIELDS), np.empty(FIELDS)
    for step in range(len(begin)):
        rest = length - 1 - step
        if rest == 0 or (carried[step] >= least and most == np.inf):
            continue
        for _ in range(pairs):
            for tries in range(_MOST_TRIES + 1):
                if tries == _MOST_TRIES:
                    return False
                total = _walk(part, offset, begin[step], rest, carried[step], words, state, first)
                fits = least <= total <= most
                if tries == 0 and fits:
                    break
                if tries == 0:
                    _add(levels, deviations, ages, part, offset, first, -1.0 / pairs, changed[step])
                elif fits:
                    _add(levels, deviations, ages, part, offset, first, 1.0 / pairs, changed[step])
                    break
    return True


@compiled
def _walk(
    part: PackedClass,
    offset: float,
    begin: Floats,
    rest: int,
    total: float,
    words: Words,
    state: Floats,
    first: Floats,
) -> float:
    """Walk `rest` steps; what all rates sum to. `first` is the next state."""
    state[:] = begin
    for step in range(rest):
        advance(part, offset, state, words)
        if step == 0:
            first[:] = state
        total += np.floor(state[RATE] * 1000.0 + 0.5) / 1000.0
    return total


@compiled
def _bracket(nodes: Floats, place: float) -> tuple[int, float]:
    """The node below and the share of the one above it; the ends beyond the ends."""
    last = len(nodes) - 1
    if place <= nodes[0]:
        return 0, 0.0
    if place >= nodes[last]:
        return last - 1, 1.0
    below = int(np.searchsorted(nodes, place, side="right")) - 1
    return below, (place - nodes[below]) / (nodes[below + 1] - nodes[below])


@compiled
def _add(
    levels: Floats,
    deviations: Floats,
    ages: Floats,
    part: PackedClass,
    offset: float,
    state: Floats,
    factor: float,
    row: Floats,
) -> None:
    """Add a state's weights, times `factor`."""
    level = offset + part.level_sd * state[LEVEL]
    below, up = _bracket(levels, level)
    begin, width = 0, len(deviations)
    first, across = _bracket(deviations, state[SCORE] - level)
    if state[OUTAGE_STEP] > 0:
        begin, width = len(levels) * len(deviations), len(ages)
        first, across = _bracket(ages, state[OUTAGE_STEP])
    for high in range(2):
        for right in range(2):
            weight = (up if high else 1.0 - up) * (across if right else 1.0 - across)
            row[begin + (below + high) * width + first + right] += factor * weight
