"""A packet comes to the receiver."""

from __future__ import annotations

from player.call.media.assembly import put
from player.call.media.receiver_state import DELAY_BINS, MOST_MISSING, Record, Ring
from player.call.media.recovery import came, miss
from player.call.packets import KEY, PADDING, RETRANSMISSION
from player.compiled.compiled import compiled


@compiled
def receive(
    r: Record,
    arrivals: Ring,
    missing: Ring,
    frames: Ring,
    shown: Ring,
    seconds: Ring,
    delays: Ring,
    packet: Record,
    now_s: float,
) -> int:
    """A packet is here.

    Args:
        packet: a record with the fields of `sender_state.PACKET` that are on the wire.

    Returns:
        how many packets before it have not come and are to be asked for at once: the last of them is the one
        before this. Too many to ask for count as none, and a key frame is wanted.
    """
    slot = arrivals[packet.seq & (len(arrivals) - 1)]
    if slot.seq == packet.seq:
        return 0  # a copy that the network made
    slot.seq, slot.at_s = packet.seq, now_s
    gap = max(packet.seq - r.highest_seq - 1, 0)
    second = seconds[min(int(now_s), len(seconds) - 1)]
    second.missed += gap
    second.packets += 1
    second.bytes += packet.size_bytes
    _note_delay(r, second, delays, now_s - packet.sent_s, now_s)
    if packet.seq < r.highest_seq:
        came(r, missing, packet.seq)
    r.highest_seq = max(r.highest_seq, packet.seq)
    if packet.flags & RETRANSMISSION:
        came(r, missing, packet.repeats)
    if gap > MOST_MISSING:
        r.wants_key = 1
        gap = 0
    if r.nack_tries == 0:
        gap = 0
    elif gap > 0:
        miss(r, missing, packet.seq - gap, gap, now_s)
    if not packet.flags & PADDING and put(r, frames, shown, packet, packet.flags & KEY, now_s):
        second.media_bytes += packet.size_bytes
    return gap


@compiled
def _note_delay(r: Record, second: Record, delays: Ring, delay_s: float, now_s: float) -> None:
    if second.packets == 1:
        second.delay_least_s = second.delay_most_s = delay_s
    second.delay_sum_s += delay_s
    second.delay_least_s = min(second.delay_least_s, delay_s)
    second.delay_most_s = max(second.delay_most_s, delay_s)
    if now_s >= r.scored_from_s:
        delays[min(max(int(delay_s * 1000.0), 0), DELAY_BINS - 1)] += 1
