"""What a controller of a call's rate knows when feedback comes: the only thing that it gets to see.

The same object reaches it in the emulated and in the simulated call, immutable all the way down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

HISTORY = 64
"""Past intervals that are shown: 3.2 s of them at 50 ms."""


class ReportedPacket(NamedTuple):
    """A packet that feedback tells of."""

    seq: int
    size_bytes: int
    sent_s: float
    arrived_s: float | None
    """None: lost."""


class Interval(NamedTuple):
    """What is known of the time from one feedback to the next."""

    interval: int
    """Counted from 0."""
    elapsed_s: float
    """Since the call began."""
    interval_s: float
    """Since the feedback before."""
    receive_mbps: float
    """What the reported packets brought, over this interval."""
    acked_mbps: float
    """The same over the last 500 ms."""
    sent_mbps: float
    target_mbps: float
    """What was sent, and what was asked for."""
    loss_ratio: float
    """Lost of the reported; 0 if there are none."""
    lost_packets: int
    queue_ms: float
    """Mean one-way delay of those that came less the least of the last 10 s; the last known if none came."""
    queue_min_ms: float
    """The least of this interval, less the same."""
    gradient_ms_per_s: float
    """Slope of the one-way delay over arrival, by least squares; 0 with fewer than two packets."""
    rtt_ms: float
    rtt_min_ms: float
    """The newest round trip, and the least so far; 0 until one is known."""
    heard: bool
    """False: no feedback came."""
    pacer_ms: float
    """How long the pacer needs for what it holds, at its present rate."""
    frame_rate: float
    """Frames encoded per second, over the last second."""
    frames_dropped: int
    """Not encoded in this interval, for the pacer was full."""


@dataclass(frozen=True, slots=True)
class CallObservation:
    """A sender's knowledge when a feedback has come, or was given up."""

    now: Interval
    packets: tuple[ReportedPacket, ...]
    """Of this feedback. Rules need them; models may not use them."""
    history: tuple[Interval, ...]
    """Past intervals, oldest first, `HISTORY` at most; `now` is not among them."""
