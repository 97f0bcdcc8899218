"""Stall ratio, bitrate and QoE of unpaired sessions, with intervals as Puffer publishes them.

Stall ratio is all that was stalled over all that was watched, its interval by a bootstrap over sessions;
bitrate is weighted by what was watched, its interval by the weighted standard error (Yan et al.,
"Learning in situ: a randomized experiment in video streaming", NSDI 2020). Both are of sessions within
blocks of time: where a policy has more sessions of a block than another, its sessions there weigh less,
so that each block weighs the same for all (the combined ratio estimator: Cochran, "Sampling Techniques",
1977, section 6.11). Within a block of n sessions n - 1 are drawn and weigh n / (n - 1), for with few of
them the plain bootstrap is too narrow (Rao, Wu, "Resampling inference with complex survey data", JASA 83,
1988).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.bootstrap import CONFIDENCE, RESAMPLES, SEED, Interval
from analysis.streams import Stream, TimeBlock

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Weighed:
    """A mean of sessions, each with its weight, and what it takes for an interval."""

    mean: float
    standard_error: float
    degrees: float
    """Of freedom: sessions less blocks."""

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """The mean and Student's t times its standard error on both sides."""
        from scipy.special import stdtrit  # (takes longer to import than to use)

        reach = float(stdtrit(self.degrees, 0.5 + confidence / 2)) * self.standard_error
        return Interval(self.mean, self.mean - reach, self.mean + reach, round(self.degrees))

    def minus(self, other: Weighed) -> Weighed:
        """The difference of two that share no session; degrees of freedom by Welch and Satterthwaite."""
        mine, others = self.standard_error**2, other.standard_error**2
        spread = mine**2 / self.degrees + others**2 / other.degrees
        degrees = (mine + others) ** 2 / spread if spread else float(self.degrees + other.degrees)
        return Weighed(self.mean - other.mean, (mine + others) ** 0.5, degrees)


def block_weights(blocks: Sequence[TimeBlock], policy: str) -> list[float]:
    """What a session of a policy weighs in each block: the mean count of all policies over its own."""
    return [
        sum(map(len, block.streams.values())) / len(block.streams) / len(block.streams[policy])
        for block in blocks
    ]


def stall_ratio(blocks: Sequence[TimeBlock], policy: str) -> float:
    """All stalled over all watched, blocks weighing the same for all policies."""
    weights = block_weights(blocks, policy)
    sums = [_sums(block.streams[policy]) for block in blocks]
    stalled_s = sum(weight * stall_s for weight, (stall_s, _) in zip(weights, sums, strict=True))
    watched_s = sum(weight * watch_s for weight, (_, watch_s) in zip(weights, sums, strict=True))
    return stalled_s / watched_s


def _sums(streams: Sequence[Stream]) -> tuple[float, float]:
    return sum(one.stall_s for one in streams), sum(one.watched_s for one in streams)


def resampled_stall_ratios(
    blocks: Sequence[TimeBlock], policy: str, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Numbers:
    """(resamples,) stall ratios of sessions drawn within their blocks."""
    random = np.random.default_rng([seed, *policy.encode()])
    stalled, watched = np.zeros(resamples), np.zeros(resamples)
    for block, weight in zip(blocks, block_weights(blocks, policy), strict=True):
        mine = block.streams[policy]
        count = len(mine)
        drawn = random.multinomial(count - 1, [1 / count] * count, size=resamples) * (count / (count - 1))
        stalled += weight * (drawn @ np.array([one.stall_s for one in mine]))
        watched += weight * (drawn @ np.array([one.watched_s for one in mine]))
    return stalled / watched


def percentiles(mean: float, drawn: Numbers, sessions: int, confidence: float = CONFIDENCE) -> Interval:
    """A value and the percentiles of what was drawn."""
    low, high = np.quantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(mean, float(low), float(high), sessions)


def weighed(
    blocks: Sequence[TimeBlock],
    policy: str,
    value: Callable[[Stream], float],
    weight: Callable[[Stream], float],
) -> Weighed:
    """The weighted mean of a session's figure with its standard error, by linearisation within blocks."""
    factors = block_weights(blocks, policy)
    parts = [
        (
            np.array([value(one) for one in block.streams[policy]]),
            factor * np.array([weight(one) for one in block.streams[policy]]),
        )
        for block, factor in zip(blocks, factors, strict=True)
    ]
    whole = sum(float(weights.sum()) for _, weights in parts)
    mean = sum(float(values @ weights) for values, weights in parts) / whole
    variance, degrees = 0.0, 0
    for values, weights in parts:
        shares = weights * (values - mean) / whole
        variance += len(shares) * float(shares.var(ddof=1))
        degrees += len(shares) - 1
    return Weighed(mean, variance**0.5, degrees)
