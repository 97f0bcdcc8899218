"""Recovery: packets that are missed are asked for and sent again.

The receiver sees a gap in `seq` and asks at once, then again after a round trip, so often at most. A packet
that is sent again has a `seq` of its own, may be missed itself, and names the one that it repeats. The sender
sends what was asked for once a round trip."""

from __future__ import annotations

from player.call.media.receiver_state import Record, Ring
from player.call.packets import PADDING, RETRANSMISSION
from player.compiled.compiled import compiled

NO_SEQ = -1


@compiled
def resend(s: Record, resends: Ring, history: Ring, seq: int, now_s: float) -> bool:
    """The receiver misses `seq`: whether the packet is sent again."""
    packet = history[seq & (len(history) - 1)]
    if packet.seq != seq or seq >= s.next_seq or s.next_seq - seq >= len(history):
        return False
    if packet.flags & RETRANSMISSION:
        return resend_first(s, resends, history, packet.repeats, now_s)
    return resend_first(s, resends, history, seq, now_s)


@compiled
def resend_first(s: Record, resends: Ring, history: Ring, seq: int, now_s: float) -> bool:
    """The same of a packet that is no repetition."""
    packet = history[seq & (len(history) - 1)]
    if packet.seq != seq or s.next_seq - seq >= len(history) or packet.flags & PADDING:
        return False
    if packet.tries >= s.nack_tries or s.resend_tail - s.resend_head >= len(resends):
        return False
    if packet.tries > 0 and now_s - packet.resent_s < s.rtt_s:
        return False
    if s.queued_bytes == 0:
        s.free_s = max(s.free_s, now_s)
    packet.tries += 1
    packet.resent_s = now_s
    waiting = resends[s.resend_tail & (len(resends) - 1)]
    waiting.seq, waiting.size_bytes = seq, packet.size_bytes
    s.resend_tail += 1
    s.queued_bytes += packet.size_bytes
    return True


@compiled
def miss(r: Record, missing: Ring, first_seq: int, count: int, now_s: float) -> None:
    """Note a gap: `count` packets from `first_seq` on have not come."""
    for seq in range(first_seq, first_seq + count):
        if r.missing_tail - r.missing_head >= len(missing):
            r.missing_head += 1
        slot = missing[r.missing_tail & (len(missing) - 1)]
        slot.seq, slot.tries, slot.found_s, slot.asked_s = seq, 1, now_s, now_s
        r.missing_tail += 1


@compiled
def came(r: Record, missing: Ring, seq: int) -> None:
    """A packet that was missed is here."""
    for place in range(r.missing_head, r.missing_tail):
        slot = missing[place & (len(missing) - 1)]
        if slot.seq == seq:
            slot.seq = NO_SEQ
            break
    _forget(r, missing)


@compiled
def ask_again(r: Record, missing: Ring, out: Ring, now_s: float) -> int:
    """What to ask for again now, into `out`; how many. What is older than the give-up time is forgotten."""
    count = 0
    for place in range(r.missing_head, r.missing_tail):
        slot = missing[place & (len(missing) - 1)]
        if slot.seq == NO_SEQ:
            continue
        if now_s - slot.found_s > r.give_up_s:
            slot.seq = NO_SEQ
        elif slot.tries < r.nack_tries and now_s - slot.asked_s >= r.nack_rtt_s and count < len(out):
            slot.tries += 1
            slot.asked_s = now_s
            out[count] = slot.seq
            count += 1
    _forget(r, missing)
    return count


@compiled
def _forget(r: Record, missing: Ring) -> None:
    while r.missing_head < r.missing_tail and missing[r.missing_head & (len(missing) - 1)].seq == NO_SEQ:
        r.missing_head += 1
