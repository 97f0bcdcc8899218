"""A real call's sender: the simulator's functions of media and GCC, driven by clocks and sockets.

One compiled loop from the call's first frame to its last, in a real-time thread. What is due at one moment
happens in the simulator's order: feedback is heard, a rate comes into force, a frame is captured, packets
leave. Frames and packets are due at the same times as in the simulator; how much later a packet left is
counted, and the time that it carries is what the clock said then.
"""

from __future__ import annotations

import numpy as np

from player.call.decide import BY_HELD, BY_POLICY, decided
from player.call.feedback_batch import FeedbackBatch
from player.call.gcc.gcc import begin, overusing, step, take_probe_kbps
from player.call.gcc.state import GccState
from player.call.media.capturing import capture
from player.call.media.encoder import want_key
from player.call.media.facts import note
from player.call.media.feedback import miss_report, take
from player.call.media.pacer import ask_probe, due_s, send
from player.call.media.recovery import resend
from player.call.media.sender_state import Record, Ring, Sender
from player.call.packets import NACK, REPORT, WANTS_KEY
from player.compiled.compiled import compiled
from testbed.calling.ends.lateness import note_late
from testbed.calling.ends.libc import (
    CLOCK_MONOTONIC,
    Port,
    clock_ns,
    know_clocks,
    notify,
    put_out,
    take_in,
    wait,
)
from testbed.calling.ends.sender_box import DECISIONS, ROWS, SenderBox
from testbed.calling.ends.wire import NACK_HEAD_BYTES, kind_of, put_media, short, take_report, word

FIRST_REPORT_S = 1.0
"""So long after the call's beginning the first report is given up …"""
LATE_REPORTS = 1.0
"""… and each other when it is so many intervals late."""

_NS = 1e9


@compiled
def send_call(
    port: Port, sender: Sender, shadow: GccState, past: Ring, batch: FeedbackBatch, told: Ring, box: SenderBox
) -> None:
    """The whole call.

    Args:
        sender, shadow, past, batch: of one call.
        told: a ring for what reports tell (`receiver_state.ARRIVAL`), as long as `sender.history[0]`.
    """
    c, s = box.control[0], sender.record[0]
    media, resends, history, sent = sender.media[0], sender.resends[0], sender.history[0], sender.seconds[0]
    c.miss_s = c.feedback_s + FIRST_REPORT_S
    begin(shadow, 0, s.target_kbps, c.min_kbps, c.max_kbps, c.inline == 1 and c.probes == 1)
    if c.inline:
        _probe(s, shadow, 0.0)
    while True:
        now_s = (know_clocks(port) - c.t0_ns) / _NS
        if c.stop or now_s > c.duration_s:
            break
        _hear(port, sender, shadow, past, batch, told, box)
        if now_s >= c.miss_s:
            _miss(port, s, shadow, past, batch, box, now_s)
        _answered(s, shadow, box, now_s)
        while c.captures * s.frame_s <= now_s:
            capture(s, media, sent, c.captures * s.frame_s)
            c.captures += 1
        while due_s(s) <= now_s:
            now_s = _leave(port, s, media, resends, history, sent, box)
        rest_s = min(min(c.captures * s.frame_s, due_s(s)), min(c.miss_s, c.duration_s + 1e-6)) - now_s
        wait(port, rest_s)
    c.over = 1


@compiled
def _leave(
    port: Port, s: Record, media: Ring, resends: Ring, history: Ring, seconds: Ring, box: SenderBox
) -> float:
    """The next packet leaves; the time when it did."""
    c, due = box.control[0], due_s(s)
    now_s = (clock_ns(port, CLOCK_MONOTONIC) - c.t0_ns) / _NS
    seq = send(s, media, resends, history, seconds, now_s)
    if seq < 0:
        return now_s
    length = put_media(port.out, history[seq & (len(history) - 1)])
    if put_out(port, length):
        c.packets += 1
        c.bytes += length
    else:
        c.refused += 1
    note_late(box.late, box.most_late_s, now_s - due)
    return now_s


@compiled
def _hear(
    port: Port, sender: Sender, shadow: GccState, past: Ring, batch: FeedbackBatch, told: Ring, box: SenderBox
) -> None:
    """All that has come back."""
    c, s = box.control[0], sender.record[0]
    while True:
        length, at_ns = take_in(port)
        if length < 0:
            return
        at_s, kind = (at_ns - c.t0_ns) / _NS, kind_of(port.data, length)
        if kind == REPORT:
            number, first, count, flags, made_s = take_report(port.data, told)
            while c.reports < number:  # a path keeps order: what has not come is lost
                _miss(port, s, shadow, past, batch, box, at_s)
            if flags & WANTS_KEY:
                want_key(s, at_s)
            take(s, sender.history[0], told, first, count, made_s, at_s, batch, 0)
            c.reports = max(c.reports, number + 1)
            c.reports_heard += 1
            c.miss_s = at_s + c.feedback_s * (1.0 + LATE_REPORTS)
            _heard(port, s, shadow, past, batch, box)
        elif kind == NACK:
            c.requests_heard += 1
            for place in range(short(port.data, 4)):
                seq = word(port.data, NACK_HEAD_BYTES + 4 * place)
                resend(s, sender.resends[0], sender.history[0], seq, at_s)
        else:
            c.strange += 1


@compiled
def _miss(
    port: Port,
    s: Record,
    shadow: GccState,
    past: Ring,
    batch: FeedbackBatch,
    box: SenderBox,
    now_s: float,
) -> None:
    """A report has not come."""
    c = box.control[0]
    miss_report(s, now_s, batch, 0)
    c.reports += 1
    c.miss_s = max(c.miss_s, now_s) + c.feedback_s
    _heard(port, s, shadow, past, batch, box)


@compiled
def _heard(port: Port, s: Record, shadow: GccState, past: Ring, batch: FeedbackBatch, box: SenderBox) -> None:
    """A feedback is here, or given up: GCC's step, and what follows for the rate."""
    c, now_s = box.control[0], batch.now_s[0]
    note(past[0], s, batch, 0, box.facts[c.feedbacks % ROWS])
    _keep(batch, box.feedback, c.feedbacks % ROWS)
    kbps = min(max(step(shadow, 0, batch), c.min_kbps), c.max_kbps)
    box.shadow_kbps[0] = kbps
    c.feedbacks += 1
    if c.inline:
        s.target_kbps = kbps
        _log(box, now_s, s.target_kbps, BY_POLICY)
        _probe(s, shadow, now_s)
        return
    if c.feedbacks % c.every == 0:  # as the simulated call asks: with whole intervals of decisions
        if c.open:  # a late answer is none
            _choose(s, shadow, box, np.nan, True, now_s)
        c.asked, c.asked_s, c.open = c.feedbacks - 1, now_s, 1
    if c.held:
        _choose(s, shadow, box, np.nan, False, now_s)
    notify(port, c.told)


@compiled
def _probe(s: Record, shadow: GccState, now_s: float) -> None:
    kbps = take_probe_kbps(shadow, 0)
    if kbps > 0:
        ask_probe(s, kbps, now_s)


@compiled
def _answered(s: Record, shadow: GccState, box: SenderBox, now_s: float) -> None:
    """A policy's answer, if a new one is here and not too late."""
    c, answer = box.control[0], box.answer[0]
    if answer.number == c.answers:
        return
    c.answers = answer.number
    if not c.open or answer.question < c.asked:
        return
    _choose(s, shadow, box, answer.kbps, True, now_s)
    if answer.probe_kbps > 0:
        ask_probe(s, answer.probe_kbps, now_s)


@compiled
def _choose(
    s: Record, shadow: GccState, box: SenderBox, answer_kbps: float, answered: bool, now_s: float
) -> None:
    """The rate from now on; written down unless the old one just holds."""
    c, shadow_kbps = box.control[0], box.shadow_kbps[0]
    kbps, by = decided(
        answer_kbps, answered, shadow_kbps, overusing(shadow, 0), s.target_kbps, c.min_kbps, c.max_kbps
    )
    if answered:
        c.open = 0
    if by == BY_HELD:
        return
    s.target_kbps = kbps
    _log(box, now_s, kbps, by)


@compiled
def _log(box: SenderBox, now_s: float, kbps: float, by: int) -> None:
    c = box.control[0]
    row = box.decisions[c.decisions % DECISIONS]
    row.at_s, row.kbps, row.by, row.shadow_kbps = now_s, kbps, by, box.shadow_kbps[0]
    row.question = c.feedbacks - 1 if c.inline else c.asked
    row.asked_s = now_s if c.inline else c.asked_s
    c.decisions += 1


@compiled
def _keep(batch: FeedbackBatch, kept: FeedbackBatch, row: int) -> None:
    """What a feedback tells, where a policy will look for it."""
    count = batch.packets[0]
    kept.packets[row], kept.now_s[row], kept.heard[row] = count, batch.now_s[0], batch.heard[0]
    kept.rtt_s[row], kept.pacer_bytes[row] = batch.rtt_s[0], batch.pacer_bytes[0]
    kept.target_kbps[row], kept.sent_bytes[row] = batch.target_kbps[0], batch.sent_bytes[0]
    kept.interval[row] = batch.interval[0]
    for place in range(count):
        kept.seq[row, place], kept.size_bytes[row, place] = batch.seq[0, place], batch.size_bytes[0, place]
        kept.sent_s[row, place] = batch.sent_s[0, place]
        kept.arrived_s[row, place], kept.probe[row, place] = batch.arrived_s[0, place], batch.probe[0, place]
