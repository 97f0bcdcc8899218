"""How many traces a comparison needs, given how much paired differences vary over those that there are.

A difference is judged by the mean over independent traces (clusters, see `analysis/clusters.py`), so what
counts is how much that mean's parts vary from cluster to cluster: `Spread`. Assumed are that more traces
come from where these came, each with as many sessions as here, and that a mean of so many differences is
about normal, so that the test is Student's t and its power the noncentral t's (Cohen, "Statistical Power
Analysis for the Behavioral Sciences", 1988).

The interval of the answer is that of the standard deviation, by Bonett ("Approximate confidence interval for
standard deviation of nonnormal distributions", Computational Statistics & Data Analysis 50, 2006), which
looks at the kurtosis. Over 20 and 100 clusters 95 % became 96 and 94 % for normal differences, 90 and 92 %
for Student's with 5 degrees of freedom, 75 and 86 % where one cluster in ten varies four times as much; a
plain bootstrap of the variance kept 3 to 12 points less.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.power.measures import POWER
from analysis.significance import LEVEL

CONFIDENCE = 0.95
FEWEST_FOR_INTERVAL = 6
"""Clusters; with fewer, a kurtosis says nothing."""
MOST_CLUSTERS = 10_000_000
"""More are told as none: such a difference is not to be shown by traces."""
_SHARES = (np.arange(2_000) + 0.5) / 2_000
"""Of the distribution of a sample's deviation, over which the noncentral t is taken together: exact to four
digits, and, other than its series, for any number of clusters."""


@dataclass(frozen=True)
class Spread:
    """Paired differences over clusters: their mean, and how much a cluster's part in it varies."""

    clusters: int
    mean: float
    sd: float
    """Standard deviation of a cluster's part: the mean's standard error is this by the root of `clusters`."""
    low: float | None
    """Of the standard deviation's interval; None, like `high`, with too few clusters."""
    high: float | None


def spread_of(values: Sequence[float], clusters: Sequence[Hashable]) -> Spread:
    """How paired differences vary from cluster to cluster.

    Where clusters hold different numbers of values, the mean is a ratio, and a cluster's part in it is its
    sum less what its count would give at the mean (the linearisation of a ratio; Cochran 1977).

    Args:
        values: (n,) a difference a pair.
        clusters: (n,) what each belongs to.

    Raises:
        ValueError: fewer than two clusters, or lengths that differ.
    """
    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} values but {len(clusters)} clusters")
    place = {key: index for index, key in enumerate(sorted(set(clusters), key=str))}
    if len(place) < 2:
        raise ValueError(f"{len(place)} independent traces; how they vary is known from two on")
    where = [place[key] for key in clusters]
    sums = np.bincount(where, weights=np.asarray(values, dtype=np.float64), minlength=len(place))
    counts = np.bincount(where, minlength=len(place)).astype(np.float64)
    mean = float(sums.sum() / counts.sum())
    parts = (sums - mean * counts) / counts.mean()
    sd = float(np.sqrt((parts**2).sum() / (len(place) - 1)))
    low, high = _sd_interval(parts, sd)
    return Spread(len(place), mean, sd, low, high)


def _sd_interval(parts: np.ndarray, sd: float) -> tuple[float | None, float | None]:
    """Bonett's interval of a standard deviation."""
    from scipy import stats  # (takes longer to import than to use)

    count = len(parts)
    if count < FEWEST_FOR_INTERVAL or sd == 0:
        return None, None
    z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
    middle = float(stats.trim_mean(parts, 1 / (2 * math.sqrt(count - 4))))
    kurtosis = count * float(((parts - middle) ** 4).sum()) / float((parts**2).sum()) ** 2
    small = count / (count - z)
    error = small * math.sqrt(max(kurtosis - (count - 3) / count, 0.0) / (count - 1))
    low, high = (math.sqrt(small * math.exp(sign * z * error)) * sd for sign in (-1, 1))
    return low, high


def power_with(clusters: int, sd: float, difference: float, level: float = LEVEL) -> float:
    """The chance that a difference is shown.

    Args:
        clusters: how many independent traces, 2 or more.
        sd: of a cluster's part, over 0.
        difference: that is there.
        level: of the two-sided test.
    """
    from scipy import stats
    from scipy.special import ndtr

    shift = abs(difference) / sd * math.sqrt(clusters)
    bound = float(stats.t.isf(level / 2, clusters - 1))
    # given how large the sample's own deviation came out the rest is normal, so by shares of that one
    deviations = np.sqrt(stats.chi2.ppf(_SHARES, clusters - 1) / (clusters - 1))
    above, below = ndtr(shift - bound * deviations), ndtr(-shift - bound * deviations)
    return float((above + below).mean())


def needed_clusters(sd: float, difference: float, power: float = POWER, level: float = LEVEL) -> int | None:
    """The fewest independent traces that show a difference with this power; None for more than
    `MOST_CLUSTERS`.

    Raises:
        ValueError: a difference of 0, a standard deviation below 0, a power or level out of (0, 1).
    """
    from scipy import stats

    if not difference or sd < 0 or not 0 < level < 1 or not level < power < 1:
        raise ValueError(f"no number of traces shows {difference:g} at power {power:g} and level {level:g}")
    known = sd * float(stats.norm.isf(level / 2) + stats.norm.ppf(power)) / abs(difference)
    if known**2 > MOST_CLUSTERS:
        return None
    count = max(math.ceil(known**2), 2)  # were the deviation known; Student's t asks for two or three more

    def enough(clusters: int) -> bool:
        return sd == 0 or power_with(clusters, sd, difference, level) >= power

    while not enough(count):
        count += 1
    while count > 2 and enough(count - 1):
        count -= 1
    return count


def detectable(sd: float, clusters: int, power: float = POWER, level: float = LEVEL) -> float:
    """The smallest difference that so many independent traces show with this power."""
    if sd == 0:
        return 0.0
    low, high = 0.0, 1.0
    while power_with(clusters, 1.0, high, level) < power:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if power_with(clusters, 1.0, middle, level) >= power else (middle, high)
    return high * sd
