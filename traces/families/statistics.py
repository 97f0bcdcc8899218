"""What a set of traces is like: figures weighted by time, and the same for one trace."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from traces.families.measured import Range, Statistics
from traces.totals import running_total
from traces.trace import Trace

OUTAGE_MBPS = 0.3
"""Below this the lowest level of the usual ladder (300 kbps) can't be streamed."""
LAGS_S = (1, 5, 20)
SWING_S = 2.0
"""A rate that has changed twofold after this time has swung: half a chunk of the usual videos."""
MOST_STEPS = 1_000_000
"""Of the grid for the autocorrelation. A trace of microseconds with one gap of days has a coarser one: else
its grid would not fit into the memory."""

Floats = NDArray[np.float64]


def ranges(trace: Trace) -> dict[str, Range]:
    """The ranges of `delay_ms` and `loss_pct`, of those that the trace has."""
    held_s = np.diff(np.asarray(trace.time_s))
    return {
        name: Range(
            min(values[1:]), float(np.average(np.asarray(values[1:]), weights=held_s)), max(values[1:])
        )
        for name, values in (("delay_ms", trace.delay_ms), ("loss_pct", trace.loss_pct))
        if values is not None
    }


def weighted_quantile(values: Floats, weights: Floats, share: float) -> float:
    """The smallest value below or at which `share` of the weight lies.

    Args:
        values: (n,).
        weights: (n,), positive.
        share: 0 to 1.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    index = int(np.searchsorted(reached, share * reached[-1] * (1 - 1e-12)))
    return float(values[order][min(index, len(order) - 1)])


def resample(trace: Trace, step_s: float) -> Floats:
    """Mean rate in consecutive steps of `step_s`; an incomplete last step is dropped.

    Returns:
        (floor(duration / step_s),) Mbit/s.
    """
    count = math.floor(trace.duration_s / step_s + 1e-9)
    times = np.asarray(trace.time_s)
    carried = np.concatenate(([0.0], np.cumsum(np.asarray(trace.rate_mbps)[1:] * np.diff(times))))
    edges = np.minimum(np.arange(count + 1) * step_s, times[-1])
    return np.maximum(np.diff(np.interp(edges, times, carried)) / step_s, 0.0)


def median_step_s(trace: Trace) -> float:
    """The usual distance between the trace's times."""
    return float(np.median(np.diff(np.asarray(trace.time_s))))


def autocorrelation(rates: Floats, lag: int) -> float | None:
    """Mean product of pairs `lag` apart, about the sample's mean, over the variance; None if undefined.

    Args:
        rates: (n,) on an even grid; NaN where unknown.
        lag: in steps of the grid.
    """
    known = ~np.isnan(rates)
    if not 0 < lag < len(rates) or not known.any():
        return None
    centred = np.where(known, rates - rates[known].mean(), 0.0)
    variance = float(centred @ centred) / int(known.sum())
    pairs = int((known[:-lag] & known[lag:]).sum())
    if pairs == 0 or variance <= 1e-12:
        return None
    return float(centred[:-lag] @ centred[lag:]) / pairs / variance


def join(parts: Sequence[Floats], gap: int) -> Floats:
    """One array of several, with `gap` unknown steps (NaN) between."""
    joined: list[Floats] = []
    for part in parts:
        joined += [part, np.full(gap, np.nan)]
    return np.concatenate(joined[:-1])


def outage_lengths_s(trace: Trace, below_mbps: float = OUTAGE_MBPS) -> list[float]:
    """Length of every stretch below `below_mbps`."""
    lengths: list[float] = []
    dark = 0.0
    for index in range(1, len(trace.time_s)):
        if trace.rate_mbps[index] < below_mbps:
            dark += trace.time_s[index] - trace.time_s[index - 1]
        elif dark:
            lengths.append(dark)
            dark = 0.0
    return [*lengths, dark] if dark else lengths


def swing_share(rates: Floats, step_s: float) -> float | None:
    """Share of the moments to which the rate `SWING_S` later is at least double or half, both counted as
    `OUTAGE_MBPS` at least; None where steps are longer than that, or there are too few.

    Args:
        rates: (n,) on a grid of `step_s`.
    """
    lag = max(round(SWING_S / step_s), 1)
    if 0.75 * step_s > SWING_S or len(rates) <= lag:
        return None
    logarithm = np.log2(np.maximum(rates, OUTAGE_MBPS))
    return float((np.abs(logarithm[lag:] - logarithm[:-lag]) >= 1.0).mean())


def _mean_swing_share(traces: Sequence[Trace], step_s: float | None) -> float | None:
    values, weights = [], []
    for trace in traces:
        step = max(step_s or median_step_s(trace), trace.duration_s / MOST_STEPS)
        value = swing_share(resample(trace, step), step)
        if value is not None:
            values.append(value)
            weights.append(trace.duration_s)
    return float(np.average(values, weights=weights)) if values else None


def _mean_autocorrelation(
    groups: Sequence[Sequence[Trace]], lag_s: float, step_s: float | None
) -> float | None:
    values, weights = [], []
    for group in groups:
        longest_s = max(trace.duration_s for trace in group)
        step = max(step_s or median_step_s(group[0]), longest_s / MOST_STEPS)
        if lag_s < 0.75 * step:
            continue
        lag = max(round(lag_s / step), 1)
        value = autocorrelation(join([resample(trace, step) for trace in group], lag), lag)
        if value is not None:
            values.append(value)
            weights.append(running_total(trace.duration_s for trace in group))
    return float(np.average(values, weights=weights)) if values else None


def summarise(
    traces: Sequence[Trace], step_s: float | None = None, origins: Sequence[str] | None = None
) -> Statistics:
    """The statistics of a set.

    Args:
        traces: one or more.
        step_s: grid for the autocorrelation; each trace's median step when None.
        origins: for blocks of logs: the log of each. Blocks of a log share its mean.

    Raises:
        ValueError: no traces.
    """
    if not traces:
        raise ValueError("no traces to summarise")
    rates = np.concatenate([np.asarray(trace.rate_mbps)[1:] for trace in traces])
    held_s = np.concatenate([np.diff(np.asarray(trace.time_s)) for trace in traces])
    mean = float(np.average(rates, weights=held_s))
    groups: dict[str, list[Trace]] = {}
    for number, trace in enumerate(traces):
        groups.setdefault(origins[number] if origins else str(number), []).append(trace)
    means = np.asarray([_mean_mbps(group) for group in groups.values()])
    outages = np.asarray([length for trace in traces for length in outage_lengths_s(trace)])
    lags = [_mean_autocorrelation(list(groups.values()), lag_s, step_s) for lag_s in LAGS_S]
    p5, p50, p95 = (weighted_quantile(rates, held_s, share) for share in (0.05, 0.5, 0.95))
    return Statistics(
        traces=len(groups),
        duration_s=float(held_s.sum()),
        mean_mbps=mean,
        deviation_mbps=math.sqrt(float(np.average((rates - mean) ** 2, weights=held_s))),
        min_mbps=float(rates.min()),
        p5_mbps=p5,
        p50_mbps=p50,
        p95_mbps=p95,
        max_mbps=float(rates.max()),
        share_below_0_3=float(held_s[rates < OUTAGE_MBPS].sum() / held_s.sum()),
        deviation_of_means_mbps=float(means.std()),
        autocorrelation_1s=lags[0],
        autocorrelation_5s=lags[1],
        autocorrelation_20s=lags[2],
        outages=len(outages),
        outage_mean_s=float(outages.mean()) if len(outages) else None,
        outage_p95_s=float(np.quantile(outages, 0.95)) if len(outages) else None,
        outage_max_s=float(outages.max()) if len(outages) else None,
        swings_2s=_mean_swing_share(traces, step_s),
    )


def _mean_mbps(traces: Sequence[Trace]) -> float:
    """Of traces together, by their lengths."""
    carried = running_total(trace.mean_mbps * trace.duration_s for trace in traces)
    return carried / running_total(trace.duration_s for trace in traces)
