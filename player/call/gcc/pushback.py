"""The congestion window: less is encoded while more is on the way than the target fills in RTT + 350 ms.

As WebRTC's `congestion_window_pushback_controller.cc` and the window in `goog_cc_network_control.cc`, on by
default today (`QueueSize:350,MinBitrate:30000,DropFrame:true`); the draft has none. WebRTC's encoder drops
frames at the ratio that comes out; here the encoder's target is lowered by it, which is as many bits. It is
what makes a sender stop into a link that went dark, long before the round trip of 3 s.
"""

from __future__ import annotations

import math

from player.call.gcc.filled import fill
from player.call.gcc.flight import FLIGHT_BYTES, PACKET_BYTES, begin_flight
from player.call.gcc.state import RTTS_KEPT, Floats
from player.compiled.compiled import compiled

QUEUE_S = 0.350
"""WebRTC `QueueSize`."""
LEAST_PUSHED_KBPS = 30.0
"""WebRTC `MinBitrate`: pushing does not go below."""
LEAST_WINDOW_BYTES = 3000.0
"""WebRTC `kMinCwnd`."""
FULL, OVERFULL, EMPTY = 1.0, 1.5, 0.1
"""WebRTC: filled shares of the window that divide its answers."""
DOWN_OVERFULL, DOWN_FULL, UP = 0.9, 0.95, 1.05
"""WebRTC: factors on the ratio, each time that a packet is sent, a feedback comes, or 25 ms have passed."""
PASSES_A_STEP = 3
"""Of our step of a feedback interval, beside the packets sent: the feedback, and two times 25 ms."""
MOST_PASSES = 100
"""Of one step: the ratio has come to its end by then."""

WINDOW_BYTES, PUSHED, RTTS, NEXT_RTT = range(2, 6)
"""Places in a row of `GccState.push`, after those of `flight.py`; WINDOW_BYTES is NaN before the first
feedback."""


@compiled
def begin_pushback(push: Floats) -> None:
    """A call begins: nothing is pushed."""
    fill(push, 0.0)
    push[WINDOW_BYTES] = math.nan
    push[PUSHED] = 1.0
    begin_flight(push)


@compiled
def keep_rtt(push: Floats, rtts: Floats, rtt_s: float) -> None:
    """The longest round trip of a feedback's packets."""
    place = int(push[NEXT_RTT])
    rtts[place] = rtt_s
    push[NEXT_RTT] = (place + 1) % RTTS_KEPT
    push[RTTS] = min(push[RTTS] + 1.0, RTTS_KEPT)


@compiled
def _least(rtts: Floats, count: int) -> float:
    least_s = math.inf
    for place in range(count):
        least_s = min(least_s, rtts[place])
    return least_s


@compiled
def update_window(push: Floats, rtts: Floats, target_kbps: float) -> None:
    """Twice a step in WebRTC; once here."""
    if push[RTTS] == 0.0:
        return
    wanted_bytes = target_kbps * 1000.0 / 8.0 * (_least(rtts, int(push[RTTS])) + QUEUE_S)
    if not math.isnan(push[WINDOW_BYTES]):
        wanted_bytes = (wanted_bytes + push[WINDOW_BYTES]) / 2.0
    push[WINDOW_BYTES] = max(wanted_bytes, LEAST_WINDOW_BYTES)


@compiled
def pushed_kbps(push: Floats, target_kbps: float, sent_bytes: float) -> float:
    """The target after pushing.

    Args:
        sent_bytes: since the last step.
    """
    if math.isnan(push[WINDOW_BYTES]):
        return target_kbps
    filled = push[FLIGHT_BYTES] / push[WINDOW_BYTES]
    for _ in range(min(int(sent_bytes / PACKET_BYTES) + PASSES_A_STEP, MOST_PASSES)):
        if filled > OVERFULL:
            push[PUSHED] *= DOWN_OVERFULL
        elif filled > FULL:
            push[PUSHED] *= DOWN_FULL
        elif filled < EMPTY:
            push[PUSHED] = 1.0
        else:
            push[PUSHED] = min(push[PUSHED] * UP, 1.0)
    kbps = target_kbps * push[PUSHED]
    return min(target_kbps, LEAST_PUSHED_KBPS) if kbps < LEAST_PUSHED_KBPS else kbps
