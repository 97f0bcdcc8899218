"""What the link could carry when it was overused, and how sure that is.

As WebRTC's `link_capacity_estimator.cc`: a moving mean of the acknowledged rate at overuse, and its variance
divided by the mean. Its two places are in the row of `aimd.py`.
"""

from __future__ import annotations

import math

from player.call.gcc.state import Floats
from player.compiled.compiled import compiled

SHARE_OF_NEW = 0.05
"""WebRTC `alpha`; the draft leaves it open (0.95 as the example)."""
LEAST_VARIANCE, MOST_VARIANCE = 0.4, 2.5
"""WebRTC, kbit/s: variance divided by the mean; 14 and 35 kbit/s of deviation at 500 kbit/s."""
DEVIATIONS = 3.0
"""WebRTC: how far the acknowledged rate may be from the mean."""

CAPACITY_KBPS, VARIANCE_KBPS = 0, 1
"""Places in a row of `GccState.aimd`; CAPACITY_KBPS is NaN when nothing is known."""


@compiled
def forget_capacity(aimd: Floats) -> None:
    """Nothing is known; the variance stays, as in WebRTC."""
    aimd[CAPACITY_KBPS] = math.nan


@compiled
def _deviation_kbps(aimd: Floats) -> float:
    return math.sqrt(aimd[VARIANCE_KBPS] * aimd[CAPACITY_KBPS])


@compiled
def upper_kbps(aimd: Floats) -> float:
    """Above it the link has changed; infinite when nothing is known."""
    if math.isnan(aimd[CAPACITY_KBPS]):
        return math.inf
    return aimd[CAPACITY_KBPS] + DEVIATIONS * _deviation_kbps(aimd)


@compiled
def lower_kbps(aimd: Floats) -> float:
    """Below it the link has changed; 0 when nothing is known."""
    if math.isnan(aimd[CAPACITY_KBPS]):
        return 0.0
    return aimd[CAPACITY_KBPS] - DEVIATIONS * _deviation_kbps(aimd)


@compiled
def learn_capacity(aimd: Floats, acked_kbps: float) -> None:
    """The link was overused, and so much came through."""
    if math.isnan(aimd[CAPACITY_KBPS]):
        aimd[CAPACITY_KBPS] = acked_kbps
    else:
        aimd[CAPACITY_KBPS] = (1.0 - SHARE_OF_NEW) * aimd[CAPACITY_KBPS] + SHARE_OF_NEW * acked_kbps
    error_kbps = aimd[CAPACITY_KBPS] - acked_kbps
    normed_kbps = error_kbps * error_kbps / max(aimd[CAPACITY_KBPS], 1.0)
    variance_kbps = (1.0 - SHARE_OF_NEW) * aimd[VARIANCE_KBPS] + SHARE_OF_NEW * normed_kbps
    aimd[VARIANCE_KBPS] = min(max(variance_kbps, LEAST_VARIANCE), MOST_VARIANCE)
