"""How a replay keeps its promise: what passed is held against the trace, and the rate is corrected.

A token bucket holds about a frame. Whenever the processor is away for longer than that (a hypervisor lends
it to others, a busy kernel), tokens are lost for good; and each change of a tbf's rate fills its bucket.
Both show as a difference between the kernel's byte counter and the trace's integral between two readings,
and both are set right here: what is missing while frames wait, and what was too much, is spread over the
next moments. An idle link saves nothing up: what it did not use is gone.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.tbf import FRAME_BYTES

HORIZON_S = 0.02
"""A difference is spread over this long."""

MOST_SHARE = 0.5
"""At most this share of the trace's rate is added or taken: nothing a queue of 50 ms would notice."""

IGNORED_BYTES = 0.75 * FRAME_BYTES
"""Less is no difference: a counter moves by whole frames."""

KEPT_S = 0.25
"""A link that was short for longer than this (a machine that stood still) does not make up for the rest."""

KEPT_FRAMES = 3
"""… but this much is kept however slow it is."""

LONG_STEP_S = 0.5
"""After a step this long its second is over: making up for it would only make the next one wrong, so …"""

CARRIED_SHARE = 0.002
"""… no more than a frame, or this share of what the next second carries, is taken along."""


@dataclass
class Correction:
    """What a link has passed more than its trace carries, and what follows from it."""

    excess_bytes: float = 0.0
    """Negative: it is short."""

    def account(self, sent_bytes: float, carried_bytes: float, waiting: bool, rate_mbps: float) -> None:
        """Take in what passed between two readings, and what the trace carries between them.

        Args:
            waiting: whether frames were waiting at both.
            rate_mbps: the trace's, for how much is kept in mind.
        """
        excess = self.excess_bytes + sent_bytes - carried_bytes
        kept = max(KEPT_S * rate_mbps * 1e6 / 8, KEPT_FRAMES * FRAME_BYTES)
        self.excess_bytes = min(max(excess, -kept if waiting else 0.0), kept)

    def end_step(self, duration_s: float, next_rate_mbps: float) -> None:
        """A step of this length is over; forget what the next one had better not make up for."""
        if duration_s < LONG_STEP_S:
            return
        carried = max(CARRIED_SHARE * next_rate_mbps * 1e6 / 8, FRAME_BYTES)
        self.excess_bytes = min(max(self.excess_bytes, -carried), carried)

    def rate(self, rate_mbps: float, refill_bytes: float, over_s: float = HORIZON_S) -> float:
        """The rate (Mbit/s) that makes up for the difference within `over_s`.

        Args:
            rate_mbps: the trace's; 0 stays 0.
            refill_bytes: what a change of the rate gives besides.
        """
        more_mbps = -(self.excess_bytes + refill_bytes) * 8 / 1e6 / max(over_s, HORIZON_S)
        return rate_mbps + min(max(more_mbps, -MOST_SHARE * rate_mbps), MOST_SHARE * rate_mbps)

    @property
    def matters(self) -> bool:
        """Whether there is anything to correct."""
        return abs(self.excess_bytes) > IGNORED_BYTES
