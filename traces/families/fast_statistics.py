"""What bins of 20 ms are like within seconds: of a log, or of what a layer makes of a log's seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from traces.families.fast_layer import BIN_S, BINS_A_SECOND, GAP_BINS, FastFigures
from traces.families.fast_noise import Floats
from traces.families.statistics import resample
from traces.trace import Trace

LAGS = (1, 2, 5, 10)
"""In bins: 20, 40, 100 and 200 ms."""


def seconds_of(log: Trace) -> Floats:
    """The log's seconds in bins, those in which nothing passed left out.

    Returns:
        (seconds, 50) Mbit/s.
    """
    bins = resample(log, BIN_S)
    whole = bins[: len(bins) // BINS_A_SECOND * BINS_A_SECOND].reshape(-1, BINS_A_SECOND)
    whole = np.where(whole < 1e-9, 0.0, whole)
    kept: Floats = whole[whole.any(axis=1)]
    return kept


def dark_runs(empty: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Runs of empty bins: (first bins, lengths in bins)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], empty.astype(np.int8), [0]))))
    return edges[::2], edges[1::2] - edges[::2]


def in_gap(seconds: Floats) -> NDArray[np.bool_]:
    """Which bins are in a run of `GAP_BINS` empty ones and more: as `seconds`."""
    dark = np.zeros(seconds.size, dtype=bool)
    begins, lengths = dark_runs(seconds.ravel() == 0)
    for begin, length in zip(begins.tolist(), lengths.tolist(), strict=True):
        dark[begin : begin + length] = length >= GAP_BINS
    return dark.reshape(seconds.shape)


def correlations(multiple: Floats, lags: tuple[int, ...] = LAGS) -> list[float]:
    """Autocorrelation within seconds about 1, by lag.

    Args:
        multiple: (seconds, bins).
    """
    off = multiple - 1.0
    variance = float((off * off).mean()) or 1.0
    return [float((off[:, :-lag] * off[:, lag:]).mean()) / variance for lag in lags]


def figures(seconds: Floats) -> FastFigures:
    """The statistics of `seconds_of` a log, or of bins generated over its seconds.

    Args:
        seconds: (seconds, 50) Mbit/s, something in each.
    """
    means = seconds.mean(axis=1)
    multiple = seconds / means[:, None]
    empty = seconds == 0
    _, lengths = dark_runs(empty.ravel())
    runs_ms = 1000 * BIN_S * lengths if len(lengths) else np.zeros(1)
    acf = [round(value, 3) for value in correlations(multiple)]
    p50, p95, p99 = (round(float(np.quantile(multiple, share)), 2) for share in (0.5, 0.95, 0.99))
    return FastFigures(
        seconds=len(seconds),
        mean_mbps=round(float(means.mean()), 2),
        dark=round(float(empty.mean()), 4),
        variation=round(float(multiple.std()), 3),
        p50=p50,
        p95=p95,
        p99=p99,
        acf_20ms=acf[0],
        acf_40ms=acf[1],
        acf_100ms=acf[2],
        acf_200ms=acf[3],
        dark_run_ms=round(float(runs_ms.mean()), 1),
        dark_run_p95_ms=round(float(np.quantile(runs_ms, 0.95)), 1),
        in_gaps=round(float(in_gap(seconds).mean()), 4),
    )
