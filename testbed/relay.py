"""The user-space delay and loss stage, for kernels without netem.

A node between server and router routes the packets to be treated into a TUN interface. This process
reads them there, keeps them until they are due, and writes them back; a policy rule then routes them
on. It sees whole IP packets, checksums complete, and needs no raw sockets.

`python -m testbed.relay` is started by a lane inside the node's namespace; its settings come as one
JSON object on stdin, which stays open as long as the parent lives. Each further line asks for the
counters, as one JSON object. On end of input it leaves, and the interface with it.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import select
import struct
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass

from testbed.children import RELAY_PRIORITY, real_time
from testbed.settings import Loss

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
"""<linux/if_tun.h>"""

_PACKET_BYTES = 65536
_BATCH = 64
"""Packets read before those that are due go out."""

QUEUE_PACKETS = 200_000
"""More waiting packets than this are dropped, and counted."""


@dataclass
class RelayCounters:
    """What the relay did."""

    up_packets: int = 0
    down_packets: int = 0
    lost: int = 0
    overflowed: int = 0
    late_max_ms: float = 0.0
    late_over_2ms: int = 0
    """Packets that left more than 2 ms after they were due."""
    real_time: bool = False


class LossProcess:
    """Draws the fate of each packet."""

    def __init__(self, loss: Loss, seed: int) -> None:
        self._draw = random.Random(seed).random
        self._loss = loss
        self._bad = False

    def lost(self) -> bool:
        loss = self._loss
        if loss.kind == "uniform":
            return self._draw() * 100 < loss.p
        if self._draw() * 100 < (loss.r if self._bad else loss.p):
            self._bad = not self._bad
        return self._draw() * 100 < (loss.bad if self._bad else loss.good)


def open_tun(name: str) -> int:
    """A TUN interface of this name in our namespace; it lives as long as the descriptor."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return descriptor


class Relay:
    """Packets to `server` wait `delay_s` (give or take `jitter_s`, in order); others may be lost."""

    def __init__(
        self, tun: int, server: bytes, delay_s: float, jitter_s: float, loss: Loss, seed: int
    ) -> None:
        self.counters = RelayCounters()
        self._tun = tun
        self._server = server
        self._delay_s = delay_s
        self._jitter_s = jitter_s
        self._loss = LossProcess(loss, seed) if loss.kind != "none" else None
        self._random = random.Random(seed + 1)
        self._waiting: deque[tuple[float, bytes]] = deque()

    def take_in(self) -> None:
        """Read what has come, up to a batch."""
        for _ in range(_BATCH):
            try:
                packet = os.read(self._tun, _PACKET_BYTES)
            except BlockingIOError:
                return
            if packet[16:20] == self._server:  # IPv4 destination
                self._hold(packet)
            else:
                self._pass_down(packet)

    def _hold(self, packet: bytes) -> None:
        self.counters.up_packets += 1
        if len(self._waiting) >= QUEUE_PACKETS:
            self.counters.overflowed += 1
            return
        due = time.monotonic() + self._delay_s
        if self._jitter_s:
            due += self._random.uniform(-self._jitter_s, self._jitter_s)
            if self._waiting:
                due = max(due, self._waiting[-1][0])
        self._waiting.append((due, packet))

    def _pass_down(self, packet: bytes) -> None:
        self.counters.down_packets += 1
        if self._loss and self._loss.lost():
            self.counters.lost += 1
        else:
            self._send(packet)

    def _send(self, packet: bytes) -> None:
        try:
            os.write(self._tun, packet)
        except BlockingIOError:
            self.counters.overflowed += 1

    def send_due(self) -> float | None:
        """Send what is due; seconds until the next, None when nothing waits."""
        waiting, counters = self._waiting, self.counters
        while waiting:
            late_s = time.monotonic() - waiting[0][0]
            if late_s < 0:
                return -late_s
            self._send(waiting.popleft()[1])
            if late_s > 0.002:
                counters.late_over_2ms += 1
            counters.late_max_ms = max(counters.late_max_ms, late_s * 1000)
        return None

    def run(self, questions: int) -> None:
        """Relay, and answer each line on descriptor `questions`, until its end."""
        rest = self.send_due()
        while True:
            ready, _, _ = select.select([self._tun, questions], [], [], rest)
            if questions in ready:
                asked = os.read(questions, 4096)
                if not asked:
                    return
                print(json.dumps(asdict(self.counters)), flush=True)
            if self._tun in ready:
                self.take_in()
            rest = self.send_due()


def main() -> int:
    spec = json.loads(sys.stdin.readline())
    try:
        tun = open_tun(spec["interface"])
    except OSError as error:
        print(f"cannot open /dev/net/tun: {error.strerror}; try `modprobe tun`", file=sys.stderr)
        return 2
    relay = Relay(
        tun,
        bytes(int(part) for part in spec["server"].split(".")),
        spec["delay_ms"] / 1000,
        spec["jitter_ms"] / 1000,
        Loss(**spec["loss"]),
        spec["seed"],
    )
    relay.counters.real_time = real_time(RELAY_PRIORITY)
    print(json.dumps({"ready": True}), flush=True)
    relay.run(sys.stdin.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
