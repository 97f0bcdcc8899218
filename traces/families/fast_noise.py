"""Many draws of `SplitMix64` at once: the same numbers as one by one, bit for bit.

A stream of it is a function of the draw's number, so all of it can be had in array operations on 64-bit
integers. Nothing that numpy may sum or fuse in an order of its own takes part.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from traces.prng import GAMMA, SplitMix64

Floats = NDArray[np.float64]
Words = NDArray[np.uint64]

_HALF_SPAN = 12 * 65535 / 2
_WORDS_A_NORMAL = 3


def words(label: str, count: int) -> Words:
    """The first `count` draws of `SplitMix64(label).bits()`.

    Returns:
        (count,) 64 random bits each.
    """
    mixed = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GAMMA) + np.uint64(SplitMix64(label).state)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def uniforms(label: str, count: int) -> Floats:
    """The first `count` draws of `SplitMix64(label).uniform()`: (count,) in [0, 1)."""
    return (words(label, count) >> np.uint64(11)).astype(np.float64) / 9007199254740992.0


def normals(label: str, count: int) -> Floats:
    """The first `count` draws of `SplitMix64(label).normal()`: (count,) near enough to N(0, 1)."""
    drawn = words(label, _WORDS_A_NORMAL * count).reshape(count, _WORDS_A_NORMAL)
    total = np.zeros(count, dtype=np.uint64)
    for column in range(_WORDS_A_NORMAL):
        for shift in (0, 16, 32, 48):
            total += (drawn[:, column] >> np.uint64(shift)) & np.uint64(65535)
    return (total.astype(np.float64) - _HALF_SPAN) / 65536.0


def autoregression(drawn: Floats, keep: float) -> Floats:
    """A first-order autoregression of unit variance that begins in its stationary state.

    Args:
        drawn: (n,) independent, N(0, 1).
        keep: autocorrelation from one to the next, 0 to 1.

    Returns:
        (n,).
    """
    push = float(np.sqrt(1.0 - keep * keep))
    pushed = (push * drawn).tolist()
    pushed[0] = float(drawn[0])
    return np.asarray(list(accumulate(pushed, lambda before, push: keep * before + push)))
