"""How much arrives, over the last second or so: the acknowledged rate.

As WebRTC's `robust_throughput_estimator.cc`, its default today (before it a Bayesian filter over windows of
150 ms; the draft asks for 0.5 to 1 s). Of the packets of the last second, and at least 20 of them, the bytes
but the first packet's over the time from first to last arrival, whose longest gap counts no longer than its
second longest: a link that stood still for a moment did not get slower. Never more than was sent.
"""

from __future__ import annotations

import math

from player.call.gcc.filled import fill
from player.call.gcc.state import ACKED_MOST, Floats
from player.compiled.compiled import compiled

PACKETS = 20
"""WebRTC `window_packets`: so many are looked at, even if they are older than a second."""
LEAST_WINDOW_S, MOST_WINDOW_S = 1.0, 5.0
"""WebRTC `min_window_duration`, `max_window_duration`."""
NEEDED = 10
"""WebRTC `required_packets`: with fewer nothing is known."""
SHORTEST_S = 0.001
"""WebRTC: a time to divide by is that, at least."""
MOST_REORDERED_S = 1.0
"""WebRTC `kMaxReorderingTime`: a packet that comes so much before another has ended all that was known."""

FIRST, COUNT, DISCARDED_SENT_S = range(3)
"""Places in a row of `GccState.acked`: where in the ring the oldest packet is, how many there are, and the
latest send time of those that were dropped from it."""

_ARRIVED, _SENT, _BYTES = range(3)
_KBIT = 8.0 / 1000.0


@compiled
def forget_acked(acked: Floats) -> None:
    """No packet has arrived."""
    fill(acked, 0.0)
    acked[DISCARDED_SENT_S] = -math.inf


@compiled
def _drop_first(acked: Floats, packets: Floats) -> None:
    first = int(acked[FIRST])
    acked[DISCARDED_SENT_S] = max(acked[DISCARDED_SENT_S], packets[first, _SENT])
    acked[FIRST] = (first + 1) % ACKED_MOST
    acked[COUNT] -= 1.0


@compiled
def add_acked(acked: Floats, packets: Floats, arrived_s: float, sent_s: float, size_bytes: float) -> None:
    """A packet arrived; `trim_acked` follows when all of a feedback are in."""
    if acked[COUNT] >= ACKED_MOST:
        _drop_first(acked, packets)
    first, place = int(acked[FIRST]), int(acked[COUNT])
    while place > 0 and packets[(first + place - 1) % ACKED_MOST, _ARRIVED] > arrived_s:
        for fact in range(3):
            packets[(first + place) % ACKED_MOST, fact] = packets[(first + place - 1) % ACKED_MOST, fact]
        place -= 1
    at = (first + place) % ACKED_MOST
    packets[at, _ARRIVED] = arrived_s
    packets[at, _SENT] = sent_s
    packets[at, _BYTES] = size_bytes
    acked[COUNT] += 1.0
    last = (first + int(acked[COUNT]) - 1) % ACKED_MOST
    if packets[last, _ARRIVED] - arrived_s > MOST_REORDERED_S:
        forget_acked(acked)


@compiled
def trim_acked(acked: Floats, packets: Floats) -> None:
    """Drop what is older than the window."""
    while acked[COUNT] > 0.0:
        first = int(acked[FIRST])
        last = (first + int(acked[COUNT]) - 1) % ACKED_MOST
        window_s = packets[last, _ARRIVED] - packets[first, _ARRIVED]
        long_enough = acked[COUNT] > PACKETS and window_s > LEAST_WINDOW_S
        if not (window_s > MOST_WINDOW_S or long_enough):
            return
        _drop_first(acked, packets)


@compiled
def _sent_kbps(acked: Floats, packets: Floats) -> float:
    """How fast the packets of the window were sent; infinite when there are too few to say."""
    first_s, last_s, bits, last_bits, count = math.inf, -math.inf, 0.0, 0.0, 0
    for place in range(int(acked[COUNT])):
        row = (int(acked[FIRST]) + place) % ACKED_MOST
        sent_s = packets[row, _SENT]
        if sent_s < acked[DISCARDED_SENT_S]:
            continue  # overtaken by one that is dropped already
        kbit = packets[row, _BYTES] * _KBIT
        if sent_s > last_s:
            last_s, last_bits = sent_s, kbit
        first_s = min(first_s, sent_s)
        bits += kbit
        count += 1
    if count < NEEDED:
        return math.inf
    return (bits - last_bits) / max(last_s - first_s, SHORTEST_S)


@compiled
def acked_kbps(acked: Floats, packets: Floats) -> float:
    """The acknowledged rate, kbit/s; NaN with too few packets."""
    count, first = int(acked[COUNT]), int(acked[FIRST])
    if count < NEEDED:
        return math.nan
    longest_s, second_s, kbit = 0.0, 0.0, 0.0
    for place in range(1, count):
        row = (first + place) % ACKED_MOST
        gap_s = packets[row, _ARRIVED] - packets[(first + place - 1) % ACKED_MOST, _ARRIVED]
        kbit += packets[row, _BYTES] * _KBIT
        if gap_s > longest_s:
            longest_s, second_s = gap_s, longest_s
        elif gap_s > second_s:
            second_s = gap_s
    last = (first + count - 1) % ACKED_MOST
    window_s = packets[last, _ARRIVED] - packets[first, _ARRIVED] - longest_s + second_s
    return min(kbit / max(window_s, SHORTEST_S), _sent_kbps(acked, packets))
