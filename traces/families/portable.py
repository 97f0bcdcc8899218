"""exp and log from the four operations of IEEE 754 alone: the same on every machine, in whole arrays.

A C library's `exp` may differ in the last bit from machine to machine; sums and products may not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LN_2 = 0.6931471805599453
_EXP_TERMS, _LOG_TERMS = 16, 20


def exp(values: ArrayLike) -> Floats:
    """e to the power of each, within some units in the last place; for values of -700 to 700."""
    numbers = np.asarray(values, np.float64)
    halvings = np.floor(numbers / LN_2 + 0.5)
    rest = numbers - halvings * LN_2
    total = np.ones_like(rest)
    for term in range(_EXP_TERMS, 0, -1):
        total = 1.0 + total * rest / term
    return np.asarray(np.ldexp(total, halvings.astype(np.int64)))


def log(values: ArrayLike) -> Floats:
    """The natural logarithm of each; for finite values over 0.

    With m in [0.7, 1.4] and s = (m - 1) / (m + 1): log m = 2 (s + s^3 / 3 + s^5 / 5 + …).
    """
    mantissa, power = np.frexp(np.asarray(values, np.float64))
    small = mantissa < 0.7071067811865476
    mantissa, power = np.where(small, mantissa * 2.0, mantissa), np.where(small, power - 1, power)
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    square = ratio * ratio
    total = np.zeros_like(ratio)
    for term in range(2 * _LOG_TERMS + 1, 0, -2):
        total = total * square + 1.0 / term
    return np.asarray(2.0 * ratio * total + power * LN_2)
