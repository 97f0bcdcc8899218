"""The sending end: the window, loss and its repair, and the timers [tcp_input.c, tcp_output.c].

Losses are found by SACK and the order of sending (RACK, RFC 8985), repaired under proportional rate
reduction (RFC 6937); the tail is probed (TLP), and a timeout that was no loss is undone (RFC 4015).
"""

from __future__ import annotations

from player.compiled.compiled import compiled
from player.simulated.batch.library import Floats
from player.simulated.tcp.bottleneck import enqueue
from player.simulated.tcp.cubic import after_loss, begin_again, forget, grow, hear_delay
from player.simulated.tcp.state import (
    EVER_RESENT,
    INITIAL_WINDOW,
    LOSS,
    LOST,
    MASK,
    MOST_IN_FLIGHT,
    MSS_BYTES,
    NEVER,
    NO_TIMER,
    OPEN,
    PROBE_TIMER,
    RECOVERY,
    REORDER_TIMER,
    RESENT,
    RING,
    RTO_MAX_S,
    RTO_MIN_S,
    RTO_TIMER,
    SACKED,
    Record,
    Ring,
)

DUPLICATES = 3
"""SACKed segments that prove a loss at once [tcp_reordering]."""
PROBE_MARGIN_S = 0.008
"""[TCP_TIMEOUT_MIN, two ticks at HZ 250]"""


@compiled
def in_flight(c: Record) -> int:
    """Segments that may be on the way [tcp_packets_in_flight]."""
    return c.next_new - c.first_unacked - c.sacked - c.lost + c.resent


@compiled
def rto_s(c: Record) -> float:
    """The retransmission timeout (RFC 6298), backed off."""
    return min((c.srtt_s + c.variance_s) * 2.0**c.backoff, RTO_MAX_S)


@compiled
def wake(c: Record, now_s: float) -> None:
    """There is something to send: after an idle time the window starts again (RFC 2861)."""
    idle_s, timeout_s = now_s - c.last_sent_s, rto_s(c)
    if c.next_new > c.first_unacked or idle_s <= timeout_s:
        return
    c.threshold = max(c.threshold, (c.window >> 1) + (c.window >> 2))
    restart = min(INITIAL_WINDOW, c.window)
    idle_s -= timeout_s
    while idle_s > 0.0 and c.window > restart:
        c.window >>= 1
        idle_s -= timeout_s
    c.window = max(c.window, restart)
    c.window_used_s = now_s
    c.window_used = 0


@compiled
def fill(c: Record, segments: Ring, flights: Ring, time_s: Floats, bytes_per_s: Floats, now_s: float) -> None:
    """Send what the window lets through: repairs first, then new data."""
    while c.state != OPEN and in_flight(c) < c.window and c.repair_from < c.next_new:
        marks = segments[c.repair_from & MASK].marks
        if c.repair_from >= c.first_unacked and marks & LOST and not marks & RESENT:
            resend(c, segments, flights, time_s, bytes_per_s, c.repair_from, now_s)
            if c.repair_from == c.first_unacked:
                c.timer, c.timer_s = RTO_TIMER, now_s + rto_s(c)
        c.repair_from += 1
    sent = False
    while (
        c.next_new < c.written
        and in_flight(c) < c.window
        and c.next_new - c.first_unacked < MOST_IN_FLIGHT
        and c.flights - min(c.judged, c.next_delivery, c.backlog_from) < RING - 1
    ):
        send_new(c, segments, flights, time_s, bytes_per_s, now_s)
        sent = True
    full = in_flight(c) >= c.window
    if sent or full:
        _validate(c, now_s, full)
    if sent and c.state == OPEN:
        arm(c, segments, now_s)


@compiled
def send_new(
    c: Record, segments: Ring, flights: Ring, time_s: Floats, bytes_per_s: Floats, now_s: float
) -> None:
    """Send the next segment."""
    if in_flight(c) == 0:
        begin_again(c, now_s)
    one = segments[c.next_new & MASK]
    one.marks = 0
    one.bytes = c.last_bytes if c.next_new == c.written - 1 else MSS_BYTES
    if c.next_new == c.first_unacked:
        c.timer, c.timer_s = RTO_TIMER, now_s + rto_s(c)
    _transmit(c, segments, flights, time_s, bytes_per_s, c.next_new, now_s)
    c.next_new += 1


@compiled
def resend(
    c: Record, segments: Ring, flights: Ring, time_s: Floats, bytes_per_s: Floats, segment: int, now_s: float
) -> None:
    """Send a segment again."""
    segments[segment & MASK].marks |= RESENT | EVER_RESENT
    c.resent += 1
    _transmit(c, segments, flights, time_s, bytes_per_s, segment, now_s)


@compiled
def _transmit(
    c: Record, segments: Ring, flights: Ring, time_s: Floats, bytes_per_s: Floats, segment: int, now_s: float
) -> None:
    enqueue(c, segments, flights, time_s, bytes_per_s, segment, now_s)
    c.last_sent_s = now_s
    if c.state == RECOVERY:
        c.sent_in_recovery += 1


@compiled
def _validate(c: Record, now_s: float, full: bool) -> None:
    """Note whether the window is what limits us [tcp_cwnd_validate]."""
    out = c.next_new - c.first_unacked
    if c.first_unacked >= c.window_end or full or (not c.window_limited and out > c.window_peak):
        c.window_limited = 1 if full else 0
        c.window_peak = out
        c.window_end = c.next_new
    if c.window_limited or (c.window < c.threshold and c.window < 2 * c.window_peak):
        c.window_used = 0
        c.window_used_s = now_s
    else:
        c.window_used = max(c.window_used, out)
        if now_s - c.window_used_s >= rto_s(c):
            used = max(c.window_used, INITIAL_WINDOW)
            if c.state == OPEN and used < c.window:
                c.threshold = max(c.threshold, (c.window >> 1) + (c.window >> 2))
                c.window = (c.window + used) >> 1
            c.window_used = 0
            c.window_used_s = now_s


@compiled
def arm(c: Record, segments: Ring, now_s: float) -> None:
    """Set the timer anew [tcp_set_xmit_timer]: a tail probe in good times, else the timeout."""
    if c.next_new == c.first_unacked:
        c.timer, c.timer_s = NO_TIMER, NEVER
    elif c.state == OPEN:
        margin_s = RTO_MIN_S if c.next_new - c.first_unacked == 1 else PROBE_MARGIN_S
        rest_s = segments[c.first_unacked & MASK].sent_s + rto_s(c) - now_s
        c.timer = PROBE_TIMER
        c.timer_s = now_s + max(min(2 * c.srtt_s + margin_s, rest_s), PROBE_MARGIN_S / 2)
    else:
        c.timer, c.timer_s = RTO_TIMER, now_s + rto_s(c)


@compiled
def ring(c: Record, segments: Ring, flights: Ring, time_s: Floats, bytes_per_s: Floats, now_s: float) -> None:
    """The timer is due."""
    if c.timer == REORDER_TIMER:
        arm(c, segments, now_s)
        lost = _judge(c, segments, flights)
        if lost > 0:
            _begin_recovery(c)
            _reduce(c, 0, lost, False)
    elif c.timer == PROBE_TIMER:
        if c.probe_end < 0:
            c.probe_end = c.next_new
            if c.next_new < c.written:
                send_new(c, segments, flights, time_s, bytes_per_s, now_s)
            elif not segments[(c.next_new - 1) & MASK].marks & (SACKED | LOST | RESENT):
                resend(c, segments, flights, time_s, bytes_per_s, c.next_new - 1, now_s)
        c.timer, c.timer_s = RTO_TIMER, now_s + rto_s(c)
        return
    else:
        _time_out(c, segments, now_s)
    fill(c, segments, flights, time_s, bytes_per_s, now_s)


@compiled
def _time_out(c: Record, segments: Ring, now_s: float) -> None:
    """Nothing came back for too long: take all for lost [tcp_enter_loss]."""
    if c.state != LOSS:
        c.prior_window, c.prior_threshold = c.window, c.threshold
        c.threshold = after_loss(c)
    c.state = LOSS
    forget(c, now_s)
    for segment in range(c.first_unacked, c.next_new):
        one = segments[segment & MASK]
        if not one.marks & SACKED:
            if not one.marks & LOST:
                c.lost += 1
            one.marks = (one.marks | LOST) & ~RESENT
    c.resent = 0
    c.window, c.window_count = 1, 0
    c.recover, c.repair_from, c.loss_flight = c.next_new, c.first_unacked, c.flights
    c.probe_end = -1
    c.backoff += 1
    c.timer, c.timer_s = RTO_TIMER, now_s + rto_s(c)


@compiled
def hear(
    c: Record,
    segments: Ring,
    flights: Ring,
    time_s: Floats,
    bytes_per_s: Floats,
    expected: int,
    flight: int,
    now_s: float,
) -> None:
    """An ACK has come: the receiver expects this segment next, and this flight came to it last."""
    advanced = expected > c.first_unacked
    newly, sample_s, newest_s = _take(c, segments, flights, expected, flight, now_s)
    c.newest_heard = max(c.newest_heard, flight)
    if c.probe_end >= 0 and c.first_unacked >= c.probe_end:
        c.probe_end = -1
    if sample_s >= 0.0:
        _measure(c, sample_s)
        hear_delay(c, now_s, newest_s)
    if advanced:
        c.backoff = 0 if sample_s >= 0.0 else c.backoff
        arm(c, segments, now_s)
    lost = 0
    if c.sacked == 0:
        c.judged = max(c.judged, flight + 1)
    elif c.sacked >= DUPLICATES or c.state != OPEN:
        lost = _judge(c, segments, flights)
    else:
        c.timer = REORDER_TIMER
        c.timer_s = min(c.timer_s, now_s + min(c.min_rtt_s / 4, c.srtt_s / 8))
    _react(c, segments, advanced, newly, lost, flight, now_s)
    fill(c, segments, flights, time_s, bytes_per_s, now_s)


@compiled
def _take(
    c: Record, segments: Ring, flights: Ring, expected: int, flight: int, now_s: float
) -> tuple[int, float, float]:
    """Strike what has arrived off the list.

    Returns:
        segments that are new among them; the round trips of the first and the last of those that were
        sent once (negative: none).
    """
    newly, sample_s, newest_s = 0, -1.0, -1.0
    for segment in range(c.first_unacked, expected):
        one = segments[segment & MASK]
        if one.marks & SACKED:
            c.sacked -= 1
            continue
        newly += 1
        c.lost -= 1 if one.marks & LOST else 0
        c.resent -= 1 if one.marks & RESENT else 0
        if not one.marks & EVER_RESENT:
            newest_s = now_s - one.sent_s
            if sample_s < 0.0:
                sample_s = newest_s
    c.first_unacked = max(c.first_unacked, expected)
    segment = flights[flight & MASK].segment
    one = segments[segment & MASK]
    if segment >= c.first_unacked and not one.marks & SACKED:
        newly += 1
        c.sacked += 1
        c.lost -= 1 if one.marks & LOST else 0
        c.resent -= 1 if one.marks & RESENT else 0
        if not one.marks & EVER_RESENT and sample_s < 0.0:
            sample_s = newest_s = now_s - one.sent_s
        one.marks = (one.marks | SACKED) & ~(LOST | RESENT)
    return newly, sample_s, newest_s


@compiled
def _measure(c: Record, sample_s: float) -> None:
    """A round trip was measured [tcp_rtt_estimator]."""
    c.min_rtt_s = min(c.min_rtt_s, sample_s)
    error_s = sample_s - c.srtt_s
    c.srtt_s += error_s / 8
    off_s = abs(error_s) - c.deviation_s / 4
    c.deviation_s += off_s / 8 if error_s < 0.0 and off_s > 0.0 else off_s
    if c.deviation_s > c.deviation_most_s:
        c.deviation_most_s = c.deviation_s
        c.variance_s = max(c.variance_s, c.deviation_most_s)
    if c.first_unacked > c.rtt_end:
        if c.deviation_most_s < c.variance_s:
            c.variance_s -= (c.variance_s - c.deviation_most_s) / 4
        c.rtt_end = c.next_new
        c.deviation_most_s = RTO_MIN_S


@compiled
def _judge(c: Record, segments: Ring, flights: Ring) -> int:
    """Of the flights before the newest that arrived, those that did not are lost; how many."""
    found = 0
    for flight in range(c.judged, c.newest_heard):
        segment = flights[flight & MASK].segment
        one = segments[segment & MASK]
        if segment < c.first_unacked or one.flight != flight or one.marks & SACKED:
            continue
        if one.marks & LOST and not one.marks & RESENT:
            continue
        if one.marks & RESENT:
            c.resent -= 1
        if not one.marks & LOST:
            c.lost += 1
        one.marks = (one.marks | LOST) & ~RESENT
        c.repair_from = min(c.repair_from, segment)
        found += 1
    c.judged = max(c.judged, c.newest_heard)
    return found


@compiled
def _begin_recovery(c: Record) -> None:
    """[tcp_enter_recovery]"""
    c.prior_window = c.window
    c.threshold = after_loss(c)
    c.delivered = c.sent_in_recovery = 0
    c.recover = c.next_new
    c.probe_end = -1
    c.state = RECOVERY


@compiled
def _reduce(c: Record, newly: int, lost: int, advanced: bool) -> None:
    """Proportional rate reduction [tcp_cwnd_reduction]."""
    c.delivered += newly
    room = c.threshold - in_flight(c)
    if room < 0:
        due = (c.threshold * c.delivered + c.prior_window - 1) // c.prior_window
        more = due - c.sent_in_recovery
    else:
        more = max(c.delivered - c.sent_in_recovery, newly)
        if advanced and lost == 0:
            more += 1
        more = min(room, more)
    c.window = in_flight(c) + max(more, 0 if c.sent_in_recovery else 1)


@compiled
def _react(
    c: Record, segments: Ring, advanced: bool, newly: int, lost: int, flight: int, now_s: float
) -> None:
    """Change state and window [tcp_fastretrans_alert, tcp_cong_control]."""
    if c.state == LOSS and advanced and flight < c.loss_flight:
        _undo_time_out(c, segments)
    if c.state != OPEN and c.first_unacked >= c.recover:
        if c.state == RECOVERY:
            c.window = c.threshold
        c.state = OPEN
    if c.state == OPEN and lost > 0:
        _begin_recovery(c)
    if c.state == RECOVERY:
        if newly > 0:
            _reduce(c, newly, lost, advanced)
    elif newly > 0:
        grow(c, now_s, newly)


@compiled
def _undo_time_out(c: Record, segments: Ring) -> None:
    """What was thought lost was only late, as an ACK of its first transmission tells [tcp_try_undo_loss]."""
    for segment in range(c.first_unacked, c.next_new):
        segments[segment & MASK].marks &= ~(LOST | RESENT)
    c.lost = c.resent = 0
    c.window = max(c.window, c.prior_window)
    c.threshold = max(c.threshold, c.prior_threshold)
    c.backoff = 0
    c.state = OPEN
