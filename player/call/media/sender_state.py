"""What a call's sender knows: records and rings, by name, as compiled code reads and changes them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from player.call.packets import MOST_PACKETS, PAYLOAD_BYTES
from player.call.settings import CallSettings

Record = Any
"""A numpy record, mutable by attribute."""
Ring = Any
"""A structured array whose length is a power of two; item i stands at `i & (len - 1)`."""

NEVER = np.inf

PROBES_WAITING = 4
"""Probe clusters that may wait for the one that is being sent."""

REMEMBERED_S = 4.0
"""The sender knows what it sent for so long, at the highest target (at least); older is not reported."""
RESENDS_WAITING = 256
SECOND_PACKETS_AT_LEAST = 64

_FLOATS = (
    # set by the call
    "frame_s",  # between two frames
    "follow_down",  # share of the way to a lower target that sizes go with each frame
    "follow_up",
    "sigma",  # of the logarithm of sizes
    "key_ratio",
    "payback_share",  # of a frame's budget that pays back what a key frame was too large
    "key_every_s",
    "pacing",
    "start_pacing",
    "start_s",
    "limit_s",  # a frame is not encoded when the pacer needs longer than that
    # the encoder
    "target_kbps",
    "size_kbps",  # what sizes follow the target with
    "debt_bytes",  # what key frames were too large, not yet paid back
    "last_key_s",
    # the pacer
    "free_s",  # when the next packet may leave
    "probe_kbps",
    # feedback
    "rtt_s",  # smoothed; 0: not known
    "last_feedback_s",
)
_INTS = (
    "frames",  # encoded
    "frames_dropped",
    "key_wanted",
    "largest_bytes",  # of a frame
    "nack_tries",
    "next_seq",
    "media_head",
    "media_tail",
    "resend_head",
    "resend_tail",
    "queued_bytes",
    "probe",  # number of the newest cluster
    "probe_packets",  # that the present cluster lacks; 0: there is none
    "probe_bytes",
    "probes_waiting",
    "sent_bytes",  # since the last feedback
    "dropped_since",  # frames since the last feedback
    "feedbacks",
)

SENDER = np.dtype(
    [(name, np.float64) for name in _FLOATS]
    + [(name, np.int64) for name in _INTS]
    + [("dice", np.uint64), ("waiting_kbps", np.float64, (PROBES_WAITING,))]
)

JOB = np.dtype(
    [("captured_s", np.float64), ("queued_s", np.float64)]
    + [(name, np.int64) for name in ("frame", "index", "count", "size_bytes", "flags")]
)
"""A packet of media that waits in the pacer."""

PACKET = np.dtype(
    [("sent_s", np.float64), ("captured_s", np.float64), ("resent_s", np.float64)]
    + [
        (name, np.int64)
        for name in ("seq", "frame", "index", "count", "size_bytes", "flags", "repeats", "tries", "probe")
    ]
)
"""A packet that was sent, by `seq`: all that is on the wire, and how often it was asked for again."""

RESEND = np.dtype([("seq", np.int64), ("size_bytes", np.int64)])
"""A packet that waits to be sent again, before all media."""

SENT_SECOND = np.dtype(
    [
        (name, np.int64)
        for name in (
            "packets", "bytes", "resent_packets", "padding_bytes", "frames", "key_frames", "frames_dropped",
        )
    ]
)  # fmt: skip
"""What a sender did in a second of the call."""


class Sender(NamedTuple):
    """The state of the senders of N calls; of one, take each field's row."""

    record: Ring
    """(N,) of SENDER."""
    media: Ring
    """(N, J) of JOB."""
    resends: Ring
    """(N, RESENDS_WAITING) of RESEND."""
    history: Ring
    """(N, H) of PACKET."""
    seconds: Ring
    """(N, whole seconds of the call) of SENT_SECOND."""


def power_of_two(least: float) -> int:
    """The smallest one that is not less."""
    return 1 << max(math.ceil(least) - 1, 0).bit_length()


def new_senders(call: CallSettings, seeds: Any) -> Sender:
    """Senders that have sent nothing yet.

    Args:
        seeds: (N,) whole numbers; of the frames' sizes.
    """
    calls = len(seeds)
    record = np.zeros(calls, SENDER)
    for name in ("key_ratio", "key_every_s", "pacing", "start_pacing", "start_s", "nack_tries"):
        record[name] = getattr(call, name)
    record["frame_s"] = 1.0 / call.fps
    record["follow_down"], record["follow_up"] = _share(call.lag_down_frames), _share(call.lag_up_frames)
    record["sigma"] = math.sqrt(math.log1p(call.size_cv**2))
    record["payback_share"], record["limit_s"] = call.key_payback, call.pacer_limit_ms / 1000.0
    record["target_kbps"] = record["size_kbps"] = call.start_kbps
    record["largest_bytes"] = MOST_PACKETS * PAYLOAD_BYTES
    record["dice"] = np.asarray(seeds, np.uint64)
    per_s = call.max_kbps * 1000 / 8 / PAYLOAD_BYTES + call.fps
    waiting = 2 * per_s * call.start_pacing * call.pacer_limit_ms / 1000 + MOST_PACKETS
    history = max(2 * per_s * REMEMBERED_S, SECOND_PACKETS_AT_LEAST)
    return Sender(
        record,
        np.zeros((calls, power_of_two(waiting)), JOB),
        np.zeros((calls, RESENDS_WAITING), RESEND),
        np.zeros((calls, power_of_two(history)), PACKET),
        np.zeros((calls, math.ceil(call.duration_s)), SENT_SECOND),
    )


def _share(lag_frames: float) -> float:
    """Of the way that is gone with each frame, for a time constant in frames."""
    return 1.0 - math.exp(-1.0 / lag_frames) if lag_frames > 0 else 1.0
