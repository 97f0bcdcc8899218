"""How evenly something is shared."""

from __future__ import annotations

from collections.abc import Sequence


def jain(values: Sequence[float]) -> float:
    """Jain's index of n values x: (sum x)^2 / (n sum x^2), 1 where all have the same, 1/n where one has all
    (Jain, Chiu, Hawe, "A Quantitative Measure of Fairness", DEC TR-301, 1984).

    Args:
        values: 0 or more each.

    Returns:
        1 where all are 0.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("no values; fairness needs one at least")
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0
