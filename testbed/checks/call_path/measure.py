"""One run over a lane of its own, a constant link that is replayed: an idle phase, then an overload."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from testbed.checks.call_path.facts import Arrival, CallPathFacts, idle_noise, overload
from testbed.checks.call_path.flow import HEAD, PAYLOAD_BYTES, PORT, WIRE_BYTES
from testbed.link.bucket import bucket_bytes
from testbed.link.lane import BOTTLENECK, PLAYER_IP, Lane
from testbed.link.namespace import network_namespace
from testbed.link.settings import LinkSettings
from testbed.link.shaper_client import ShaperClient
from testbed.process.children import environment
from testbed.process.errors import TestbedError
from traces.bound_processes import die_with_parent
from traces.trace import Trace

IDLE_SHARE = 0.5
"""Of the link's rate, sent while it is idle."""
OVERLOAD = 2.2 / 2.0
"""Payload sent over the link's rate: with headers 13.9 % more than it carries."""
OVERLOAD_S = 6.0
QUEUE_MS = 1500.0
"""Holds what the overload piles up."""
_SETTLE_S = 1.0
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
"""<asm-generic/socket.h>"""


@dataclass(frozen=True)
class Phase:
    """Datagrams at even times."""

    gap_s: float
    packets: int


def idle_phase(rate_mbps: float, seconds: float) -> Phase:
    """Half of what the link carries."""
    gap_s = WIRE_BYTES * 8 / 1e6 / rate_mbps / IDLE_SHARE
    return Phase(gap_s, int(seconds / gap_s))


def overload_phase(rate_mbps: float) -> Phase:
    """More than the link carries, until its queue is nearly full."""
    gap_s = PAYLOAD_BYTES * 8 / 1e6 / (rate_mbps * OVERLOAD)
    return Phase(gap_s, int(OVERLOAD_S / gap_s))


class _Ends:
    """A sending process and a receiving socket."""

    def __init__(self, lane: Lane) -> None:
        with network_namespace(lane.pid("player")):
            self._receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
        self._receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._receiver.bind((PLAYER_IP, PORT))
        self._sender = Popen(
            [sys.executable, "-P", "-m", "testbed.checks.call_path.flow"],
            stdin=PIPE,
            stdout=PIPE,
            preexec_fn=die_with_parent,
            start_new_session=True,
            env=environment(),
        )
        self._tell({"server_pid": lane.pid("server")})
        self.answer()

    def _tell(self, body: dict[str, Any]) -> None:
        assert self._sender.stdin is not None
        self._sender.stdin.write(json.dumps(body).encode() + b"\n")
        self._sender.stdin.flush()

    def answer(self) -> dict[str, float]:
        """The sender's next line.

        Raises:
            TestbedError: it died.
        """
        assert self._sender.stdout is not None
        line = self._sender.stdout.readline()
        if not line:
            raise TestbedError("the sending process died; its message above, if it left one, says why")
        answer: dict[str, float] = json.loads(line)
        return answer

    def run(self, phase: Phase, drain_s: float) -> tuple[list[Arrival], dict[str, float]]:
        """Send a phase; what came within `drain_s` after its end, and how late the sender was."""
        self._tell({"t0": time.monotonic() + 0.2, "gap_s": phase.gap_s, "packets": phase.packets})
        late = self.answer()
        time.sleep(drain_s)
        arrivals = []
        self._receiver.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                data, ancillary, _, _ = self._receiver.recvmsg(2048, 64)
                number, sent = HEAD.unpack_from(data)
                seconds, nanoseconds = struct.unpack_from("=qq", ancillary[0][2])
                arrivals.append(Arrival(number, sent, seconds + nanoseconds / 1e9))
        return arrivals, late

    def close(self) -> None:
        assert self._sender.stdin is not None
        self._sender.stdin.close()
        self._sender.wait()
        self._receiver.close()


def _over(lane: Lane, rate_mbps: float, seconds: float, begins: Callable[[float], None]) -> CallPathFacts:
    """Both phases over a lane whose replay `begins`."""
    settings = lane.settings
    wait_s = 0.1 + (settings.media_delay_ms + settings.media_jitter_ms + settings.grant_ms) / 1000
    ends = _Ends(lane)
    try:
        t0 = time.monotonic() + _SETTLE_S
        begins(t0)
        time.sleep(max(t0 - time.monotonic(), 0) + 0.2)
        idle, busy = idle_phase(rate_mbps, seconds), overload_phase(rate_mbps)
        quiet, late = ends.run(idle, wait_s)
        piled, _ = ends.run(busy, wait_s + QUEUE_MS / 1000)
    finally:
        ends.close()
    return CallPathFacts(
        idle_noise(quiet, idle.packets, late), overload(piled, busy.packets, rate_mbps, busy.gap_s)
    )


async def measure(
    settings: LinkSettings, backend: str, rate_mbps: float, seconds: float, folder: Path
) -> CallPathFacts:
    """One run over a fresh lane.

    Raises:
        TestbedError: the lane can't be made, or a process of it died.
    """
    trace = Trace(f"{rate_mbps:g} Mbit/s", (0.0, 1.0), (rate_mbps, rate_mbps))
    settings = replace(settings, queue_ms=QUEUE_MS, queue_bytes=None)
    limit = settings.queue_limit_bytes(trace)
    async with contextlib.AsyncExitStack() as stack:
        shaper = await stack.enter_async_context(ShaperClient())
        lane = stack.enter_context(Lane(f"sb{os.getpid()}-call", settings, backend))
        bucket = lane.bucket()
        try:
            bucket.create(rate_mbps, bucket_bytes(rate_mbps), limit)
        finally:
            bucket.close()
        await shaper.attach(lane.name, lane.pid("router"), BOTTLENECK, limit, rate_mbps)
        loop = asyncio.get_running_loop()

        def begins(t0: float) -> None:
            playing = shaper.play(lane.name, trace, 0.0, t0, folder / "call.jsonl")
            asyncio.run_coroutine_threadsafe(playing, loop).result()

        found = await asyncio.to_thread(_over, lane, rate_mbps, seconds, begins)
        await shaper.stop(lane.name)
        return found
