"""Keep bottlenecks full: a paced UDP flow a lane, a little faster than the trace, all in one process.

Started by `fidelity.py`. The sockets are opened inside the lanes' namespaces. For every two frames
down, a packet as small as an ACK goes up, through the delay stage, as a TCP receiver's would.
JSON on stdin, a line when it starts: {"lanes": [{"server_pid", "player_pid", "trace": {...}, "start_s"}]},
and a line when it is to go: {"t0": CLOCK_MONOTONIC, "seconds": S}.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from dataclasses import dataclass

from testbed.lane import PLAYER_IP, SERVER_IP
from testbed.namespace import network_namespace
from testbed.tbf import FRAME_BYTES
from traces.trace import Trace

OVERLOAD = 1.1
"""Sent over carried."""

FLOOR_MBPS = 0.2
"""Sent even when the link is slower, so that the queue is full when it comes back."""

TICK_S = 0.002
_PORT = 4461
_PAYLOAD = bytes(FRAME_BYTES - 14 - 20 - 8)
_ACK_PAYLOAD = bytes(12)


@dataclass
class Flow:
    """One lane's flow."""

    trace: Trace
    start_s: float
    down: socket.socket
    up: socket.socket
    sent_bytes: float = 0.0
    frames: int = 0

    def send(self, elapsed_s: float) -> None:
        """Catch up with what should have been sent by `elapsed_s`."""
        carried = self.trace.megabits_until(self.start_s + elapsed_s) - self.trace.megabits_until(
            self.start_s
        )
        goal = (OVERLOAD * carried + FLOOR_MBPS * elapsed_s) * 1e6 / 8 + 2 * FRAME_BYTES
        while self.sent_bytes < goal:
            self.down.send(_PAYLOAD)
            self.sent_bytes += FRAME_BYTES
            self.frames += 1
            if self.frames % 2 == 0:
                self.up.send(_ACK_PAYLOAD)


def _udp(pid: int, address: str, peer: str) -> socket.socket:
    with network_namespace(pid):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    opened.bind((address, _PORT))
    opened.connect((peer, _PORT))
    return opened


def main() -> int:
    spec = json.loads(sys.stdin.readline())
    flows = [
        Flow(
            Trace(lane["trace"]["name"], tuple(lane["trace"]["time_s"]), tuple(lane["trace"]["rate_mbps"])),
            lane["start_s"],
            _udp(lane["server_pid"], SERVER_IP, PLAYER_IP),
            _udp(lane["player_pid"], PLAYER_IP, SERVER_IP),
        )
        for lane in spec["lanes"]
    ]
    print(json.dumps({"ready": True}), flush=True)
    text = sys.stdin.readline()
    if not text:
        return 0
    go = json.loads(text)
    t0, seconds = go["t0"], go["seconds"]
    time.sleep(max(t0 - time.monotonic(), 0))
    while (elapsed_s := time.monotonic() - t0) < seconds:
        for flow in flows:
            flow.send(elapsed_s)
        time.sleep(TICK_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
