"""The generator's walk from any state on, compiled: futures drawn by the law of the next steps.

As `states` in `traces/families/generator.py` draws them, from a state that is given; a test holds the two to
the same law.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from player.compiled.compiled import compiled
from policies.knowable.laws import Floats
from traces.families.model import HAZARD_EDGES, OUTAGE_SHARES, SCORE_GRID, LinkClass

ENDLESS = 1 << 40
"""Steps that no outage has."""

Words = NDArray[np.uint64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_16, _27, _30, _31, _32, _48, _11 = (np.uint64(bits) for bits in (16, 27, 30, 31, 32, 48, 11))
_LOW = np.uint64(65535)
_HALF_SPAN = 12 * 65535 / 2

LEVEL, WANDER, SCORE, OUTAGE_STEP, OUTAGE_LEFT, RATE, IS_LONG = range(7)
"""Columns of a state; the rate in Mbit/s. `OUTAGE_LEFT` below 0: to be drawn, given the steps so far and
whether the outage is a long one."""
FIELDS = 7


class PackedClass(NamedTuple):
    """A class as compiled code takes it."""

    jump: float
    keep: float
    push: float
    level_sd: float
    wander_sd: float
    noise_sd: float
    grid: Floats
    rate_mbps: Floats
    edges: Floats
    outage_hazard: Floats
    shares: Floats
    outage_steps: Floats
    outage_mbps: Floats
    long_outage_mbps: Floats
    long_outage_steps: int
    """From so many steps on an outage is a long one."""

    @classmethod
    def of(cls, part: LinkClass) -> PackedClass:
        """The same figures, as arrays."""
        keep = part.wander_correlation
        return cls(
            jump=1.0 / part.level_hold_steps,
            keep=keep,
            push=math.sqrt(1.0 - keep * keep),
            level_sd=part.level_sd,
            wander_sd=part.wander_sd,
            noise_sd=part.noise_sd,
            grid=np.array(SCORE_GRID),
            rate_mbps=np.array(part.rate_mbps),
            edges=np.array(HAZARD_EDGES),
            outage_hazard=np.array(part.outage_hazard),
            shares=np.array(OUTAGE_SHARES),
            outage_steps=np.array(part.outage_steps),
            outage_mbps=np.array(part.outage_mbps),
            long_outage_mbps=np.array(part.long_outage_mbps, np.float64),
            long_outage_steps=ENDLESS if part.long_outage_steps is None else part.long_outage_steps,
        )


@compiled
def _bits(words: Words) -> np.uint64:
    words[0] += _GAMMA
    mixed = words[0]
    mixed = (mixed ^ (mixed >> _30)) * _FIRST
    mixed = (mixed ^ (mixed >> _27)) * _SECOND
    return mixed ^ (mixed >> _31)


@compiled
def uniform(words: Words) -> float:
    """As `SplitMix64.uniform`."""
    return np.float64(_bits(words) >> _11) / 9007199254740992.0


@compiled
def normal(words: Words) -> float:
    """As `SplitMix64.normal`."""
    total = 0.0
    for _ in range(3):
        word = _bits(words)
        total += np.float64(word & _LOW) + np.float64(word >> _16 & _LOW)
        total += np.float64(word >> _32 & _LOW) + np.float64(word >> _48)
    return (total - _HALF_SPAN) / 65536.0


@compiled
def interpolated(position: float, grid: Floats, values: Floats) -> float:
    """As `interpolate` of the generator."""
    if position <= grid[0]:
        return values[0]
    if position >= grid[-1]:
        return values[-1]
    index = np.searchsorted(grid, position, side="right")
    share = (position - grid[index - 1]) / (grid[index] - grid[index - 1])
    return values[index - 1] + share * (values[index] - values[index - 1])


@compiled
def _drawn_length(part: PackedClass, words: Words) -> int:
    return max(int(interpolated(uniform(words), part.shares, part.outage_steps) + 0.5), 1)


@compiled
def advance(part: PackedClass, offset: float, state: Floats, words: Words) -> None:
    """Move `state` (FIELDS,) one step on."""
    if state[OUTAGE_LEFT] < 0:
        length = _drawn_length(part, words)
        while length < state[OUTAGE_STEP] or (length >= part.long_outage_steps) != (state[IS_LONG] > 0):
            length = _drawn_length(part, words)
        state[OUTAGE_LEFT] = length - state[OUTAGE_STEP]
    chance = 0.0
    if state[OUTAGE_STEP] == 0:
        chance = part.outage_hazard[np.searchsorted(part.edges, state[SCORE], side="right")]
    if uniform(words) < part.jump:
        state[LEVEL] = normal(words)
    state[WANDER] = part.keep * state[WANDER] + part.push * normal(words)
    noise = part.noise_sd * normal(words) if part.noise_sd > 0 else 0.0
    state[SCORE] = offset + part.level_sd * state[LEVEL] + part.wander_sd * state[WANDER] + noise
    if state[OUTAGE_LEFT] == 0 and uniform(words) < chance:
        state[OUTAGE_LEFT] = _drawn_length(part, words)
        state[IS_LONG] = 1.0 if state[OUTAGE_LEFT] >= part.long_outage_steps else 0.0
    if state[OUTAGE_LEFT] > 0:
        state[OUTAGE_LEFT] -= 1
        state[OUTAGE_STEP] += 1
        rates = part.long_outage_mbps if state[IS_LONG] > 0 else part.outage_mbps
        state[RATE] = interpolated(uniform(words), part.shares, rates)
    else:
        state[OUTAGE_STEP] = state[IS_LONG] = 0.0
        state[RATE] = interpolated(state[SCORE], part.grid, part.rate_mbps)
