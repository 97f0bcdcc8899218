"""A real call's receiver: the simulator's functions of media, driven by the kernel's stamps.

One compiled loop, in a real-time thread. A packet came when the kernel says so, however late the loop looks;
reports are made at their times, and how late they left is counted. After the call's end packets are counted
and nothing more.
"""

from __future__ import annotations

from typing import Any

from player.call.media.assembly import give_up
from player.call.media.feedback import report
from player.call.media.playout import end
from player.call.media.receiver_state import Receiver, Record, Ring
from player.call.media.receiving import receive
from player.call.media.recovery import ask_again
from player.call.packets import MEDIA, MOST_NACKED, WANTS_KEY
from player.compiled.compiled import compiled
from testbed.calling.ends.lateness import note_late
from testbed.calling.ends.libc import Port, know_clocks, put_out, take_in, wait
from testbed.calling.ends.receiver_box import ReceiverBox
from testbed.calling.ends.wire import kind_of, put_nack, put_report, take_media

_NS = 1e9
LOOK_S = 0.2
"""It looks up so often at least, to see whether it is to stop."""


@compiled
def receive_call(port: Port, receiver: Receiver, packet: Record, asked: Any, box: ReceiverBox) -> None:
    """From the call's first packet until it is told to stop.

    Args:
        receiver: of one call.
        packet: room for one, of `sender_state.PACKET`.
        asked: (MOST_NACKED,) int64, room for what is to be repeated.
    """
    c, r = box.control[0], receiver.record[0]
    ended = False
    while not c.stop:
        now_s = (know_clocks(port) - c.t0_ns) / _NS
        _take_all(port, receiver, packet, asked, box)
        if not ended and now_s > c.duration_s:
            end(r, receiver.shown[0], c.duration_s)
            ended = True
        report_s = (c.reports + 1) * c.feedback_s
        if not ended and report_s <= now_s:
            _report(port, r, receiver.arrivals[0], receiver.missing[0], asked, box, now_s)
            continue
        wait(port, min(LOOK_S if ended else report_s - now_s, LOOK_S))
    if not ended:
        end(r, receiver.shown[0], (know_clocks(port) - c.t0_ns) / _NS)
    c.over = 1


@compiled
def _take_all(port: Port, receiver: Receiver, packet: Record, asked: Any, box: ReceiverBox) -> None:
    """All that has come."""
    c = box.control[0]
    while True:
        length, at_ns = take_in(port)
        if length < 0:
            return
        if kind_of(port.data, length) != MEDIA:
            c.strange += 1
            continue
        c.packets += 1
        c.bytes += length
        at_s = (at_ns - c.t0_ns) / _NS
        if at_s > c.duration_s:
            continue
        take_media(port.data, length, packet)
        gap = receive(
            receiver.record[0],
            receiver.arrivals[0],
            receiver.missing[0],
            receiver.frames[0],
            receiver.shown[0],
            receiver.seconds[0],
            receiver.delays[0],
            packet,
            at_s,
        )
        first = packet.seq - gap
        while gap > 0:
            count = min(gap, MOST_NACKED)
            for place in range(count):
                asked[place] = first + place
            _request(port, asked, count, box)
            first, gap = first + count, gap - count


@compiled
def _request(port: Port, asked: Any, count: int, box: ReceiverBox) -> None:
    """Ask for packets to be sent again."""
    if put_out(port, put_nack(port.out, asked, count)):
        box.control[0].requests_sent += 1
    else:
        box.control[0].refused += 1


@compiled
def _report(
    port: Port, r: Record, arrivals: Ring, missing: Ring, asked: Any, box: ReceiverBox, now_s: float
) -> None:
    """A report is due; of several that have become due meanwhile, one tells all."""
    c = box.control[0]
    due = (c.reports + 1) * c.feedback_s
    c.reports = max(c.reports + 1, int(now_s / c.feedback_s))
    flags = WANTS_KEY if give_up(r, now_s) else 0
    first, count = report(r)
    if put_out(port, put_report(port.out, arrivals, c.reports - 1, first, count, flags, now_s)):
        c.reports_sent += 1
    else:
        c.refused += 1
    note_late(box.late, box.most_late_s, now_s - due)
    again = ask_again(r, missing, asked, now_s)
    if again > 0:
        _request(port, asked, again, box)
