"""What a simulated path knows, by name, as compiled code reads and changes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from player.call.media.sender_state import NEVER, PACKET, Ring, power_of_two
from player.call.packets import OVERHEAD_BYTES, WIRE_BYTES
from player.call.path import CallPath
from player.call.settings import CallSettings
from player.simulated.tcp.bottleneck import BURST_BYTES
from traces.trace import Trace

_SMALLEST_WIRE_BYTES = 142
"""Of a packet, more or less (`encoder.SMALLEST_BYTES`)."""
MESSAGES = 1024
"""Reports and requests that may be on their way back: ten seconds of them."""

_FLOATS = (
    # the bucket, as player/simulated/tcp/bottleneck.py has it
    "pass_s",  # when the present pass of the trace began
    "link_s",  # up to when the link has been followed
    "tokens_bytes",  # what it may send at once
    "backlog_bytes",  # in its queue
    "limit_bytes",  # most that the queue holds
    # what the trace says besides, as player/simulated/tcp/now.py has it
    "begun_s",
    "added_s",
    "lost_share",
    "asked_loss",
    # the delay stage
    "delay_s",
    "jitter_s",
    "grant_s",
    "left_s",  # when the last packet left it
    "enter_bad",  # Gilbert-Elliott: shares
    "leave_bad",
    "lost_bad",
    "lost_good",
    # the way back
    "back_s",
    "back_jitter_s",
    "back_left_s",  # when the last message came out of it
    # the call
    "duration_s",
    "feedback_s",
    "answer_kbps",
    "answer_s",  # when the rate that is decided comes into force; NEVER: none is
)
_INTS = (
    "interval",
    "now_interval",
    "varying",
    "trace",  # which
    "bursty",  # 1: Gilbert-Elliott
    "bad",  # its state
    "backlog_from",  # flights before it have left the queue
    "flights_head",  # flights before it have come
    "flights_tail",
    "messages_head",
    "messages_tail",
    "captures",  # frames captured so far
    "reports",  # made so far
    "over",
    "lost_packets",  # on the way, before the queue
    "lost_bytes",
    "dropped_packets",  # by the full queue
    "dropped_bytes",
    "delivered_packets",
    "delivered_bytes",
)

PATH = np.dtype(
    [(name, np.float64) for name in _FLOATS] + [(name, np.int64) for name in _INTS] + [("dice", np.uint64)]
)

FLIGHT = np.dtype([*((name, PACKET[name]) for name in PACKET.names or ()), ("leaves_s", np.float64)])
"""A packet on its way: what is on the wire, and when it leaves the queue, which is when it comes."""

REPORT_KIND, NACK_KIND = 1, 2
MESSAGE = np.dtype(
    [("comes_s", np.float64), ("made_s", np.float64)]
    + [(name, np.int64) for name in ("kind", "first", "count", "wants_key", "lost")]
)
"""On its way back: a report of, or a request for, `count` packets from `first` on."""


class Paths(NamedTuple):
    """The paths of N calls over T traces, the traces one behind the other."""

    record: Ring
    """(N,) of PATH."""
    flights: Ring
    """(N, Q) of FLIGHT."""
    messages: Ring
    """(N, MESSAGES) of MESSAGE."""
    begin: Any
    end: Any
    """(T,) places of each trace's points."""
    time_s: Any
    bytes_per_s: Any
    delay_s: Any
    loss: Any
    """(points,) of all traces; `delay_s` and `loss` 0 where a trace has none."""
    outages_s: Any
    """(spans, 2) within which what is sent back is lost."""


def new_paths(
    call: CallSettings, path: CallPath, traces: Sequence[Trace], which: Any, start_s: Any, seeds: Any
) -> Paths:
    """Paths on which nothing is.

    Args:
        which: (N,) place of each call's trace.
        start_s: (N,) where in it the call begins.
        seeds: (N,) of jitter and loss.
    """
    record = np.zeros(len(which), PATH)
    limits = np.array([path.queue_limit_bytes(trace) for trace in traces])
    record["trace"], record["limit_bytes"] = which, limits[which]
    record["tokens_bytes"], record["dice"] = BURST_BYTES, seeds
    record["answer_s"], record["duration_s"] = NEVER, call.duration_s
    record["feedback_s"] = call.feedback_ms / 1000.0
    _set_stages(record, path)
    for place, (trace, at_s) in enumerate(zip(which, start_s, strict=True)):
        wrapped = float(at_s) % traces[trace].duration_s
        index = int(np.searchsorted(traces[trace].time_s, wrapped, "right"))
        record[place]["interval"] = record[place]["now_interval"] = index
        record[place]["pass_s"] = record[place]["begun_s"] = -wrapped
    on_the_way = call.max_kbps * 1000 / 8 / _SMALLEST_WIRE_BYTES * call.start_pacing * path.rtt_ms / 1000
    most = min(limits.max(), call.max_kbps * 1000 / 8 * call.duration_s) / _SMALLEST_WIRE_BYTES + on_the_way
    points = [len(trace.time_s) for trace in traces]
    ends = np.cumsum(points)
    return Paths(
        record,
        np.zeros((len(which), power_of_two(most + WIRE_BYTES / OVERHEAD_BYTES)), FLIGHT),
        np.zeros((len(which), MESSAGES), MESSAGE),
        ends - points,
        ends,
        np.concatenate([trace.time_s for trace in traces]),
        np.concatenate([trace.rate_mbps for trace in traces]) * 1e6 / 8.0,
        np.concatenate([trace.delay_ms or np.zeros(len(trace.time_s)) for trace in traces]) / 1000.0,
        np.concatenate([trace.loss_pct or np.zeros(len(trace.time_s)) for trace in traces]) / 100.0,
        np.array(path.feedback_lost_s, np.float64).reshape(-1, 2),
    )


def _set_stages(record: Any, path: CallPath) -> None:
    record["delay_s"], record["jitter_s"] = path.media_delay_ms / 1000.0, path.media_jitter_ms / 1000.0
    record["grant_s"] = path.grant_ms / 1000.0
    record["back_s"], record["back_jitter_s"] = path.feedback_delay_ms / 1000.0, path.jitter_ms / 1000.0
    loss = path.loss
    if loss.kind == "uniform":
        record["asked_loss"] = record["lost_share"] = loss.p / 100.0
    if loss.kind == "gemodel":
        record["bursty"] = 1
        record["enter_bad"], record["leave_bad"] = loss.p / 100.0, loss.r / 100.0
        record["lost_bad"], record["lost_good"] = loss.bad / 100.0, loss.good / 100.0
