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
    from traces.handover import hand_over

    hand_over()

    from testbed.checks.fidelity.options import parser

    parser().parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import asyncio
import dataclasses
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from testbed.checks.fidelity.asked import FidelityOptions, asked_of
from testbed.checks.fidelity.burst import Burst
from testbed.checks.fidelity.figures import Fidelity, quantile
from testbed.checks.fidelity.measure import DARK_BOUND_S, DARK_S, FidelityBench
from testbed.checks.fidelity.options import parser
from testbed.checks.fidelity.plot import draw
from testbed.checks.fidelity.tables import percent, repeats, repeats_table, table
from testbed.link.bucket import Making
from testbed.process.console import person_console
from testbed.process.errors import TestbedError
from traces.commands import carried_out, exit_with
from traces.temporary import temporary_folder
from traces.trace import TraceError


@dataclasses.dataclass(frozen=True)
class FidelityRun:
    """One measurement of one number of lanes."""

    number: int
    """Of the repetition, from 1."""
    found: Fidelity
    row: dict[str, Any]


def joined(found: Sequence[Fidelity]) -> list[Fidelity]:
    """The runs of each number of lanes as one, for the plot."""
    return [
        Fidelity(
            lanes,
            tuple(result for one in mine for result in one.results),
            tuple(change for one in mine for change in one.machine),
            mine[0].window_s,
            sum(one.filler_late for one in mine),
        )
        for lanes in dict.fromkeys(one.lanes for one in found)
        for mine in [[one for one in found if one.lanes == lanes]]
    ]


def _dark_words(dark_s: float | None) -> str:
    if dark_s is None:
        return f"after {DARK_S:g} s dark, NO byte flowed again (bound {DARK_BOUND_S:g} s)"
    return (
        f"after {DARK_S:g} s dark, bytes flow again {dark_s:.3f} s after the link's return"
        f" (bound {DARK_BOUND_S:g} s)"
    )


def _in_short(row: dict[str, Any]) -> str:
    """A row at once, in case a later one does not come to an end."""
    errors = " / ".join(percent(row[key]) for key in ("error_median", "error_p95"))
    verdict = "within bounds" if row["within_bounds"] else "OUT of bounds"
    return f"  {row['lanes']} lane{'s' if row['lanes'] > 1 else ''}: error median / p95 {errors}, {verdict}"


def _per_trace(runs: Sequence[FidelityRun]) -> list[dict[str, Any]]:
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


async def _measure(
    args: argparse.Namespace, asked: FidelityOptions, console: Console
) -> tuple[list[FidelityRun], list[float | None], list[Burst]]:
    """All runs, a number of lanes after the other, that often; and each time the return from the dark, and
    how even a link is."""
    runs: list[FidelityRun] = []
    dark_s: list[float | None] = []
    bursts: list[Burst] = []
    with temporary_folder() as folder:
        making = Making(None if args.bucket_ms is None else args.bucket_ms / 1000, not args.uncorrected)
        bench = FidelityBench(
            asked.settings, asked.backend, args.flow, folder, console, args.window_s, making
        )
        for number in range(1, args.repeat + 1):
            for lanes in asked.counts:
                found = await bench.measure(lanes, asked.traces, args.seconds)
                runs.append(FidelityRun(number, found, {"run": number, **found.row(asked.settings)}))
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
    asked = asked_of(args)
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
    return carried_out("fidelity.py", lambda: asyncio.run(_until_signalled(args)), (TestbedError, TraceError))


if __name__ == "__main__":
    exit_with(main)
