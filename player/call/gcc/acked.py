"""How much arrives: the acknowledged rate.

As WebRTC's `bitrate_estimator.cc`: the bytes of each 150 ms, the first of 500 ms, are samples of a Bayesian
filter, which trusts a sample the less the further it is from the estimate. The draft asks for a mean over 0.5
to 1 s. It belongs to the classic loss controller (`loss.py`), with which WebRTC ran it. Its default since is
`robust_throughput_estimator.cc`, the mean of the last second: with that one and the classic loss controller a
link of 2 Mbit/s that halves was not given way to before 1.5 s, its queue of 250 ms full since 0.6 s.
"""

from __future__ import annotations

import math

from player.call.gcc.filled import fill
from player.call.gcc.state import Floats
from player.compiled.compiled import compiled

FIRST_WINDOW_S, WINDOW_S = 0.500, 0.150
"""WebRTC `kInitialRateWindowMs`, `kRateWindowMs`."""
UNCERTAINTY = 10.0
"""WebRTC `scale`: of a sample, over its relative distance from the estimate."""
FIRST_VARIANCE, VARIANCE_A_SAMPLE = 50.0, 5.0
"""WebRTC: of the estimate, and by how much it grows with each sample, (kbit/s)^2 by name."""

ESTIMATE_KBPS, VARIANCE, COLLECTED_S, COLLECTED_KBIT, BEFORE_S = range(5)
"""Places in a row of `GccState.acked`; ESTIMATE_KBPS is NaN until the first window is over, BEFORE_S is when
the last packet arrived, or NaN."""

_KBIT = 8.0 / 1000.0
_LEAST_KBPS = 0.001
"""To divide by."""


@compiled
def forget_acked(acked: Floats) -> None:
    """No packet has arrived."""
    fill(acked, 0.0)
    acked[ESTIMATE_KBPS] = math.nan
    acked[VARIANCE] = FIRST_VARIANCE
    acked[BEFORE_S] = math.nan


@compiled
def _collect(acked: Floats, arrived_s: float, size_bytes: float, window_s: float) -> float:
    """Take a packet into its window; the rate of the window that ended before it, or NaN."""
    if arrived_s < acked[BEFORE_S]:  # the clock ran backwards: what was collected is worth nothing
        acked[BEFORE_S] = math.nan
        acked[COLLECTED_S] = 0.0
        acked[COLLECTED_KBIT] = 0.0
    if not math.isnan(acked[BEFORE_S]):
        gap_s = arrived_s - acked[BEFORE_S]
        acked[COLLECTED_S] += gap_s
        if gap_s > window_s:
            acked[COLLECTED_KBIT] = 0.0
            acked[COLLECTED_S] %= window_s
    acked[BEFORE_S] = arrived_s
    sample_kbps = math.nan
    if acked[COLLECTED_S] >= window_s:
        sample_kbps = acked[COLLECTED_KBIT] / window_s
        acked[COLLECTED_S] -= window_s
        acked[COLLECTED_KBIT] = 0.0
    acked[COLLECTED_KBIT] += size_bytes * _KBIT
    return sample_kbps


@compiled
def add_acked(acked: Floats, arrived_s: float, size_bytes: float) -> None:
    """A packet arrived."""
    estimate_kbps = acked[ESTIMATE_KBPS]
    known = not math.isnan(estimate_kbps)
    sample_kbps = _collect(acked, arrived_s, size_bytes, WINDOW_S if known else FIRST_WINDOW_S)
    if math.isnan(sample_kbps):
        return
    if not known:
        acked[ESTIMATE_KBPS] = sample_kbps
        return
    doubt = UNCERTAINTY * abs(estimate_kbps - sample_kbps) / max(estimate_kbps, _LEAST_KBPS)
    sample_variance = doubt * doubt
    variance = acked[VARIANCE] + VARIANCE_A_SAMPLE
    both = sample_variance + variance
    acked[ESTIMATE_KBPS] = (sample_variance * estimate_kbps + variance * sample_kbps) / both
    acked[VARIANCE] = sample_variance * variance / both
