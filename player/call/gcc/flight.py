"""What is on the way: sent, and neither reported to have come nor to be lost."""

from __future__ import annotations

from player.call.gcc.state import Floats
from player.compiled.compiled import compiled

PACKET_BYTES = 1200.0
"""Of a packet that was never reported: the largest, which most are."""

FLIGHT_BYTES, LAST_SEQ = 0, 1
"""Places in a row."""


@compiled
def begin_flight(row: Floats) -> None:
    """Nothing has been sent."""
    row[FLIGHT_BYTES] = 0.0
    row[LAST_SEQ] = -1.0


@compiled
def add_sent(row: Floats, sent_bytes: float) -> None:
    """So much was sent since the last step."""
    row[FLIGHT_BYTES] += sent_bytes


@compiled
def add_reported(row: Floats, seq: int, size_bytes: float) -> None:
    """A packet is reported to have come, or to be lost.

    Those before it that no feedback told of are on the way no more: their feedback was lost.
    """
    missed = seq - row[LAST_SEQ] - 1.0
    if missed >= 0.0:
        size_bytes += missed * PACKET_BYTES
        row[LAST_SEQ] = float(seq)
    row[FLIGHT_BYTES] = max(row[FLIGHT_BYTES] - size_bytes, 0.0)
