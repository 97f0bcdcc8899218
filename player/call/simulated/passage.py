"""How media pass the computed path: loss, the delay stage, and the bottleneck's queue."""

from __future__ import annotations

import math
from typing import Any

from player.call.media.draws import uniform
from player.call.media.sender_state import Record, Ring
from player.call.packets import OVERHEAD_BYTES
from player.compiled.compiled import compiled
from player.simulated.tcp.bottleneck import departure_s
from player.simulated.tcp.now import follow

_EARLY = 1e-9
"""A moment is on a grant's if it is by that share of its period."""


@compiled
def send_off(
    c: Record,
    flights: Ring,
    time_s: Any,
    bytes_per_s: Any,
    delay_s: Any,
    loss: Any,
    packet: Record,
    now_s: float,
) -> bool:
    """A packet leaves the sender; whether it will come. Packets have to be sent in the order of time."""
    follow(c, time_s, delay_s, loss, now_s)
    wire_bytes = packet.size_bytes + OVERHEAD_BYTES
    if _is_lost(c):
        c.lost_packets += 1
        c.lost_bytes += wire_bytes
        return False
    at_s = _through_stage_s(c, now_s)
    while c.backlog_from < c.flights_tail and flights[c.backlog_from & (len(flights) - 1)].leaves_s <= at_s:
        c.backlog_bytes -= flights[c.backlog_from & (len(flights) - 1)].size_bytes + OVERHEAD_BYTES
        c.backlog_from += 1
    full = c.flights_tail - c.flights_head >= len(flights)
    if full or c.backlog_bytes + wire_bytes > c.limit_bytes:
        c.dropped_packets += 1
        c.dropped_bytes += wire_bytes
        return False
    flight = flights[c.flights_tail & (len(flights) - 1)]
    flight.leaves_s = departure_s(c, time_s, bytes_per_s, at_s, wire_bytes)
    flight.seq, flight.sent_s, flight.captured_s = packet.seq, packet.sent_s, packet.captured_s
    flight.frame, flight.index, flight.count = packet.frame, packet.index, packet.count
    flight.size_bytes, flight.flags, flight.repeats = packet.size_bytes, packet.flags, packet.repeats
    c.flights_tail += 1
    c.backlog_bytes += wire_bytes
    return True


@compiled
def _is_lost(c: Record) -> bool:
    """Gilbert-Elliott as tc-netem does it, which also goes from state to state at each packet; what the trace
    loses comes on top of it. Where no loss is in force nothing is drawn."""
    lost = False
    if c.bursty:
        if uniform(c) < (c.leave_bad if c.bad else c.enter_bad):
            c.bad = 1 - c.bad
        lost = uniform(c) < (c.lost_bad if c.bad else c.lost_good)
    if c.lost_share > 0.0:
        lost = uniform(c) < c.lost_share or lost
    return lost


@compiled
def _through_stage_s(c: Record, now_s: float) -> float:
    """When what enters the delay stage now leaves it; nothing overtakes."""
    at_s = now_s + c.delay_s
    if c.jitter_s > 0:
        at_s += c.jitter_s * (2.0 * uniform(c) - 1.0)
    at_s = max(at_s, c.left_s)
    if c.grant_s > 0:
        at_s = max(math.ceil(at_s / c.grant_s - _EARLY) * c.grant_s, at_s)
    c.left_s = at_s
    return at_s


@compiled
def send_back_s(c: Record, time_s: Any, delay_s: Any, loss: Any, now_s: float) -> float:
    """When what the receiver sends back now comes to the sender; nothing overtakes."""
    follow(c, time_s, delay_s, loss, now_s)
    at_s = now_s + c.back_s + c.added_s
    if c.back_jitter_s > 0:
        at_s += c.back_jitter_s * (2.0 * uniform(c) - 1.0)
    c.back_left_s = max(at_s, c.back_left_s)
    return c.back_left_s
