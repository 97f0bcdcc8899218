"""Keep bottlenecks full: a flow a lane, all in one process.

Started by `fidelity.py`. The sockets are opened inside the lanes' namespaces. `udp`: paced, a little
faster than the trace; for every two frames down, a packet as small as an ACK goes up, through the
delay stage, as a TCP receiver's would. `tcp`: a bulk transfer, for rates that a paced Python loop
does not reach (beyond about 200 Mbit/s).

JSON on stdin: a line when it starts, {"flow", "cc", "lanes": [{"server_pid", "player_pid", "trace",
"start_s"}]}, and a line when it is to go, {"t0": CLOCK_MONOTONIC, "seconds": S}.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

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
_BULK = bytes(65536)


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


def bulk(server_pid: int, player_pid: int, congestion_control: str) -> None:
    """Start a TCP bulk transfer down the lane, in two threads that end with the process."""
    with network_namespace(server_pid):
        listening = socket.create_server((SERVER_IP, _PORT))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion_control.encode())
    with network_namespace(player_pid):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    receiver.connect((SERVER_IP, _PORT))
    sender, _ = listening.accept()

    def fill() -> None:
        while True:
            sender.send(_BULK)

    def drain() -> None:
        while receiver.recv(len(_BULK)):
            pass

    for work in (fill, drain):
        threading.Thread(target=work, daemon=True).start()


def main() -> int:
    spec = json.loads(sys.stdin.readline())
    if spec["flow"] == "tcp":
        return _tcp(spec)
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
    t0, seconds = _wait_for_start()
    while (elapsed_s := time.monotonic() - t0) < seconds:
        for flow in flows:
            flow.send(elapsed_s)
        time.sleep(TICK_S)
    return 0


def _tcp(spec: dict[str, Any]) -> int:
    print(json.dumps({"ready": True}), flush=True)
    t0, seconds = _wait_for_start()
    for lane in spec["lanes"]:
        bulk(lane["server_pid"], lane["player_pid"], spec["cc"])
    time.sleep(max(t0 + seconds - time.monotonic(), 0))
    return 0


def _wait_for_start() -> tuple[float, float]:
    """Sleep until the start that the parent names; (start, seconds)."""
    text = sys.stdin.readline()
    if not text:  # the parent has gone
        sys.exit(0)
    go = json.loads(text)
    time.sleep(max(go["t0"] - time.monotonic(), 0))
    return go["t0"], go["seconds"]


if __name__ == "__main__":
    sys.exit(main())
