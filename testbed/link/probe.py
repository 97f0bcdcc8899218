"""Probe a finished path before any video: its round trip, its loss, and whether the rate holds.

scapy builds and reads the packets; the sockets are opened inside the lane's namespaces. Echo requests
go from the player to the server, a train of full frames comes down through the bottleneck.
"""

from __future__ import annotations

import asyncio
import functools
import math
import socket
import statistics
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import TYPE_CHECKING

from testbed.link.lane import MAC, PLAYER_IP, SERVER_IP, Lane
from testbed.link.namespace import network_namespace
from testbed.link.settings import LinkSettings
from testbed.link.tbf import FRAME_BYTES, TokenBucket

if TYPE_CHECKING:
    from scapy.layers.l2 import Ether

ECHOES = 8
ECHO_GAP_S = 0.02
TRAIN_FRAMES = 48
TRAIN_MBPS = 10.0
"""The bottleneck's rate while it is probed; the round trip is measured at it too."""

FRAME_S = FRAME_BYTES * 8 / (TRAIN_MBPS * 1e6)
"""What a frame takes at that rate."""
TRAIN_BURST_BYTES = 1600
_LOOK_S = 0.005
"""How often it is looked for echoes."""
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
    """Import it and build the train, which takes a while and is needed only once a path is finished: call
    this beforehand. Of the machine's routes it need know none: our frames say where they go."""
    from scapy.config import conf

    conf.route_autoload = conf.route6_autoload = False
    _train_frames(TRAIN_FRAMES)


def _uneven_frames(settings: LinkSettings) -> int:
    """So many frames of a train pass the bottleneck while a jitter, ahead of it, may still keep some back."""
    return math.ceil(2 * settings.media_jitter_ms / 1000 / FRAME_S)


def _packet_socket(pid: int, interface: str) -> socket.socket:
    with network_namespace(pid):
        # Of no protocol until it is bound: a socket that hears already is bound only after a grace period
        # of the kernel's, 15 ms.
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        opened.bind((interface, _ETH_P_IP))
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
    return opened


def _receive(opened: socket.socket, wait_s: float) -> tuple[Ether, float] | None:
    """The next frame and the kernel's arrival time (wall clock, s); None if none came for so long."""
    from scapy.layers.l2 import Ether

    opened.settimeout(wait_s)
    try:
        frame, ancillary, _, _ = opened.recvmsg(2048, 64)
    except (TimeoutError, BlockingIOError):
        return None
    seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2][:16])
    return Ether(frame), seconds + nanoseconds / 1e9


def _echo_requests(identity: int) -> list[bytes]:
    """The frames of the echo requests, in order."""
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw

    head = Ether(dst=MAC["router-down"], src=MAC["player-0"]) / IP(src=PLAYER_IP, dst=SERVER_IP)
    return [bytes(head / ICMP(id=identity, seq=number) / Raw(bytes(16))) for number in range(ECHOES)]


@functools.cache
def _train_frames(count: int) -> list[bytes]:
    """The frames of a train, in order: the same in every lane."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw

    head = (
        Ether(dst=MAC["wan-up"], src=MAC["server-0"])
        / IP(src=SERVER_IP, dst=PLAYER_IP)
        / UDP(sport=_TRAIN_PORT, dport=_TRAIN_PORT)
    )
    padding = FRAME_BYTES - len(head) - 4
    return [bytes(head / Raw(struct.pack("!I", number) + bytes(padding))) for number in range(count)]


class PathProbing:
    """One probe of a lane whose bucket is on its interface: `echo`, then `train`, then `found`. A context
    manager; the caller sets the rate again afterwards.

    Raises:
        TestbedError: the bucket cannot be changed.
        OSError: an interface is down.
    """

    def __init__(self, lane: Lane, bucket: TokenBucket) -> None:
        self._lane = lane
        self._bucket = bucket
        self._identity = lane.pid("player") & 0xFFFF
        self._trips: list[float] = []
        """Round trips in ms of the echoes that came back."""
        self._arrivals: list[tuple[int, float]] = []
        """(number, arrival time in s) of each frame of the train that came."""
        self._sockets: dict[str, socket.socket] = {}
        self._train = TRAIN_FRAMES + _uneven_frames(lane.settings)

    def __enter__(self) -> PathProbing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        opened, self._sockets = list(self._sockets.values()), {}
        if opened:  # the kernel takes 15 ms for each, and nobody needs to wait for that
            threading.Thread(target=_close_all, args=(opened,), name="probe's end").start()

    def _socket(self, role: str) -> socket.socket:
        """Of the server's or the player's one interface."""
        if role not in self._sockets:
            self._sockets[role] = _packet_socket(self._lane.pid(role), f"{role}-0")
        return self._sockets[role]

    async def echo(self) -> None:
        """Echo requests from the player, nearly all of it waiting: many lanes may do so at once."""
        settings = self._lane.settings
        requests = _echo_requests(self._identity)
        self._bucket.change(TRAIN_MBPS, TRAIN_BURST_BYTES, 2 * self._train * FRAME_BYTES)
        opened = self._socket("player")
        out: dict[int, float] = {}
        wait_s = 2 * (settings.idle_rtt_ms + settings.varies_ms) / 1000 + 0.5
        until = time.monotonic() + wait_s + ECHOES * ECHO_GAP_S
        for number, request in enumerate(requests):
            out[number] = time.time()
            opened.send(request)
            await asyncio.sleep(ECHO_GAP_S)
        while len(self._trips) < ECHOES:
            over = time.monotonic() >= until
            self._hear_echoes(opened, out)
            if over:
                break
            await asyncio.sleep(_LOOK_S)

    def _hear_echoes(self, opened: socket.socket, out: Mapping[int, float]) -> None:
        """Those that have come; the kernel has kept when."""
        from scapy.layers.inet import ICMP

        while (received := _receive(opened, 0.0)) is not None:
            frame, arrived = received
            if ICMP in frame and frame[ICMP].type == 0 and frame[ICMP].id == self._identity:
                self._trips.append((arrived - out[frame[ICMP].seq]) * 1000)

    def train(self) -> None:
        """A back-to-back train down to the player, by whose arrivals the rate is told."""
        from scapy.layers.inet import UDP

        frames = _train_frames(self._train)
        sender, receiver = self._socket("server"), self._socket("player")
        for frame in frames:
            sender.send(frame)
        settings = self._lane.settings
        waits_s = (settings.media_delay_ms + settings.media_jitter_ms + settings.grant_ms) / 1000
        until = time.monotonic() + 3 * self._train * FRAME_S + waits_s + 0.2
        while len(self._arrivals) < self._train:
            received = _receive(receiver, max(until - time.monotonic(), 0.001))
            if received is None:
                break
            packet, arrived = received
            if UDP in packet and packet[UDP].dport == _TRAIN_PORT:
                number = struct.unpack("!I", bytes(packet[UDP].payload)[:4])[0]
                self._arrivals.append((number, arrived))

    def found(self) -> PathProbe:
        """What came of it."""
        trips, arrivals = self._trips, self._arrivals
        ratio = None
        # The first frame may have left on saved-up credit, and the next ones as a jitter let them come to the
        # bottleneck: time the rest from the arrival of the last of these.
        timed = arrivals[1 + _uneven_frames(self._lane.settings) :]
        if len(timed) > TRAIN_FRAMES // 2 - 1:
            ratio = _rate_ratio(timed)
        return PathProbe(
            rtt_ms=statistics.median(trips) if trips else None,
            rtt_min_ms=min(trips, default=None),
            rtt_max_ms=max(trips, default=None),
            echoes_sent=ECHOES,
            echoes_lost=ECHOES - len(trips),
            train_rate_ratio=ratio,
            train_sent=self._train,
            train_lost=self._train - len(arrivals),
        )


def _rate_ratio(timed: Sequence[tuple[int, float]]) -> float | None:
    """Rate of (number, arrival time in s) over the set one; None if all came at one moment.

    By the whole train, which tells of credit beyond the burst, or by the gap in its middle if that is faster:
    a processor that was away for a moment makes one gap long, and a link that is too slow makes all so.
    """
    elapsed_s = timed[-1][1] - timed[0][1]
    gaps_s = [(then[1] - now[1]) / (then[0] - now[0]) for now, then in pairwise(timed) if then[0] > now[0]]
    usual_s = statistics.median(gaps_s) if gaps_s else 0.0
    if elapsed_s <= 0 or usual_s <= 0:
        return None
    return max((len(timed) - 1) * FRAME_S / elapsed_s, FRAME_S / usual_s)


def _close_all(opened: list[socket.socket]) -> None:
    for each in opened:
        each.close()


def probe_path(lane: Lane, bucket: TokenBucket) -> PathProbe:
    """Measure a lane whose bucket is on its interface, outside of any event loop; the caller sets the rate
    again afterwards.

    Raises: as `PathProbing` does.
    """
    with PathProbing(lane, bucket) as probing:
        asyncio.run(probing.echo())
        probing.train()
        return probing.found()
