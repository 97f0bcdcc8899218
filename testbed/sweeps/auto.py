"""How many lanes does this machine hold with true links, while players play on them? Measured.

As `testbed/fidelity.py` does, with twice as many lanes each time, over the sweep's own traces: flows keep
every link full, the kernel's counters are held against the traces. And beside it the processors are kept
as busy as so many players, policies and servers would keep them. The last number within bounds is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

from rich.console import Console
from rich.text import Text

from testbed.checks.fidelity.measure import FidelityBench
from testbed.lanes.policy_server import threads
from testbed.link.settings import RELAY_MAX_MBPS, LinkSettings
from testbed.process.children import environment
from testbed.process.errors import TestbedError
from testbed.sweeps.experiment.deciders import KINDS
from testbed.sweeps.experiment.plan import SweepPlan
from testbed.sweeps.experiment.players import lane_load
from testbed.sweeps.lanes import server_of
from traces.bound_processes import die_with_parent
from traces.console import VisibleConsole
from traces.temporary import temporary_folder
from traces.trace import Trace

AUTO_MOST = 32
"""More are taken only when they are asked for: every one of them keeps four processes in memory."""

FIRST_TRIED = 4

MEASURE_S = 8.0
"""Of each replay; the first second fills the queue and is not counted."""


async def lanes_that_hold(plan: SweepPlan, backend: str, most: int, console: Console) -> dict[str, Any]:
    """Find the greatest number of lanes, up to `most`, whose links stay within the bounds of fidelity.

    Returns:
        `used`, the number; `measured`, a row for each number that was tried.

    Raises:
        TestbedError: not even one lane is true.
    """
    traces = list({unit.swept.trace.name: unit.swept.trace for unit in plan.units}.values())
    settings = _hardest(plan)
    flow = "udp" if max(max(trace.rate_mbps[1:]) for trace in traces) <= RELAY_MAX_MBPS else "tcp"
    servers = len({server_of(unit.policy.spec, KINDS[plan.file.task]) for unit in plan.units} - {None})
    measured: list[dict[str, Any]] = []
    with temporary_folder() as folder:
        quiet = VisibleConsole(file=sys.stderr, quiet=True)
        bench = FidelityBench(settings, backend, flow, folder, quiet)
        lanes = good = 0
        load = lane_load(plan.units)
        while True:
            lanes = _next(lanes, good, most)
            if lanes == good:
                break
            row = await _measured(bench, lanes, traces, settings, servers, load)
            measured.append(row)
            console.print(Text(_words(row)), soft_wrap=True)
            if row["within_bounds"]:
                good = lanes
            elif good or lanes == 1:
                break
    if not good:
        raise TestbedError(
            "not even one lane's link is true while a player plays; is the machine busy?"
            " `python testbed/fidelity.py` tells more, --lanes 1 tries all the same"
        )
    return {"used": good, "measured": measured}


def _next(lanes: int, good: int, most: int) -> int:
    """What to try after `lanes`, of which `good` held: twice as many, or half of a first try in vain."""
    if not lanes:
        return min(FIRST_TRIED, most)
    return min(2 * lanes, most) if good else max(lanes // 2, 1)


def _hardest(plan: SweepPlan) -> LinkSettings:
    """A link of the plan's; one with loss if there is any, because its frames pass through the relay."""
    links = [unit.setting.link for unit in plan.units]
    return next((link for link in links if link.loss.kind != "none"), links[0])


async def _measured(
    bench: FidelityBench, lanes: int, traces: list[Trace], settings: LinkSettings, servers: int, load: float
) -> dict[str, Any]:
    async with _load(lanes * load, servers):
        found = await bench.measure(lanes, traces[:lanes], MEASURE_S)
    return {**found.row(settings), "load_cores": round(lanes * load, 2), "servers": servers}


@contextlib.asynccontextmanager
async def _load(cores: float, servers: int) -> AsyncIterator[None]:
    """Processors as busy as sessions keep them, so many in the mean, and servers that never rest."""
    cpus = len(os.sched_getaffinity(0))
    share = min(cores / cpus, 1.0)
    burning = [await _burning(share) for _ in range(cpus)]
    burning += [await _burning(1.0) for _ in range(servers * threads())]
    try:
        yield
    finally:
        for process in burning:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _burning(share: float) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", "testbed.machine.load", f"{share:.4f}"),
        stdin=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent,
        start_new_session=True,
        env=environment(),
    )


def _words(row: dict[str, Any]) -> str:
    errors = " / ".join(
        "-" if row[key] is None else f"{100 * row[key]:.2f} %"
        for key in ("beyond_a_frame_median", "beyond_a_frame_p95")
    )
    verdict = "within bounds" if row["within_bounds"] else "OUT of bounds"
    steal = "" if row["steal"] is None else f", steal {100 * row['steal']:.1f} %"
    lanes = f"{row['lanes']} lane{'s' * (row['lanes'] > 1)}"
    return f"{lanes} under load: error beyond a frame, median / p95 {errors}{steal}: {verdict}"
