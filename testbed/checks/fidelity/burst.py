"""How even is a link within moments, and what has it saved up after an idle time?

Frames are stamped by the kernel as they come to the player. More than the trace carries within 10 or 50 ms is
what a queue there, or a call's jitter buffer, would notice.
"""

from __future__ import annotations

import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from testbed.checks.fidelity.saturate import Datagrams
from testbed.link.bucket import MOST_S, bucket_bytes
from testbed.link.correction import MOST_SHARE
from testbed.link.lane import PLAYER_IP, SERVER_IP, Lane
from testbed.link.namespace import network_namespace
from testbed.link.tbf import FRAME_BYTES

RATE_MBPS = 5.0
FULL_S = 10.0
IDLE_S = 10.0
TRAIN_FRAMES = 60
WINDOWS_S = (0.01, 0.05)
TRAIN_WITHIN_S = 1.0
_PORT = 4464
_ETH_P_IP = 0x0800
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
"""<asm-generic/socket.h>"""
_BYTES_PER_S = RATE_MBPS * 1e6 / 8


@dataclass(frozen=True)
class Burst:
    """What a link at `RATE_MBPS` let through."""

    excess_bytes: tuple[float, ...]
    """In each of `WINDOWS_S`: the most that came beyond what the rate carries meanwhile."""
    excess_p99_bytes: tuple[float, ...]
    """The same of 99 in 100 windows."""
    idle_credit_bytes: float
    """What came sooner than the rate allows after `IDLE_S` without a frame, the first frame not counted."""

    def within_bounds(self) -> bool:
        """A window's bound: a bucket, a frame that is cut by the window, and the most that is made up for."""
        return all(
            excess <= bound_bytes(window_s)
            for excess, window_s in zip(self.excess_bytes, WINDOWS_S, strict=True)
        ) and self.idle_credit_bytes <= bucket_bytes(RATE_MBPS, MOST_S)

    def words(self) -> str:
        """In a line."""
        windows = ", ".join(
            f"{1000 * window_s:g} ms: {most:.0f} bytes at most, {p99:.0f} in 99 of 100 (bound"
            f" {bound_bytes(window_s):.0f})"
            for window_s, most, p99 in zip(WINDOWS_S, self.excess_bytes, self.excess_p99_bytes, strict=True)
        )
        return (
            f"at {RATE_MBPS:g} Mbit/s, beyond what the rate carries in {windows}; after {IDLE_S:g} s idle"
            f" {self.idle_credit_bytes:.0f} bytes came at once (bound {bucket_bytes(RATE_MBPS, MOST_S)})"
        )


def bound_bytes(window_s: float) -> float:
    """What a window may hold beyond what the rate carries."""
    return bucket_bytes(RATE_MBPS, MOST_S) + FRAME_BYTES + MOST_SHARE * _BYTES_PER_S * window_s


def excesses(arrivals: Sequence[tuple[float, int]], window_s: float) -> list[float]:
    """For each frame: bytes that came within `window_s` from it on, less what the rate carries meanwhile.

    Args:
        arrivals: (s, bytes) of each frame, in order.
    """
    times = [at for at, _ in arrivals]
    total = [0, *itertools.accumulate(size for _, size in arrivals)]
    found, end = [], 0
    for begin, at in enumerate(times):
        while end < len(times) and times[end] < at + window_s:
            end += 1
        found.append(total[end] - total[begin] - _BYTES_PER_S * window_s)
    return found


def credit_bytes(arrivals: Sequence[tuple[float, int]]) -> float:
    """The most that a train was ahead of the rate, counted from its first frame's arrival."""
    if not arrivals:
        return 0.0
    first, came, most = arrivals[0][0], 0, 0.0
    for at, size in arrivals[1:]:
        came += size
        most = max(most, came - _BYTES_PER_S * (at - first))
    return most


def of_arrivals(full: Sequence[tuple[float, int]], train: Sequence[tuple[float, int]]) -> Burst:
    """What the stamps of a full link and of a train after an idle time come to."""
    most, p99 = [], []
    for window_s in WINDOWS_S:
        found = sorted(excesses(full, window_s)) or [0.0]
        most.append(found[-1])
        p99.append(found[min(int(0.99 * len(found)), len(found) - 1)])
    return Burst(tuple(most), tuple(p99), credit_bytes(train))


class Stamps:
    """Collects (arrival in s, bytes) of the frames that come to the player, in a thread, until `close`."""

    def __init__(self, lane: Lane) -> None:
        with network_namespace(lane.pid("player")):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_IP))
            self._socket.bind(("player-0", _ETH_P_IP))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 << 20)
        self._socket.settimeout(0.2)
        self.frames: list[tuple[float, int]] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        while not self._closing.is_set():
            try:
                frame, ancillary, _, address = self._socket.recvmsg(64, 64, socket.MSG_TRUNC)
            except TimeoutError:
                continue
            if address[2] == socket.PACKET_OUTGOING:
                continue
            size = 14 + struct.unpack_from("!H", frame, 16)[0]  # the IP packet's own length
            seconds, nanoseconds = struct.unpack_from("=qq", ancillary[0][2])
            self.frames.append((seconds + nanoseconds / 1e9, size))

    def close(self) -> list[tuple[float, int]]:
        """Stop collecting; all that came."""
        self._closing.set()
        self._thread.join()
        self._socket.close()
        return self.frames


def _udp(pid: int, address: str, peer: str) -> socket.socket:
    with network_namespace(pid):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((address, _PORT))
    opened.connect((peer, _PORT))
    return opened


def measure(lane: Lane, begins: Callable[[float], None]) -> Burst:
    """Fill a lane that replays a constant `RATE_MBPS`, let it idle, send a train; takes about 25 s.

    Args:
        begins: told the monotonic time at which the replay is to begin.
    """
    frames = Datagrams(bytes(FRAME_BYTES - 14 - 20 - 8))
    with (
        _udp(lane.pid("player"), PLAYER_IP, SERVER_IP),  # nobody reads there; but nobody refuses either
        _udp(lane.pid("server"), SERVER_IP, PLAYER_IP) as sender,
    ):
        t0 = time.monotonic() + 0.3
        begins(t0)
        time.sleep(max(t0 - time.monotonic(), 0))
        collecting, sent = Stamps(lane), 0
        while (elapsed_s := time.monotonic() - t0) < FULL_S:
            goal = int(1.1 * _BYTES_PER_S * elapsed_s / FRAME_BYTES) + 8
            sent += frames.send(sender.fileno(), goal - sent) if goal > sent else 0
            time.sleep(0.002)
        full = collecting.close()[8:]
        time.sleep(IDLE_S)
        collecting = Stamps(lane)
        frames.send(sender.fileno(), TRAIN_FRAMES)
        time.sleep(TRAIN_WITHIN_S)
        return of_arrivals(full, collecting.close())
