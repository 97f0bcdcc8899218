"""Bootstrap intervals for means over sessions whose traces, not sessions, are the draws.

Sessions over one trace, or over traces of one line or trip, are not independent: what is resampled
is the *cluster*, with all its sessions. The interval is the expanded percentile interval (Hesterberg,
"What Teachers Should Know About the Bootstrap", The American Statistician 69, 2015): percentiles of
the resampled means, taken further out by what Student's t is wider than the normal and by
sqrt(n / (n - 1)). With many clusters it is the plain percentile interval; with few, where that one
is too narrow, it keeps about its promise.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 10_000
QUANTILE_RESAMPLES = 1_000
"""Of quantiles, which take a pass over all values each."""
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
    (interval,) = mean_intervals([values], clusters, confidence=confidence, resamples=resamples, seed=seed)
    return interval


def mean_intervals(
    columns: Sequence[Sequence[float]],
    clusters: Sequence[Hashable],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> list[Interval]:
    """`mean_interval` of each of several columns of values over the same clusters, resampled once for all.

    Args:
        columns: (columns, n) values; column by column what `mean_interval` takes.

    Raises:
        ValueError: as `mean_interval`.
    """
    for values in columns:
        if len(values) != len(clusters):
            raise ValueError(f"{len(values)} values but {len(clusters)} clusters")
    if not columns:
        return []
    numbers = np.asarray(columns, dtype=np.float64)
    if not numbers.size:
        raise ValueError("no values; a mean needs one at least")
    if not np.isfinite(numbers).all():
        raise ValueError("a value is not finite; a mean of it says nothing")
    sums, counts = _by_cluster(numbers, clusters)
    averages = [float(mean) for mean in numbers.mean(axis=1)]
    if len(counts) < 2:
        return [Interval(mean, None, None, len(counts)) for mean in averages]
    means = _resampled_means(sums, counts, resamples, seed)
    tail = expanded_tail(len(counts), confidence)
    lows, highs = np.quantile(means, [tail, 1.0 - tail], axis=0)
    return [
        Interval(mean, float(low), float(high), len(counts))
        for mean, low, high in zip(averages, lows, highs, strict=True)
    ]


def quantile_intervals(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    shares: Sequence[float],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = QUANTILE_RESAMPLES,
    seed: int = SEED,
) -> list[Interval]:
    """Quantiles of `values` with bootstrap intervals over clusters, as `mean_interval` has them of a mean.

    A quantile is the smallest value that so large a share of all values does not exceed.

    Args:
        values: (n,) pooled over sessions.
        clusters: (n,) what each belongs to.
        shares: (quantiles,) each over 0, at most 1.

    Returns:
        (quantiles,) with the quantile as the interval's `mean`.

    Raises:
        ValueError: as `mean_interval`.
    """
    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} values but {len(clusters)} clusters")
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        raise ValueError("no values; a quantile needs one at least")
    place = {key: index for index, key in enumerate(sorted(set(clusters), key=str))}
    order = np.argsort(numbers, kind="stable")
    numbers, where = numbers[order], np.array([place[key] for key in clusters])[order]
    every = numbers[[max(math.ceil(share * len(numbers)) - 1, 0) for share in shares]]
    if len(place) < 2:
        return [Interval(float(value), None, None, len(place)) for value in every]
    found = []
    rows = max(_BLOCK // len(numbers), 1)
    for weights in resampled_weights(len(place), resamples, seed):
        for begin in range(0, len(weights), rows):
            below = weights[begin : begin + rows][:, where].cumsum(axis=1)
            needed = np.ceil(np.outer(below[:, -1], shares))
            found += [numbers[np.searchsorted(row, need)] for row, need in zip(below, needed, strict=True)]
    tail = expanded_tail(len(place), confidence)
    lows, highs = np.quantile(np.stack(found), [tail, 1.0 - tail], axis=0)
    return [
        Interval(float(value), float(low), float(high), len(place))
        for value, low, high in zip(every, lows, highs, strict=True)
    ]


def expanded_tail(clusters: int, confidence: float = CONFIDENCE) -> float:
    """The percentile (0 to 0.5) where an interval over so many clusters ends: Phi(-sqrt(n/(n-1)) t)."""
    from scipy.special import ndtr, stdtrit  # (takes longer to import than to use)

    t = float(stdtrit(clusters - 1, 0.5 + confidence / 2))
    return float(ndtr(-((clusters / (clusters - 1)) ** 0.5) * t))


def _by_cluster(
    columns: NDArray[np.float64], clusters: Sequence[Hashable]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(clusters, columns) sums and (clusters,) counts, in an order that does not depend on the given one."""
    place = {key: index for index, key in enumerate(sorted(set(clusters), key=str))}
    where = np.array([place[key] for key in clusters])
    sums = [np.bincount(where, weights=values, minlength=len(place)) for values in columns]
    return np.stack(sums, axis=1), np.bincount(where, minlength=len(place)).astype(float)


def resampled_weights(clusters: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each cluster is drawn, of as many draws with replacement as there are clusters.

    Yields:
        (rows, clusters) blocks of whole numbers; `resamples` rows in all.
    """
    random = np.random.default_rng(seed)
    block = max(_BLOCK // clusters, 1)
    for begin in range(0, resamples, block):
        rows = min(block, resamples - begin)
        drawn = random.integers(clusters, size=(rows, clusters))
        drawn += clusters * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * clusters)
        yield counts.reshape(rows, clusters).astype(np.float64)


def _resampled_means(
    sums: NDArray[np.float64], counts: NDArray[np.float64], resamples: int, seed: int
) -> NDArray[np.float64]:
    """(resamples, columns) means over as many clusters as there are, drawn with replacement."""
    return np.concatenate(
        [
            (weights @ sums) / (weights @ counts)[:, None]
            for weights in resampled_weights(len(counts), resamples, seed)
        ]
    )
