"""Fit a family's model to measured logs, and judge it on logs left out.

1. Logs are averaged to an even grid; those under the least mean are left out (`logs.py`).
2. Logs are grouped into classes: Ward's clustering of the quantiles of their log rates (the distance of two
   logs is then about the Wasserstein distance of their distributions of log rate).
3. In a class, rates outside outages become normal scores. Their covariance over lags, pooled about the
   class's mean, is fitted by a constant (offset) + two decays (level, wander) + a spike (noise).
4. Outage hazards, lengths and rates are counted.
5. The class is simulated, and its rate table and hazards are corrected until the simulated
   distribution is the measured one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from traces.families.generator import member, r2_point, walk
from traces.families.logs import cut, is_block, origin, prepare
from traces.families.model import (
    DEFAULT_LENGTH_S,
    DEFAULT_MIN_MEAN_MBPS,
    HAZARD_EDGES,
    JUDGED_MEMBERS,
    OFFSET_SHARES,
    OUTAGE_SHARES,
    SCORE_GRID,
    FamilyModel,
    LinkClass,
)
from traces.families.statistics import OUTAGE_MBPS, Statistics, autocorrelation, join, summarise
from traces.prng import SplitMix64
from traces.totals import running_total
from traces.trace import Trace, TraceError

Floats = NDArray[np.float64]

_MAX_LAG_STEPS = 60
_SHAPE_SHARES = np.linspace(0.05, 0.95, 19)
_WANDER_STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 15.0)
"""Time constants tried for the wander, in steps."""
_LEVEL_STEPS = (10.0, 14.0, 20.0, 30.0, 40.0, 60.0, 90.0)
"""Mean hold times tried for the level, in steps."""
_SIMULATED_STEPS = 40_000
_LEAST_SIMULATED_LINKS = 40
_CORRECTIONS = 6
_LAST_SIMULATED_STEPS = 200_000
"""The last correction of the rate table is made on more steps than those before."""


def _joined(logs: Sequence[Trace]) -> list[Floats]:
    """Per log its rates; blocks of one log in one array, unknown steps (NaN) between them."""
    parts: dict[str, list[Floats]] = {}
    for log in logs:
        parts.setdefault(origin(log), []).append(np.asarray(log.rate_mbps[1:]))
    return [join(blocks, _MAX_LAG_STEPS) for blocks in parts.values()]


def group(logs: Sequence[Trace], classes: int) -> list[list[Trace]]:
    """The logs in at most `classes` groups by Ward's criterion, in the order of their mean rates."""
    centres = [
        np.quantile(np.log10(np.maximum(np.asarray(log.rate_mbps[1:]), OUTAGE_MBPS)), _SHAPE_SHARES)
        for log in logs
    ]
    groups = [[index] for index in range(len(logs))]
    while len(groups) > max(classes, 1):
        first, second = _nearest(np.stack(centres), np.asarray([len(part) for part in groups]))
        share = len(groups[second]) / (len(groups[first]) + len(groups[second]))
        centres[first] = centres[first] + share * (centres.pop(second) - centres[first])
        groups[first] += groups.pop(second)
    parts = [[logs[index] for index in sorted(indices)] for indices in groups]
    return sorted(parts, key=_mean_rate)


def _check_service(logs: Sequence[Trace]) -> None:
    """A class needs rates outside outages to be fitted to.

    Raises:
        TraceError: it has none.
    """
    if not any(rate >= OUTAGE_MBPS for log in logs for rate in log.rate_mbps[1:]):
        raise TraceError(
            f"{logs[0].name}{f' and {len(logs) - 1} like it' if len(logs) > 1 else ''}: never reaches "
            f"{OUTAGE_MBPS} Mbit/s; leave such logs out (--min-mean-mbps, --exclude) or set fewer --classes"
        )


def _nearest(centres: Floats, sizes: NDArray[np.int_]) -> tuple[int, int]:
    """The two groups, in rising order, that Ward's criterion joins at the least cost.

    Args:
        centres: (groups, shares).
        sizes: (groups,).
    """
    squares = ((centres[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)  # (groups, groups)
    costs = squares * np.outer(sizes, sizes) / np.add.outer(sizes, sizes)
    costs[np.tril_indices(len(sizes))] = np.inf
    first, second = np.unravel_index(int(np.argmin(costs)), costs.shape)
    return int(first), int(second)


def _mean_rate(logs: Sequence[Trace]) -> float:
    return running_total(log.mean_mbps * log.duration_s for log in logs) / running_total(
        log.duration_s for log in logs
    )


def normal_scores(values: Floats) -> Floats:
    """(n,) normal quantiles of the ranks; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shares = (last - counts / 2) / len(values)
    normal = NormalDist()
    return np.asarray([normal.inv_cdf(float(share)) for share in shares])[inverse]


def _class_scores(rates: Sequence[Floats]) -> list[Floats]:
    """Per log the score of every step, NaN in outages and where unknown."""
    joined = np.concatenate(rates)
    up = joined >= OUTAGE_MBPS  # False where unknown
    scores = np.full(len(joined), np.nan)
    scores[up] = normal_scores(joined[up])
    return np.split(scores, np.cumsum([len(part) for part in rates])[:-1])


def covariances(scores: Sequence[Floats], lags: int) -> tuple[Floats, Floats]:
    """Covariance about 0 at lags 0..`lags`, pooled over the logs, and the number of pairs: (lags+1,) each."""
    sums, pairs = np.zeros(lags + 1), np.zeros(lags + 1)
    for part in scores:
        for lag in range(min(lags, len(part) - 1) + 1):
            products = part[: len(part) - lag] * part[lag:]
            known = products[~np.isnan(products)]
            sums[lag] += known.sum()
            pairs[lag] += len(known)
    return np.divide(sums, pairs, out=np.zeros(lags + 1), where=pairs > 0), pairs


@dataclass(frozen=True)
class Memory:
    """How a score's variance divides: constant, level, wander, noise."""

    offset: float
    level: float
    level_hold_steps: float
    wander: float
    wander_correlation: float
    noise: float


def fit_memory(wanted: Floats, pairs: Floats, offset: float) -> Memory:
    """The mixture with this variance of the offset whose covariance is nearest to the wanted one.

    Args:
        wanted: (lags+1,) covariance at lags 0, 1, ...
        pairs: (lags+1,) on how many pairs each rests; more count more, and so do short lags.
    """
    lags = np.arange(len(wanted))
    weights = np.sqrt(pairs / max(pairs.max(), 1.0)) / (1.0 + lags / 10.0)
    best: tuple[float, Memory] | None = None
    for wander_steps, level_steps in itertools.product(_WANDER_STEPS, _LEVEL_STEPS):
        if level_steps < 2 * wander_steps:
            continue
        keep, hold = math.exp(-1.0 / wander_steps), 1.0 - 1.0 / level_steps
        basis = np.stack([hold**lags, keep**lags, (lags == 0).astype(float)], axis=1)
        shares, error = _nonnegative(basis * weights[:, None], (wanted - offset) * weights)
        if best is None or error < best[0]:
            best = (
                error,
                Memory(offset, float(shares[0]), level_steps, float(shares[1]), keep, float(shares[2])),
            )
    assert best is not None
    return best[1]


def _nonnegative(basis: Floats, target: Floats) -> tuple[Floats, float]:
    """Least squares with no negative coefficient, by trying every subset of the (few) columns."""
    columns = basis.shape[1]
    best, best_error = np.zeros(columns), float(target @ target)
    for size in range(1, columns + 1):
        for chosen in itertools.combinations(range(columns), size):
            solution = np.linalg.lstsq(basis[:, chosen], target, rcond=None)[0]
            if (solution < 0).any():
                continue
            error = float(np.sum((basis[:, chosen] @ solution - target) ** 2))
            if error < best_error:
                best, best_error = np.zeros(columns), error
                best[list(chosen)] = solution
    return best, best_error


@dataclass(frozen=True)
class Outages:
    """What was counted of a class's outages."""

    hazard: Floats  # (bands,)
    steps: tuple[float, ...]
    rate_mbps: tuple[float, ...]
    share: float
    long_steps: int | None
    long_mbps: tuple[float, ...]


def count_outages(
    rates: Sequence[Floats], scores: Sequence[Floats], long_steps: int | None = None
) -> Outages:
    """Hazard by the score before, quantiles of lengths and rates, share of the time.

    Args:
        long_steps: outages that are as long have quantiles of rates of their own, where there are any.
    """
    bands = len(HAZARD_EDGES) + 1
    begun, steps_up = np.zeros(bands), np.zeros(bands)
    runs: list[Floats] = []
    for log, part in zip(rates, scores, strict=True):
        dark = log < OUTAGE_MBPS  # False where unknown
        for before, is_dark, unknown in zip(part[:-1], dark[1:], np.isnan(log[1:]), strict=True):
            if not (np.isnan(before) or unknown):
                band = int(np.searchsorted(HAZARD_EDGES, before, side="right"))
                steps_up[band] += 1
                begun[band] += is_dark
        runs += [run for run in np.split(log, np.flatnonzero(np.diff(dark)) + 1) if run[0] < OUTAGE_MBPS]
    lengths = [len(run) for run in runs]
    long = [run for run in runs if long_steps is not None and len(run) >= long_steps]
    short = [run for run in runs if not long or len(run) < (long_steps or 0)]
    return Outages(
        hazard=np.divide(begun, steps_up, out=np.zeros(bands), where=steps_up > 0),
        steps=tuple(round(float(q), 2) for q in np.quantile(lengths or [1], OUTAGE_SHARES)),
        rate_mbps=_outage_rates(short),
        share=sum(lengths) / int((~np.isnan(np.concatenate(rates))).sum()),
        long_steps=long_steps if long else None,
        long_mbps=_outage_rates(long) if long else (),
    )


def _outage_rates(runs: Sequence[Floats]) -> tuple[float, ...]:
    """Quantiles of the rate within outages at `OUTAGE_SHARES`."""
    low = np.concatenate(runs) if runs else np.zeros(1)
    return tuple(round(float(rate), 3) for rate in np.quantile(low, OUTAGE_SHARES))


def _significant(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")


def fit_class(logs: Sequence[Trace], weight: float, long_steps: int | None = None) -> LinkClass:
    """The class that behaves like these logs (all on one grid, with a step outside outages).

    Args:
        long_steps: as in `count_outages`.
    """
    rates = _joined(logs)
    scores = _class_scores(rates)
    wanted, pairs = covariances(scores, _MAX_LAG_STEPS)
    outages = count_outages(rates, scores, long_steps)
    joined = np.concatenate(rates)
    up = np.sort(joined[joined >= OUTAGE_MBPS])
    normal = NormalDist()
    table = _table(up, [normal.cdf(score) for score in SCORE_GRID])
    offset = measured_spread = _spread(scores)
    part = _assemble(weight, fit_memory(wanted, pairs, offset), table, outages)
    steps = round(float(np.median([len(log) for log in rates])))
    goal = _rate_memory(rates)
    for _ in range(_CORRECTIONS):
        links = _simulate(part, steps)
        part = _corrected(part, links, up, outages)
        wanted[1:] += goal - _rate_memory([link.rate_mbps for link in links])
        offset = min(
            max(offset + measured_spread - _spread([link.up_scores for link in links]), 0.0), 0.9 * wanted[0]
        )
        memory = fit_memory(np.clip(wanted, -1.0, wanted[0]), pairs, offset)
        part = replace(_assemble(weight, memory, part.rate_mbps, outages), outage_hazard=part.outage_hazard)
    return _corrected(part, _simulate(part, steps, _LAST_SIMULATED_STEPS), up, outages)


def _spread(scores: Sequence[Floats]) -> float:
    """Variance about 0 of the links' mean scores, weighted by their lengths."""
    known = [part[~np.isnan(part)] for part in scores]
    means = [(float(part.mean()) ** 2, len(part)) for part in known if len(part)]
    return running_total(square * size for square, size in means) / sum(size for _, size in means)


def _assemble(weight: float, memory: Memory, table: tuple[float, ...], outages: Outages) -> LinkClass:
    return LinkClass(
        weight=round(weight, 4),
        offset=_offset_quantiles(memory.offset),
        level_sd=round(math.sqrt(memory.level), 4),
        level_hold_steps=memory.level_hold_steps,
        wander_sd=round(math.sqrt(memory.wander), 4),
        wander_correlation=round(memory.wander_correlation, 4),
        noise_sd=round(math.sqrt(memory.noise), 4),
        rate_mbps=table,
        outage_hazard=tuple(round(float(hazard), 5) for hazard in outages.hazard),
        outage_steps=outages.steps,
        outage_mbps=outages.rate_mbps,
        long_outage_steps=outages.long_steps,
        long_outage_mbps=outages.long_mbps,
    )


def _rate_memory(rates: Sequence[Floats]) -> Floats:
    """(lags,) mean autocorrelation of the rates at lags 1, 2, ..., each log about its mean; 0 if unknown."""
    means = np.zeros(_MAX_LAG_STEPS)
    for lag in range(1, _MAX_LAG_STEPS + 1):
        known = [(value, len(log)) for log in rates if (value := autocorrelation(log, lag)) is not None]
        if known:
            means[lag - 1] = np.average([value for value, _ in known], weights=[size for _, size in known])
    return means


@dataclass(frozen=True)
class SimulatedLink:
    """A link of a class, simulated while fitting."""

    rate_mbps: Floats  # (steps,)
    up_scores: Floats
    dark_steps: int


def _simulate(part: LinkClass, steps: int, total_steps: int = _SIMULATED_STEPS) -> list[SimulatedLink]:
    links = []
    for number in range(max(total_steps // steps, _LEAST_SIMULATED_LINKS)):
        offset = float(np.interp(r2_point(number)[1], OFFSET_SHARES, part.offset))
        walked = list(itertools.islice(walk(part, offset, SplitMix64(f"fit/{number}")), steps))
        links.append(
            SimulatedLink(
                np.asarray([rate for _, rate, _ in walked]),
                np.asarray([score for score, _, dark in walked if not dark]),
                sum(dark for _, _, dark in walked),
            )
        )
    return links


def _offset_quantiles(variance: float) -> tuple[float, ...]:
    """Quantiles of N(0, variance), the ends at the means of the outer sixteenths."""
    normal, spread = NormalDist(), math.sqrt(variance)
    shares = [min(max(share, 1 / 32), 31 / 32) for share in OFFSET_SHARES]
    return tuple(round(spread * normal.inv_cdf(share), 4) + 0.0 for share in shares)


def _table(up: Floats, shares: Sequence[float]) -> tuple[float, ...]:
    """Rates at the shares of the sorted rates `up`."""
    return tuple(_significant(float(np.quantile(up, share))) for share in shares)


def _corrected(part: LinkClass, links: Sequence[SimulatedLink], up: Floats, outages: Outages) -> LinkClass:
    """The class with its table read at the simulated scores' shares, and hazards scaled to the share dark."""
    ordered = np.sort(np.concatenate([link.up_scores for link in links]))
    shares = [float(np.searchsorted(ordered, score)) / len(ordered) for score in SCORE_GRID]
    simulated = sum(link.dark_steps for link in links) / sum(len(link.rate_mbps) for link in links)
    factor = 1.0
    if simulated > 0 and outages.share > 0:
        factor = (outages.share / (1 - outages.share)) / (simulated / (1 - simulated))
    return replace(
        part,
        rate_mbps=_table(up, shares),
        outage_hazard=tuple(round(min(hazard * factor, 1.0), 5) for hazard in part.outage_hazard),
    )


def piece_length_s(logs: Sequence[Trace], length_s: float) -> float:
    """To what length logs and members are cut before they are compared: the logs' median or a member's."""
    lengths_s = [len(rates) * logs[0].time_s[1] for rates in _joined(logs)]
    return min(float(np.median(lengths_s)), length_s)


def measured(logs: Sequence[Trace], piece_s: float) -> Statistics:
    """Statistics of logs on a grid, whole ones cut to pieces of `piece_s`."""
    pieces, origins = [], []
    for log in logs:
        parts = [log] if is_block(log) else cut(log, piece_s)
        pieces += parts
        origins += [origin(part) for part in parts]
    return summarise(pieces, logs[0].time_s[1], origins)


def generated(model: FamilyModel, piece_s: float, members: int = JUDGED_MEMBERS) -> Statistics:
    """Statistics of the first members, cut to pieces of `piece_s`."""
    return measured([member(model, index) for index in range(members)], piece_s)


def fit(
    logs: Sequence[Trace],
    family: str,
    *,
    about: str = "",
    classes: int = 3,
    step_s: float = 1.0,
    length_s: float = DEFAULT_LENGTH_S,
    min_mean_mbps: float = DEFAULT_MIN_MEAN_MBPS,
    max_mean_mbps: float | None = None,
    long_outage_s: float | None = None,
) -> FamilyModel:
    """The model of a family.

    Args:
        logs: measured traces, in any steps.
        classes: at most so many kinds of link are told apart.
        long_outage_s: outages that are as long get rates of their own; None: all are alike.

    Raises:
        TraceError: no log is left to fit, or a class of logs never leaves its outage.
    """
    blocks = any(is_block(log) for log in logs)
    kept = list(logs) if blocks else prepare(logs, step_s, min_mean_mbps, max_mean_mbps)
    groups = group(kept, classes)
    for part in groups:
        _check_service(part)
    total = running_total(log.duration_s for log in kept)
    piece_s = piece_length_s(kept, length_s)
    long_steps = None if long_outage_s is None else max(round(long_outage_s / step_s), 1)
    return FamilyModel(
        family=family,
        about=about,
        step_s=step_s,
        length_s=length_s,
        min_mean_mbps=min_mean_mbps,
        max_mean_mbps=max_mean_mbps,
        classes=tuple(
            fit_class(part, running_total(log.duration_s for log in part) / total, long_steps)
            for part in groups
        ),
        piece_s=piece_s,
        fitted=measured(kept, piece_s),
        fitted_logs=len(kept),
    )
