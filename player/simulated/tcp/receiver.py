"""The receiving end: what has come in order, and the ACKs that say so (RFC 5681, RFC 2018)."""

from __future__ import annotations

from player.compiled.compiled import compiled
from player.simulated.tcp.now import through_uplink_s
from player.simulated.tcp.state import MASK, NEVER, Record, Ring

DELAYED_ACK_S = 0.04
"""[TCP_DELACK_MIN]"""


@compiled
def arrive(
    c: Record, segments: Ring, acks: Ring, arrived: Ring, segment: int, flight: int, now_s: float
) -> None:
    """A segment has come."""
    c.newest_arrival = flight
    if segment == c.expected:
        gap = c.out_of_order > 0
        c.expected += 1
        while arrived[c.expected & MASK].early == c.expected:
            arrived[c.expected & MASK].early = 0
            c.expected += 1
            c.out_of_order -= 1
        c.unacked += 1
        if gap or c.unacked >= 2 or c.requests == 1:
            acknowledge(c, acks, now_s)
        else:
            c.delayed_ack_s = now_s + DELAYED_ACK_S
        return
    if segment > c.expected and arrived[segment & MASK].early != segment:
        arrived[segment & MASK].early = segment
        c.out_of_order += 1
    acknowledge(c, acks, now_s)


@compiled
def acknowledge(c: Record, acks: Ring, now_s: float) -> None:
    """Send an ACK of all that has come; it takes the whole round trip."""
    ack = acks[c.acks_sent & MASK]
    ack.arrives_s = through_uplink_s(c, now_s)
    ack.expected, ack.flight = c.expected, c.newest_arrival
    c.acks_sent += 1
    c.unacked = 0
    c.delayed_ack_s = NEVER
