"""Keep bottlenecks full: a flow a lane, all in one process.

Started by `fidelity.py`. The sockets are opened inside the lanes' namespaces. `udp`: paced, a little
faster than the trace, many frames in one system call (sendmmsg), whole frames as they are (no offloads); for
every two frames down, a packet as small as an ACK goes up, through the delay stage, as a TCP receiver's
would. `tcp`: a bulk transfer.

JSON on stdin: a line when it starts, {"flow", "cc", "lanes": [{"server_pid", "player_pid", "trace",
"start_s"}]}, and a line when it is to go, {"t0": CLOCK_MONOTONIC, "seconds": S}. In the end it says, as JSON,
how often it was late by more than a queue could bridge.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from testbed.link.lane import PLAYER_IP, SERVER_IP
from testbed.link.namespace import network_namespace
from testbed.link.tbf import FRAME_BYTES
from testbed.process.children import FILLER_PRIORITY, real_time, undisturbed
from traces.trace import Trace

OVERLOAD = 1.1
"""Sent over carried."""

FLOOR_MBPS = 0.2
"""Sent even when the link is slower, so that the queue is full when it comes back."""

TICK_S = 0.002
LATE_S = 0.05
"""Between two turns: the shallowest queue of fidelity's links bridges more."""
MOST_AT_ONCE = 1024
"""What one sendmmsg takes (UIO_MAXIOV)."""
_PORT = 4461
_PAYLOAD = bytes(FRAME_BYTES - 14 - 20 - 8)
_ACK_PAYLOAD = bytes(12)
_BULK = bytes(65536)
_FULL = (errno.EAGAIN, errno.ENOBUFS)

_libc = ctypes.CDLL(None, use_errno=True)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """struct msghdr"""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Header(ctypes.Structure):
    """struct mmsghdr"""

    _fields_ = (("message", _Message), ("sent", ctypes.c_uint))


class Datagrams:
    """Equal datagrams, as many of them in one system call as are wanted."""

    def __init__(self, payload: bytes) -> None:
        self._payload = ctypes.create_string_buffer(payload, len(payload))
        self._vector = _Vector(ctypes.addressof(self._payload), len(payload))
        self._headers = (_Header * MOST_AT_ONCE)()
        for header in self._headers:
            header.message.vectors = ctypes.pointer(self._vector)
            header.message.vector_count = 1

    def send(self, descriptor: int, count: int) -> int:
        """Send up to `count` of them on a connected socket; how many went.

        Raises:
            OSError: the socket is broken.
        """
        gone = 0
        while gone < count:
            sent = _libc.sendmmsg(descriptor, self._headers, min(count - gone, MOST_AT_ONCE), 0)
            if sent < 0:
                if ctypes.get_errno() in _FULL:
                    break
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            gone += sent
        return gone


_FRAMES, _ACKS = Datagrams(_PAYLOAD), Datagrams(_ACK_PAYLOAD)


@dataclass
class Flow:
    """One lane's flow."""

    trace: Trace
    start_s: float
    down: socket.socket
    up: socket.socket
    frames: int = 0
    acks: int = 0

    def __post_init__(self) -> None:
        self._before = self.trace.megabits_until(self.start_s)

    def send(self, elapsed_s: float) -> None:
        """Catch up with what should have been sent by `elapsed_s`."""
        carried = self.trace.megabits_until(self.start_s + elapsed_s) - self._before
        goal = int((OVERLOAD * carried + FLOOR_MBPS * elapsed_s) * 1e6 / 8 / FRAME_BYTES) + 2
        if goal > self.frames:
            self.frames += _FRAMES.send(self.down.fileno(), goal - self.frames)
            self.acks += _ACKS.send(self.up.fileno(), self.frames // 2 - self.acks)


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
            Trace.from_json(lane["trace"]),
            lane["start_s"],
            _udp(lane["server_pid"], SERVER_IP, PLAYER_IP),
            _udp(lane["player_pid"], PLAYER_IP, SERVER_IP),
        )
        for lane in spec["lanes"]
    ]
    real_time(FILLER_PRIORITY)
    undisturbed()
    print(json.dumps({"ready": True}), flush=True)
    t0, seconds = _wait_for_start()
    late, turn_s = 0, 0.0
    while (elapsed_s := time.monotonic() - t0) < seconds:
        late += elapsed_s - turn_s > LATE_S
        turn_s = elapsed_s
        try:
            for flow in flows:
                flow.send(time.monotonic() - t0)
        except OSError as error:
            print(f"the lanes are gone ({error.strerror})", file=sys.stderr)
            return 1
        time.sleep(TICK_S)
    print(json.dumps({"late": late}), flush=True)
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
