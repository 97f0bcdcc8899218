"""A simulated call, event by event, to the next feedback that the sender hears.

Events of one moment happen in this order: a packet comes, a report is made, a message comes back, a rate
comes into force, a frame is captured, a packet leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from player.call.feedback_batch import FeedbackBatch
from player.call.media.assembly import give_up
from player.call.media.capturing import capture
from player.call.media.encoder import want_key
from player.call.media.facts import note
from player.call.media.feedback import miss_report, report, take
from player.call.media.pacer import ask_probe, due_s, send
from player.call.media.playout import end
from player.call.media.receiver_state import Receiver
from player.call.media.receiving import receive
from player.call.media.recovery import ask_again, resend
from player.call.media.sender_state import NEVER, Record, Ring, Sender
from player.call.packets import MOST_NACKED, OVERHEAD_BYTES
from player.call.simulated.passage import send_back_s, send_off
from player.call.simulated.state import NACK_KIND, REPORT_KIND, Paths
from player.compiled.compiled import compiled


@compiled
def run_calls(
    sender: Sender,
    receiver: Receiver,
    paths: Paths,
    past: Ring,
    batch: FeedbackBatch,
    rows: Any,
    begin: int,
    end: int,
) -> None:
    """Bring the calls `begin` to `end` to their next feedback, or to their end.

    Args:
        past: (N,) of `facts.FACTS`.
        rows: (N, facts.FIELDS) what the feedback tells, as facts.
    """
    for n in range(begin, end):
        if not paths.record[n].over:
            _run(sender, receiver, paths, past, batch, rows, n)


@compiled
def _run(
    sender: Sender, receiver: Receiver, paths: Paths, past: Ring, batch: FeedbackBatch, rows: Any, n: int
) -> None:
    c, s, r = paths.record[n], sender.record[n], receiver.record[n]
    media, resends, history, sent = sender.media[n], sender.resends[n], sender.history[n], sender.seconds[n]
    arrivals, missing, frames = receiver.arrivals[n], receiver.missing[n], receiver.frames[n]
    shown, seconds, delays = receiver.shown[n], receiver.seconds[n], receiver.delays[n]
    flights, messages = paths.flights[n], paths.messages[n]
    first, last = paths.begin[c.trace], paths.end[c.trace]
    time_s, bytes_per_s = paths.time_s[first:last], paths.bytes_per_s[first:last]
    delay_s, loss = paths.delay_s[first:last], paths.loss[first:last]
    asked = np.empty(MOST_NACKED, np.int64)
    while True:
        flight = flights[c.flights_head & (len(flights) - 1)]
        comes_s = flight.leaves_s if c.flights_head < c.flights_tail else NEVER
        report_s = (c.reports + 1) * c.feedback_s
        message = messages[c.messages_head & (len(messages) - 1)]
        back_s = message.comes_s if c.messages_head < c.messages_tail else NEVER
        capture_s, leave_s = c.captures * s.frame_s, due_s(s)
        now_s = min(min(comes_s, report_s), min(min(back_s, c.answer_s), min(capture_s, leave_s)))
        if now_s > c.duration_s:
            end(r, shown, c.duration_s)
            c.over = 1
            return
        if comes_s <= now_s:
            c.flights_head += 1
            c.delivered_packets += 1
            c.delivered_bytes += flight.size_bytes + OVERHEAD_BYTES
            gap = receive(r, arrivals, missing, frames, shown, seconds, delays, flight, now_s)
            if gap > 0:
                comes = send_back_s(c, time_s, delay_s, loss, now_s)
                post(c, messages, paths.outages_s, NACK_KIND, flight.seq - gap, gap, 0, comes, now_s)
        elif report_s <= now_s:
            c.reports += 1
            wants_key = 1 if give_up(r, now_s) else 0
            begun, count = report(r)
            comes = send_back_s(c, time_s, delay_s, loss, now_s)
            post(c, messages, paths.outages_s, REPORT_KIND, begun, count, wants_key, comes, now_s)
            for place in range(ask_again(r, missing, asked, now_s)):
                post(c, messages, paths.outages_s, NACK_KIND, asked[place], 1, 0, comes, now_s)
        elif back_s <= now_s:
            c.messages_head += 1
            if message.kind == REPORT_KIND:
                if message.lost:
                    miss_report(s, now_s, batch, n)
                else:
                    if message.wants_key:
                        want_key(s, now_s)
                    take(s, history, arrivals, message.first, message.count, message.made_s, now_s, batch, n)
                note(past[n], s, batch, n, rows[n])
                return
            if not message.lost:
                for seq in range(message.first, message.first + message.count):
                    resend(s, resends, history, seq, now_s)
        elif c.answer_s <= now_s:
            s.target_kbps = c.answer_kbps
            c.answer_s = NEVER
        elif capture_s <= now_s:
            capture(s, media, sent, now_s)
            c.captures += 1
        else:
            seq = send(s, media, resends, history, sent, now_s)
            if seq >= 0:
                packet = history[seq & (len(history) - 1)]
                send_off(c, flights, time_s, bytes_per_s, delay_s, loss, packet, now_s)


@compiled
def post(
    c: Record,
    messages: Ring,
    outages_s: Any,
    kind: int,
    first: int,
    count: int,
    wants_key: int,
    comes_s: float,
    now_s: float,
) -> None:
    """The receiver sends a message back; where there is no room, a request is lost and a report never is."""
    room = len(messages) - (c.messages_tail - c.messages_head)
    if room <= (0 if kind == REPORT_KIND else len(messages) // 2):
        return
    message = messages[c.messages_tail & (len(messages) - 1)]
    c.messages_tail += 1
    message.kind, message.first, message.count, message.wants_key = kind, first, count, wants_key
    message.comes_s, message.made_s, message.lost = comes_s, now_s, 0
    for span in range(len(outages_s)):
        if outages_s[span, 0] <= now_s < outages_s[span, 1]:
            message.lost = 1


@compiled
def set_rates(senders: Ring, paths: Ring, kbps: Any, probe_kbps: Any, delay_s: Any, now_s: Any) -> None:
    """Rates that were decided at `now_s`, in force after `delay_s`; a probe at once.

    Args:
        senders, paths: (N,) of SENDER and PATH; the records alone, for handing over all arrays costs more.
    """
    for n in range(len(kbps)):
        c, s = paths[n], senders[n]
        if delay_s[n] > 0:
            c.answer_kbps, c.answer_s = kbps[n], now_s[n] + delay_s[n]
        else:
            s.target_kbps = kbps[n]
        if probe_kbps[n] > 0:
            ask_probe(s, probe_kbps[n], now_s[n])
