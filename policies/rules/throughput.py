"""What past downloads say about the next: the harmonic mean, and how wrong it has been.

The predictor of Yin et al., SIGCOMM 2015: the harmonic mean of the last five chunks' throughputs;
RobustMPC divides it by one plus the largest of the last five relative errors.
"""

from __future__ import annotations

from collections.abc import Sequence

from player.observation import PastChunk

WINDOW = 5
"""Chunks that the mean is taken over, and errors that the worst is picked from (Yin et al.)."""

FLOOR_MBPS = 1e-6
"""A throughput below this counts as this (1 bit/s), so that no prediction is 0 or worse."""


def observed_mbps(past: PastChunk) -> float:
    """A past chunk's throughput, floored."""
    return max(past.throughput_mbps, FLOOR_MBPS)


def harmonic_mean_mbps(history: Sequence[PastChunk]) -> float:
    """Harmonic mean of the last `WINDOW` throughputs, or of as many as there are (at least one).

    Order of operations: 1 / x summed from the oldest on, divided by their number, inverted.
    """
    recent = history[-WINDOW:]
    inverse = 0.0
    for past in recent:
        inverse += 1.0 / observed_mbps(past)
    return 1.0 / (inverse / len(recent))


def relative_error(estimate_mbps: float, actual_mbps: float) -> float:
    """|estimate - actual| / actual."""
    return abs(estimate_mbps - actual_mbps) / actual_mbps


def error_at(history: Sequence[PastChunk], chunk: int) -> float:
    """Relative error of the harmonic mean that was there before `chunk` came in; 0 for the first."""
    if chunk == 0:
        return 0.0
    estimate_mbps = harmonic_mean_mbps(history[max(chunk - WINDOW, 0) : chunk])
    return relative_error(estimate_mbps, observed_mbps(history[chunk]))


def robust_mbps(history: Sequence[PastChunk]) -> float:
    """The harmonic mean over one plus the worst recent error: a bound that has held lately.

    It depends on the last 2 x `WINDOW` chunks alone.
    """
    chunks = len(history)
    errors = [error_at(history, chunk) for chunk in range(max(chunks - WINDOW, 0), chunks)]
    return harmonic_mean_mbps(history) / (1.0 + max(errors))
