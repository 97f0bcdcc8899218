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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from testbed.children import die_with_parent, environment
from testbed.delay_stage import StageReport
from testbed.errors import TestbedError
from testbed.fidelity_burst import RATE_MBPS, Burst, measure
from testbed.fidelity_delay import DelayMeter, errors_ms
from testbed.lane import BOTTLENECK, PLAYER_IP, SERVER_IP, Lane
from testbed.link_log import LinkRow, read_link_log
from testbed.machine import Change, Reading, read_machine
from testbed.namespace import network_namespace
from testbed.probe import RTT_TOLERANCE_MS, probe_path
from testbed.settings import LinkSettings
from testbed.shaper import AS_IS, Making, burst_bytes
from testbed.shaper_client import ShaperClient
from testbed.step_bytes import carried_bytes
from testbed.tbf import FRAME_BYTES
from traces.trace import Trace

WINDOW_S = 1.0
"""Steps are joined until they last about this long, whatever the trace's own step."""
ABOUT = 0.95

MANY_LANES = 16
SHORT_WINDOW_S = 0.5


def bounds(lanes: int, window_s: float) -> tuple[float, float]:
    """(median, p95) that the error of a window's bytes may have, as a share; an error of at most one frame
    is always within bounds. Nothing a player or its policy sees is as fine as this."""
    if window_s < SHORT_WINDOW_S:
        return 0.02, 0.06
    return (0.003, 0.01) if lanes <= MANY_LANES else (0.003, 0.02)


DELAY_P95_BOUND_MS = 1.0
"""A varying delay may be this far off in 95 of 100 packets."""

DARK_S = 10.0
LIT_S = 4.0
LIT_MBPS = 5.0
DARK_BOUND_S = 1.0
RTT_BOUND_MS = RTT_TOLERANCE_MS
_DARK_PORT = 4462
_SETTLE_S = 1.0
_LOOK_S = 0.2

SKIPPED_S = 1.0
"""Windows that end by then are left out: the flow only fills the queue."""

FULL_SHARE = 0.8
"""A lane whose queue was empty at some look in more than a fifth of the windows proves nothing."""


@dataclass(frozen=True)
class Window:
    """About a second of one lane's replay."""

    start_s: float
    duration_s: float
    expected_bytes: float
    sent_bytes: int
    saturated: bool
    """Frames were waiting at every look."""

    @property
    def error_bytes(self) -> float:
        return abs(self.sent_bytes - self.expected_bytes)

    @property
    def error(self) -> float:
        """As a share of what was expected (of one frame in the dark)."""
        return self.error_bytes / max(self.expected_bytes, FRAME_BYTES)


@dataclass(frozen=True)
class LaneFidelity:
    """One lane's replay of one trace."""

    trace: str
    mean_mbps: float
    lowest_mbps: float
    highest_mbps: float
    windows: tuple[Window, ...]
    late_ms: tuple[float, ...]
    rtt_ms: float
    """Idle, at 10 Mbit/s."""
    stage: StageReport
    delay_errors_ms: tuple[float, ...] = ()
    """Of a trace whose delay varies: how far off each packet's was."""

    @property
    def judged(self) -> list[Window]:
        return [window for window in self.windows if window.saturated]

    @property
    def enough(self) -> bool:
        """Whether the flow kept the link full most of the time, so that the windows tell something."""
        return len(self.judged) >= max(FULL_SHARE * len(self.windows), 1)


def windows(rows: Sequence[LinkRow], window_s: float = WINDOW_S) -> Iterator[Window]:
    """Join the steps of a link log; what lies in the first second, in which the flow fills the queue, is
    left out.

    What passed is held against what the trace carries between the very moments at which the counters
    were read: a reading that comes late is no fault of the link, a rate that comes late is.
    """
    begin, expected, sent, saturated = rows[0].start_s if rows else 0.0, 0.0, 0, True
    first = True
    for index, row in enumerate(rows):
        expected += carried_bytes(rows, index)
        sent += row.sent_bytes
        saturated = saturated and row.backlog_min_bytes >= FRAME_BYTES
        end = row.start_s + row.duration_s
        if end - begin >= ABOUT * window_s:
            if not first and end > SKIPPED_S:
                yield Window(begin, end - begin, expected, sent, saturated)
            begin, expected, sent, saturated, first = end, 0.0, 0, True, False


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value below which `share` of the values lie (nearest rank); None for none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


@dataclass(frozen=True)
class Fidelity:
    """What was found with one number of lanes."""

    lanes: int
    results: tuple[LaneFidelity, ...]
    machine: tuple[Change, ...] = ()
    """What it did meanwhile, for each replay of the lanes."""
    window_s: float = WINDOW_S

    @property
    def judged(self) -> list[Window]:
        return [window for lane in self.results for window in lane.judged]

    @property
    def unsaturated(self) -> int:
        return sum(len(lane.windows) for lane in self.results) - len(self.judged)

    def beyond_a_frame(self) -> list[float]:
        """Errors, 0 where they are within one frame."""
        return [0.0 if window.error_bytes <= FRAME_BYTES else window.error for window in self.judged]

    def row(self, settings: LinkSettings) -> dict[str, Any]:
        """Figures and whether they are within bounds."""
        median_bound, p95_bound = bounds(self.lanes, self.window_s)
        errors = [window.error for window in self.judged]
        beyond = self.beyond_a_frame()
        late = [ms for lane in self.results for ms in lane.late_ms]
        rtt = max((abs(lane.rtt_ms - settings.rtt_ms) for lane in self.results), default=None)
        median, p95 = quantile(beyond, 0.5), quantile(beyond, 0.95)
        delays = [ms for lane in self.results for ms in lane.delay_errors_ms]
        delay_p95_ms = quantile(delays, 0.95)
        within = (
            all(lane.enough and not lane.stage.faults() for lane in self.results)
            and (median is not None and median <= median_bound)
            and (p95 is not None and p95 <= p95_bound)
            and (rtt is not None and rtt <= RTT_BOUND_MS + settings.jitter_ms)
            and (delay_p95_ms is None or delay_p95_ms <= DELAY_P95_BOUND_MS + settings.jitter_ms)
        )
        return {
            "lanes": self.lanes,
            "window_s": self.window_s,
            "traces": len({lane.trace for lane in self.results}),
            "windows": len(errors),
            "unsaturated_windows": self.unsaturated,
            "error_median": quantile(errors, 0.5),
            "error_p95": quantile(errors, 0.95),
            "error_max": max(errors, default=None),
            "beyond_a_frame_median": median,
            "beyond_a_frame_p95": p95,
            "bound_median": median_bound,
            "bound_p95": p95_bound,
            "late_p99_ms": quantile(late, 0.99),
            "late_max_ms": max(late, default=None),
            "rtt_off_max_ms": rtt,
            "delay_packets": len(delays),
            "delay_off_median_ms": quantile(delays, 0.5),
            "delay_off_p95_ms": delay_p95_ms,
            "delay_off_max_ms": max(delays, default=None),
            "mbps": sum(lane.mean_mbps for lane in self.results) * self.lanes / len(self.results),
            "steal": max((one.steal for one in self.machine if one.steal is not None), default=None),
            "pressure": max((one.pressure for one in self.machine if one.pressure is not None), default=None),
            "wait_max_ms_per_s": max(
                (ms for one in self.machine if (ms := one.worst_wait_ms_per_s) is not None), default=None
            ),
            "within_bounds": within,
        }


class Bench:
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
        results: list[LaneFidelity] = []
        machine: list[Change] = []
        for begin in range(0, wanted, lanes):
            batch = queue[begin : begin + lanes]
            names = ", ".join(dict.fromkeys(trace.name for trace in batch))
            self._console.print(
                Text(f"{lanes} lane{'s' if lanes > 1 else ''}, {seconds:g} s: {names}"), soft_wrap=True
            )
            measured, change = await self._batch(batch, seconds)
            results += measured
            machine.append(change)
        return Fidelity(lanes, tuple(results), tuple(machine), self._window_s)

    async def _batch(self, traces: Sequence[Trace], seconds: float) -> tuple[list[LaneFidelity], Change]:
        """Replay each trace on a lane of its own; what came of them, and what the machine did meanwhile."""
        async with contextlib.AsyncExitStack() as stack:
            shaper = await stack.enter_async_context(ShaperClient())
            lanes = [
                stack.enter_context(
                    Lane(f"sb{os.getpid()}-{index}", self._settings, self._backend, trace=trace)
                )
                for index, trace in enumerate(traces)
            ]
            trips = [
                await self._attach(shaper, lane, trace) for lane, trace in zip(lanes, traces, strict=True)
            ]
            flows = await self._saturate(lanes, traces)
            t0 = time.monotonic() + _SETTLE_S
            flows.stdin.write((json.dumps({"t0": t0, "seconds": seconds + _SETTLE_S}) + "\n").encode())
            logs = [self._folder / f"{lane.name}.jsonl" for lane in lanes]
            for lane, trace, log in zip(lanes, traces, logs, strict=True):
                assert lane.delay_stage is not None
                lane.delay_stage.play(trace, 0.0, t0)
                await shaper.play(lane.name, trace, 0.0, t0, log)
            varying = [trace.delay_ms is not None for trace in traces]
            meters = [
                DelayMeter(lane, t0, seconds) if varies else None
                for lane, varies in zip(lanes, varying, strict=True)
            ]
            before = _machine(shaper, lanes)
            await asyncio.sleep(t0 + seconds + 0.3 - time.monotonic())
            change = _machine(shaper, lanes).since(before)
            for lane in lanes:
                await shaper.stop(lane.name)
            if await flows.process.wait() != 0:
                raise TestbedError("the process that fills the links died; see its message above")
            found = []
            for lane, trace, log, rtt_ms, meter in zip(lanes, traces, logs, trips, meters, strict=True):
                rows = [row for row in read_link_log(log) if row.start_s + row.duration_s <= seconds + 1e-6]
                measured = _lane_fidelity(trace, rows, rtt_ms, lane.stage_report(), self._window_s)
                if meter is not None:
                    off_ms = errors_ms(await asyncio.to_thread(meter.trips), trace, self._settings.rtt_ms)
                    measured = replace(measured, delay_errors_ms=tuple(off_ms))
                found.append(measured)
                log.unlink()
            return found, change

    async def _attach(self, shaper: ShaperClient, lane: Lane, trace: Trace) -> float:
        """Shape and probe a lane; its idle RTT in ms."""
        limit = self._settings.queue_limit_bytes(trace)
        bucket = lane.bucket()
        try:
            bucket.create(trace.mean_mbps, burst_bytes(trace.mean_mbps), limit)
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
            *("-P", "-m", "testbed.saturate"),
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
            raise TestbedError("the process that fills the links did not start; see its message above")
        return Saturator(process, process.stdin)

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
class Saturator:
    """The process that fills the links."""

    process: asyncio.subprocess.Process
    stdin: asyncio.StreamWriter


def _lane_fidelity(
    trace: Trace, rows: Sequence[LinkRow], rtt_ms: float, stage: StageReport, window_s: float
) -> LaneFidelity:
    """What a lane's link log comes to."""
    rates = [row.rate_mbps for row in rows]
    lasted_s = sum(row.duration_s for row in rows)
    megabits = sum(row.rate_mbps * row.duration_s for row in rows)
    return LaneFidelity(
        trace.name,
        megabits / lasted_s if lasted_s else 0.0,
        min(rates, default=0.0),
        max(rates, default=0.0),
        tuple(windows(rows, window_s)),
        tuple(row.late_ms for row in rows),
        rtt_ms,
        stage,
    )


def _machine(shaper: ShaperClient, lanes: Sequence[Lane]) -> Reading:
    """The machine's counters, and how long the processes that make the links waited for a processor."""
    stages = [(lane.name, lane.delay_stage) for lane in lanes]
    relays = [(f"relay of {name}", stage.pid) for name, stage in stages if stage is not None]
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
