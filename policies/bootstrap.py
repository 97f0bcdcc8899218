"""Percentile bootstrap of a mean, as the cards of the learned policies give it.

Reports over session records take `analysis/bootstrap.py`, whose intervals are a little wider where
there are few traces; the figures on the cards are these.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
EDGES = (0.025, 0.975)
"""An interval of 95 %."""

Floats = NDArray[np.float64]


def percentile_interval(
    values: Floats, clusters: Sequence[Hashable] | None = None, seed: int = 0
) -> tuple[float, float]:
    """Where the middle 95 % of the resampled means lie.

    Args:
        values: (n,) one a session, or a difference a pair.
        clusters: (n,) what each belongs to, such as the line that its trace was measured on; whole
            clusters are drawn. None: each value is one.
        seed: of the resampling.
    """
    random = np.random.default_rng(seed)
    if clusters is None:
        drawn = random.integers(len(values), size=(RESAMPLES, len(values)))
        means = values[drawn].mean(axis=1)
    else:
        _, of = np.unique(np.asarray(clusters), return_inverse=True)
        totals, counts = np.bincount(of, values), np.bincount(of)
        drawn = random.integers(len(totals), size=(RESAMPLES, len(totals)))
        means = totals[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, EDGES)
    return float(low), float(high)


def mean_interval(values: Floats, clusters: Sequence[Hashable]) -> tuple[float, float, float]:
    """Mean, and where the middle 95 % of the resampled means lie when whole clusters are drawn."""
    return float(values.mean()), *percentile_interval(values, clusters)


def share_interval(
    gone: Floats, whole: Floats, clusters: Sequence[Hashable], seed: int = 0
) -> tuple[float, float]:
    """Where the middle 95 % of the resampled shares of a way lie: mean gone / mean whole.

    Args:
        gone, whole: (n,) of the same sessions.
        clusters: (n,) what each belongs to; whole clusters are drawn.
        seed: of the resampling.
    """
    _, of = np.unique(np.asarray(clusters), return_inverse=True)
    drawn = np.random.default_rng(seed).integers(of.max() + 1, size=(RESAMPLES, of.max() + 1))
    shares = np.bincount(of, gone)[drawn].sum(axis=1) / np.bincount(of, whole)[drawn].sum(axis=1)
    low, high = np.quantile(shares, EDGES)
    return float(low), float(high)
