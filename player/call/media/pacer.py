"""The pacer: packets leave one by one, as fast as a factor over the target asks.

What is sent again goes first, then media, then, where a probe cluster has nothing else, padding. While a
cluster is sent, its rate is the pacer's. A sender that is woken late catches up, but no more than
`MOST_LATE_S`."""

from __future__ import annotations

from player.call.media.sender_state import NEVER, PROBES_WAITING, Record, Ring
from player.call.packets import HEADER_BYTES, KEY, PADDING, PAYLOAD_BYTES, RETRANSMISSION
from player.compiled.compiled import compiled

MOST_LATE_S = 0.02
"""What is later than that is not caught up with: it would leave as a burst."""

DRAIN_S = 2.0
"""No packet waits longer: then the pacer goes faster (WebRTC's kMaxExpectedQueueLength)."""
_DRAIN_AT_LEAST_S = 0.001

PROBE_PACKETS = 5
PROBE_S = 0.015
"""A cluster has so many packets and lasts so long at least (WebRTC's kMinProbePacketsSent,
kMinProbeDuration)."""
NO_PACKET = -1


@compiled
def rate_kbps(s: Record, now_s: float) -> float:
    """What the pacer sends with, as far as the target goes."""
    return s.target_kbps * (s.start_pacing if now_s < s.start_s else s.pacing)


@compiled
def wait_s(s: Record, now_s: float) -> float:
    """How long the pacer needs for what it holds."""
    return s.queued_bytes * 8.0 / (rate_kbps(s, now_s) * 1000.0)


@compiled
def enqueue(s: Record, media: Ring, frame: int, size_bytes: int, key: bool, now_s: float) -> None:
    """A frame's packets, as even as whole bytes allow; there is room for them (`new_senders`)."""
    if s.queued_bytes == 0:
        s.free_s = max(s.free_s, now_s)
    count = (size_bytes + PAYLOAD_BYTES - 1) // PAYLOAD_BYTES
    for index in range(count):
        if s.media_tail - s.media_head >= len(media):
            break
        job = media[s.media_tail & (len(media) - 1)]
        job.frame, job.index, job.count = frame, index, count
        job.size_bytes = size_bytes // count + (1 if index < size_bytes % count else 0)
        job.flags = KEY if key else 0
        job.captured_s, job.queued_s = now_s, now_s
        s.media_tail += 1
        s.queued_bytes += job.size_bytes


@compiled
def ask_probe(s: Record, kbps: float, now_s: float) -> None:
    """Send a cluster at this rate, after those that wait already; one too many is not sent."""
    if s.probes_waiting < PROBES_WAITING:
        s.waiting_kbps[s.probes_waiting] = kbps
        s.probes_waiting += 1
        _next_probe(s, now_s)


@compiled
def _next_probe(s: Record, now_s: float) -> None:
    if s.probe_packets > 0 or s.probe_bytes > 0 or s.probes_waiting == 0:
        return
    s.probe_kbps = s.waiting_kbps[0]
    for place in range(1, s.probes_waiting):
        s.waiting_kbps[place - 1] = s.waiting_kbps[place]
    s.probes_waiting -= 1
    s.probe += 1
    s.probe_packets, s.probe_bytes = PROBE_PACKETS, int(s.probe_kbps * 1000.0 / 8.0 * PROBE_S)
    s.free_s = max(s.free_s, now_s)


@compiled
def due_s(s: Record) -> float:
    """When the next packet may leave; NEVER if there is none."""
    probing = s.probe_packets > 0 or s.probe_bytes > 0
    if probing or s.media_head < s.media_tail or s.resend_head < s.resend_tail:
        return s.free_s
    return NEVER


@compiled
def send(s: Record, media: Ring, resends: Ring, history: Ring, seconds: Ring, now_s: float) -> int:
    """The next packet leaves now.

    Returns:
        its `seq`, at which `history` has it; NO_PACKET if there is none.
    """
    probing = s.probe_packets > 0 or s.probe_bytes > 0
    packet = history[s.next_seq & (len(history) - 1)]
    rate = _drained_kbps(s, media, now_s)
    if not _take_resend(s, resends, history, packet) and not _take_media(s, media, packet):
        if not probing:
            return NO_PACKET
        _pad(s, packet)
    packet.seq, packet.sent_s, packet.probe = s.next_seq, now_s, s.probe if probing else 0
    s.next_seq += 1
    s.sent_bytes += packet.size_bytes
    s.free_s = max(s.free_s, now_s - MOST_LATE_S)
    s.free_s += packet.size_bytes * 8.0 / ((s.probe_kbps if probing else rate) * 1000.0)
    if probing:
        s.probe_packets = max(s.probe_packets - 1, 0)
        s.probe_bytes = max(s.probe_bytes - packet.size_bytes, 0)
        _next_probe(s, now_s)
    second = seconds[min(int(now_s), len(seconds) - 1)]
    second.packets += 1
    second.bytes += packet.size_bytes
    second.resent_packets += 1 if packet.flags & RETRANSMISSION else 0
    second.padding_bytes += packet.size_bytes if packet.flags & PADDING else 0
    return packet.seq


@compiled
def _drained_kbps(s: Record, media: Ring, now_s: float) -> float:
    """The rate with which the oldest packet does not wait longer than `DRAIN_S`."""
    rate = rate_kbps(s, now_s)
    if s.media_head < s.media_tail:
        left_s = DRAIN_S - (now_s - media[s.media_head & (len(media) - 1)].queued_s)
        rate = max(rate, s.queued_bytes * 8.0 / 1000.0 / max(left_s, _DRAIN_AT_LEAST_S))
    return rate


@compiled
def _take_media(s: Record, media: Ring, packet: Record) -> bool:
    if s.media_head >= s.media_tail:
        return False
    job = media[s.media_head & (len(media) - 1)]
    s.media_head += 1
    s.queued_bytes -= job.size_bytes
    packet.frame, packet.index, packet.count = job.frame, job.index, job.count
    packet.size_bytes, packet.flags, packet.captured_s = job.size_bytes, job.flags, job.captured_s
    packet.repeats, packet.tries, packet.resent_s = 0, 0, 0.0
    return True


@compiled
def _take_resend(s: Record, resends: Ring, history: Ring, packet: Record) -> bool:
    while s.resend_head < s.resend_tail:
        waiting = resends[s.resend_head & (len(resends) - 1)]
        seq = waiting.seq
        s.resend_head += 1
        s.queued_bytes -= waiting.size_bytes
        first = history[seq & (len(history) - 1)]
        if first.seq != seq or s.next_seq - seq >= len(history):
            continue  # so long ago that it is forgotten
        packet.frame, packet.index, packet.count = first.frame, first.index, first.count
        packet.size_bytes, packet.flags = first.size_bytes, first.flags | RETRANSMISSION
        packet.captured_s, packet.repeats = first.captured_s, seq
        packet.tries, packet.resent_s = 0, 0.0
        return True
    return False


@compiled
def _pad(s: Record, packet: Record) -> None:
    """As much as the cluster lacks, over the packets that it lacks."""
    size = s.probe_bytes // max(s.probe_packets, 1)
    packet.frame, packet.index, packet.count = 0, 0, 0
    packet.size_bytes, packet.flags = min(max(size, HEADER_BYTES + 1), PAYLOAD_BYTES), PADDING
    packet.captured_s, packet.repeats, packet.tries, packet.resent_s = 0.0, 0, 0, 0.0
