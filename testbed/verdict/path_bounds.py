"""Bounds on the path around the bottleneck: its packets, its bytes, its round trip, its chunks' times.

Each bound is a function of the evidence and says in words what is out of it. Its docstring says what a
session could have noticed.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from testbed.link.delay_stage import LATE_MAX_MS
from testbed.link.log import LinkRow
from testbed.link.settings import FIFO, Loss
from testbed.verdict.evidence import ChunkTime, Evidence
from testbed.verdict.path_counters import ETHERNET_BYTES, FULL_SEGMENT_BYTES, KICK_BYTES, PathUse

UNSETTLED_PACKETS = 32
"""Where a lane did not come to rest, so many packets may be on their way at a reading: ten segments and
their ACKs, and those of a window that grows."""
RESENT_PER_TIMEOUT = 256
"""A timer that runs out without need makes Linux send its window again: as much as a queue may hold."""
LOSS_SIGMAS = 4.5
"""The really lost may lie so many standard deviations from the asked share: 7 sessions in a million do."""
LOSS_PACKETS = 3
"""… and this many packets besides, for sessions in which hardly any loss is due."""
HEADER_BYTES = 52
"""IP and TCP with its time stamps."""
QUIC_HEADER_BYTES = (46, 66)
"""IP and UDP 28, QUIC's tag 16, its header 2 (no connection ID, a packet number of a byte) to 13 (RFC 9000
section 17.3), the head of a STREAM frame up to 9 (section 19.8)."""
HEAD_MOST_BYTES = 1000
"""Of the head of an answer; the origin's have about 400."""
UNTOLD_DROPS = 8
"""CoDel tells those above it of what it has dropped once others wait behind (sch_codel.c in Linux 6.1): so
many of the last ones may be missing from the bucket's counter."""
KICKS_BESIDES = 10
"""So many kicks may have come after the last row that counts: a replay ends moments after its session."""
CHANGES_SAID = 5
"""So many of others' changes are reasons; the record has them all."""
FOREIGN_SHARE = 0.01
"""Payload that no chunk explains: more of it would take a session's bandwidth."""
RTT_TOLERANCE_MS = 2.0
"""No first byte may come so much sooner than the round trip: it did not pass the delay stage."""
TTFB_QUARTILE_MS = 5.0
"""The quickest quarter of the first bytes may come so much later than the model has it: both ends work
for a while, but not always …"""
TTFB_MEDIAN_MS = 10.0
"""… and half of them so much: a tenth of a usual round trip, hardly a frame at 1 Mbit/s …"""
TTFB_QUARTILE_BUSY_MS, TTFB_MEDIAN_BUSY_MS = 40.0, 60.0
"""… and so much more on a machine that always has somebody waiting for a processor. With 24 players on two
cores (somebody waits 0.6 of the time) the links' bytes were true to 0.2 %, and first bytes came 16 ms late in
the quickest quarter, 25 ms in the median: the origin and the player took that long to be asked. A longer
round trip shows in the probe after the session on such a machine too."""
FEWEST_CHUNKS = 6
"""Fewer chunks have no median worth a bound."""
OTHER_MEDIAN = 0.015
OTHER_SUM = 0.025
"""Chunks may take so much longer or less long than over the modelled link, by their median and in all.
Over links that nobody touched the median is within 0.1 %, the sum within 0.7 %: the model errs on single
chunks, in which the queue overflowed."""
HANDLING_S = 0.008
"""So much of a chunk's time either way is the work of both ends: a busy processor's, not the link's."""
LEFT_OUT_SHARE = 0.15
LEFT_OUT_CHUNKS = 2
"""Of the chunks this share, and no fewer than these, are left out of the sum: those farthest off. In an
overflow the model's TCP may lose another frame than the kernel's, and then wait for a timer or not."""
FIRST_BYTE_HELD_UP_S = 0.5
"""A first byte waits behind nothing of its own: so much later than modelled, the path stood still."""
HELD_UP_S = 1.0
"""A chunk that takes so much longer than the link explains has stood still somewhere …"""
HELD_UP_RECOVERING_S = 3.0
"""… or so much longer where its own frames found the queue full: TCP's timers may have to run out …"""
HELD_UP_SHARE = 0.3
"""… if that is also this share of its time."""


@dataclass(frozen=True)
class Hop:
    """Two neighbouring places of the path."""

    where: str
    went_in: int
    came_out: int
    fewest: int = 0
    """`came_out - went_in` may be from this …"""
    most: int = 0
    """… to this."""

    def fault(self) -> str | None:
        """What is wrong, in words."""
        difference = self.came_out - self.went_in
        if difference < self.fewest:
            return f"{-difference} of {self.went_in} packets were lost {self.where}, which nobody asked for"
        if difference > self.most:
            return f"{difference} packets came out {self.where} that did not go in ({self.went_in} did)"
        return None


def hops(use: PathUse, kicks: int, datagrams: int = 0, untold: int = 0) -> list[Hop]:
    """All neighbours, downwards and upwards.

    Args:
        kicks: at most so many frames the shaper itself has sent into the queue.
        datagrams: that calls and QUIC have sent from the server.
        untold: drops of which the bottleneck may not have been told yet.
    """
    slack = 0 if use.settled else UNSETTLED_PACKETS
    waited = use.waiting_packets
    places = [
        Hop(
            "in the server",
            use.tcp_segments_out + use.retransmits + datagrams,
            use.server_tx,
            0,
            use.strangers,
        ),
        Hop("between the server and the delay stage", use.server_tx, use.wan_up_rx),
        Hop("in the delay stage, downwards", use.wan_up_rx - use.lost_as_asked, use.wan_down_tx),
        Hop("between the delay stage and the router", use.wan_down_tx, use.router_up_rx),
        Hop("in the router before the bottleneck", use.router_up_rx, use.queued, -waited - untold, kicks),
        Hop("at the bottleneck's interface", use.sent, use.router_down_tx),
        Hop("between the bottleneck and the player", use.router_down_tx, use.player_rx),
        Hop("at the player's interface", use.player_rx, use.player_ip_in, -kicks, 0),
        Hop("in the player", use.player_ip_in, use.player_delivered),
        Hop("in the player, upwards", use.player_ip_out, use.player_tx),
        Hop("between the player and the router", use.player_tx, use.router_down_rx),
        Hop("in the router, upwards", use.router_down_rx, use.router_up_tx),
        Hop("between the router and the delay stage", use.router_up_tx, use.wan_down_rx),
        Hop("on the way into the delay stage, upwards", use.wan_down_rx, use.delayed),
        Hop("in the delay stage, upwards", use.delayed, use.wan_up_tx),
        Hop("between the delay stage and the server", use.wan_up_tx, use.server_rx),
        Hop("at the server's interface", use.server_rx, use.server_ip_in),
        Hop("in the server, upwards", use.server_ip_in, use.server_delivered),
    ]
    return [Hop(hop.where, hop.went_in, hop.came_out, hop.fewest - slack, hop.most + slack) for hop in places]


def kicks_at_most(evidence: Evidence) -> int:
    """Those of the link log, and some between the session's end and the replay's."""
    return sum(row.kicks for row in evidence.rows) + KICKS_BESIDES


def untold_drops(evidence: Evidence) -> int:
    """Those at most that a manager of the queue tells of with a later frame alone."""
    settings = evidence.settings
    return 0 if settings is None or settings.aqm == FIFO else UNTOLD_DROPS


def conserved_packets(evidence: Evidence) -> list[str]:
    """Each packet lost or added costs a retransmission, a smaller window, or its share of the rate."""
    use = evidence.path
    if use is None:
        return []
    if min(use.queued, use.sent, use.sent_bytes) < 0:
        return ["the bottleneck's counters ran backwards: its queue was replaced"]
    sent = sum(call.media_sent or 0 for call in evidence.calls)
    sent = use.server_datagrams if evidence.quic else sent  # whose origin keeps no count for us
    faults = (hop.fault() for hop in hops(use, kicks_at_most(evidence), sent, untold_drops(evidence)))
    return [fault for fault in faults if fault is not None]


def conserved_bytes(evidence: Evidence) -> list[str]:
    """Packets that were cut, padded or exchanged carry another session's bytes."""
    use = evidence.path
    if use is None or not use.settled or use.sent_bytes < 0:
        return []
    arrived = use.player_ip_bytes + ETHERNET_BYTES * use.player_ip_in + KICK_BYTES * use.kicks
    if arrived == use.sent_bytes:
        return []
    return [f"the bottleneck sent {use.sent_bytes} bytes and {arrived} came to the player"]


def _lost_share(loss: Loss) -> tuple[float, float]:
    """The share that a loss process takes in the long run, and by how much its variance exceeds that of
    independent draws (a two-state chain: 1 + 2 r / (1 - r), r its memory)."""
    if loss.kind == "uniform":
        return loss.p / 100, 1.0
    if loss.kind == "none":
        return 0.0, 1.0
    leave = (loss.p + loss.r) / 100
    if leave <= 0:
        return loss.good / 100, 1.0
    bad = loss.p / 100 / leave
    memory = max(1.0 - leave, 0.0)
    return bad * loss.bad / 100 + (1 - bad) * loss.good / 100, 1 + 2 * memory / max(1 - memory, 1e-9)


def _added_loss(rows: Sequence[LinkRow]) -> float:
    """The share that a trace's own losses take of the packets that came to them, step by step: those that
    passed the bottleneck, and those that for each of them were lost before."""
    came = [max(row.sent_packets, 0) / (1 - row.loss_pct / 100) for row in rows]
    lost = sum(packets * row.loss_pct / 100 for packets, row in zip(came, rows, strict=True))
    return lost / sum(came) if lost else 0.0


def asked_loss(evidence: Evidence) -> list[str]:
    """Loss at another rate than the asked one gives TCP another throughput."""
    use, settings = evidence.path, evidence.settings
    if use is None or settings is None:
        return []
    share, spread = _lost_share(settings.loss)
    added = _added_loss(evidence.rows)
    share = 1 - (1 - share) * (1 - added)
    due = use.wan_up_rx * share
    off = abs(use.lost_as_asked - due)
    allowed = LOSS_SIGMAS * math.sqrt(due * (1 - share) * spread) + (LOSS_PACKETS if share else 0)
    allowed += 0.1 * due if added else 0.0  # which rate met which packet is known by the step only
    if off <= allowed:
        return []
    return [f"{use.lost_as_asked} of {use.wan_up_rx} packets were lost where {share:.2%} was asked"]


def retransmissions(evidence: Evidence) -> list[str]:
    """What the server sends again without a loss takes the place of the video's bytes."""
    use = evidence.path
    if use is None:
        return []
    explained = (
        use.dropped
        + untold_drops(evidence)
        + use.lost_as_asked
        + use.loss_probes
        + RESENT_PER_TIMEOUT * use.timeouts
    )
    if use.retransmits <= explained:
        return []
    return [
        f"the server sent {use.retransmits} segments again where {use.dropped} were dropped by the"
        f" bottleneck's queue and {use.lost_as_asked} lost as asked"
    ]


def strangers(evidence: Evidence) -> list[str]:
    """Anything but the session's own TCP takes its share of the bottleneck."""
    use = evidence.path
    if use is None:
        return []
    found = []
    others = use.strangers - sum(call.datagrams or use.strangers for call in evidence.calls)
    others -= _of_quic(evidence, use)
    if others > 0:
        found.append(
            f"{others} UDP and ICMP packets passed the server or the player: somebody else's traffic"
        )
    if use.checksum_errors:
        found.append(f"{use.checksum_errors} segments came broken")
    return found


def _of_quic(evidence: Evidence, use: PathUse) -> int:
    """UDP packets at both ends that are QUIC's own, by what players say: the other end received and sent as
    many, and sent what was lost on its way, too."""
    if not evidence.quic:
        return 0
    counts = [(one.sent, one.received) for one in evidence.quic]
    if any(sent is None or received is None for sent, received in counts):
        return use.strangers
    told = sum((sent or 0) + (received or 0) for sent, received in counts)
    return 2 * told + use.dropped + use.lost_as_asked


def overruns(evidence: Evidence) -> list[str]:
    """What a socket had no room for QUIC takes for a loss of the link's, and slows down."""
    use = evidence.path
    if use is None or not evidence.quic or not use.overruns:
        return []
    return [
        f"{use.overruns} datagrams found no room in a socket of the origin's or the player's, which were too"
        " slow for this link"
    ]


def _header_bytes(evidence: Evidence) -> tuple[int, int]:
    """What is no payload of a full packet: at least, and at most."""
    return QUIC_HEADER_BYTES if evidence.quic else (HEADER_BYTES, HEADER_BYTES)


def _sent_again(evidence: Evidence, use: PathUse) -> int:
    """Packets whose payload came once too often at most. QUIC doesn't say: it sends again what was lost."""
    return use.retransmits + (use.dropped + use.lost_as_asked if evidence.quic else 0)


def foreign_payload(evidence: Evidence) -> list[str]:
    """Bytes that are no chunk's took a chunk's time; bytes of a chunk that did not pass took another way."""
    use, payload = evidence.path, evidence.payload_bytes
    if use is None or payload is None or not use.settled:
        return []
    least_header, most_header = _header_bytes(evidence)
    came = use.player_ip_bytes - most_header * use.player_ip_in
    most = (
        payload * (1 + FOREIGN_SHARE)
        + HEAD_MOST_BYTES * (len(evidence.chunks) + 1)
        + _sent_again(evidence, use) * FULL_SEGMENT_BYTES
    )
    if (came_at_most := use.player_ip_bytes - least_header * use.player_ip_in) < payload:
        return [
            f"{came_at_most} bytes came to the player by the bottleneck and its chunks hold {payload}:"
            " another way"
        ]
    if came > most:
        return [f"{came} bytes came to the player and its chunks hold {payload}: somebody else's traffic"]
    return []


def a_way_around_the_delay(evidence: Evidence) -> list[str]:
    """A first byte sooner than a round trip shortens each chunk by what is missing of it."""
    settings = evidence.settings
    if settings is None or not evidence.chunks:
        return []
    asked_ms = [settings.rtt_ms + _least_delay_ms(evidence.rows, one) for one in evidence.chunks]
    soonest, due_ms = max(
        zip(evidence.chunks, asked_ms, strict=True), key=lambda found: found[1] - 1000 * found[0].ttfb_s
    )
    if due_ms - 1000 * soonest.ttfb_s <= settings.jitter_ms + settings.media_jitter_ms + RTT_TOLERANCE_MS:
        return []
    return [
        f"{_named(soonest, evidence)}: its first byte came after {soonest.ttfb_s * 1000:.1f} ms"
        f" where a round trip of {due_ms:g} ms was asked"
    ]


def _named(chunk: ChunkTime, evidence: Evidence) -> str:
    """`chunk 1 of 48` for the first, as people count; records begin at 0."""
    return f"chunk {chunk.chunk + 1} of {len(evidence.chunks)}"


def _least_delay_ms(rows: Sequence[LinkRow], chunk: ChunkTime) -> float:
    """What a trace adds at least to the round trip while a chunk's first byte is waited for; a change of the
    delay may have been as late as the stage is allowed to be."""
    begin_s, end_s = chunk.request_s - LATE_MAX_MS / 1000, chunk.request_s + chunk.ttfb_s
    first = bisect_left(rows, begin_s, key=lambda row: row.start_s + row.duration_s)
    last = bisect_right(rows, end_s, key=lambda row: row.start_s)
    return min((row.delay_ms for row in rows[first:last]), default=0.0)


def _modelled(evidence: Evidence) -> list[ChunkTime]:
    return [one for one in evidence.chunks if one.expected_ttfb_s is not None]


def ttfb_excess_ms(chunks: Sequence[ChunkTime]) -> list[float]:
    """By how much first bytes came later than modelled, in ms, in order of size."""
    return sorted(
        1000 * (one.ttfb_s - one.expected_ttfb_s) for one in chunks if one.expected_ttfb_s is not None
    )


def a_longer_round_trip(evidence: Evidence) -> list[str]:
    """Every chunk begins later by what the round trip has grown."""
    excess = ttfb_excess_ms(_modelled(evidence))
    if len(excess) < FEWEST_CHUNKS:
        return []
    for share, bound, busy, which in (
        (0.25, TTFB_QUARTILE_MS, TTFB_QUARTILE_BUSY_MS, "three of four"),
        (0.5, TTFB_MEDIAN_MS, TTFB_MEDIAN_BUSY_MS, "half of the"),
    ):
        late = excess[int(share * (len(excess) - 1))]
        if late > bound + busy * evidence.wanted_share:
            return [
                f"{which} chunks' first bytes came {late:.0f} ms or more later than the asked path explains"
            ]
    return []


def _off(took_s: float, due_s: float) -> float:
    """How much longer than due, as a share, the work of both ends left out."""
    off_s = took_s - due_s
    return math.copysign(max(abs(off_s) - HANDLING_S, 0.0), off_s) / due_s


def time_off(chunks: Sequence[ChunkTime]) -> tuple[float, float]:
    """(sum, median) of how much longer chunks took than modelled, as shares; from their first bytes on, for
    these come late for reasons of their own."""
    pairs = [
        (one.download_s - one.ttfb_s + (one.expected_ttfb_s or 0.0), one.expected_download_s)
        for one in chunks
        if one.expected_download_s
    ]
    off = [(_off(took, due), due) for took, due in pairs]
    left_out = max(LEFT_OUT_CHUNKS, math.ceil(LEFT_OUT_SHARE * len(off)))
    near = sorted(off, key=lambda one: abs(one[0]) * one[1])[: max(len(off) - left_out, 1)]
    in_all = sum(share * due for share, due in near) / sum(due for _, due in near)
    return in_all, statistics.median(share for share, _ in off)


def slower_or_faster(evidence: Evidence) -> list[str]:
    """Downloads took another time than they take over this trace."""
    chunks = _modelled(evidence)
    if len(chunks) < FEWEST_CHUNKS:
        return []
    in_all, median = time_off(chunks)
    if abs(in_all) <= OTHER_SUM and abs(median) <= OTHER_MEDIAN:
        return []
    return [
        f"the chunks took {in_all:+.1%} (median {median:+.1%}) against what they take over this trace"
        " by the tcp link model"
    ]


def _recovering(evidence: Evidence, chunk: ChunkTime) -> bool:
    """Whether frames were dropped by the full queue while a chunk was on its way."""
    end_s = chunk.request_s + chunk.download_s
    return any(
        row.drops and row.start_s < end_s and row.start_s + row.duration_s > chunk.request_s
        for row in evidence.rows
    )


def held_up(evidence: Evidence) -> list[str]:
    """A chunk stood still for a second: a stall, or the policy's next choice, may hang on it."""
    for one in _modelled(evidence):
        if one.ttfb_s - (one.expected_ttfb_s or 0.0) > FIRST_BYTE_HELD_UP_S:
            return [
                f"{_named(one, evidence)}: its first byte came after {one.ttfb_s:.2f} s"
                f" where the asked path explains {one.expected_ttfb_s:.2f} s"
            ]
        expected_s = one.expected_download_s or 0.0
        excess = one.download_s - expected_s
        if excess <= HELD_UP_S or excess <= HELD_UP_SHARE * expected_s:
            continue
        if excess > HELD_UP_RECOVERING_S or not _recovering(evidence, one):
            return [
                f"{_named(one, evidence)} took {one.download_s:.2f} s"
                f" where the asked path explains {expected_s:.2f} s"
            ]
    return []


def somebody_changed_it(evidence: Evidence) -> list[str]:
    """A session over a lane that was changed under way has two halves over two links."""
    return [f"somebody changed the lane: {change}" for change in evidence.changes[:CHANGES_SAID]]


def the_probe_at_the_end(evidence: Evidence) -> list[str]:
    """A path that is not as asked after a session was not so for some part of it."""
    return [f"after the session: {fault}" for fault in evidence.probe_faults]


PATH_BOUNDS = (
    conserved_packets,
    conserved_bytes,
    asked_loss,
    retransmissions,
    strangers,
    overruns,
    foreign_payload,
    a_way_around_the_delay,
    a_longer_round_trip,
    slower_or_faster,
    held_up,
    somebody_changed_it,
    the_probe_at_the_end,
)
