"""How true is a delay that a trace varies? Small packets go up a lane, stamped when they leave and arrive."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from testbed.link.lane import PLAYER_IP, SERVER_IP, Lane
from testbed.link.namespace import network_namespace
from traces.trace import Step, Trace

EVERY_S = 0.01
_PORT = 4463
_SO_TIMESTAMPNS = 35
"""<asm-generic/socket.h>: the kernel stamps each packet as it arrives."""
_QUIET_S = 0.5
"""After the last packet, the longest that one may still be under way beyond the delay."""


@dataclass(frozen=True)
class Trip:
    """One packet's way from the player to the server."""

    sent_s: float
    """Since t0."""
    took_ms: float


def asked_ms(trace: Trace, rtt_ms: float, times_s: Sequence[float]) -> list[float]:
    """What the stage was asked to keep packets that enter it at `times_s` (ascending), ms.

    Where the delay falls, packets wait for those before them: order is kept. So a packet leaves no sooner
    than one that came just before the fall.
    """
    steps = trace.steps()
    step: Step = next(steps)
    found, no_sooner_s = [], 0.0
    for at in times_s:
        while at >= step.start_s + step.duration_s:
            no_sooner_s = max(no_sooner_s, step.start_s + step.duration_s + step.delay_ms / 1000)
            step = next(steps)
        found.append(rtt_ms + 1000 * max(step.delay_ms / 1000, no_sooner_s - at))
    return found


class DelayMeter:
    """Sends and receives in a thread each, from t0 on for as long as is asked.

    Args:
        lane: whose player sends, whose server receives.
    """

    def __init__(self, lane: Lane, t0: float, seconds: float) -> None:
        self._t0, self._until = t0, t0 + seconds
        with network_namespace(lane.pid("server")):
            self._receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._receiver.bind((SERVER_IP, _PORT))
        with network_namespace(lane.pid("player")):
            self._sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sender.bind((PLAYER_IP, _PORT))
        self._sender.connect((SERVER_IP, _PORT))
        self._trips: list[Trip] = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        due = self._t0
        try:
            while due < self._until:
                time.sleep(max(due - time.monotonic(), 0))
                self._sender.send(struct.pack("=dd", time.monotonic(), time.time()))
                due += EVERY_S
        finally:  # a path that is gone ends the receiver's waiting as well
            self._done.set()

    def _receive(self) -> None:
        self._receiver.settimeout(_QUIET_S)
        while True:
            try:
                data, ancillary, _, _ = self._receiver.recvmsg(64, 64)
            except TimeoutError:
                if self._done.is_set():
                    return
                continue
            sent, wall = struct.unpack("=dd", data)
            seconds, nanoseconds = struct.unpack_from("=qq", ancillary[0][2])
            self._trips.append(Trip(sent - self._t0, (seconds + nanoseconds / 1e9 - wall) * 1000))

    def trips(self) -> list[Trip]:
        """Wait for the end; what came, in the order of sending."""
        for thread in self._threads:
            thread.join()
        self._sender.close()
        self._receiver.close()
        return sorted(self._trips, key=lambda trip: trip.sent_s)


def errors_ms(trips: Sequence[Trip], trace: Trace, rtt_ms: float) -> list[float]:
    """How far off each packet's delay was, ms, without a sign."""
    wanted = asked_ms(trace, rtt_ms, [trip.sent_s for trip in trips])
    return [abs(trip.took_ms - ms) for trip, ms in zip(trips, wanted, strict=True)]
