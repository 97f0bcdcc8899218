"""Where the GCC of every call of a batch stands: a row a call in each array.

The places within a row are named constants in the file that works on it. Times are seconds on the sender's
clock, rates kbit/s of payload, sizes bytes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PLACES = 16
"""Numbers of one part in a row: as many as the largest part needs."""

TREND_WINDOW = 20
"""Groups that the slope is fitted to (WebRTC `kDefaultTrendlineWindowSize`)."""

HISTORY_MOST = 128
"""Targets of the last second that the loss controller keeps: a feedback each 8 ms."""

RTTS_KEPT = 32
"""Round trips of feedbacks that are kept (WebRTC `kMaxFeedbackRttWindow`)."""

CLUSTERS = 8
"""Probe clusters that are kept; one is sent within a fraction of a second and heard of within one."""


class GccState(NamedTuple):
    """Arrays of GCC, made by `new_state`; the first axis is calls."""

    groups: Floats
    """(calls, PLACES) bursts of packets: `groups.py`."""
    trend: Floats
    """(calls, PLACES) slope, detector, threshold: `trendline.py`."""
    window: Floats
    """(calls, TREND_WINDOW, 2) arrival ms since the first, smoothed delay ms."""
    aimd: Floats
    """(calls, PLACES) delay-based rate: `aimd.py`, and the link's capacity: `capacity.py`."""
    acked: Floats
    """(calls, PLACES) acknowledged rate: `acked.py`."""
    loss: Floats
    """(calls, PLACES) loss-based rate and the target: `loss.py`."""
    history: Floats
    """(calls, HISTORY_MOST, 2) a ring: time s, target kbit/s; rising."""
    push: Floats
    """(calls, PLACES) what is on the way and the congestion window: `flight.py`, `pushback.py`."""
    rtts: Floats
    """(calls, RTTS_KEPT) a ring of the longest round trip of each feedback, s."""
    probes: Floats
    """(calls, PLACES) when probes are wanted: `probe_control.py`."""
    clusters: Floats
    """(calls, CLUSTERS, PLACES) probe clusters, number c at c % CLUSTERS: `probe_result.py`."""


def new_state(calls: int) -> GccState:
    """Room for the GCC of so many calls; `gcc.begin` starts each."""
    part = (calls, PLACES)
    return GccState(
        groups=np.zeros(part),
        trend=np.zeros(part),
        window=np.zeros((calls, TREND_WINDOW, 2)),
        aimd=np.zeros(part),
        acked=np.zeros(part),
        loss=np.zeros(part),
        history=np.zeros((calls, HISTORY_MOST, 2)),
        push=np.zeros(part),
        rtts=np.zeros((calls, RTTS_KEPT)),
        probes=np.zeros(part),
        clusters=np.zeros((calls, CLUSTERS, PLACES)),
    )
