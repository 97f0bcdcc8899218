"""Who runs a sweep's sessions: processes that compute them, emulated lanes, or a Ray cluster."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console

from testbed.lanes.side_by_side import Interrupt
from testbed.process.errors import TestbedError
from testbed.simulated.computing_pace import remembered
from testbed.simulated.simulation import RunFacts as SimulationFacts
from testbed.simulating.tasks import CALL
from testbed.sweeps.auto import AUTO_MOST, lanes_that_hold
from testbed.sweeps.calls import run_computed_calls
from testbed.sweeps.cluster import RayNodes, run_on
from testbed.sweeps.command_line import AUTO, CLUSTER
from testbed.sweeps.computed import run_computed
from testbed.sweeps.experiment import estimate
from testbed.sweeps.experiment.machine import check_machine
from testbed.sweeps.experiment.plan import SweepPlan
from testbed.sweeps.experiment.players import has_browsers, lanes_with_browsers, make_media
from testbed.sweeps.experiment.units import Unit
from testbed.sweeps.folder import SweepFolder
from testbed.sweeps.lanes import Lanes
from testbed.sweeps.progress import ComputedUnits, StreamedUnits, UnitForecast, chunks_of
from testbed.sweeps.state import SweepFacts, utc_now
from testbed.sweeps.work import SweepWork
from traces.words import duration

MOST_LANES = 250
"""As many as `testbed/fidelity.py` measures."""


class SweepEngine(Protocol):
    """What `testbed/sweep.py` asks of one."""

    name: str

    @property
    def at_once(self) -> int:
        """How many units run at a time."""

    def describe(self, left: Sequence[Unit]) -> str:
        """How long the units will take, in words."""

    def wall_s(self, left: Sequence[Unit]) -> float:
        """How long the units will take."""

    def forecast(self, left: Sequence[Unit]) -> UnitForecast:
        """The same while they run."""

    def check(self) -> None:
        """Refuse, before anything is made, what cannot be run here.

        Raises:
            TestbedError: what is missing and the way out.
        """

    def prepare(self, folder: SweepFolder, facts: SweepFacts, console: Console) -> None:
        """Find out what has to be known before the start."""

    def run(self, work: SweepWork) -> int:
        """Run all that is left; 0, or the exit status that a signal asks for.

        Raises:
            OSError: a record cannot be written.
            TestbedError: nothing can be run any more.
        """


class Computed:
    """Sessions computed in processes of this machine."""

    name = "processes"

    def __init__(self, plan: SweepPlan, args: argparse.Namespace, words: Sequence[str]) -> None:
        if args.jobs is not None and args.jobs < 1:
            raise TestbedError(f"--jobs {args.jobs}: must be 1 or more")
        self._plan = plan
        self._processes: int = args.jobs or len(os.sched_getaffinity(0))
        self._command_line = ("testbed/sweep.py", *words)
        self._pace = remembered()

    @property
    def at_once(self) -> int:
        return self._processes

    def wall_s(self, left: Sequence[Unit]) -> float:
        return self._pace.left_s(chunks_of(left), self._processes)

    def forecast(self, left: Sequence[Unit]) -> UnitForecast:
        return ComputedUnits(self._pace, left, self._processes)

    def describe(self, left: Sequence[Unit]) -> str:
        return self._pace.words(chunks_of(left), self._processes)

    def check(self) -> None:
        """Any machine can compute."""

    def prepare(self, folder: SweepFolder, facts: SweepFacts, console: Console) -> None:
        """Nothing has to be known."""

    def run(self, work: SweepWork) -> int:
        facts = SimulationFacts(work.out.name, utc_now(), self._command_line)
        try:
            run = run_computed_calls if self._plan.file.task == CALL else run_computed
            run(work, self._processes, facts)
        except KeyboardInterrupt:  # who was at work was killed
            work.folder.remove_leftovers()
            raise
        finally:
            self._pace.keep()
        return 0


class Emulated:
    """Sessions streamed over emulated lanes of this machine."""

    name = "lanes"

    def __init__(self, plan: SweepPlan, args: argparse.Namespace, words: Sequence[str]) -> None:
        self._plan = plan
        self._asked = _lanes(args.lanes)
        self._asked_backend: str = args.delay_backend
        self._backend = ""
        self._device: str = args.device
        self._command_line = ("testbed/sweep.py", *words)
        self._most = lanes_with_browsers() if has_browsers(plan.units) else MOST_LANES
        self._lanes = self._asked or 1

    @property
    def at_once(self) -> int:
        return self._lanes

    def wall_s(self, left: Sequence[Unit]) -> float:
        return estimate.emulated_s(left, min(self._lanes, max(len(left), 1)))

    def forecast(self, left: Sequence[Unit]) -> UnitForecast:
        return StreamedUnits(left, self.wall_s(left), self._lanes)

    def describe(self, left: Sequence[Unit]) -> str:
        if self._asked is None:
            return f"{duration(estimate.emulated_s(left, 1))} of lane time"
        return f"about {duration(self.wall_s(left))} on {self._lanes} lane{'s' if self._lanes > 1 else ''}"

    def check(self) -> None:
        self._backend = check_machine(self._plan, self._asked_backend)

    def prepare(self, folder: SweepFolder, facts: SweepFacts, console: Console) -> None:
        """Make the media that browsers play, and find out how many lanes this machine holds, if nobody has
        said.

        Raises:
            TestbedError: not even one lane is true, or media can't be made.
        """
        make_media(self._plan.units)
        known = facts.lanes
        changes = (known or {}).get("changes", [])  # of earlier commands; a busy night is forgotten
        if self._asked is not None:
            if self._asked > self._most:
                held = f"with a browser on each this machine holds {self._most}"
                console.print(f"--lanes {self._asked}: {held}; beyond, links may be untrue and run again")
            used = {"asked": self._asked, "used": self._lanes, "measured": []}
            facts.lanes = {**used, "now": self._lanes, "changes": changes}
            return
        if known is None or known["asked"] != AUTO or known["host"] != os.uname().nodename:
            most = min(AUTO_MOST, len(self._plan.units), self._most)
            known = asyncio.run(lanes_that_hold(self._plan, self._backend, most, console))
            known = {"asked": AUTO, "host": os.uname().nodename, **known}
        self._lanes = min(int(known["used"]), self._most)
        facts.lanes = {**known, "now": self._lanes, "changes": changes}
        left = folder.pending()
        lanes = f"{self._lanes} lane{'s' * (self._lanes > 1)}"
        console.print(f"{lanes} at once: about {duration(self.wall_s(left))}")

    def run(self, work: SweepWork) -> int:
        return asyncio.run(self._run(work))

    async def _run(self, work: SweepWork) -> int:
        interrupt = Interrupt()
        await Lanes(work, self._lanes, self._backend, self._device, self._command_line).run(interrupt)
        return interrupt.status


class Cluster:
    """Sessions computed or emulated on the nodes of a Ray cluster."""

    name = CLUSTER

    def __init__(self, plan: SweepPlan, args: argparse.Namespace, words: Sequence[str]) -> None:
        self._plan = plan
        self._address: str | None = args.address
        self._lanes = _lanes(args.lanes)
        self._device: str = args.device
        self._command_line = ("testbed/sweep.py", *words)

    @property
    def at_once(self) -> int:
        return 1

    def wall_s(self, left: Sequence[Unit]) -> float:
        """On one lane or CPU: how many there are is known when the cluster is."""
        if self._plan.simulated:
            return remembered().left_s(chunks_of(left), 1)
        return estimate.emulated_s(left, 1)

    def forecast(self, left: Sequence[Unit]) -> UnitForecast:
        """By the first units that end: by then it is known how many nodes there are."""
        return StreamedUnits(left, self.wall_s(left), 1)

    def describe(self, left: Sequence[Unit]) -> str:
        what = "CPU" if self._plan.simulated else "lane"
        return f"{duration(self.wall_s(left))} of {what} time, on as many as the cluster has"

    def check(self) -> None:
        """Each node is asked when it is to be used.

        Raises:
            TestbedError: calls, which nodes don't make, browsers, or others on the bottleneck.
        """
        if any(setting.others for setting in self._plan.settings):
            raise TestbedError(
                f"--engine {self.name}: beside and cross are of this machine's lanes; leave it out"
            )
        if has_browsers(self._plan.units):
            raise TestbedError(f"--engine {self.name}: browsers play on this machine alone; leave it out")
        if self._plan.file.task == CALL:
            raise TestbedError(f"--engine {self.name}: no calls are made on a cluster; leave it out")

    def prepare(self, folder: SweepFolder, facts: SweepFacts, console: Console) -> None:
        """Nothing has to be known."""

    def run(self, work: SweepWork) -> int:
        facts = SimulationFacts(work.out.name, utc_now(), self._command_line)
        with RayNodes(self._address, not self._plan.simulated, self._lanes, work.say) as nodes:
            run_on(nodes, work, facts, work.say, self._device)
        return 0


def _lanes(text: str) -> int | None:
    """How many; None to find out."""
    if text == AUTO:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MOST_LANES:
        raise TestbedError(f"--lanes {text}: expected a number from 1 to {MOST_LANES}, or auto")
    return int(text)
