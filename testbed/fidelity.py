"""How true is the emulated link on this machine? A table, a plot, exit status 1 if out of bounds.

    sudo python testbed/fidelity.py --trace 4g [--lanes 16]

Bottlenecks are kept full by UDP flows while their traces are replayed; the kernel's byte counters are
held against the trace, window by window of a second. The delay stage is in the path and sees a packet
for every two frames, as a TCP receiver would send. Then the link goes dark under a TCP flow, and the
time until bytes flow again is taken. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from testbed.handover import hand_over

    hand_over()

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from testbed.children import die_with_parent, environment
from testbed.errors import TestbedError
from testbed.fidelity_plot import draw
from testbed.lane import (
    BOTTLENECK,
    PLAYER_IP,
    SERVER_IP,
    Lane,
    check_congestion_control,
    delay_backend,
    require_tools,
)
from testbed.namespace import network_namespace
from testbed.options import Parser, add_link_options, capped, link_settings
from testbed.ownership import give_to_caller
from testbed.probe import RTT_TOLERANCE_MS, probe_path
from testbed.run import PIPE_COLUMNS
from testbed.selfcheck import read_link_log
from testbed.settings import LinkSettings, check_carried
from testbed.shaper import LinkRow, burst_bytes
from testbed.shaper_client import ShaperClient
from testbed.tbf import FRAME_BYTES
from traces.catalogue import resolve_many
from traces.trace import Trace, TraceError

WINDOW_S = 0.95
"""Steps are joined until they last at least this long: a second, whatever the trace's own step."""

BOUNDS = {1: (0.003, 0.01), 2: (0.005, 0.02)}
"""(median, p95) of the error of a window's bytes, for one lane and for two or more; an error of at
most one frame is always within bounds."""

DARK_S = 10.0
LIT_S = 4.0
LIT_MBPS = 5.0
DARK_BOUND_S = 1.0
RTT_BOUND_MS = RTT_TOLERANCE_MS
_DARK_PORT = 4462
_SETTLE_S = 1.0


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
    relay: dict[str, Any]

    @property
    def judged(self) -> list[Window]:
        return [window for window in self.windows if window.saturated]


def windows(rows: Sequence[LinkRow]) -> Iterator[Window]:
    """Join the steps of a link log; the first window, in which the flow fills the queue, is left out."""
    begin, expected, sent, saturated = rows[0].start_s if rows else 0.0, 0.0, 0, True
    first = True
    for row in rows:
        expected += row.rate_mbps * 1e6 / 8 * row.duration_s
        sent += row.sent_bytes
        saturated = saturated and row.backlog_min_bytes >= FRAME_BYTES
        end = row.start_s + row.duration_s
        if end - begin >= WINDOW_S:
            if not first:
                yield Window(begin, end - begin, expected, sent, saturated)
            begin, expected, sent, saturated, first = end, 0.0, 0, True, False


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie (nearest rank); nan for none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")


@dataclass(frozen=True)
class Fidelity:
    """What was found with one number of lanes."""

    lanes: int
    results: tuple[LaneFidelity, ...]

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
        median_bound, p95_bound = BOUNDS[min(self.lanes, 2)]
        errors = [window.error for window in self.judged]
        beyond = self.beyond_a_frame()
        late = [ms for lane in self.results for ms in lane.late_ms]
        rtt = max((abs(lane.rtt_ms - settings.rtt_ms) for lane in self.results), default=float("nan"))
        within = (
            bool(errors)
            and quantile(beyond, 0.5) <= median_bound
            and quantile(beyond, 0.95) <= p95_bound
            and rtt <= RTT_BOUND_MS
        )
        return {
            "lanes": self.lanes,
            "traces": len({lane.trace for lane in self.results}),
            "windows": len(errors),
            "unsaturated_windows": self.unsaturated,
            "error_median": quantile(errors, 0.5),
            "error_p95": quantile(errors, 0.95),
            "error_max": max(errors, default=float("nan")),
            "beyond_a_frame_median": quantile(beyond, 0.5),
            "beyond_a_frame_p95": quantile(beyond, 0.95),
            "bound_median": median_bound,
            "bound_p95": p95_bound,
            "late_p99_ms": quantile(late, 0.99),
            "late_max_ms": max(late, default=float("nan")),
            "rtt_off_max_ms": rtt,
            "mbps": statistics.fmean(lane.mean_mbps for lane in self.results) * self.lanes,
            "within_bounds": within,
        }


class Bench:
    """Measures batches of lanes with one link setting."""

    def __init__(
        self, settings: LinkSettings, backend: str, flow: str, folder: Path, console: Console
    ) -> None:
        self._settings = settings
        self._flow = flow
        self._backend = backend
        self._folder = folder
        self._console = console

    async def measure(self, lanes: int, traces: Sequence[Trace], seconds: float) -> Fidelity:
        """Replay all traces, `lanes` at a time (the list is repeated to fill the lanes)."""
        wanted = -(-max(len(traces), lanes) // lanes) * lanes
        queue = [traces[index % len(traces)] for index in range(wanted)]
        results: list[LaneFidelity] = []
        for begin in range(0, wanted, lanes):
            batch = queue[begin : begin + lanes]
            names = ", ".join(dict.fromkeys(trace.name for trace in batch))
            self._console.print(
                Text(f"{lanes} lane{'s' if lanes > 1 else ''}, {seconds:g} s: {names}"), soft_wrap=True
            )
            results += await self._batch(batch, seconds)
        return Fidelity(lanes, tuple(results))

    async def _batch(self, traces: Sequence[Trace], seconds: float) -> list[LaneFidelity]:
        async with contextlib.AsyncExitStack() as stack:
            shaper = await stack.enter_async_context(ShaperClient())
            lanes = [
                stack.enter_context(Lane(f"sb{os.getpid()}-{index}", self._settings, self._backend))
                for index in range(len(traces))
            ]
            trips = [
                await self._attach(shaper, lane, trace) for lane, trace in zip(lanes, traces, strict=True)
            ]
            flows = await self._saturate(lanes, traces)
            t0 = time.monotonic() + _SETTLE_S
            flows.stdin.write((json.dumps({"t0": t0, "seconds": seconds + _SETTLE_S}) + "\n").encode())
            logs = [self._folder / f"{lane.name}.jsonl" for lane in lanes]
            for lane, trace, log in zip(lanes, traces, logs, strict=True):
                await shaper.play(lane.name, trace, 0.0, t0, log)
            await asyncio.sleep(t0 + seconds + 0.3 - time.monotonic())
            for lane in lanes:
                await shaper.stop(lane.name)
            await flows.process.wait()
            found = []
            for lane, trace, log, rtt_ms in zip(lanes, traces, logs, trips, strict=True):
                rows = [row for row in read_link_log(log) if row.start_s + row.duration_s <= seconds + 1e-6]
                rates = [row.rate_mbps for row in rows]
                found.append(
                    LaneFidelity(
                        trace.name,
                        statistics.fmean(rates) if rates else 0.0,
                        min(rates, default=0.0),
                        max(rates, default=0.0),
                        tuple(windows(rows)),
                        tuple(row.late_ms for row in rows),
                        rtt_ms,
                        dataclasses.asdict(lane.stage_report()),
                    )
                )
                log.unlink()
            return found

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
        await shaper.attach(lane.name, lane.pid("router"), BOTTLENECK, limit, trace.mean_mbps)
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
                "trace": {"name": trace.name, "time_s": trace.time_s, "rate_mbps": trace.rate_mbps},
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

    async def after_dark(self) -> float:
        """Seconds from the link's return until bytes flow again, under a TCP flow.

        The first byte that arrives a frame's time after the return counts; `inf` if none does.
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
            flow = asyncio.create_task(
                asyncio.to_thread(_arrivals, lane, self._settings.congestion_control, t0 + trace.duration_s)
            )
            await shaper.play(lane.name, trace, 0.0, t0, log)
            times = await flow
            await shaper.stop(lane.name)
        lit = t0 + LIT_S + DARK_S
        return min((at - lit for at in times if at > lit), default=float("inf"))


@dataclass(frozen=True)
class Saturator:
    """The process that fills the links."""

    process: asyncio.subprocess.Process
    stdin: asyncio.StreamWriter


def _arrivals(lane: Lane, congestion_control: str, until: float) -> list[float]:
    """Monotonic times at which a TCP bulk flow's bytes came to the player, until `until`."""
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
    while (rest := until - time.monotonic()) > 0:
        receiver.settimeout(rest)
        try:
            if not receiver.recv(65536):
                break
        except TimeoutError:
            break
        times.append(time.monotonic())
    for opened in (receiver, sender, listening):
        opened.close()
    return times


def table(rows: Sequence[dict[str, Any]], backend: str, dark_s: float | None) -> Table:
    """What was found, against its bounds."""
    shown = Table(
        title=f"link fidelity, delay stage: {backend}", title_justify="left", box=None, pad_edge=False
    )
    for name in (
        "lanes",
        "traces",
        "Mbit/s in all",
        "1-s windows",
        "error median / p95 / max",
        "beyond one frame: median / p95",
        "bound",
        "late p99 / max ms",
        "RTT off by ms",
        "within",
    ):
        shown.add_column(name, justify="right")
    for row in rows:
        shown.add_row(
            str(row["lanes"]),
            str(row["traces"]),
            f"{row['mbps']:.1f}",
            f"{row['windows']}"
            + (f" (+{row['unsaturated_windows']} not full)" if row["unsaturated_windows"] else ""),
            " / ".join(f"{100 * row[key]:.2f} %" for key in ("error_median", "error_p95", "error_max")),
            " / ".join(f"{100 * row[key]:.2f} %" for key in ("beyond_a_frame_median", "beyond_a_frame_p95")),
            f"{100 * row['bound_median']:g} / {100 * row['bound_p95']:g} %",
            f"{row['late_p99_ms']:.2f} / {row['late_max_ms']:.2f}",
            f"{row['rtt_off_max_ms']:.2f}",
            "yes" if row["within_bounds"] else "NO",
        )
    if dark_s is not None:
        shown.caption = (
            f"after {DARK_S:g} s dark, bytes flow again {dark_s:.3f} s after the link's return"
            f" (bound {DARK_BOUND_S:g} s)"
        )
        shown.caption_justify = "left"
    return shown


def parser() -> Parser:
    """The command line."""
    command = Parser(prog="fidelity.py", description="Measure how true the emulated link is on this machine.")
    what = command.add_argument_group("what is measured")
    what.add_argument(
        "--trace",
        action="append",
        required=True,
        metavar="TRACE",
        help="as in run.py; a slice (4g[0:12]) or a directory gives several; may be repeated",
    )
    what.add_argument("--format", metavar="NAME", help="the trace files' format (default: detected)")
    what.add_argument(
        "--lanes",
        default="1",
        metavar="N[,N…]",
        help="lanes at once; a list shows where it breaks (default: 1)",
    )
    what.add_argument("--seconds", type=float, default=60.0, metavar="S", help="of each replay (default: 60)")
    what.add_argument(
        "--flow",
        choices=("udp", "tcp"),
        default="udp",
        help="what fills the links: paced UDP, or TCP for more than about 200 Mbit/s (default: udp)",
    )
    what.add_argument("--no-dark", action="store_true", help="leave the dark-link test out")
    add_link_options(command)
    output = command.add_argument_group("output")
    output.add_argument(
        "--plot", type=Path, metavar="FILE", help="where the plot goes (default: fidelity.png)"
    )
    output.add_argument(
        "--json", action="store_true", help="print one JSON object and nothing else on stdout"
    )
    return command


def _lane_counts(text: str) -> list[int]:
    try:
        counts = [int(word) for word in text.split(",")]
    except ValueError:
        counts = [0]
    if not all(1 <= count <= 250 for count in counts):
        raise TestbedError(f"--lanes {text}: expected numbers from 1 to 250, such as 1,16,64")
    return counts


async def _run(args: argparse.Namespace) -> int:
    counts = _lane_counts(args.lanes)
    if not 5 <= args.seconds <= 3600:
        raise TestbedError(f"--seconds {args.seconds:g}: expected 5 to 3600")
    settings = link_settings(args)
    require_tools()
    check_congestion_control(settings.congestion_control)
    backend = delay_backend(settings.delay_backend)
    traces = []
    for spec in args.trace:
        traces += [capped(trace, args.cap_mbps) for trace in resolve_many(spec, args.format)]
    for trace in traces:
        check_carried(trace, settings, backend)
    stream = sys.stderr if args.json else sys.stdout
    console = Console(file=stream, width=None if stream.isatty() else PIPE_COLUMNS)
    with tempfile.TemporaryDirectory(prefix="streambed-") as folder:
        bench = Bench(settings, backend, args.flow, Path(folder), console)
        found = [await bench.measure(lanes, traces, args.seconds) for lanes in counts]
        dark_s = None if args.no_dark else await bench.after_dark()
    rows = [one.row(settings) for one in found]
    within = all(row["within_bounds"] for row in rows) and (dark_s is None or dark_s <= DARK_BOUND_S)
    plot = args.plot or Path("fidelity.png")
    draw(found, plot)
    give_to_caller(plot)
    console.print(table(rows, backend, dark_s))
    broken = [row["lanes"] for row in rows if not row["within_bounds"]]
    if broken:
        console.print(f"out of bounds with {', '.join(map(str, broken))} lanes")
    console.print(Text(f"plot: {plot}"), soft_wrap=True)
    if args.json:
        report = {
            "delay_backend": backend,
            "link": dataclasses.asdict(settings),
            "rows": rows,
            "per_trace": [
                {
                    "lanes": one.lanes,
                    "trace": lane.trace,
                    "mean_mbps": lane.mean_mbps,
                    "lowest_mbps": lane.lowest_mbps,
                    "highest_mbps": lane.highest_mbps,
                    "error_median": quantile([window.error for window in lane.judged], 0.5),
                    "error_p95": quantile([window.error for window in lane.judged], 0.95),
                    "windows": len(lane.judged),
                    "rtt_ms": lane.rtt_ms,
                    "relay": lane.relay,
                }
                for one in found
                for lane in one.results
            ],
            "after_dark_s": dark_s,
            "within_bounds": within,
            "plot": str(plot),
        }
        print(json.dumps(report), flush=True)
    return 0 if within else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    try:
        return asyncio.run(_run(args))
    except (TestbedError, TraceError) as error:
        print(f"fidelity.py: {error}", file=sys.stderr)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"fidelity.py: {where}{error.strerror or error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 2


if __name__ == "__main__":
    sys.exit(main())
