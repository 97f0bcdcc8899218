"""Probe a finished path before any video: its round trip, its loss, and whether the rate holds.

scapy builds and reads the packets; the sockets are opened inside the lane's namespaces. Echo requests
go from the player to the server, a train of full frames comes down through the bottleneck.
"""

from __future__ import annotations

import socket
import statistics
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.link.lane import MAC, PLAYER_IP, SERVER_IP, Lane
from testbed.link.namespace import network_namespace
from testbed.link.tbf import FRAME_BYTES, TokenBucket

if TYPE_CHECKING:
    from scapy.layers.l2 import Ether

ECHOES = 8
ECHO_GAP_S = 0.02
TRAIN_FRAMES = 48
TRAIN_MBPS = 10.0
"""The bottleneck's rate while it is probed; the round trip is measured at it too."""

TRAIN_BURST_BYTES = 1600
_TRAIN_PORT = 4460
_ETH_P_IP = 0x0800
_SO_TIMESTAMPNS = 35
"""<asm-generic/socket.h>: the kernel stamps each frame as it arrives."""

RTT_TOLERANCE_MS = 2.0
RATE_TOLERANCE = 0.03


@dataclass(frozen=True)
class PathProbe:
    """What a path was found to be."""

    rtt_ms: float | None
    """Median of the echoes that came back; None if none did."""
    rtt_min_ms: float | None
    rtt_max_ms: float | None
    echoes_sent: int
    echoes_lost: int
    train_rate_ratio: float | None
    """Rate of the frame train over the rate that the bottleneck was set to; None if too few came."""
    train_sent: int
    train_lost: int

    def faults(self, rtt_ms: float, jitter_ms: float, lossy: bool) -> list[str]:
        """What is not as asked, in words; empty when the path is true."""
        found = []
        if self.rtt_ms is None:
            return [f"none of {self.echoes_sent} echo requests came back"]
        assert self.rtt_min_ms is not None
        if not rtt_ms - jitter_ms - RTT_TOLERANCE_MS <= self.rtt_min_ms:
            found.append(f"an echo took {self.rtt_min_ms:.1f} ms where {rtt_ms:g} ms was asked")
        if abs(self.rtt_ms - rtt_ms) > RTT_TOLERANCE_MS + jitter_ms:
            found.append(f"RTT {self.rtt_ms:.1f} ms (median) where {rtt_ms:g} ms was asked")
        if not lossy and self.echoes_lost + self.train_lost:
            found.append(
                f"{self.echoes_lost} of {self.echoes_sent} echoes and {self.train_lost} of"
                f" {self.train_sent} frames lost on a path without loss"
            )
        if self.train_rate_ratio is None:
            found.append("too few frames of the train came through to tell a rate")
        elif abs(self.train_rate_ratio - 1) > RATE_TOLERANCE:
            found.append(
                f"{self.train_rate_ratio * TRAIN_MBPS:.2f} Mbit/s passed where {TRAIN_MBPS:g} was set"
            )
        return found


def load_scapy() -> None:
    """Import it, which takes a while and is needed only once a path is finished: call this beforehand."""
    import scapy.layers.inet
    import scapy.layers.l2  # noqa: F401


def _packet_socket(pid: int, interface: str) -> socket.socket:
    with network_namespace(pid):
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_IP))
        opened.bind((interface, _ETH_P_IP))
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
    return opened


def _receive(opened: socket.socket, until: float) -> tuple[Ether, float] | None:
    """The next frame and the kernel's arrival time (wall clock, s); None when time is up."""
    from scapy.layers.l2 import Ether

    opened.settimeout(max(until - time.monotonic(), 0.001))
    try:
        frame, ancillary, _, _ = opened.recvmsg(2048, 64)
    except TimeoutError:
        return None
    seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2][:16])
    return Ether(frame), seconds + nanoseconds / 1e9


def _echoes(lane: Lane, timeout_s: float) -> tuple[list[float], int]:
    """Round trips in ms of the echoes that came back, and how many were sent."""
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw

    identity = lane.pid("player") & 0xFFFF
    out: dict[int, float] = {}
    back: list[float] = []
    with _packet_socket(lane.pid("player"), "player-0") as opened:
        until = time.monotonic() + timeout_s
        for number in range(ECHOES):
            echo = (
                Ether(dst=MAC["router-down"], src=MAC["player-0"])
                / IP(src=PLAYER_IP, dst=SERVER_IP)
                / ICMP(id=identity, seq=number)
                / Raw(bytes(16))
            )
            data = bytes(echo)
            out[number] = time.time()
            opened.send(data)
            time.sleep(ECHO_GAP_S)
        while len(back) < ECHOES and time.monotonic() < until:
            received = _receive(opened, until)
            if received is None:
                break
            frame, arrived = received
            if ICMP in frame and frame[ICMP].type == 0 and frame[ICMP].id == identity:
                back.append((arrived - out[frame[ICMP].seq]) * 1000)
    return back, ECHOES


def _train(lane: Lane) -> list[tuple[int, float]]:
    """(number, arrival time in s) of each frame of a back-to-back train that came to the player."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw

    padding = FRAME_BYTES - len(Ether() / IP() / UDP()) - 4
    head = (
        Ether(dst=MAC["wan-up"], src=MAC["server-0"])
        / IP(src=SERVER_IP, dst=PLAYER_IP)
        / UDP(sport=_TRAIN_PORT, dport=_TRAIN_PORT)
    )
    frames = [bytes(head / Raw(struct.pack("!I", number) + bytes(padding))) for number in range(TRAIN_FRAMES)]
    arrivals: list[tuple[int, float]] = []
    with (
        _packet_socket(lane.pid("server"), "server-0") as sender,
        _packet_socket(lane.pid("player"), "player-0") as receiver,
    ):
        for frame in frames:
            sender.send(frame)
        until = time.monotonic() + 3 * TRAIN_FRAMES * FRAME_BYTES * 8 / (TRAIN_MBPS * 1e6) + 0.2
        while len(arrivals) < TRAIN_FRAMES:
            received = _receive(receiver, until)
            if received is None:
                break
            packet, arrived = received
            if UDP in packet and packet[UDP].dport == _TRAIN_PORT:
                arrivals.append((struct.unpack("!I", bytes(packet[UDP].payload)[:4])[0], arrived))
    return arrivals


def probe_path(lane: Lane, bucket: TokenBucket) -> PathProbe:
    """Measure a lane whose bucket is on its interface; the caller sets the rate again afterwards.

    Raises:
        TestbedError: the bucket cannot be changed.
    """
    bucket.change(TRAIN_MBPS, TRAIN_BURST_BYTES, 2 * TRAIN_FRAMES * FRAME_BYTES)
    settings = lane.settings
    trips, sent = _echoes(lane, 2 * (settings.rtt_ms + settings.jitter_ms) / 1000 + 0.5 + ECHOES * ECHO_GAP_S)
    arrivals = _train(lane)
    ratio = None
    if len(arrivals) > TRAIN_FRAMES // 2:
        # The first frame may have left on saved-up credit: time the rest from its arrival.
        elapsed_s = arrivals[-1][1] - arrivals[1][1]
        ratio = (
            (len(arrivals) - 2) * FRAME_BYTES * 8 / 1e6 / elapsed_s / TRAIN_MBPS if elapsed_s > 0 else None
        )
    return PathProbe(
        rtt_ms=statistics.median(trips) if trips else None,
        rtt_min_ms=min(trips, default=None),
        rtt_max_ms=max(trips, default=None),
        echoes_sent=sent,
        echoes_lost=sent - len(trips),
        train_rate_ratio=ratio,
        train_sent=TRAIN_FRAMES,
        train_lost=TRAIN_FRAMES - len(arrivals),
    )
