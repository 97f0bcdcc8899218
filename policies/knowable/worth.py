"""V: what a state of link and player is worth to whoever knows what the link hides.

By value iteration, the last chunk first. V is told at the beginning of a step of the link, with a chunk in
flight: by chunk, its level, the share of it that is still to come, the buffer, and the link's node
(`hidden.py`); between the figures it is linear. Each figure is what the step brings and what V says, in the
mean over the link's next node, of where the step ends: so there is nothing to be won by paying, but for what
lies between the figures.

V need not be exact: the bound holds with any, and with a good one it is close.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.compiled.compiled import compiled
from player.simulated.link_published import PAYLOAD
from policies.knowable.hidden import HiddenNodes, between_nodes, mbps_at_nodes
from policies.knowable.laws import Floats
from policies.knowable.terms import FINE, Terms

BYTES_PER_MBIT = 125_000.0
PHASES = (0.0, 0.5, 1.0)
"""Shares of a step that may have passed when a chunk is asked for."""
ROUNDS = 400
ENOUGH = 1e-4
"""QoE that a round changes V by when it is done."""
LEAST_MBPS = 1e-4


@dataclass(frozen=True)
class Worth:
    """V of one class at one offset."""

    offset: float
    values: NDArray[np.float32]
    """(chunks, levels, left, buffers, nodes) QoE to come, that chunk's stall included."""
    asked: NDArray[np.float32]
    """(chunks, levels, phases, buffers, nodes) where that chunk is asked for, by the level before."""


def fit(nodes: HiddenNodes, offset: float, terms: Terms) -> Worth:
    """V for links of a class and an offset, in units of the score."""
    payload = np.maximum(mbps_at_nodes(nodes), LEAST_MBPS) * BYTES_PER_MBIT * PAYLOAD * terms.step_s
    return fit_chain(between_nodes(nodes, offset), payload, offset, terms)


def fit_chain(chances: Floats, payload: Floats, offset: float, terms: Terms) -> Worth:
    """V for a link that goes from node to node.

    Args:
        chances: (nodes, nodes) of the next node, from each.
        payload: (nodes,) bytes of video that a step carries, above 0.
    """
    chunks, levels = terms.sizes.shape
    values = np.zeros((chunks, levels, len(terms.left), len(terms.buffers), len(payload)), np.float32)
    asked = np.zeros((levels, len(PHASES), len(terms.buffers), len(payload)))
    every = np.zeros((chunks, *asked.shape), np.float32)
    for chunk in range(chunks - 1, -1, -1):
        chosen = np.zeros_like(asked)
        for level in range(levels):
            guess = values[min(chunk + 1, chunks - 1), level].astype(np.float64)
            mean = np.zeros_like(guess)
            size = terms.sizes[chunk, level]
            in_flight = _in_flight(terms, chances, payload, size, asked[level], guess, mean)
            values[chunk, level] = in_flight
            for phase in range(len(PHASES)):
                _ask(terms, payload, size, PHASES[phase], asked[level], in_flight, mean, chosen[level, phase])
        every[chunk] = asked = _best(terms, chosen)
    return Worth(offset, values, every)


def _best(terms: Terms, chosen: Floats) -> Floats:
    """(levels, phases, buffers, nodes) the worth of asking, by the level before."""
    gain = terms.quality[:, None] - terms.smooth * np.abs(terms.quality[:, None] - terms.quality[None, :])
    best = np.empty_like(chosen)
    for before in range(len(gain)):
        best[before] = (chosen + gain[:, before, None, None, None]).max(axis=0)
    return best


@compiled
def around(left: Floats, share: float) -> tuple[int, float, float, float]:
    """The first of three figures of what is left, and the weights of the three, for a share between them.

    The parabola through the two figures above and below and the one before them: a line would blur what is
    in flight a little more in each step, and long downloads over slow links until V says nothing of when
    they arrive.
    """
    last = len(left) - 1
    above = 1
    while above < last and left[above] < share:
        above += 1
    if above == 1:
        return 0, 1.0 - share / left[1], share / left[1], 0.0
    gap = left[above] - left[above - 1]
    at = (share - left[above - 1]) / gap
    return above - 2, at * (at - 1.0) / 2.0, 1.0 - at * at, at * (at + 1.0) / 2.0


@compiled
def _in_flight(
    terms: Terms, chances: Floats, payload: Floats, size: float, asked: Floats, guess: Floats, mean: Floats
) -> Floats:
    """V (left, buffers, nodes) of a chunk in flight, and in `mean` its mean over the next node.

    Args:
        asked: (PHASES, buffers, nodes) the worth of asking for the next.
        guess: where to begin.
    """
    left = terms.left
    values, here = guess.copy(), np.empty(len(payload))
    known, share = np.empty(len(payload)), np.empty(len(payload))
    for place in range(len(left)):
        for spot in range(len(terms.buffers)):
            _known(terms, payload, size, left, place, spot, asked, mean, known, share)
            here[:] = values[place, spot]
            for _ in range(ROUNDS):
                ahead = np.dot(chances, here)
                change = 0.0
                for node in range(len(here)):
                    new = known[node] + share[node] * ahead[node]
                    change = max(change, abs(new - here[node]))
                    here[node] = new
                if change < ENOUGH:
                    break
            values[place, spot] = here
            mean[place, spot] = np.dot(chances, here)
    return values


@compiled
def _known(
    terms: Terms,
    payload: Floats,
    size: float,
    left: Floats,
    place: int,
    spot: int,
    asked: Floats,
    mean: Floats,
    known: Floats,
    share: Floats,
) -> None:
    """For each node: what a step brings from a figure of V on, and the share with which it ends at it
    again."""
    buffer = terms.buffers[spot]
    ends = max(buffer - terms.step_s, 0.0)
    below, across = buffer_spot(terms, ends)
    for node in range(len(payload)):
        share[node] = 0.0
        rest = left[place] * size - payload[node]
        if rest <= 0.0:
            passed = left[place] * size / payload[node]
            known[node] = _arrives(terms, buffer, passed * terms.step_s, passed, asked, node)
            continue
        total = -terms.mu * max(terms.step_s - buffer, 0.0)
        first, low, middle, high = around(left, rest / size)
        for each in range(3):
            for right in range(2):
                weight = (low, middle, high)[each] * (across if right else 1.0 - across)
                if weight == 0.0:
                    continue
                if first + each == place and below + right == spot:
                    share[node] += weight
                else:
                    total += weight * mean[first + each, below + right, node]
        known[node] = total


@compiled
def _ask(
    terms: Terms,
    payload: Floats,
    size: float,
    phase: float,
    asked: Floats,
    in_flight: Floats,
    mean: Floats,
    chosen: Floats,
) -> None:
    """Fill `chosen` (buffers, nodes): the worth of a chunk asked for when a share of the step has passed."""
    left = terms.left
    rest_s = (1.0 - phase) * terms.step_s
    for spot in range(len(terms.buffers)):
        buffer = terms.buffers[spot]
        below, across = buffer_spot(terms, max(buffer - rest_s, 0.0))
        for node in range(len(payload)):
            if phase == 0.0:
                chosen[spot, node] = in_flight[-1, spot, node]
                continue
            carried = (1.0 - phase) * payload[node]
            if carried >= size:
                passed = size / payload[node]
                took_s = passed * terms.step_s
                chosen[spot, node] = _arrives(terms, buffer, took_s, phase + passed, asked, node)
                continue
            to_come = 1.0 - carried / size
            first, low, middle, high = around(left, to_come)
            total = -terms.mu * max(rest_s - buffer, 0.0)
            for each in range(3):
                weight = (low, middle, high)[each]
                total += weight * (1.0 - across) * mean[first + each, below, node]
                total += weight * across * mean[first + each, below + 1, node]
            chosen[spot, node] = total


@compiled
def _arrives(terms: Terms, buffer: float, took_s: float, phase: float, asked: Floats, node: int) -> float:
    """What a chunk brings that arrives in this step, and its stall."""
    rest = buffer - took_s - terms.rtt_s
    after = min(max(rest, 0.0) + terms.chunk_s, terms.buffers[-1])
    return asked_at(terms, asked, phase, after, node) - terms.mu * max(-rest, 0.0)


@compiled
def asked_at(terms: Terms, asked: Floats, phase: float, buffer: float, node: int) -> float:
    """(phases, buffers, nodes) at a share of the step that has passed, and a buffer."""
    below, across = buffer_spot(terms, buffer)
    spans = len(asked) - 1
    place = min(max(phase, 0.0), 1.0) * spans
    late = min(int(place), spans - 1)
    shift = place - late
    low = (1.0 - across) * asked[late, below, node] + across * asked[late, below + 1, node]
    high = (1.0 - across) * asked[late + 1, below, node] + across * asked[late + 1, below + 1, node]
    return (1.0 - shift) * low + shift * high


@compiled
def buffer_spot(terms: Terms, buffer: float) -> tuple[int, float]:
    """The figure of the buffer at or below it, and the share of the next one."""
    if buffer >= terms.buffers[-1]:
        return len(terms.buffers) - 2, 1.0
    below = terms.below[int(buffer / terms.buffers[-1] * FINE + 1e-9)]
    return below, (buffer - terms.buffers[below]) / (terms.buffers[below + 1] - terms.buffers[below])


@compiled
def interpolate_row(terms: Terms, row: Floats, buffer: float) -> float:
    """A row over `terms.buffers` at a buffer, constant beyond its ends."""
    if buffer <= 0.0:
        return row[0]
    below, across = buffer_spot(terms, buffer)
    return row[below] + across * (row[below + 1] - row[below])
