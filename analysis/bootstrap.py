"""Bootstrap intervals for means over sessions whose traces, not sessions, are the draws.

Sessions over one trace, or over traces of one line or trip, are not independent: what is resampled
is the *cluster*, with all its sessions. The interval is the expanded percentile interval (Hesterberg,
"What Teachers Should Know About the Bootstrap", The American Statistician 69, 2015): percentiles of
the resampled means, taken further out by what Student's t is wider than the normal and by
sqrt(n / (n - 1)). With many clusters it is the plain percentile interval; with few, where that one
is too narrow, it keeps about its promise.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

CONFIDENCE = 0.95
RESAMPLES = 10_000
SEED = 20_220_822
"""Of the resampling, so that a command says the same each time."""

_BLOCK = 2_000_000
"""Draws in memory at once."""


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval."""

    mean: float
    low: float | None
    """None, like `high`, where fewer than two clusters leave nothing to resample."""
    high: float | None
    clusters: int

    @property
    def known(self) -> bool:
        return self.low is not None

    @property
    def bounds(self) -> list[float] | None:
        """[low, high], as JSON has it."""
        return None if self.low is None or self.high is None else [self.low, self.high]

    @property
    def holds_zero(self) -> bool:
        """Whether 0 cannot be excluded; so it is, too, where there is no interval."""
        return self.low is None or self.high is None or self.low <= 0.0 <= self.high


def mean_interval(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Mean of `values` with a bootstrap interval over clusters.

    Args:
        values: (n,) one value a session (or a difference a pair).
        clusters: (n,) what each belongs to; equal ones are drawn together.
        confidence: share of intervals that are to hold the true mean.
        resamples: bootstrap samples.
        seed: of the resampling.

    Raises:
        ValueError: no values, lengths that differ, a value that is not finite.
    """
    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} values but {len(clusters)} clusters")
    numbers = np.asarray(values, dtype=np.float64)
    if not len(numbers):
        raise ValueError("no values; a mean needs one at least")
    if not np.isfinite(numbers).all():
        raise ValueError("a value is not finite; a mean of it says nothing")
    sums, counts = _by_cluster(numbers, clusters)
    mean = float(numbers.mean())
    if len(sums) < 2:
        return Interval(mean, None, None, len(sums))
    means = _resampled_means(sums, counts, resamples, seed)
    tail = expanded_tail(len(sums), confidence)
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return Interval(mean, float(low), float(high), len(sums))


def expanded_tail(clusters: int, confidence: float = CONFIDENCE) -> float:
    """The percentile (0 to 0.5) where an interval over so many clusters ends: Phi(-sqrt(n/(n-1)) t)."""
    t = float(stdtrit(clusters - 1, 0.5 + confidence / 2))
    return float(ndtr(-((clusters / (clusters - 1)) ** 0.5) * t))


def _by_cluster(
    values: NDArray[np.float64], clusters: Sequence[Hashable]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(clusters,) sum and count of values of each, in an order that does not depend on the given one."""
    place = {key: index for index, key in enumerate(sorted(set(clusters), key=str))}
    where = np.array([place[key] for key in clusters])
    sums = np.bincount(where, weights=values, minlength=len(place)).astype(float)
    return sums, np.bincount(where, minlength=len(place)).astype(float)


def _resampled_means(
    sums: NDArray[np.float64], counts: NDArray[np.float64], resamples: int, seed: int
) -> NDArray[np.float64]:
    """(resamples,) means over as many clusters as there are, drawn with replacement."""
    random = np.random.default_rng(seed)
    rows = max(_BLOCK // len(sums), 1)
    parts = []
    for begin in range(0, resamples, rows):
        drawn = random.integers(len(sums), size=(min(rows, resamples - begin), len(sums)))
        parts.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(parts)
