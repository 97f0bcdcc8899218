"""What runs that differ in their seed come to; intervals draw seeds and whole clusters of sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from policies.bootstrap import EDGES
from policies.generalist.rows import Floats, Gains, TaskRow

RESAMPLES = 4_000
AHEAD, WITHIN, BEHIND = "ahead", "within", "behind"


@dataclass(frozen=True)
class Interval:
    """A mean, and the middle 95 % when seeds and clusters are drawn."""

    mean: float
    low: float
    high: float
    seeds: int
    """That it is made of."""

    @property
    def word(self) -> str:
        """Ahead or behind where the interval leaves 0 out; a tie is within."""
        if self.low > 0.0:
            return AHEAD
        return BEHIND if self.high < 0.0 else WITHIN

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def score_of(gains: Gains, task: TaskRow) -> float:
    """One number."""
    return float(sum(task.weights[name] * np.mean(values) for name, values in gains.items()))


def interval(gains: Sequence[Gains], task: TaskRow) -> Interval:
    """Of runs of one seed each.

    Args:
        gains: of the same sessions, those that choose in that task.
    """
    random = np.random.default_rng(len(gains))
    drawn = np.zeros((RESAMPLES, len(gains)))
    for name, weight in task.weights.items():
        drawn += weight * _drawn_means(np.array([each[name] for each in gains]), task.clusters[name], random)
    seeds = random.integers(len(gains), size=(RESAMPLES, len(gains)))
    means = np.take_along_axis(drawn, seeds, axis=1).mean(axis=1)
    low, high = np.quantile(means, EDGES)
    mean = float(np.mean([score_of(each, task) for each in gains]))
    return Interval(mean, float(low), float(high), len(gains))


def _drawn_means(values: Floats, clusters: Sequence[int], random: np.random.Generator) -> Floats:
    """(resamples, seeds) means of (seeds, sessions) when whole clusters are drawn, the same for each seed."""
    of = np.asarray(clusters)
    count = int(of.max()) + 1
    sums = np.stack([np.bincount(of, each, count) for each in values])  # (seeds, clusters)
    times = random.multinomial(count, np.full(count, 1.0 / count), size=RESAMPLES)  # (resamples, clusters)
    return np.asarray((times @ sums.T) / (times @ np.bincount(of, minlength=count))[:, None])


def less(mine: Mapping[int, Gains], other: Mapping[int, Gains]) -> list[Gains]:
    """What runs gain more than others of the same seeds, session by session; those seeds alone that both
    have."""
    return [
        {name: np.subtract(values, other[seed][name]).tolist() for name, values in gains.items()}
        for seed, gains in sorted(mine.items())
        if seed in other
    ]
