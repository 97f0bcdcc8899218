"""What is done to a trace before it is learned from: varied, brought to a ladder, and made worse than it was.

What the measured traces hold little of is put in: outages, rates that alternate within seconds, links as slow
as the lowest level, and steady fast ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from player.simulated.batch.library import Floats
from policies.hindsight.data import FLOOR_MBPS, JITTER, RESCALED_MBPS, REVERSED_SHARE, TraceSource
from traces.trace import Trace

LONGEST_S = 900.0
"""Of a drawn trace: a cut of a longer one, anywhere in it."""
RELATIVE_MEAN = (0.1, 2.5)
"""Mean of a trace for a drawn ladder, of its top."""
SLOW_MEAN = (0.3, 2.0)
"""Mean of a slow link, of the lowest level."""
STEADY_MEAN = (0.7, 2.5)
"""Mean of a steady link, of the top."""
STEADY_DEVIATION = 0.06
OUTAGE_S = (2.0, 40.0)
MORE_OUTAGES = 1.0
"""Besides the first, in the mean."""
DARK = 0.05
"""An outage leaves at most this share of the mean."""
BURST_S = (1.0, 5.0)
BURST_LOW = (0.1, 0.7)
"""Factor in the low half of a burst; in the high half the rest of 2."""


@dataclass(frozen=True)
class Shares:
    """Of the drawn traces, how many are reshaped how; the rest stays as it was measured."""

    outages: float
    bursts: float
    slow: float
    steady: float


MEASURED = Shares(outages=0.04, bursts=0.04, slow=0.02, steady=0.03)
"""For the published ladder: mostly what has been measured."""
DRAWN = Shares(outages=0.12, bursts=0.10, slow=0.07, steady=0.06)
"""For drawn ladders."""


def drawn_trace(
    source: TraceSource, shares: Shares, ladder_kbps: tuple[int, ...], fit: bool, random: np.random.Generator
) -> Trace:
    """One of a source's training traces, varied.

    Args:
        ladder_kbps: what it will be streamed with.
        fit: bring its mean to the ladder, within RELATIVE_MEAN of the top.
    """
    trace = source.training[random.integers(len(source.training))]
    times, rates = _cut(np.array(trace.time_s), np.array(trace.rate_mbps), random)
    if random.random() < REVERSED_SHARE:
        times, rates = times[-1] - times[::-1], np.concatenate((rates[:1], rates[:0:-1]))
    factor = np.exp(JITTER * random.standard_normal())
    mean = max(float(np.average(rates[1:], weights=np.diff(times))), FLOOR_MBPS)
    low, top = ladder_kbps[0] / 1000.0, ladder_kbps[-1] / 1000.0
    if fit:
        factor = log_uniform(RELATIVE_MEAN, random) * top / mean
    elif source.rescaled:
        factor *= log_uniform(RESCALED_MBPS, random) / mean
    rates = rates * factor
    dice = random.random()
    if dice < shares.outages:
        times, rates = with_outages(*_by_the_second(times, rates), random)
    elif (dice := dice - shares.outages) < shares.bursts:
        times, rates = with_bursts(*_by_the_second(times, rates), random)
    elif (dice := dice - shares.bursts) < shares.slow:
        rates = rates * (log_uniform(SLOW_MEAN, random) * low / (mean * factor))
    elif dice - shares.slow < shares.steady:
        noise = np.exp(STEADY_DEVIATION * random.standard_normal(len(rates)))
        rates = log_uniform(STEADY_MEAN, random) * top * noise
    rates = np.maximum(rates, FLOOR_MBPS)
    return Trace(trace.name, tuple(times.tolist()), tuple(rates.tolist()))


def log_uniform(bounds: tuple[float, float], random: np.random.Generator) -> float:
    """Between two numbers, even in the logarithm."""
    return float(np.exp(random.uniform(*np.log(bounds))))


def with_outages(times: Floats, rates: Floats, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Steps of a second with one or more dark stretches."""
    rates, mean = rates.copy(), rates[1:].mean()
    for _ in range(1 + random.poisson(MORE_OUTAGES)):
        begin = int(random.integers(1, len(rates)))
        rates[begin : begin + round(log_uniform(OUTAGE_S, random))] = random.uniform(0.0, DARK) * mean
    return times, rates


def with_bursts(times: Floats, rates: Floats, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Steps of a second, low and high by turns for some seconds each."""
    low, at, high = log_uniform(BURST_LOW, random), 1, bool(random.integers(2))
    factors = np.ones(len(rates))
    while at < len(rates):
        span = round(random.uniform(*BURST_S))
        factors[at : at + span] = 2.0 - low if high else low
        at, high = at + span, not high
    return times, rates * factors


def _cut(times: Floats, rates: Floats, random: np.random.Generator) -> tuple[Floats, Floats]:
    if times[-1] <= LONGEST_S:
        return times, rates
    first = int(np.searchsorted(times, random.uniform(0.0, times[-1] - LONGEST_S)))
    last = int(np.searchsorted(times, times[first] + LONGEST_S))
    part = slice(first, max(last, first + 2))
    return times[part] - times[first], rates[part]


def _by_the_second(times: Floats, rates: Floats) -> tuple[Floats, Floats]:
    """The same in steps of a second; what is finer is left out."""
    ends = np.arange(1.0, max(times[-1], 2.0))
    places = np.minimum(np.searchsorted(times, ends), len(times) - 1)
    return np.concatenate(([0.0], ends)), np.concatenate((rates[:1], rates[np.maximum(places, 1)]))
