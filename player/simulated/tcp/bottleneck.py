"""The shaped link: a token bucket that follows the trace, behind a queue in bytes.

It is first in, first out, and the trace's future is known, so a frame's departure is known when it
comes. As tc counts them, rates and the queue hold whole frames.
"""

from __future__ import annotations

from player.compiled.compiled import compiled
from player.simulated.batch.library import Floats
from player.simulated.tcp.now import is_lost
from player.simulated.tcp.state import DROPPED, HEADERS_BYTES, MASK, NEVER, Record, Ring

BURST_BYTES = 1600.0
BURST_S = 0.0004
"""The bucket: a frame and a little, or what passes in this time (`testbed/link/shaper.py` says why)."""

MAX_INTERVALS = 10_000_000
"""Intervals of the trace that one frame may wait before the trace counts as one that never delivers."""


@compiled
def departure_s(
    c: Record, time_s: Floats, bytes_per_s: Floats, arrival_s: float, frame_bytes: float
) -> float:
    """When a frame that comes at `arrival_s` leaves; NEVER if the trace is too near to dark.

    Frames have to be asked about in the order of their arrival.
    """
    if c.link_s == NEVER:
        return NEVER
    while c.link_s < arrival_s:
        end_s = c.pass_s + time_s[c.interval]
        until_s = min(end_s, arrival_s)
        speed = bytes_per_s[c.interval]
        saved = c.tokens_bytes + speed * (until_s - c.link_s)
        c.tokens_bytes = min(saved, max(BURST_BYTES, speed * BURST_S))
        c.link_s = until_s
        if end_s <= arrival_s:
            _next_interval(c, time_s)
    for _ in range(MAX_INTERVALS):
        missing = frame_bytes - c.tokens_bytes
        if missing <= 0.0:
            c.tokens_bytes -= frame_bytes
            return c.link_s
        speed = bytes_per_s[c.interval]
        end_s = c.pass_s + time_s[c.interval]
        if c.link_s + missing / speed < end_s:  # a dark interval: an infinity
            c.link_s += missing / speed
            c.tokens_bytes = frame_bytes
        else:
            c.tokens_bytes += speed * (end_s - c.link_s)
            c.link_s = end_s
            _next_interval(c, time_s)
    c.link_s = NEVER
    return NEVER


@compiled
def _next_interval(c: Record, time_s: Floats) -> None:
    """Go on to the next interval, from the last one to the first."""
    c.interval += 1
    if c.interval >= len(time_s):
        c.interval = 1
        c.pass_s += time_s[-1]


@compiled
def enqueue(
    c: Record, segments: Ring, flights: Ring, time_s: Floats, bytes_per_s: Floats, segment: int, now_s: float
) -> None:
    """A frame with this segment is sent: a new flight, lost before the queue, or dropped by a full one."""
    while c.backlog_from < c.flights and flights[c.backlog_from & MASK].leaves_s <= now_s:
        gone = flights[c.backlog_from & MASK]
        if gone.leaves_s != DROPPED:
            c.backlog_bytes -= segments[gone.segment & MASK].bytes + HEADERS_BYTES
        c.backlog_from += 1
    frame_bytes = segments[segment & MASK].bytes + HEADERS_BYTES
    flight = flights[c.flights & MASK]
    flight.segment, flight.sent_s = segment, now_s
    if is_lost(c) or c.backlog_bytes + frame_bytes > c.limit_bytes:
        flight.leaves_s = DROPPED
    else:
        flight.leaves_s = departure_s(c, time_s, bytes_per_s, now_s, frame_bytes)
        c.backlog_bytes += frame_bytes
    segments[segment & MASK].flight = c.flights
    segments[segment & MASK].sent_s = now_s
    c.flights += 1
