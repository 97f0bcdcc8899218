"""The oracle: told the link, it sends what the next second carries for certain. Simulated calls only.

It knows the trace, where in it the call is, and what it has sent itself, so it knows the queue too. Its rate
is 0.9 of the least, over windows of 0.2 to 1 s from when the next packet reaches the link, of

    (what the link carries in the window - what waits before it) / the window's length

* The least over windows, not the mean of the second: bits that a window can't carry wait, and a video that
  waits 0.2 s stands still. The shortest window is a stall's length, and five frames, over which an encoder's
  sizes even out; within it the queue evens the link out.
* No longer than a second: what is held back for a hole that is further off is lost, for the encoder follows
  within half a second (`docs/calls.md`) and can still give way.
* What waits at the link is subtracted: without it the oracle would hold its rate over a queue that a hole has
  left, and never empty it. What waits in the pacer is not: the pacer's own rate follows the target, so a
  lower one would have a key frame leave later still.
* 0.9: frames are up to 1.4 of their mean, key frames 4 times as large, and a link that is used to the last
  bit never empties a queue again.

It is a reference and a teacher, no bound: a planner that knew the frames' sizes too could do better.
"""

from __future__ import annotations

from typing import Any

from player.call.observation import CallObservation
from player.call.packets import PAYLOAD_BYTES, WIRE_BYTES
from player.call.path import CallPath
from player.call.policy import Rate
from player.call.settings import CallSettings
from traces.trace import Trace

MARGIN = 0.9
"""Share of it that is used: the probe's figure, which five families were measured with."""

WINDOWS_S = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

PAYLOAD_SHARE = PAYLOAD_BYTES / WIRE_BYTES


def safe_kbps(trace: Trace, at_s: float, waiting_mbit: float = 0.0) -> float:
    """Payload that a link carries for certain over the next second from `at_s` of its trace, kbit/s.

    Args:
        waiting_mbit: what it has to carry first, whole frames.

    Returns:
        Not below 0.
    """
    before_mbit = trace.megabits_until(at_s) + waiting_mbit
    least_mbps = min((trace.megabits_until(at_s + length) - before_mbit) / length for length in WINDOWS_S)
    return max(least_mbps, 0.0) * MARGIN * PAYLOAD_SHARE * 1000.0


class Oracle:
    """Told the link, what it carries for certain over the next second; a reference and a teacher."""

    every_feedback = True

    def reset(self, call: CallSettings, seed: int, qoe: Any) -> None:
        """A new call begins."""
        self._queue_mbit = 0.0
        self._at_s = 0.0

    def tell(self, trace: Trace, start_s: float, path: CallPath) -> None:
        """The link of this call."""
        self._trace = trace
        self._reaches_s = path.media_delay_ms / 1000.0
        self._at_s = start_s + self._reaches_s
        self._start_s = start_s
        self._limit_mbit = path.queue_limit_bytes(trace) * 8e-6

    def decide(self, observation: CallObservation) -> Rate:
        """The rate from now on."""
        now = observation.now
        at_s = self._start_s + now.elapsed_s + self._reaches_s
        came_mbit = now.sent_mbps * now.interval_s / PAYLOAD_SHARE
        left_mbit = self._trace.megabits_until(at_s) - self._trace.megabits_until(self._at_s)
        self._queue_mbit = min(max(self._queue_mbit + came_mbit - left_mbit, 0.0), self._limit_mbit)
        self._at_s = at_s
        return Rate(safe_kbps(self._trace, at_s, self._queue_mbit))
