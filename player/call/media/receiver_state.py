"""What a call's receiver knows: records and rings, by name, as compiled code reads and changes them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from player.call.media.sender_state import REMEMBERED_S, Record, Ring, power_of_two
from player.call.packets import MOST_PACKETS, PAYLOAD_BYTES
from player.call.settings import CallSettings

__all__ = ["FRAME", "MISSING", "RECEIVER", "Receiver", "Record", "Ring", "new_receivers"]

MOST_MISSING = 256
"""Packets that are asked for at a time; a longer gap asks for a key frame (WebRTC: 1000, a longer video)."""
FRAMES_BEHIND_S = 12.0
"""Frames that are kept: those that came in this time and wait for an earlier one."""
DELAY_BINS = 4096
"""Of one-way delay, a millisecond each; the last has all that is longer."""
_BITS = 64

RECEIVER = np.dtype(
    [
        (name, np.float64)
        for name in (
            "give_up_s",
            "nack_rtt_s",  # after which a packet is asked for again
            "scored_from_s",  # one-way delays count from there on
            "playout_min_s",
            "playout_max_s",
            "deviations",
            "memory",  # share of a new frame in the two means
            "blocked_s",  # since when the next frame is waited for while later ones are here; NEVER: it isn't
            "delay_mean_s",
            "delay_deviation_s",
            "pending_s",  # when the frame that is to be shown is
            "pending_captured_s",
        )
    ]
    + [
        (name, np.int64)
        for name in (
            "nack_tries",
            "highest_seq",  # -1: none has come
            "next_report",  # seq
            "reports",
            "missing_head",
            "missing_tail",
            "gap_first",
            "gap_count",  # the gap that the last packet has shown
            "wants_key",
            "next_frame",  # to be decoded
            "newest_frame",
            "decoded",
            "given_up",  # frames
            "overtaken",  # decoded but replaced, before they were seen, by a later one
            "pending",
            "shown",
            "delays_known",
        )
    ]
)

ARRIVAL = np.dtype([("seq", np.int64), ("at_s", np.float64)])
"""By `seq`."""

MISSING = np.dtype([("seq", np.int64), ("tries", np.int64), ("found_s", np.float64), ("asked_s", np.float64)])

FRAME = np.dtype(
    [
        ("captured_s", np.float64),
        *((name, np.int64) for name in ("frame", "count", "have", "key")),
        ("bits", np.uint64, (MOST_PACKETS // _BITS,)),
    ]
)
"""By frame."""

SHOWN = np.dtype([("at_s", np.float64), ("captured_s", np.float64)])
"""A frame that was seen."""

ARRIVED_SECOND = np.dtype(
    [(name, np.int64) for name in ("packets", "bytes", "media_bytes", "missed")]
    + [("delay_sum_s", np.float64), ("delay_least_s", np.float64), ("delay_most_s", np.float64)]
)
"""What came in a second of the call; `media_bytes` without padding and what had come already."""


class Receiver(NamedTuple):
    """The state of the receivers of N calls; of one, take each field's row."""

    record: Ring
    """(N,) of RECEIVER."""
    arrivals: Ring
    """(N, H) of ARRIVAL."""
    missing: Ring
    """(N, MOST_MISSING) of MISSING."""
    frames: Ring
    """(N, F) of FRAME."""
    shown: Ring
    """(N, frames of the call) of SHOWN."""
    seconds: Ring
    """(N, whole seconds of the call) of ARRIVED_SECOND."""
    delays: Any
    """(N, DELAY_BINS) int64 packets by one-way delay."""


def new_receivers(call: CallSettings, calls: int) -> Receiver:
    """Receivers to which nothing has come yet."""
    record = np.zeros(calls, RECEIVER)
    record["give_up_s"], record["nack_tries"] = call.give_up_s, call.nack_tries
    record["nack_rtt_s"] = call.nack_again_ms / 1000.0
    record["playout_min_s"], record["playout_max_s"] = (
        call.playout_min_ms / 1000.0,
        call.playout_max_ms / 1000.0,
    )
    record["deviations"], record["memory"] = call.playout_deviations, 1.0 / call.playout_memory_frames
    record["scored_from_s"] = call.scored_from_s
    record["highest_seq"] = record["newest_frame"] = -1
    record["blocked_s"] = np.inf
    per_s = call.max_kbps * 1000 / 8 / PAYLOAD_BYTES + call.fps
    behind = (FRAMES_BEHIND_S + call.give_up_s) * call.fps
    frames = np.zeros((calls, power_of_two(behind)), FRAME)
    frames["frame"] = -1
    arrivals = np.zeros((calls, power_of_two(2 * per_s * REMEMBERED_S)), ARRIVAL)
    arrivals["seq"] = -1
    seconds = math.ceil(call.duration_s)
    return Receiver(
        record,
        arrivals,
        np.zeros((calls, MOST_MISSING), MISSING),
        frames,
        np.zeros((calls, call.frames), SHOWN),
        np.zeros((calls, seconds), ARRIVED_SECOND),
        np.zeros((calls, DELAY_BINS), np.int64),
    )
