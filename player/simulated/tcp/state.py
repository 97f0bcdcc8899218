"""The state of a connection: records and rings, by name, as compiled code reads them.

Segments are numbered from 0 on over the whole connection. A *flight* is one transmission of one
segment, numbered in the order of sending; the path keeps that order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

MSS_BYTES = 1448
"""Payload of a full segment: 1500 less IP (20), TCP (20) and the timestamp option (12)."""

HEADERS_BYTES = 66
"""What a frame holds besides: those, and Ethernet's 14 as tc counts them."""

INITIAL_WINDOW = 10
"""RFC 6928 [TCP_INIT_CWND]."""

MOST_IN_FLIGHT = 1747
"""Segments that the sender keeps unacknowledged: Linux's largest send buffer (tcp_wmem, 4 MiB) at some
2400 bytes of memory a segment."""

NO_THRESHOLD = 0x7FFFFFFF
"""A slow start threshold that is not known yet [TCP_INFINITE_SSTHRESH]."""

RTO_MIN_S = 0.2
RTO_MAX_S = 120.0
"""[TCP_RTO_MIN, TCP_RTO_MAX]"""

RING = 8192
"""Slots of each ring: more than can be on the way at once."""
MASK = RING - 1

OPEN, RECOVERY, LOSS = 0, 1, 2
"""States of the sender [TCP_CA_Open, TCP_CA_Recovery, TCP_CA_Loss]."""

NO_TIMER, PROBE_TIMER, REORDER_TIMER, RTO_TIMER = 0, 1, 2, 3

SACKED, LOST, RESENT, EVER_RESENT = 1, 2, 4, 8
"""Marks of a segment; RESENT: its newest transmission is one that repairs, and may still arrive."""

NEVER = np.inf
DROPPED = -1.0
"""The departure of a frame that found the queue full."""

DICE_BEGIN = 0x330E
"""What POSIX's srand48 puts behind the seed."""

_FLOATS = (
    # the link
    "pass_s",  # when the present pass of the trace began
    "link_s",  # up to when the link has been followed
    "tokens_bytes",  # what it may send at once
    "backlog_bytes",  # in its queue
    "limit_bytes",  # most that the queue holds
    "rtt_s",  # of the empty path, without any frame's own time and without what the trace adds
    "added_s",  # what the trace adds to it now
    "uplink_s",  # when the last that entered the uplink's varying delay leaves it
    "lost_share",  # of the frames towards the player, now
    "asked_loss",  # the part of that which does not come from the trace
    "begun_s",  # when the pass of the trace began in which it is now
    # both ends
    "delayed_ack_s",  # when the receiver's delayed ACK is due
    "timer_s",  # when the sender's timer is due
    "last_sent_s",
    "srtt_s",
    "deviation_s",  # [mdev, four times the mean deviation]
    "deviation_most_s",  # [mdev_max]
    "variance_s",  # [rttvar]
    "min_rtt_s",
    "window_used_s",  # when the window was last full [snd_cwnd_stamp]
    # cubic
    "epoch_s",  # when the present growth began; negative: it has not
    "k_s",  # from there to the plateau
    "target_time_s",  # when the growth was last worked out [last_time]
    "delay_min_s",
    "round_rtt_s",  # HyStart's least delay of the present round [curr_rtt]
    "round_start_s",
    "train_s",  # the last ACK of HyStart's train [last_ack]
)
_INTS = (
    "interval",  # of the trace, up to where the link has been followed
    "now_interval",  # of the trace, in which it is now: frames on the way are ahead of it
    "varying",  # 1 if the trace has delays
    "dice",  # 48 bits that decide who is lost
    "backlog_from",  # flights before it have left the queue
    "next_delivery",  # flights before it have arrived, or were dropped
    "flights",  # so many were sent
    "acks_sent",
    "acks_heard",
    # the receiver
    "requests",  # so many it has sent
    "expected",  # the next segment in order
    "unacked",  # segments that no ACK has told of
    "out_of_order",  # segments that wait for an earlier one
    "newest_arrival",  # the flight that came last
    # the sender
    "first_unacked",  # [snd_una]
    "next_new",  # [snd_nxt]
    "written",  # segments that the application has asked to send
    "last_bytes",  # payload of the last of them
    "sacked",
    "lost",
    "resent",
    "state",
    "timer",
    "backoff",
    "probe_end",  # segments sent when a tail probe left; -1: none is out [tlp_high_seq]
    "judged",  # flights before it are known to have arrived or not
    "newest_heard",  # the flight that the newest ACK tells of
    "repair_from",  # no lost segment before it waits to be sent again
    "recover",  # segments sent when recovery began [high_seq]
    "loss_flight",  # the first flight after the timeout
    "rtt_end",  # segments sent when the present round of RTT samples began [rtt_seq]
    "window",  # [snd_cwnd]
    "window_count",  # ACKs on the way to the next segment of window [snd_cwnd_cnt]
    "window_limited",  # [is_cwnd_limited]
    "window_end",  # [cwnd_usage_seq]
    "window_peak",  # [max_packets_out]
    "window_used",  # [snd_cwnd_used]
    "threshold",  # [snd_ssthresh]
    "prior_window",
    "prior_threshold",
    "delivered",  # since recovery began [prr_delivered]
    "sent_in_recovery",  # [prr_out]
    # cubic
    "count",  # ACKs that the window's next segment takes [cnt]
    "acks",  # in the present epoch [ack_cnt]
    "last_max",  # window before the last loss
    "origin",  # window of the plateau
    "last_window",
    "reno_window",  # what Reno would have by now [tcp_cwnd]
    "found",  # HyStart has ended slow start
    "samples",
    "round_end",
)

CONNECTION = np.dtype([(name, np.float64) for name in _FLOATS] + [(name, np.int64) for name in _INTS])

SEGMENT = np.dtype([("sent_s", np.float64), ("flight", np.int64), ("bytes", np.int64), ("marks", np.int64)])
"""By segment: when it was sent last, as which flight, its payload."""

FLIGHT = np.dtype([("sent_s", np.float64), ("leaves_s", np.float64), ("segment", np.int64)])
"""By flight: when it was sent and leaves the queue."""

ACK = np.dtype([("arrives_s", np.float64), ("expected", np.int64), ("flight", np.int64)])
"""By ACK: what the receiver expects next, and the newest flight that had arrived."""

ARRIVED = np.dtype([("early", np.int64)])
"""By segment: it has arrived ahead of an earlier one."""

Record = Any
"""A numpy record, mutable by attribute."""
Ring = Any
"""A structured array of RING records."""


def new_connection(
    interval: int,
    pass_s: float,
    rtt_s: float,
    limit_bytes: float,
    added_s: float = 0.0,
    asked_loss: float = 0.0,
    seed: int = 0,
) -> tuple[Any, ...]:
    """A warm connection at time 0: it has fetched a small file and has been idle since.

    Args:
        rtt_s: of the empty path, to which the trace adds `added_s` when the session begins.
        asked_loss: share of frames lost whatever the trace says.
        seed: of the losses.

    Returns:
        (1,) of CONNECTION; (RING,) of SEGMENT, FLIGHT, ACK and ARRIVED.
    """
    one = np.zeros(1, CONNECTION)
    one["interval"], one["pass_s"] = interval, pass_s
    one["rtt_s"], one["limit_bytes"] = rtt_s, limit_bytes
    one["tokens_bytes"] = MSS_BYTES + HEADERS_BYTES
    one["now_interval"], one["begun_s"], one["added_s"] = interval, pass_s, added_s
    one["asked_loss"] = one["lost_share"] = asked_loss
    one["dice"] = (seed % 2**32 << 16) + DICE_BEGIN
    one["srtt_s"] = one["min_rtt_s"] = one["delay_min_s"] = rtt_s + added_s
    one["deviation_s"] = (rtt_s + added_s) / 2
    one["variance_s"] = one["deviation_most_s"] = RTO_MIN_S
    one["last_sent_s"] = one["window_used_s"] = -RTO_MAX_S
    one["delayed_ack_s"] = one["timer_s"] = one["round_rtt_s"] = NEVER
    one["epoch_s"] = -1.0
    one["window"], one["threshold"], one["probe_end"] = INITIAL_WINDOW, NO_THRESHOLD, -1
    rings = [np.zeros(RING, kind) for kind in (SEGMENT, FLIGHT, ACK, ARRIVED)]
    return one, *rings
