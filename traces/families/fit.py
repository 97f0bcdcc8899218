"""Fit a family's model to measured logs, and judge it on logs left out.

1. Logs are averaged to an even grid; those under the least mean are left out.
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
from traces.families.statistics import OUTAGE_MBPS, Statistics, autocorrelation, join, resample, summarise
from traces.prng import SplitMix64
from traces.totals import running_total
from traces.trace import Trace, TraceError

Floats = NDArray[np.float64]

_MAX_LAG_STEPS = 60
_BLOCK_MARK = " from "
_PIECE_MARK = " at "
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


@dataclass(frozen=True)
class Split:
    """Logs to fit, and logs to judge by."""

    fitted: tuple[Trace, ...]
    held_out: tuple[Trace, ...]


def split(logs: Sequence[Trace], every: int, block_s: float | None = None) -> Split:
    """Hold out every `every`-th log, in the order given.

    In name order the places and vehicles of a set, which its names carry, then fall into both parts alike.

    Args:
        logs: on an even grid.
        every: 2 or more.
        block_s: for sets of few logs: cut the logs into blocks of this length first, and hold out every
            `every`-th block.
    """
    parts = [block for log in logs for block in cut(log, block_s, _BLOCK_MARK)] if block_s else list(logs)
    held_out = tuple(parts[every - 1 :: every])
    return Split(tuple(part for number, part in enumerate(parts) if (number + 1) % every), held_out)


def on_grid(log: Trace, step_s: float) -> Trace:
    """The log's rates averaged to even steps; an incomplete last one is dropped. A model is of rates alone.

    Raises:
        TraceError: the log has no complete step, or only dark ones.
    """
    rates = [round(float(rate), 6) for rate in resample(log, step_s)]
    if not rates:
        raise TraceError(f"{log.name}: {log.duration_s} s; shorter than one step of {step_s} s")
    times = tuple(index * step_s for index in range(len(rates) + 1))
    return Trace(log.name, times, (rates[0], *rates), log.family)


def cut(log: Trace, piece_s: float, mark: str = _PIECE_MARK) -> list[Trace]:
    """Pieces of `piece_s` of a log on an even grid; a rest under half a piece joins the last one.

    Pieces that are dark throughout are dropped. A piece is named after the log, `mark` and its start.
    """
    step_s = log.time_s[1]
    per_piece = max(round(piece_s / step_s), 1)
    rates = log.rate_mbps[1:]
    count = max(math.floor(len(rates) / per_piece + 0.5), 1)
    pieces = []
    for number in range(count):
        end = len(rates) if number == count - 1 else (number + 1) * per_piece
        part = rates[number * per_piece : end]
        if any(part):
            times = tuple(index * step_s for index in range(len(part) + 1))
            name = f"{log.name}{mark}{number * per_piece * step_s:g} s"
            pieces.append(Trace(name, times, (part[0], *part), log.family))
    return pieces


def origin(log: Trace) -> str:
    """The name of the log that a block is from; a whole log's own name."""
    return log.name.partition(_BLOCK_MARK)[0]


def _joined(logs: Sequence[Trace]) -> list[Floats]:
    """Per log its rates; blocks of one log in one array, unknown steps (NaN) between them."""
    parts: dict[str, list[Floats]] = {}
    for log in logs:
        parts.setdefault(origin(log), []).append(np.asarray(log.rate_mbps[1:]))
    return [join(blocks, _MAX_LAG_STEPS) for blocks in parts.values()]


def prepare(
    logs: Sequence[Trace], step_s: float, min_mean_mbps: float, max_mean_mbps: float | None = None
) -> list[Trace]:
    """The logs that can be fitted, on the grid.

    Raises:
        TraceError: none is left.
    """
    kept = [
        on_grid(log, step_s) for log in logs if min_mean_mbps <= log.mean_mbps <= (max_mean_mbps or math.inf)
    ]
    if not kept:
        raise TraceError(
            f"none of {len(logs)} logs has a mean from {min_mean_mbps} to {max_mean_mbps} Mbit/s; "
            "widen these bounds"
        )
    return kept


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


def count_outages(rates: Sequence[Floats], scores: Sequence[Floats]) -> Outages:
    """Hazard by the score before, quantiles of lengths and rates, share of the time."""
    bands = len(HAZARD_EDGES) + 1
    begun, steps_up = np.zeros(bands), np.zeros(bands)
    lengths: list[int] = []
    for log, part in zip(rates, scores, strict=True):
        dark = log < OUTAGE_MBPS  # False where unknown
        for before, is_dark, unknown in zip(part[:-1], dark[1:], np.isnan(log[1:]), strict=True):
            if not (np.isnan(before) or unknown):
                band = int(np.searchsorted(HAZARD_EDGES, before, side="right"))
                steps_up[band] += 1
                begun[band] += is_dark
        lengths += [len(list(run)) for is_dark, run in itertools.groupby(dark) if is_dark]
    joined = np.concatenate(rates)
    low = joined[joined < OUTAGE_MBPS]
    return Outages(
        hazard=np.divide(begun, steps_up, out=np.zeros(bands), where=steps_up > 0),
        steps=tuple(round(float(q), 2) for q in np.quantile(lengths or [1], OUTAGE_SHARES)),
        rate_mbps=tuple(round(float(q), 3) for q in np.quantile(low if len(low) else [0.0], OUTAGE_SHARES)),
        share=len(low) / int((~np.isnan(joined)).sum()),
    )


def _significant(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")


def fit_class(logs: Sequence[Trace], weight: float) -> LinkClass:
    """The class that behaves like these logs (all on one grid, with a step outside outages)."""
    rates = _joined(logs)
    scores = _class_scores(rates)
    wanted, pairs = covariances(scores, _MAX_LAG_STEPS)
    outages = count_outages(rates, scores)
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
        is_block = _BLOCK_MARK in log.name
        parts = [log] if is_block else cut(log, piece_s)
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
) -> FamilyModel:
    """The model of a family.

    Args:
        logs: measured traces, in any steps.
        classes: at most so many kinds of link are told apart.

    Raises:
        TraceError: no log is left to fit, or a class of logs never leaves its outage.
    """
    is_block = any(_BLOCK_MARK in log.name for log in logs)
    kept = list(logs) if is_block else prepare(logs, step_s, min_mean_mbps, max_mean_mbps)
    groups = group(kept, classes)
    for part in groups:
        _check_service(part)
    total = running_total(log.duration_s for log in kept)
    piece_s = piece_length_s(kept, length_s)
    return FamilyModel(
        family=family,
        about=about,
        step_s=step_s,
        length_s=length_s,
        min_mean_mbps=min_mean_mbps,
        max_mean_mbps=max_mean_mbps,
        classes=tuple(
            fit_class(part, running_total(log.duration_s for log in part) / total) for part in groups
        ),
        piece_s=piece_s,
        fitted=measured(kept, piece_s),
        fitted_logs=len(kept),
    )
