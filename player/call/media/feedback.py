"""Transport-wide feedback: the receiver tells of each packet when it came.

A report goes from the first packet that none has told of to the newest that came; what has not come by then
is lost, as a path keeps order. A report that is lost is not sent again."""

from __future__ import annotations

import numpy as np

from player.call.feedback_batch import FeedbackBatch
from player.call.media.receiver_state import Record, Ring
from player.call.packets import MOST_REPORTED
from player.compiled.compiled import compiled

RTT_MEMORY = 0.125
"""Share of a new round trip in the smoothed one (RFC 6298's alpha)."""


@compiled
def report(r: Record) -> tuple[int, int]:
    """A report is due: its first packet and how many; older ones than it has room for are never told of."""
    first = max(r.next_report, r.highest_seq + 1 - MOST_REPORTED)
    count = max(r.highest_seq + 1 - first, 0)
    r.next_report = r.highest_seq + 1
    r.reports += 1
    return first, count


@compiled
def take(
    s: Record,
    history: Ring,
    arrivals: Ring,
    first: int,
    count: int,
    made_s: float,
    now_s: float,
    batch: FeedbackBatch,
    row: int,
) -> None:
    """The sender hears a report.

    Args:
        arrivals: a ring of `receiver_state.ARRIVAL` with what the report tells: a slot of another `seq` is a
            packet that has not come.
        made_s: when the receiver made it.
        batch, row: where to write what it tells.
    """
    packets, newest_s = 0, np.nan
    for seq in range(first, first + count):
        sent = history[seq & (len(history) - 1)]
        if sent.seq != seq or seq >= s.next_seq or s.next_seq - seq > len(history):
            continue
        slot = arrivals[seq & (len(arrivals) - 1)]
        arrived_s = slot.at_s if slot.seq == seq else np.nan
        batch.seq[row, packets], batch.size_bytes[row, packets] = seq, sent.size_bytes
        batch.sent_s[row, packets], batch.arrived_s[row, packets] = sent.sent_s, arrived_s
        batch.probe[row, packets] = sent.probe
        packets += 1
        if slot.seq == seq:
            newest_s = now_s - sent.sent_s - (made_s - arrived_s)
    batch.packets[row] = packets
    batch.rtt_s[row] = newest_s
    if newest_s == newest_s:
        s.rtt_s += (newest_s - s.rtt_s) * (RTT_MEMORY if s.rtt_s > 0 else 1.0)
    _note(s, now_s, batch, row, True)


@compiled
def miss_report(s: Record, now_s: float, batch: FeedbackBatch, row: int) -> None:
    """No report came when one was due."""
    batch.packets[row] = 0
    batch.rtt_s[row] = np.nan
    _note(s, now_s, batch, row, False)


@compiled
def _note(s: Record, now_s: float, batch: FeedbackBatch, row: int, heard: bool) -> None:
    """What the sender knows by itself."""
    batch.now_s[row], batch.heard[row] = now_s, heard
    batch.pacer_bytes[row], batch.target_kbps[row] = s.queued_bytes, s.target_kbps
    batch.sent_bytes[row], batch.interval[row] = s.sent_bytes, s.feedbacks
    s.sent_bytes = 0
    s.feedbacks += 1
    s.last_feedback_s = now_s
