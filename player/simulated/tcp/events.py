"""Time passes: departures, ACKs and timers in their order."""

from __future__ import annotations

from player.compiled.compiled import compiled
from player.simulated.batch.library import Floats
from player.simulated.tcp.now import follow, through_uplink_s
from player.simulated.tcp.receiver import acknowledge, arrive
from player.simulated.tcp.sender import fill, hear, ring, wake
from player.simulated.tcp.state import DROPPED, MASK, MSS_BYTES, NEVER, Record, Ring


@compiled
def _next_delivery_s(c: Record, flights: Ring) -> float:
    """When the next frame arrives."""
    while c.next_delivery < c.flights and flights[c.next_delivery & MASK].leaves_s == DROPPED:
        c.next_delivery += 1
    return flights[c.next_delivery & MASK].leaves_s if c.next_delivery < c.flights else NEVER


@compiled
def _step(
    c: Record,
    segments: Ring,
    flights: Ring,
    acks: Ring,
    arrived: Ring,
    time_s: Floats,
    bytes_per_s: Floats,
    delay_s: Floats,
    loss: Floats,
    until_s: float,
) -> float:
    """Let the next event happen, unless it comes after `until_s`; when it was (NEVER: none did)."""
    delivery_s = _next_delivery_s(c, flights)
    ack_s = acks[c.acks_heard & MASK].arrives_s if c.acks_heard < c.acks_sent else NEVER
    now_s = min(delivery_s, ack_s, c.delayed_ack_s, c.timer_s)
    if now_s > until_s or now_s == NEVER:
        return NEVER
    follow(c, time_s, delay_s, loss, now_s)
    if now_s == delivery_s:
        flight = c.next_delivery
        c.next_delivery += 1
        arrive(c, segments, acks, arrived, flights[flight & MASK].segment, flight, now_s)
    elif now_s == ack_s:
        ack = acks[c.acks_heard & MASK]
        c.acks_heard += 1
        hear(c, segments, flights, time_s, bytes_per_s, ack.expected, ack.flight, now_s)
    elif now_s == c.delayed_ack_s:
        acknowledge(c, acks, now_s)
    else:
        ring(c, segments, flights, time_s, bytes_per_s, now_s)
    return now_s


@compiled
def download(
    connection: Ring,
    segments: Ring,
    flights: Ring,
    acks: Ring,
    arrived: Ring,
    time_s: Floats,
    bytes_per_s: Floats,
    delay_s: Floats,
    loss: Floats,
    asked_s: float,
    handling_s: float,
    answer_bytes: int,
    after_idle: bool,
) -> tuple[float, float]:
    """Ask at `asked_s` for so many bytes, which the server begins to send `handling_s` after it is asked.

    Args:
        delay_s, loss: what the trace says of them, see `now.follow`.

    Returns:
        when the first and the last segment arrived; NEVER if the trace is too near to dark.
    """
    c = connection[0]
    while _step(c, segments, flights, acks, arrived, time_s, bytes_per_s, delay_s, loss, asked_s) < NEVER:
        pass
    follow(c, time_s, delay_s, loss, asked_s)
    if c.unacked > 0:  # the request carries the ACK
        acknowledge(c, acks, asked_s)
    answered_s = through_uplink_s(c, asked_s) + handling_s
    c.requests += 1
    while _step(c, segments, flights, acks, arrived, time_s, bytes_per_s, delay_s, loss, answered_s) < NEVER:
        pass
    follow(c, time_s, delay_s, loss, answered_s)
    if after_idle:
        wake(c, answered_s)
    begin = c.written
    c.written += (answer_bytes + MSS_BYTES - 1) // MSS_BYTES
    c.last_bytes = answer_bytes - (c.written - begin - 1) * MSS_BYTES
    fill(c, segments, flights, time_s, bytes_per_s, answered_s)
    first_s = NEVER
    while c.expected < c.written:
        now_s = _step(c, segments, flights, acks, arrived, time_s, bytes_per_s, delay_s, loss, NEVER)
        if now_s == NEVER or c.link_s == NEVER:  # timers would ring for ever
            return NEVER, NEVER
        if first_s == NEVER and c.expected > begin:
            first_s = now_s
    return first_s, now_s
