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
import dataclasses
import json
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from player.options import add_json_option
from testbed.console import person_console
from testbed.errors import TestbedError
from testbed.fidelity_burst import Burst
from testbed.fidelity_measure import DARK_BOUND_S, DARK_S, WINDOW_S, Bench, Fidelity, quantile
from testbed.fidelity_plot import check_plot, draw
from testbed.lane import check_congestion_control, delay_backend, require_tools
from testbed.options import add_link_options, capped, link_settings
from testbed.settings import LinkSettings, check_carried
from testbed.shaper import Making
from traces.arguments import BAD_INPUT, Parser, exit_with
from traces.catalogue import resolve_many
from traces.trace import Trace, TraceError


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _percents(values: Iterable[float | None], between: str = " / ") -> str:
    """Several in one cell, the unit once."""
    return between.join("-" if value is None else f"{100 * value:.2f}" for value in values) + " %"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def table(rows: Sequence[dict[str, Any]], backend: str, besides: Sequence[str]) -> Table:
    """What was found, against its bounds; `besides`, lines under it."""
    varying = any(row["delay_packets"] for row in rows)
    shown = Table(
        title=f"link fidelity, delay stage: {backend}", title_justify="left", box=None, pad_edge=False
    )
    for name in (
        "lanes",
        "traces",
        "Mbit/s in all",
        f"{rows[0]['window_s']:g}-s windows",
        "error median / p95 / max",
        "beyond one frame: median / p95",
        "bound",
        "late p99 / max ms",
        "RTT off by ms",
        *(["delay off by ms: median / p95 / max"] if varying else []),
        "steal",
        "wait ms/s",
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
            _percents(row[key] for key in ("error_median", "error_p95", "error_max")),
            _percents(row[key] for key in ("beyond_a_frame_median", "beyond_a_frame_p95")),
            f"{100 * row['bound_median']:g} / {100 * row['bound_p95']:g} %",
            f"{_ms(row['late_p99_ms'])} / {_ms(row['late_max_ms'])}",
            _ms(row["rtt_off_max_ms"]),
            *([_delays(row)] if varying else []),
            _percent(row["steal"]),
            _ms(row["wait_max_ms_per_s"]),
            "yes" if row["within_bounds"] else "NO",
        )
    if besides:
        shown.caption = "\n".join(besides)
        shown.caption_justify = "left"
    return shown


def _delays(row: dict[str, Any]) -> str:
    return " / ".join(_ms(row[f"delay_off_{which}_ms"]) for which in ("median", "p95", "max"))


SUMMED = ("beyond_a_frame_median", "beyond_a_frame_p95", "steal", "wait_max_ms_per_s")
"""Figures of a run whose spread over several runs is told."""


@dataclasses.dataclass(frozen=True)
class Spread:
    """A figure over several runs; None where no run has it."""

    least: float | None
    median: float | None
    worst: float | None


def spread(values: Sequence[float | None]) -> Spread:
    """Of a figure of which more is worse; the median is one that a run had (the upper of two)."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return Spread(None, None, None)
    return Spread(known[0], known[len(known) // 2], known[-1])


def repeats(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """All runs of a number of lanes as one row, in the order of the numbers: one run proves nothing."""
    return [
        {
            "lanes": lanes,
            "runs": len(mine),
            "runs_within_bounds": sum(row["within_bounds"] for row in mine),
            **{name: dataclasses.asdict(spread([row[name] for row in mine])) for name in SUMMED},
        }
        for lanes in dict.fromkeys(row["lanes"] for row in rows)
        for mine in [[row for row in rows if row["lanes"] == lanes]]
    ]


def repeats_table(found: Sequence[dict[str, Any]]) -> Table:
    """A line a number of lanes: median and worst of the runs, and from where to where they went."""
    shown = Table(
        title="over all runs, error beyond one frame", title_justify="left", box=None, pad_edge=False
    )
    names = ("median: median, worst", "range", "p95: median, worst", "range", "steal", "wait ms/s", "within")
    for name in ("lanes", "runs", *names):
        shown.add_column(name, justify="right")
    for row in found:
        cells = []
        for name in SUMMED[:2]:
            one = row[name]
            cells.append(_percents((one["median"], one["worst"]), ", "))
            cells.append(_percents((one["least"], one["worst"]), " to "))
        steal, wait = row["steal"], row["wait_max_ms_per_s"]
        cells.append(_percents((steal["least"], steal["worst"]), " to "))
        cells.append(f"{_ms(wait['least'])} to {_ms(wait['worst'])}")
        shown.add_row(
            str(row["lanes"]), str(row["runs"]), *cells, f"{row['runs_within_bounds']} of {row['runs']}"
        )
    return shown


def joined(found: Sequence[Fidelity]) -> list[Fidelity]:
    """The runs of each number of lanes as one, for the plot."""
    return [
        Fidelity(
            lanes,
            tuple(result for one in mine for result in one.results),
            tuple(change for one in mine for change in one.machine),
            mine[0].window_s,
        )
        for lanes in dict.fromkeys(one.lanes for one in found)
        for mine in [[one for one in found if one.lanes == lanes]]
    ]


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
    what.add_argument(
        "--repeat",
        type=int,
        default=1,
        metavar="N",
        help="measure each N times and tell median and worst of the runs (default: 1)",
    )
    what.add_argument("--seconds", type=float, default=60.0, metavar="S", help="of each replay (default: 60)")
    what.add_argument(
        "--flow",
        choices=("udp", "tcp"),
        default="udp",
        help="what fills the links: paced UDP, or TCP for more than about 200 Mbit/s (default: udp)",
    )
    what.add_argument(
        "--window-s",
        type=float,
        default=WINDOW_S,
        metavar="S",
        help="bytes are held against the trace over this long (default: %(default)g)",
    )
    what.add_argument(
        "--no-dark", action="store_true", help="leave out the tests of a dark, an idle and a bursty link"
    )
    making = command.add_argument_group("how links are made (to see what the defaults are worth)")
    making.add_argument(
        "--bucket-ms",
        type=float,
        metavar="MS",
        help="what a link's bucket holds, at least a frame (default: it follows the timers' lateness)",
    )
    making.add_argument("--uncorrected", action="store_true", help="never correct a rate within a step")
    add_link_options(command)
    _add_output_options(command)
    return command


def _add_output_options(command: Parser) -> None:
    output = command.add_argument_group("output")
    output.add_argument(
        "--plot",
        type=Path,
        default=Path("fidelity.png"),
        metavar="FILE",
        help="where the plot goes (default: %(default)s)",
    )
    add_json_option(output)


def _lane_counts(text: str) -> list[int]:
    try:
        counts = [int(word) for word in text.split(",")]
    except ValueError:
        counts = [0]
    if not all(1 <= count <= 250 for count in counts):
        raise TestbedError(f"--lanes {text}: expected numbers from 1 to 250, such as 1,16,64")
    return counts


def _dark_words(dark_s: float | None) -> str:
    if dark_s is None:
        return f"after {DARK_S:g} s dark, NO byte flowed again (bound {DARK_BOUND_S:g} s)"
    return (
        f"after {DARK_S:g} s dark, bytes flow again {dark_s:.3f} s after the link's return"
        f" (bound {DARK_BOUND_S:g} s)"
    )


def _in_short(row: dict[str, Any]) -> str:
    """A row at once, in case a later one does not come to an end."""
    errors = " / ".join(_percent(row[key]) for key in ("error_median", "error_p95"))
    verdict = "within bounds" if row["within_bounds"] else "OUT of bounds"
    return f"  {row['lanes']} lane{'s' if row['lanes'] > 1 else ''}: error median / p95 {errors}, {verdict}"


def _per_trace(runs: Sequence[Run]) -> list[dict[str, Any]]:
    return [
        {
            "run": run.number,
            "lanes": run.found.lanes,
            "trace": lane.trace,
            "mean_mbps": lane.mean_mbps,
            "lowest_mbps": lane.lowest_mbps,
            "highest_mbps": lane.highest_mbps,
            "error_median": quantile([window.error for window in lane.judged], 0.5),
            "error_p95": quantile([window.error for window in lane.judged], 0.95),
            "windows": len(lane.judged),
            "rtt_ms": lane.rtt_ms,
            "delay_stage": dataclasses.asdict(lane.stage),
        }
        for run in runs
        for lane in run.found.results
    ]


@dataclasses.dataclass(frozen=True)
class Run:
    """One measurement of one number of lanes."""

    number: int
    """Of the repetition, from 1."""
    found: Fidelity
    row: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is measured."""

    counts: tuple[int, ...]
    """Numbers of lanes."""
    traces: tuple[Trace, ...]
    settings: LinkSettings
    backend: str


def _asked(args: argparse.Namespace) -> Asked:
    """Check all that can be checked before anything is made.

    Raises:
        TestbedError, TraceError: what is wrong and the way out.
    """
    counts = _lane_counts(args.lanes)
    if not 5 <= args.seconds <= 3600:
        raise TestbedError(f"--seconds {args.seconds:g}: expected 5 to 3600")
    if not 0.01 <= args.window_s <= args.seconds / 5:
        raise TestbedError(f"--window-s {args.window_s:g}: expected 0.01 to a fifth of --seconds")
    if args.bucket_ms is not None and not 0 <= args.bucket_ms <= 1000:
        raise TestbedError(f"--bucket-ms {args.bucket_ms:g}: expected 0 to 1000")
    if args.repeat < 1:
        raise TestbedError(f"--repeat {args.repeat}: must be 1 or more")
    check_plot(args.plot)
    settings = link_settings(args)
    require_tools()
    check_congestion_control(settings.congestion_control)
    backend = delay_backend(settings.delay_backend)
    traces: list[Trace] = []
    for spec in args.trace:
        traces += [capped(trace, args.cap_mbps) for trace in resolve_many(spec, args.format)]
    for trace in traces:
        check_carried(trace, settings, backend)
    return Asked(tuple(counts), tuple(traces), settings, backend)


async def _measure(
    args: argparse.Namespace, asked: Asked, console: Console
) -> tuple[list[Run], list[float | None], list[Burst]]:
    """All runs, a number of lanes after the other, that often; and each time the return from the dark, and
    how even a link is."""
    runs: list[Run] = []
    dark_s: list[float | None] = []
    bursts: list[Burst] = []
    with tempfile.TemporaryDirectory(prefix="streambed-") as folder:
        making = Making(None if args.bucket_ms is None else args.bucket_ms / 1000, not args.uncorrected)
        bench = Bench(asked.settings, asked.backend, args.flow, Path(folder), console, args.window_s, making)
        for number in range(1, args.repeat + 1):
            for lanes in asked.counts:
                found = await bench.measure(lanes, asked.traces, args.seconds)
                runs.append(Run(number, found, {"run": number, **found.row(asked.settings)}))
                console.print(Text(_in_short(runs[-1].row)), soft_wrap=True)
            if not args.no_dark:
                dark_s.append(await bench.after_dark())
                bursts.append(await bench.burst())
    return runs, dark_s, bursts


def _worst_dark_s(dark_s: Sequence[float | None]) -> float | None:
    """The longest wait for bytes after the dark; None where they once did not come, or nobody waited."""
    known = [seconds for seconds in dark_s if seconds is not None]
    return max(known) if known and len(known) == len(dark_s) else None


async def _run(args: argparse.Namespace) -> int:
    asked = _asked(args)
    console = person_console(sys.stdout, args.json)
    runs, dark, bursts = await _measure(args, asked, console)
    dark_s = _worst_dark_s(dark)
    rows = [run.row for run in runs]
    returned = args.no_dark or (dark_s is not None and dark_s <= DARK_BOUND_S)
    even = all(burst.within_bounds() for burst in bursts)
    within = all(row["within_bounds"] for row in rows) and returned and even
    besides = [] if args.no_dark else [_dark_words(dark_s)]
    console.print(table(rows, asked.backend, [*besides, *(burst.words() for burst in bursts)]))
    over_runs = repeats(rows)
    if args.repeat > 1:
        console.print(repeats_table(over_runs))
    broken = dict.fromkeys(row["lanes"] for row in rows if not row["within_bounds"])
    if broken:
        console.print(f"out of bounds with {', '.join(map(str, broken))} lane{'s' * (list(broken) != [1])}")
    if args.json:
        report = {
            "delay_backend": asked.backend,
            "link": dataclasses.asdict(asked.settings),
            "rows": rows,
            "repeats": over_runs,
            "per_trace": _per_trace(runs),
            "after_dark_s": dark_s,
            "after_dark_runs_s": dark,
            "bursts": [dataclasses.asdict(burst) for burst in bursts],
            "within_bounds": within,
            "plot": str(args.plot),
        }
        print(json.dumps(report, allow_nan=False), flush=True)
    draw(joined([run.found for run in runs]), args.plot)
    console.print(Text(f"plot: {args.plot}"), soft_wrap=True)
    return 0 if within else 1


async def _until_signalled(args: argparse.Namespace) -> int:
    """Run; a signal ends it in order, with the status that shells expect."""
    work = asyncio.create_task(_run(args))
    heard: list[int] = []

    def hear(number: int) -> None:
        heard.append(number)
        work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, hear, number)
    try:
        return await work
    except asyncio.CancelledError:
        print("fidelity.py: interrupted", file=sys.stderr)
        return 128 + heard[0] if heard else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    try:
        return asyncio.run(_until_signalled(args))
    except (TestbedError, TraceError) as error:
        print(f"fidelity.py: {error}", file=sys.stderr)
    except BrokenPipeError:  # whoever read the results has left
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"fidelity.py: {where}{error.strerror or error}", file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    exit_with(main)
