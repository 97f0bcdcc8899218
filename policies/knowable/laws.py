"""Exact expectations under the generator's random numbers.

The generator's normal is the sum of twelve uniforms, centred (`traces/prng.py`): Irwin and Hall's law, a
polynomial between whole numbers. What is needed of it is the mean of a function that is linear between
nodes, and that follows from *ramps*, E[max(X - c, 0)].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from traces.families.model import OUTAGE_SHARES

Floats = NDArray[np.float64]

_TERMS = 12
_HALF = _TERMS / 2
_NODES = 8
"""Of Gauss and Legendre in each of the twelve pieces: exact for the density, a polynomial of degree 11."""


def ramp(edge: Floats) -> Floats:
    """E[max(N - edge, 0)] of the generator's normal N."""
    below = np.minimum(edge, -edge)  # E[max(N - c, 0)] = E[max(N + c, 0)] - c, and the far side is small
    total = np.zeros_like(below, dtype=np.float64)
    for term in range(_TERMS + 1):
        sign = -1.0 if term % 2 else 1.0
        reach = np.maximum(below + _HALF - term, 0.0)
        total += sign * math.comb(_TERMS, term) * reach ** (_TERMS + 1)
    small = total / math.factorial(_TERMS + 1)
    return np.where(edge > 0, small, small - edge)


@cache
def _points() -> tuple[Floats, Floats]:
    """Points and weights that integrate over N."""
    at, weight = np.polynomial.legendre.leggauss(_NODES)
    points = (np.arange(_TERMS)[:, None] + (at + 1.0) / 2.0).ravel() - _HALF
    density = np.zeros_like(points)
    small = -np.abs(points) + _HALF
    for term in range(_TERMS + 1):
        sign = -1.0 if term % 2 else 1.0
        density += sign * math.comb(_TERMS, term) * np.maximum(small - term, 0.0) ** (_TERMS - 1)
    density /= math.factorial(_TERMS - 1)
    weights = np.tile(weight / 2.0, _TERMS) * density
    return points, weights / weights.sum()


def ramp_of_two(edge: Floats, first: float, second: float) -> Floats:
    """E[max(first x N + second x M - edge, 0)] of two independent ones; a factor may be 0."""
    wide, narrow = max(first, second), min(first, second)
    if wide == 0.0:
        return np.maximum(-edge, 0.0)
    if narrow == 0.0:
        return wide * ramp(edge / wide)
    points, weights = _points()
    return wide * (ramp((edge[..., None] - narrow * points) / wide) @ weights)


def hat_weights(place: Floats, nodes: Floats) -> Floats:
    """(..., nodes) weights with which a function's values at the nodes give it at `place`.

    Linear between the nodes, constant beyond their ends.
    """
    reached = np.maximum(place[..., None] - nodes, 0.0)
    return _from_ramps(reached, nodes)


def mean_hat_weights(place: Floats, first: float, second: float, nodes: Floats) -> Floats:
    """The mean of `hat_weights` at place + first x N + second x M."""
    return _from_ramps(ramp_of_two(nodes - place[..., None], first, second), nodes)


def _from_ramps(ramps: Floats, nodes: Floats) -> Floats:
    share = (ramps[..., :-1] - ramps[..., 1:]) / np.diff(nodes)
    weights = np.zeros_like(ramps)
    weights[..., 0] = 1.0
    weights[..., :-1] -= share
    weights[..., 1:] += share
    return weights


def outage_lasts(quantiles: Sequence[float], most: int) -> Floats:
    """(most + 1,) the chance that an outage has at least so many steps.

    Its length is the quantile at a uniform share, rounded to the nearest whole number, at least 1.
    """
    lasts = np.ones(most + 1)
    for steps in range(2, most + 1):
        lasts[steps] = 1.0 - _share_below(steps - 0.5, quantiles)
    return lasts


def _share_below(value: float, quantiles: Sequence[float]) -> float:
    """The share of uniforms whose quantile is below `value`."""
    below = 0.0
    for left, right, low, high in zip(
        OUTAGE_SHARES, OUTAGE_SHARES[1:], quantiles, quantiles[1:], strict=False
    ):
        if high < value:
            below = right
        elif low < value:
            below = left + (value - low) / (high - low) * (right - left)
    return below


def longest_outage(quantiles: Sequence[float]) -> int:
    """Steps that no outage exceeds."""
    return max(int(quantiles[-1] + 0.5), 1)
