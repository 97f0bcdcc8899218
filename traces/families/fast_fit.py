"""Fit a fast layer to logs by the millisecond, and judge it on logs left out.

1. A log becomes bins of 20 ms; seconds in which nothing passed are the family's matter and left out.
2. Runs of 0.1 s and more of empty bins are gaps: how often they begin is counted by band, how long they
   last for the whole log. What is left of a second is divided by its mean: the bins' multiples.
3. In each band of rates with enough seconds the multiples' quantiles are the table.
4. Of a grid of autoregressions the one is taken whose multiples have the log's autocorrelation.
5. The tables are corrected until what is generated, each second scaled to its mean, has the log's quantiles.
   Empty bins are left as counted, so gaps come a little too often: some of the tables' own are as long.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from traces.families.fast_layer import (
    BIN_S,
    BINS_A_SECOND,
    GAP_BINS,
    GAP_SHARES,
    SCORES,
    Band,
    FastLayer,
    Judged,
    Kind,
)
from traces.families.fast_members import band_rows, gaps, mixed, multiples, spread
from traces.families.fast_noise import Floats, autoregression, normals
from traces.families.fast_statistics import correlations, dark_runs, figures, in_gap, seconds_of
from traces.trace import Trace, TraceError

BAND_EDGES_MBPS = (0.3, 1.0, 2.0, 4.0, 8.0, 16.0)
LEAST_SECONDS = 10
"""A band of fewer has no table of its own."""
FITTED_SECONDS = 600
"""So many seconds at least are generated to fit by: short logs several times over."""
SLOW_SHARES = tuple(index / 10 for index in range(11))
SLOW_S = (0.06, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8)
QUICK_S = (0.0, 0.01, 0.02, 0.04)
"""Times in which the two parts of the score forget: e-folding."""
FIT_LAGS = (1, 2, 3, 5, 10, 15)
ROUNDS = 8
"""Of the tables' correction; the first ones change most."""
_LABEL = "streambed/fast/fit"
_SHARES = tuple(NormalDist().cdf(score) for score in SCORES)


def _keep(forget_s: float) -> float:
    return round(math.exp(-BIN_S / forget_s), 4) if forget_s else 0.0


def _bands(seconds: Floats, dark: NDArray[np.bool_]) -> tuple[Band, ...]:
    """Tables and hazards as the log has them.

    Args:
        seconds: (n, 50) Mbit/s.
        dark: as `seconds`, whether in a gap.
    """
    means = seconds.mean(axis=1)
    up = np.where(dark, np.nan, seconds)
    multiple = up / np.nanmean(up, axis=1)[:, None]
    places = np.searchsorted(BAND_EDGES_MBPS, means, side="right")
    counts = np.bincount(places, minlength=len(BAND_EDGES_MBPS) + 1)
    kept = [place for place in range(len(counts)) if counts[place] >= LEAST_SECONDS]
    if not kept:
        raise TraceError(f"{len(seconds)} seconds, no band of rates with {LEAST_SECONDS}; bring a longer log")
    begins = np.zeros(seconds.size, dtype=bool)
    first, lengths = dark_runs(seconds.ravel() == 0)
    begins[first[lengths >= GAP_BINS]] = True
    found = []
    for place in kept:
        mine = places == place
        table = np.nanquantile(multiple[mine], _SHARES)
        hazard = begins.reshape(seconds.shape)[mine].sum() / max((~dark[mine]).sum(), 1)
        edge = BAND_EDGES_MBPS[place] if place < len(BAND_EDGES_MBPS) else 2 * BAND_EDGES_MBPS[-1]
        rounded = tuple(round(float(value), 4) for value in table)
        found.append(Band(edge, int(mine.sum()), round(float(hazard), 6), rounded))
    return tuple(found)


def _gap_bins(seconds: Floats) -> tuple[float, ...]:
    _, lengths = dark_runs(seconds.ravel() == 0)
    long = lengths[lengths >= GAP_BINS]
    return tuple(
        round(float(value), 2) for value in (np.quantile(long, GAP_SHARES) if len(long) else (GAP_BINS,) * 7)
    )


def _several(means: Floats) -> Floats:
    """The log's seconds, several times where they are few."""
    return np.tile(means, -(-FITTED_SECONDS // len(means)))


def _nearest_memory(kind: Kind, means: Floats, wanted: Sequence[float]) -> Kind:
    """The kind with the autoregressions whose multiples' autocorrelation is nearest to the log's."""
    rows = np.repeat(band_rows(kind, _several(means)), BINS_A_SECOND)
    dark = gaps(kind, rows, _LABEL)
    slow = {time_s: autoregression(normals(f"{_LABEL}/slow", len(rows)), _keep(time_s)) for time_s in SLOW_S}
    quick = {
        time_s: autoregression(normals(f"{_LABEL}/quick", len(rows)), _keep(time_s)) for time_s in QUICK_S
    }

    def off(choice: tuple[float, float, float]) -> float:
        share, slow_s, quick_s = choice
        made = spread(kind, rows, mixed(slow[slow_s], quick[quick_s], share), dark, BINS_A_SECOND)
        found = correlations(made, FIT_LAGS)
        return sum((mine - theirs) ** 2 for mine, theirs in zip(found, wanted, strict=True))

    share, slow_s, quick_s = min(product(SLOW_SHARES, SLOW_S, QUICK_S), key=off)
    return replace(kind, slow_share=share, slow_keep=_keep(slow_s), quick_keep=_keep(quick_s))


def _lit(multiple: Floats, dark: NDArray[np.bool_], rows: NDArray[np.int64], place: int) -> Floats:
    """(25,) quantiles of the multiples in a band, outside gaps."""
    found: Floats = np.quantile(multiple[(rows == place)[:, None] & ~dark], _SHARES)
    return found


def _nearer(table: Sequence[float], due: Floats, found: Floats) -> tuple[float, ...]:
    """The table by which quantiles come nearer to those that are due; empty bins stay empty."""
    both = (found > 0) & (due > 0)
    factor = np.where(both, due / np.where(both, found, 1.0), 1.0)
    rising = np.maximum.accumulate(np.asarray(table) * np.clip(factor, 0.5, 2.0))
    return tuple(round(float(value), 4) for value in rising)


def _corrected(kind: Kind, seconds: Floats) -> Kind:
    """The kind with tables by which what is generated has the log's quantiles."""
    means = seconds.mean(axis=1)
    rows = band_rows(kind, means)
    wanted = [
        _lit(seconds / means[:, None], in_gap(seconds), rows, place) for place in range(len(kind.bands))
    ]
    again = _several(means)
    rows = band_rows(kind, again)
    for _ in range(ROUNDS):
        made = multiples(kind, again, BINS_A_SECOND, _LABEL)
        dark = in_gap(made)
        bands = []
        for place, band in enumerate(kind.bands):
            table = _nearer(band.multiple, wanted[place], _lit(made, dark, rows, place))
            bands.append(replace(band, multiple=table))
        kind = replace(kind, bands=tuple(bands))
    return kind


def fit_kind(log: Trace) -> Kind:
    """The kind of one log.

    Raises:
        TraceError: too short, or coarser than the bins.
    """
    seconds = seconds_of(log)
    if len(seconds) < LEAST_SECONDS:
        raise TraceError(
            f"{log.name}: {len(seconds)} seconds in which anything passed; {LEAST_SECONDS} needed"
        )
    means = seconds.mean(axis=1)
    multiple = seconds / means[:, None]
    bands = _bands(seconds, in_gap(seconds))
    kind = Kind(log.name, 0.5, _keep(0.15), 0.0, _gap_bins(seconds), round(float(seconds.max()), 1), bands)
    for _ in range(2):  # the one moves the other
        kind = _corrected(_nearest_memory(kind, means, correlations(multiple, FIT_LAGS)), seconds)
    return kind


def _judged(log: Trace, kinds: Sequence[Kind], fitted: bool) -> Judged:
    """A log, and the kinds over its seconds: its own where it was fitted, else all of them."""
    seconds = seconds_of(log)
    means = seconds.mean(axis=1)
    mine = [kind for kind in kinds if kind.log == log.name] if fitted else kinds
    made = [
        multiples(kind, means, BINS_A_SECOND, f"streambed/fast/judge/{number}/{kind.log}") * means[:, None]
        for kind in mine
        for number in range(-(-FITTED_SECONDS // len(means)))
    ]
    return Judged(log.name, fitted, figures(seconds), figures(np.concatenate(made)))


def fit_layer(layer: str, about: str, logs: Sequence[Trace], held_out: Sequence[Trace]) -> FastLayer:
    """A layer of one kind a log.

    Args:
        logs: fitted, in bins of 20 ms or finer.
        held_out: judged only.

    Raises:
        TraceError: no logs, or one that has too little.
    """
    if not logs:
        raise TraceError("no logs to fit; bring some, or hold out fewer")
    kinds = tuple(fit_kind(log) for log in logs)
    judged = [_judged(log, kinds, True) for log in logs] + [_judged(log, kinds, False) for log in held_out]
    return FastLayer(layer, about, kinds, tuple(judged))
