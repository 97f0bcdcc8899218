"""What feedback tells the senders of a batch of calls, as arrays; of one call with N = 1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class FeedbackBatch(NamedTuple):
    """One feedback of each of N calls; of packets `[n, :packets[n]]` count, in the order of `seq`.

    Compiled functions take it as it is. Times are seconds since the call began.
    """

    now_s: Floats
    """(N,) the sender's clock when the feedback came, or was given up."""
    heard: NDArray[np.bool_]
    """(N,) whether it came."""
    packets: Ints
    """(N,) how many are reported: those that came and those that are known lost."""
    seq: Ints
    size_bytes: Ints
    """(N, K) payload; the wire has `packets.OVERHEAD_BYTES` more."""
    sent_s: Floats
    arrived_s: Floats
    """(N, K) NaN: lost."""
    probe: Ints
    """(N, K) the probe cluster, counted from 1; 0: none."""
    rtt_s: Floats
    """(N,) from the newest reported packet's sending to now, less what the receiver held it; NaN: no packet
    has come since the last feedback."""
    pacer_bytes: Ints
    """(N,) that wait in the sender's pacer."""
    target_kbps: Floats
    """(N,) in force when the feedback came."""
    sent_bytes: Ints
    """(N,) sent since the last feedback."""
    interval: Ints
    """(N,) which feedback of the call, counted from 0."""


def room_for_feedback(calls: int, packets: int) -> FeedbackBatch:
    """Room for one feedback of each of so many calls."""
    kinds = {"heard": np.bool_, "now_s": np.float64, "rtt_s": np.float64, "target_kbps": np.float64}
    kinds |= {"sent_s": np.float64, "arrived_s": np.float64}
    of_packets = ("seq", "size_bytes", "sent_s", "arrived_s", "probe")
    return FeedbackBatch(
        **{
            name: np.zeros((calls, packets) if name in of_packets else calls, kinds.get(name, np.int64))
            for name in FeedbackBatch._fields
        }
    )
