"""The rate by delay: up by 8 % a second or by a packet a response time, down to 0.85 of what arrives.

As WebRTC's `aimd_rate_control.cc`. The draft has the same states and factors; its additive step is half a
packet a response time of RTT + 100 ms, WebRTC's today is a packet in twice that time.
"""

from __future__ import annotations

import math

from player.call.gcc.capacity import (
    CAPACITY_KBPS,
    LEAST_VARIANCE,
    VARIANCE_KBPS,
    forget_capacity,
    learn_capacity,
    lower_kbps,
    upper_kbps,
)
from player.call.gcc.filled import fill
from player.call.gcc.state import Floats
from player.call.gcc.trendline import NORMAL, OVERUSE
from player.compiled.compiled import compiled

DECREASE = 0.85
"""WebRTC `kDefaultBackoffFactor`; the draft's beta."""
INCREASE_A_SECOND = 1.08
"""WebRTC and draft."""
LEAST_INCREASE_KBPS = 1.0
"""WebRTC: 1000 bit/s a multiplicative step, at least."""
LEAST_ADDED_KBPS_A_SECOND = 4.0
"""WebRTC `kMinIncreaseRateBpsPerSecond`."""
FRAMES_A_SECOND, PACKET_BITS = 30.0, 9600.0
"""WebRTC: what it thinks the frames are like, whatever they are."""
RESPONSE_S, RESPONSES = 0.100, 2.0
"""WebRTC: how long the detector takes, beside the RTT, and the factor on both that was an experiment and is
the default today."""
LIMIT_FACTOR, LIMIT_KBPS = 1.5, 10.0
"""WebRTC and draft: an increase ends at 1.5 of what arrives; WebRTC adds 10 kbit/s."""
LEAST_WAIT_S, MOST_WAIT_S = 0.010, 0.200
"""WebRTC: between two decreases there is an RTT, within these bounds."""
FAR_BELOW = 0.5
"""WebRTC: unless less than this share of the estimate arrives."""
HALVED = 0.5
"""WebRTC: a decrease when nothing is known of what arrives."""
DEFAULT_RTT_S = 0.200
"""WebRTC `kDefaultRtt`: until one is measured."""
CLOSED_KBPS = 5.0
"""WebRTC `kCongestionControllerMinBitrate`."""

HOLD, RISE, FALL = 0.0, 1.0, 2.0
"""States."""

RATE_KBPS, ACKED_KBPS, STATE, CHANGED_S, RTT_S, LEAST_KBPS = range(2, 8)
"""Places in a row of `GccState.aimd`, after those of `capacity.py`; CHANGED_S is NaN before the first
change, ACKED_KBPS is the last that was known."""


@compiled
def begin_aimd(aimd: Floats, start_kbps: float, min_kbps: float) -> None:
    """A call begins at so many kbit/s."""
    fill(aimd, 0.0)
    forget_capacity(aimd)
    aimd[VARIANCE_KBPS] = LEAST_VARIANCE
    aimd[RATE_KBPS] = start_kbps
    aimd[ACKED_KBPS] = start_kbps
    aimd[STATE] = HOLD
    aimd[CHANGED_S] = math.nan
    aimd[RTT_S] = DEFAULT_RTT_S
    aimd[LEAST_KBPS] = max(min_kbps, CLOSED_KBPS)


@compiled
def set_estimate(aimd: Floats, kbps: float, now_s: float) -> None:
    """A probe measured so much, or a halving is due."""
    aimd[RATE_KBPS] = max(kbps, aimd[LEAST_KBPS])
    aimd[CHANGED_S] = now_s


@compiled
def may_fall(aimd: Floats, acked_kbps: float, now_s: float) -> bool:
    """Whether the last change is long enough ago, or so little arrives that it need not be."""
    wait_s = min(max(aimd[RTT_S], LEAST_WAIT_S), MOST_WAIT_S)
    if math.isnan(aimd[CHANGED_S]) or now_s - aimd[CHANGED_S] >= wait_s:
        return True
    return acked_kbps < FAR_BELOW * aimd[RATE_KBPS]


@compiled
def added_kbps_a_second(rate_kbps: float, rtt_s: float) -> float:
    """Near the capacity: an average packet each response time."""
    frame_bits = rate_kbps * 1000.0 / FRAMES_A_SECOND
    packet_bits = frame_bits / math.ceil(frame_bits / PACKET_BITS)
    return max(LEAST_ADDED_KBPS_A_SECOND, packet_bits / (RESPONSES * (rtt_s + RESPONSE_S)) / 1000.0)


@compiled
def _rise(aimd: Floats, acked_kbps: float, now_s: float) -> None:
    if acked_kbps > upper_kbps(aimd):
        forget_capacity(aimd)
    limit_kbps = LIMIT_FACTOR * acked_kbps + LIMIT_KBPS
    rate_kbps = aimd[RATE_KBPS]
    if rate_kbps < limit_kbps:
        since_s = now_s - aimd[CHANGED_S]
        if math.isnan(aimd[CAPACITY_KBPS]):
            factor = INCREASE_A_SECOND ** min(since_s, 1.0)
            added_kbps = max(rate_kbps * (factor - 1.0), LEAST_INCREASE_KBPS)
        else:
            added_kbps = added_kbps_a_second(rate_kbps, aimd[RTT_S]) * since_s
        aimd[RATE_KBPS] = min(rate_kbps + added_kbps, limit_kbps)
    aimd[CHANGED_S] = now_s


@compiled
def _fall(aimd: Floats, acked_kbps: float, now_s: float) -> None:
    kbps = DECREASE * acked_kbps
    if kbps > aimd[RATE_KBPS] and not math.isnan(aimd[CAPACITY_KBPS]):
        kbps = DECREASE * aimd[CAPACITY_KBPS]
    aimd[RATE_KBPS] = min(kbps, aimd[RATE_KBPS])
    if acked_kbps < lower_kbps(aimd):
        forget_capacity(aimd)
    learn_capacity(aimd, acked_kbps)
    aimd[STATE] = HOLD  # until the queues are empty
    aimd[CHANGED_S] = now_s


@compiled
def update_aimd(aimd: Floats, usage: float, acked_kbps: float, now_s: float) -> None:
    """What the detector says now.

    Args:
        acked_kbps: NaN when nothing is known of what arrives: then what was known last.
    """
    if math.isnan(acked_kbps):
        acked_kbps = aimd[ACKED_KBPS]
    else:
        aimd[ACKED_KBPS] = acked_kbps
    if usage == OVERUSE:
        aimd[STATE] = FALL
    elif usage != NORMAL:
        aimd[STATE] = HOLD
    elif aimd[STATE] == HOLD:
        aimd[STATE] = RISE
        aimd[CHANGED_S] = now_s
    if aimd[STATE] == RISE:
        _rise(aimd, acked_kbps, now_s)
    elif aimd[STATE] == FALL:
        _fall(aimd, acked_kbps, now_s)
    aimd[RATE_KBPS] = max(aimd[RATE_KBPS], aimd[LEAST_KBPS])
