"""Paired tests: Wilcoxon's signed-rank test, and Holm's correction for asking several questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

SAME = 1e-9
"""Differences of QoE below this are rounding: the same."""


def wilcoxon_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test that differences lie symmetrically about 0.

    Differences of 0 take part in the ranks (Pratt 1959). Exact where scipy can count all sign patterns,
    else by the normal approximation with its correction for ties.

    Args:
        differences: (n,) one for each independent pair.

    Returns:
        1 when all are 0; None for none.
    """
    if not differences:
        return None
    values = np.asarray(differences, dtype=np.float64)
    values = np.where(np.abs(values) < SAME, 0.0, values)
    if not values.any():
        return 1.0
    return float(stats.wilcoxon(values, zero_method="pratt", correction=False).pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (Holm 1979): p values that may be judged together.

    Args:
        p_values: (n,) those of all tests of one report; None where there was none.

    Returns:
        (n,) adjusted, in the given order; None stays None.
    """
    known = [(p, place) for place, p in enumerate(p_values) if p is not None]
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(sorted(known)):
        highest = max(highest, min((len(known) - rank) * p, 1.0))
        adjusted[place] = highest
    return adjusted
