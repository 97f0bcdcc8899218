"""Measure lanes that replay traces: bytes against the trace, round trips, and the return from the dark.

Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from testbed.checks.fidelity.burst import RATE_MBPS, Burst, measure
from testbed.checks.fidelity.delay import DelayMeter, errors_ms
from testbed.checks.fidelity.figures import Fidelity, LaneFidelity, lane_fidelity
from testbed.checks.fidelity.options import WINDOW_S
from testbed.link.bucket import AS_IS, Making, bucket_bytes
from testbed.link.lane import BOTTLENECK, PLAYER_IP, SERVER_IP, Lane
from testbed.link.log import read_link_log
from testbed.link.namespace import network_namespace
from testbed.link.probe import probe_path
from testbed.link.settings import LinkSettings
from testbed.link.shaper_client import ShaperClient
from testbed.link.tbf import FRAME_BYTES
from testbed.machine.readings import MachineChange, MachineReading, read_machine
from testbed.process.children import environment
from testbed.process.errors import TestbedError
from traces.bound_processes import die_with_parent
from traces.trace import Trace

DARK_S = 10.0
LIT_S = 4.0
LIT_MBPS = 5.0
DARK_BOUND_S = 1.0
_DARK_PORT = 4462
_SETTLE_S = 1.0
_LOOK_S = 0.2
_BEYOND_S = 0.3
"""After the end of a replay, until its last whole step has its row."""


class FidelityBench:
    """Measures batches of lanes with one link setting."""

    def __init__(
        self,
        settings: LinkSettings,
        backend: str,
        flow: str,
        folder: Path,
        console: Console,
        window_s: float = WINDOW_S,
        making: Making = AS_IS,
    ) -> None:
        self._settings = settings
        self._making = making
        self._window_s = window_s
        self._flow = flow
        self._backend = backend
        self._folder = folder
        self._console = console

    async def measure(self, lanes: int, traces: Sequence[Trace], seconds: float) -> Fidelity:
        """Replay all traces, `lanes` at a time (the list is repeated to fill the lanes)."""
        wanted = -(-max(len(traces), lanes) // lanes) * lanes
        queue = [traces[index % len(traces)] for index in range(wanted)]
        batches: list[ReplayBatch] = []
        for begin in range(0, wanted, lanes):
            batch = queue[begin : begin + lanes]
            names = ", ".join(dict.fromkeys(trace.name for trace in batch))
            self._console.print(
                Text(f"{lanes} lane{'s' if lanes > 1 else ''}, {seconds:g} s: {names}"), soft_wrap=True
            )
            batches.append(await self._batch(batch, seconds))
        return Fidelity(
            lanes,
            tuple(result for one in batches for result in one.results),
            tuple(one.machine for one in batches),
            self._window_s,
            sum(one.filler_late for one in batches),
        )

    async def _batch(self, traces: Sequence[Trace], seconds: float) -> ReplayBatch:
        """Replay each trace on a lane of its own."""
        async with contextlib.AsyncExitStack() as stack:
            shaper = await stack.enter_async_context(ShaperClient())
            lanes = [
                stack.enter_context(
                    Lane(f"sb{os.getpid()}-{index}", self._settings, self._backend, trace=trace)
                )
                for index, trace in enumerate(traces)
            ]
            paired = list(zip(lanes, traces, strict=True))
            trips = [await self._attach(shaper, lane, trace) for lane, trace in paired]
            flows = await self._saturate(lanes, traces)
            t0 = time.monotonic() + _SETTLE_S
            flows.stdin.write((json.dumps({"t0": t0, "seconds": seconds + _SETTLE_S}) + "\n").encode())
            for lane, trace in paired:
                lane.delay_stage.play(trace, 0.0, t0)
                await shaper.play(lane.name, trace, 0.0, t0, self._log(lane))
            meters = [
                DelayMeter(lane, t0, seconds) if trace.delay_ms is not None else None
                for lane, trace in paired
            ]
            before = _machine(shaper, lanes)
            await asyncio.sleep(t0 + seconds + _BEYOND_S - time.monotonic())
            change = _machine(shaper, lanes).since(before)
            for lane in lanes:
                await shaper.stop(lane.name)
            late = await flows.ended()
            results = [
                await self._result(lane, trace, rtt_ms, meter, seconds)
                for (lane, trace), rtt_ms, meter in zip(paired, trips, meters, strict=True)
            ]
            return ReplayBatch(results, change, late)

    def _log(self, lane: Lane) -> Path:
        return self._folder / f"{lane.name}.jsonl"

    async def _result(
        self, lane: Lane, trace: Trace, rtt_ms: float, meter: DelayMeter | None, seconds: float
    ) -> LaneFidelity:
        """What came of a lane's replay, whose log is done with then."""
        log = self._log(lane)
        rows = [row for row in read_link_log(log) if row.start_s + row.duration_s <= seconds + 1e-6]
        log.unlink()
        measured = lane_fidelity(trace, rows, rtt_ms, lane.stage_report(), self._window_s)
        if meter is None:
            return measured
        off_ms = errors_ms(await asyncio.to_thread(meter.trips), trace, self._settings.feedback_delay_ms)
        return replace(measured, delay_errors_ms=tuple(off_ms))

    async def _attach(self, shaper: ShaperClient, lane: Lane, trace: Trace) -> float:
        """Shape and probe a lane; its idle RTT in ms."""
        limit = self._settings.queue_limit_bytes(trace)
        bucket = lane.bucket()
        try:
            bucket.create(trace.mean_mbps, bucket_bytes(trace.mean_mbps), limit)
            probe = await asyncio.to_thread(probe_path, lane, bucket)
        finally:
            bucket.close()
        if probe.rtt_ms is None:
            raise TestbedError(f"lane {lane.name}: no echo came back; the path is broken")
        router = lane.pid("router")
        await shaper.attach(lane.name, router, BOTTLENECK, limit, trace.mean_mbps, self._making)
        return probe.rtt_ms

    async def _saturate(self, lanes: Sequence[Lane], traces: Sequence[Trace]) -> Saturator:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", "testbed.checks.fidelity.saturate"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=die_with_parent,
            start_new_session=True,
            env=environment(),
        )
        assert process.stdin is not None and process.stdout is not None
        spec = [
            {
                "server_pid": lane.pid("server"),
                "player_pid": lane.pid("player"),
                "trace": trace.as_json(),
                "start_s": 0.0,
            }
            for lane, trace in zip(lanes, traces, strict=True)
        ]
        process.stdin.write(
            (
                json.dumps({"flow": self._flow, "cc": self._settings.congestion_control, "lanes": spec})
                + "\n"
            ).encode()
        )
        if not await process.stdout.readline():
            raise TestbedError(
                "the process that fills the links did not start; its message above, if it left one, says why"
            )
        return Saturator(process, process.stdin, process.stdout)

    async def burst(self) -> Burst:
        """How even a link is within moments, and what it has saved up after an idle time."""
        trace = Trace(f"{RATE_MBPS:g} Mbit/s", (0.0, 1.0), (RATE_MBPS, RATE_MBPS))
        async with contextlib.AsyncExitStack() as stack:
            shaper = await stack.enter_async_context(ShaperClient())
            lane = stack.enter_context(Lane(f"sb{os.getpid()}-burst", self._settings, self._backend))
            await self._attach(shaper, lane, trace)
            loop, log = asyncio.get_running_loop(), self._folder / "burst.jsonl"

            def begins(t0: float) -> None:
                playing = shaper.play(lane.name, trace, 0.0, t0, log)
                asyncio.run_coroutine_threadsafe(playing, loop).result()

            found = await asyncio.to_thread(measure, lane, begins)
            await shaper.stop(lane.name)
            return found

    async def after_dark(self) -> float | None:
        """Seconds from the link's return until bytes flow again, under a TCP flow; None if they don't.

        What arrives within a frame's time of the return may have left before the dark, and does not count.
        """
        name = f"dark {DARK_S:g} s"
        trace = Trace(
            name, (0.0, LIT_S, LIT_S + DARK_S, 2 * LIT_S + DARK_S), (LIT_MBPS, LIT_MBPS, 0.0, LIT_MBPS)
        )
        async with contextlib.AsyncExitStack() as stack:
            shaper = await stack.enter_async_context(ShaperClient())
            lane = stack.enter_context(Lane(f"sb{os.getpid()}-dark", self._settings, self._backend))
            await self._attach(shaper, lane, trace)
            t0 = time.monotonic() + _SETTLE_S
            log = self._folder / "dark.jsonl"
            until = t0 + trace.duration_s
            stop = threading.Event()
            flow = asyncio.create_task(
                asyncio.to_thread(_arrivals, lane, self._settings.congestion_control, until, stop)
            )
            try:
                await shaper.play(lane.name, trace, 0.0, t0, log)
                times = await asyncio.shield(flow)
                await shaper.stop(lane.name)
            finally:
                stop.set()
        lit = t0 + LIT_S + DARK_S
        frame_s = FRAME_BYTES * 8 / 1e6 / LIT_MBPS
        return min((at - lit for at in times if at > lit + frame_s), default=None)


@dataclass(frozen=True)
class ReplayBatch:
    """What came of replays at once, and what the machine did meanwhile."""

    results: list[LaneFidelity]
    machine: MachineChange
    filler_late: int
    """See `Fidelity`."""


@dataclass(frozen=True)
class Saturator:
    """The process that fills the links."""

    process: asyncio.subprocess.Process
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader

    async def ended(self) -> int:
        """Wait for its end; how often it was late (0 of TCP flows, which the kernel paces).

        Raises:
            TestbedError: it died.
        """
        said = await self.stdout.readline()
        if await self.process.wait() != 0:
            raise TestbedError(
                "the process that fills the links died; its message above, if it left one, says why"
            )
        return int(json.loads(said)["late"]) if said else 0


def _machine(shaper: ShaperClient, lanes: Sequence[Lane]) -> MachineReading:
    """The machine's counters, and how long the processes that make the links waited for a processor."""
    relays = [(f"relay of {lane.name}", lane.delay_stage.pid) for lane in lanes]
    return read_machine([("shaper", shaper.pid), *relays])


def _arrivals(lane: Lane, congestion_control: str, until: float, stop: threading.Event) -> list[float]:
    """Monotonic times at which a TCP bulk flow's bytes came to the player, until `until` or `stop`."""
    with network_namespace(lane.pid("server")):
        listening = socket.create_server((SERVER_IP, _DARK_PORT))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion_control.encode())
    with network_namespace(lane.pid("player")):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        receiver.bind((PLAYER_IP, 0))
    receiver.settimeout(5.0)
    receiver.connect((SERVER_IP, _DARK_PORT))
    sender, _ = listening.accept()

    def fill() -> None:
        with contextlib.suppress(OSError):  # the receiver has left
            while True:
                sender.send(bytes(65536))

    threading.Thread(target=fill, daemon=True).start()
    times = []
    receiver.settimeout(_LOOK_S)
    while time.monotonic() < until and not stop.is_set():
        try:
            if not receiver.recv(65536):
                break
        except TimeoutError:
            continue
        times.append(time.monotonic())
    for opened in (receiver, sender, listening):
        opened.close()
    return times
