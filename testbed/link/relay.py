"""The user-space delay and loss stage, for kernels without netem.

A process on the node between server and router takes frames off one interface and puts them on the other
when they are due; the kernel itself forwards none of them (`testbed/link/delay_stage.py`). The kernel stamps
each frame as it arrives, and a frame is due a delay after *that*: a process that was away for a moment
shorter than the delay has delayed nothing. What leaves late all the same is counted, from the stamp on.

`python -m testbed.link.relay` is started by a lane inside the node's namespace; its settings come as one
JSON object on stdin, which stays open as long as the parent lives. Each further line is a question,
answered by one JSON object: {"do": "report"}, {"do": "rest"}, or {"do": "play", "trace": {...}, "start_s":
S, "t0": MONOTONIC} for a trace whose delay or loss vary. On end of input it leaves.
"""

from __future__ import annotations

import json
import os
import random
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Protocol

from testbed.link.delay_line import DelayLine, LineDelays
from testbed.link.packed_trace import unpacked
from testbed.link.settings import Loss
from testbed.process.children import RELAY_PRIORITY, real_time, to_wait_s, undisturbed
from traces.trace import Step, Trace

ETHERNET_BYTES = 14
_ETH_P_IP = 0x0800
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_IGNORE_OUTGOING = 263, 6, 23
"""<linux/if_packet.h>"""
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
"""<asm-generic/socket.h>"""

_FRAME_BYTES = 65536
_BATCH = 64
"""Frames taken in before those that are due go out."""
_BUFFER_BYTES = 32 << 20
"""What may wait in the kernel while this process is away."""

_CLOCKS_WITHIN_S = 0.00005
"""Two clocks are read together when nothing came between: a reading takes less than this."""


@dataclass(frozen=True)
class RelayReport:
    """What the relay did."""

    up_packets: int
    down_packets: int
    lost: int
    overflowed: int
    late_mean_ms: float
    """From the moment that a frame was due to leave, its arrival being the kernel's stamp."""
    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float
    real_time: bool
    media: LineDelays | None = None
    """Of packets towards the player; None where these don't wait."""


@dataclass(frozen=True)
class MediaDelay:
    """How packets towards the player wait; see `DelayLine`."""

    delay_s: float
    jitter_s: float
    grant_s: float


class LossProcess:
    """Draws the fate of each packet."""

    def __init__(self, loss: Loss, seed: int) -> None:
        self._draw = random.Random(seed).random
        self._loss = loss
        self._bad = False

    def lost(self) -> bool:
        loss = self._loss
        if loss.kind == "none":
            return False
        if loss.kind == "uniform":
            return self._draw() * 100 < loss.p
        if self._draw() * 100 < (loss.r if self._bad else loss.p):
            self._bad = not self._bad
        return self._draw() * 100 < (loss.bad if self._bad else loss.good)


class Schedule:
    """What a trace adds to delay and loss, over time; asked with times that do not go back."""

    def __init__(self, trace: Trace, start_s: float, t0: float) -> None:
        self._steps: Iterator[Step] = trace.steps(start_s)
        self._t0 = t0
        self._step = next(self._steps)

    def at(self, now: float) -> Step:
        """The step that a frame falls into which arrives at monotonic time `now` (the first, before t0)."""
        while now - self._t0 >= self._step.start_s + self._step.duration_s:
            self._step = next(self._steps)
        return self._step


class Port(Protocol):
    """One of the node's two interfaces."""

    def take(self) -> tuple[bytes, float] | None:
        """An IP packet that has come, and the wall clock when it did; None when there is none."""

    def put(self, packet: bytes) -> bool:
        """Send an IP packet out; False when there was no room."""

    def dropped(self) -> int:
        """Packets that came while there was no room, since the last question."""

    def fileno(self) -> int: ...


class Interface:
    """A `Port` on a network interface of our namespace.

    Args:
        name: of the interface.
        header: the Ethernet header of what we send out there.
        taking: whether what comes in there is ours to forward.

    Raises:
        OSError: no such interface, or packet sockets are not allowed.
    """

    def __init__(self, name: str, header: bytes, taking: bool) -> None:
        self._header = header
        protocol = socket.htons(_ETH_P_IP) if taking else 0
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.bind((name, _ETH_P_IP if taking else 0))

    def take(self) -> tuple[bytes, float] | None:
        try:
            frame, ancillary, _, _ = self._socket.recvmsg(_FRAME_BYTES, 64)
        except BlockingIOError:
            return None
        seconds, nanoseconds = struct.unpack_from("=qq", ancillary[0][2])
        return frame[ETHERNET_BYTES:], seconds + nanoseconds / 1e9

    def put(self, packet: bytes) -> bool:
        try:
            self._socket.send(self._header + packet)
        except (BlockingIOError, OSError):  # ENOBUFS: a full device queue
            return False
        return True

    def dropped(self) -> int:
        _, drops = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        return int(drops)

    def fileno(self) -> int:
        return self._socket.fileno()


def clock_offset(before: float) -> float:
    """Wall clock less monotonic clock, s; `before`, the last one, when the two can't be read together."""
    for _ in range(3):
        begun, wall, ended = time.monotonic(), time.time(), time.monotonic()
        if ended - begun < _CLOCKS_WITHIN_S:
            return wall - (begun + ended) / 2
    return before


class Relay:
    """Packets from the router wait `delay_s` (give or take `jitter_s`, in order) on their way to the server;
    those from the server may be lost, and may have to wait, too.

    Args:
        near: where packets to the server come in and those to the player go out.
        far: the other way; its packets are taken only when some of them are to be lost or to wait.
        lossy: whether that is so.
        media: how packets to the player wait; None: not at all.
    """

    def __init__(
        self,
        near: Port,
        far: Port,
        delay_s: float,
        jitter_s: float,
        loss: Loss,
        seed: int,
        lossy: bool,
        media: MediaDelay | None = None,
    ) -> None:
        self._near, self._far, self._lossy = near, far, lossy
        self._up = DelayLine(delay_s, jitter_s, 0.0, seed + 1)
        self._down = None
        if media is not None:
            self._down = DelayLine(media.delay_s, media.jitter_s, media.grant_s, seed + 2)
        self._loss = LossProcess(loss, seed)
        self._random = random.Random(seed + 1)
        self._schedule: Schedule | None = None
        self._offset_s = clock_offset(0.0)
        self._emptied_at = dict.fromkeys((id(near), id(far)), time.monotonic())
        """When a port had last nothing to take in: what comes now came after it, whatever clocks say."""
        self.up_packets = self.down_packets = self.lost = self.overflowed = 0
        self.real_time = False

    def report(self) -> RelayReport:
        """What was done so far."""
        self.overflowed += self._near.dropped() + (self._far.dropped() if self._lossy else 0)
        up = self._up.delays()
        return RelayReport(
            self.up_packets,
            self.down_packets,
            self.lost,
            self.overflowed,
            up.late_mean_ms,
            up.late_p50_ms,
            up.late_p99_ms,
            up.late_max_ms,
            self.real_time,
            self._down.delays() if self._down is not None else None,
        )

    def play(self, trace: Trace, start_s: float, t0: float) -> None:
        """Add what a trace says of delay and loss, from monotonic time `t0` on."""
        self._schedule = Schedule(trace, start_s, t0)

    def take_in(self) -> None:
        """Take in what has come, up to a batch of either side."""
        self._offset_s = clock_offset(self._offset_s)
        self._take_from(self._near, self._hold)
        if self._lossy:
            self._take_from(self._far, self._pass_down)

    def _take_from(self, port: Port, handle: Callable[[bytes, float], None]) -> None:
        looked_at = time.monotonic()
        for _ in range(_BATCH):
            taken = port.take()
            if taken is None:
                self._emptied_at[id(port)] = looked_at
                return
            packet, wall = taken
            handle(packet, min(max(wall - self._offset_s, self._emptied_at[id(port)]), time.monotonic()))

    def _hold(self, packet: bytes, arrived: float) -> None:
        self.up_packets += 1
        more_s = self._schedule.at(arrived).delay_ms / 1000 if self._schedule is not None else 0.0
        if not self._up.hold(packet, arrived, more_s):
            self.overflowed += 1

    def _pass_down(self, packet: bytes, arrived: float) -> None:
        self.down_packets += 1
        more_pct = self._schedule.at(arrived).loss_pct if self._schedule is not None else 0.0
        if self._loss.lost() or (more_pct and self._random.random() * 100 < more_pct):
            self.lost += 1
        elif not (self._near.put(packet) if self._down is None else self._down.hold(packet, arrived)):
            self.overflowed += 1

    def send_due(self) -> float | None:
        """Send what is due; seconds until the next, None when nothing waits."""
        rests_s = [self._send_due(self._up, self._far)]
        if self._down is not None:
            rests_s.append(self._send_due(self._down, self._near))
        return min((rest_s for rest_s in rests_s if rest_s is not None), default=None)

    def _send_due(self, line: DelayLine, port: Port) -> float | None:
        while (due := line.next_due) is not None:
            now = time.monotonic()
            if now < due:
                return due - now
            if not port.put(line.pop(now)):
                self.overflowed += 1
        return None

    def run(self, questions: int) -> None:
        """Relay, and answer each line on descriptor `questions`, until its end."""
        ports = [self._near.fileno(), *([self._far.fileno()] if self._lossy else [])]
        pending = b""
        rest = self.send_due()
        while True:
            ready, _, _ = select.select([*ports, questions], [], [], to_wait_s(rest))
            if questions in ready:
                data = os.read(questions, 1 << 20)
                if not data:
                    return
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    print(json.dumps(self._answer(json.loads(line))), flush=True)
            self.take_in()
            rest = self.send_due()

    def _answer(self, question: dict[str, object]) -> dict[str, object]:
        if question["do"] == "play":
            self.play(unpacked(question["trace"]), question["start_s"], question["t0"])  # type: ignore[arg-type]
            return {"playing": True}
        if question["do"] == "rest":
            self._schedule = None
            return {"playing": False}
        return asdict(self.report())


def main() -> int:
    spec = json.loads(sys.stdin.readline())
    try:
        near = Interface(spec["near"], bytes.fromhex(spec["near_header"]), taking=True)
        far = Interface(spec["far"], bytes.fromhex(spec["far_header"]), taking=spec["lossy"])
    except OSError as error:
        print(f"cannot open a packet socket: {error.strerror}; CAP_NET_RAW is needed", file=sys.stderr)
        return 2
    delay_s, jitter_s = spec["delay_ms"] / 1000, spec["jitter_ms"] / 1000
    media = spec["media"] and MediaDelay(**spec["media"])
    loss, seed, lossy = Loss(**spec["loss"]), spec["seed"], spec["lossy"]
    relay = Relay(near, far, delay_s, jitter_s, loss, seed, lossy, media)
    relay.real_time = real_time(RELAY_PRIORITY)
    undisturbed()
    print(json.dumps({"ready": True}), flush=True)
    relay.run(sys.stdin.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
