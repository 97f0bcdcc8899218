"""Paired tests: Wilcoxon's signed-rank test, and Holm's correction for asking several questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
"""A p below it is no chance, as this project says it."""

EXACT = 50
"""As many differences at most are tested by counting sign patterns."""

SAME = 1e-9
"""Differences of QoE below this are rounding: the same."""


def wilcoxon_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test that differences lie symmetrically about 0.

    Differences of 0 take part in the ranks (Pratt 1959). Exact, ties or not, for at most `EXACT` differences,
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
    if len(values) <= EXACT:
        return _exact_p(values)
    from scipy import stats  # (takes longer to import than to use)

    found = stats.wilcoxon(values, zero_method="pratt", correction=False, method="approx")
    return float(found.pvalue)


def _exact_p(values: NDArray[np.float64]) -> float:
    """By the distribution of the sum of positive ranks over all sign patterns, counted rank by rank.

    Ranks are doubled: those of ties are then whole numbers, too.
    """
    from scipy import stats

    ranks = np.rint(2 * stats.rankdata(np.abs(values))).astype(int)[values != 0]
    positive = values[values != 0] > 0
    patterns = np.zeros(int(ranks.sum()) + 1)
    patterns[0] = 1.0
    for rank in ranks:  # the sum grows by the rank, or does not: half of the patterns each
        patterns[rank:] = (patterns[rank:] + patterns[:-rank]) / 2
        patterns[:rank] /= 2
    seen = int(ranks[positive].sum())
    return float(min(2 * min(patterns[: seen + 1].sum(), patterns[seen:].sum()), 1.0))


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
