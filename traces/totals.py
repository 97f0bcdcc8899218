"""One way to add floats, the same on every version of Python.

From Python 3.12 on the built-in `sum` carries what rounding lost (compensated summation: CPython
issue 100425), so the same values give another last bit there than on 3.11, and another than a loop
or compiled code gives on any version. Figures that are held equal to the last bit, to a compiled
twin or to a recorded value, are added here. `math.fsum` (correctly rounded) is the other way that
does not depend on the version.
"""

from __future__ import annotations

from collections.abc import Iterable


def running_total(values: Iterable[float]) -> float:
    """The sum of `values`, added left to right from 0.0, rounded after each addition."""
    total = 0.0
    for value in values:
        total += value
    return total
