"""Run a sweep's sessions on a Ray cluster (the extra `cluster`).

    ray start --head --resources='{"lane": 8}'                    # as root, where sessions are emulated
    ray start --address=HEAD:6379 --resources='{"lane": 8}'       # on every other node
    python testbed/sweep.py FILE --engine ray [--simulate]

A lane is a resource of Ray's, which whoever starts a node declares (`testbed/fidelity.py` tells how many
it holds); a computed session takes a CPU. Before a node is given emulated sessions it has to be root and
to pass the doctor. Streambed, a policy's files and those of traces and videos must be at the same place on
every node. Records come back as bytes and are written here, so that nodes need no common disk. A node or
a worker that dies gives its sessions back.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from testbed.lanes.plan import LOGS
from testbed.link.lane import delay_backend, require_tools
from testbed.machine.capabilities import probe
from testbed.process.errors import TestbedError
from testbed.session.session_plan import SessionPlan
from testbed.simulated.simulation import RunFacts as SimulationFacts
from testbed.simulated.simulation import SessionToSimulate
from testbed.sweeps.computed import compute, computed_session
from testbed.sweeps.experiment.units import Unit
from testbed.sweeps.folder import Attempt
from testbed.sweeps.lanes import LaneServices, session_plans, stream_unit
from testbed.sweeps.state import FAILED
from testbed.sweeps.work import SweepWork
from traces.files import PARTIAL, write_aside
from traces.ownership import make_directory
from traces.temporary import temporary_folder
from traces.words import of_a_fault

LANE = "lane"

LOST_OFTEN = 3
"""A unit at which so many workers died is the reason, more likely than the workers are."""

LOOK_EVERY_S = 5.0
"""For nodes that came or went."""
WITHOUT_NODES_S = 120.0
"""So long a sweep waits for a node when none is left."""


@dataclass(frozen=True)
class NodeTask:
    """A unit as a node gets it."""

    computed: SessionToSimulate | None = None
    emulated: tuple[SessionPlan, ...] = ()
    """Of its players, on one lane."""
    stagger_s: float = 0.0
    device: str = "auto"
    """Of a server that the policy asks: each session has one of its own."""
    facts: SimulationFacts | None = None


@dataclass(frozen=True)
class NodeResult:
    """What a node gives back."""

    attempt: Attempt
    files: Mapping[str, bytes]
    """Records and logs, by their paths in the sweep's folder."""
    notes: tuple[str, ...] = ()
    """What has happened to a server that the policy asked, in words."""


def run_task(task: NodeTask) -> NodeResult:
    """On a node: run a unit in a folder of its own."""
    notes: list[str] = []
    with temporary_folder() as folder:
        make_directory(folder / LOGS)
        try:
            attempt = _computed(task, folder) if task.computed is not None else _emulated(task, folder, notes)
        except TestbedError as error:
            attempt = Attempt(FAILED, (str(error),))
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.endswith(PARTIAL)
        }
    return NodeResult(attempt, files, tuple(notes))


def _computed(task: NodeTask, folder: Path) -> Attempt:
    assert task.computed is not None and task.facts is not None
    return compute(dataclasses.replace(task.computed, record=folder / task.computed.record.name), task.facts)


def _emulated(task: NodeTask, folder: Path, notes: list[str]) -> Attempt:
    """Stream a unit; what happened to its server is added to `notes`, however it ends."""
    require_tools()
    grants = [plan.settings for plan in task.emulated if plan.settings.grant_ms]
    backend = delay_backend((grants or [task.emulated[0].settings])[0].asked_backend)
    plans = [
        dataclasses.replace(plan, record=folder / plan.record.name, backend=backend) for plan in task.emulated
    ]

    async def streamed() -> Attempt:
        async with contextlib.AsyncExitStack() as stack:
            shared = LaneServices(stack, task.device)
            try:
                return await stream_unit(plans, task.stagger_s, f"sb{os.getpid()}-0", shared, asyncio.Lock())
            finally:
                notes.extend(shared.news())

    return asyncio.run(streamed())


def fault_of_node() -> str | None:
    """On a node: why it cannot emulate; None if it can."""
    report = probe()
    return None if report.can_emulate else report.summary()


class Lost(Exception):
    """The worker or the node that ran a unit is gone."""


class Nodes(Protocol):
    """As much of a cluster as the driver needs."""

    def slots(self) -> dict[str, int]:
        """How many units each node takes at a time; nodes that are dead, or cannot, are not there."""

    def start(self, node: str, task: NodeTask) -> Any:
        """Begin a task on a node; a handle to it."""

    def ended(self, handles: Sequence[Any], timeout_s: float) -> list[Any]:
        """Those that are over, as soon as there is one."""

    def result(self, handle: Any) -> NodeResult:
        """What came of one that is over.

        Raises:
            Lost: its worker or node died.
        """

    def cancel(self, handles: Sequence[Any]) -> None:
        """Forget them, now."""


def run_on(
    nodes: Nodes, work: SweepWork, facts: SimulationFacts, say: Callable[[str], None], device: str = "auto"
) -> None:
    """Give all that is left to the nodes, and write what comes back.

    Raises:
        OSError: a record cannot be written.
        TestbedError: no node is left.
    """
    flying: dict[Any, tuple[Unit, str]] = {}
    losses: Counter[str] = Counter()
    slots, looked_at, seen_at = nodes.slots(), time.monotonic(), time.monotonic()
    try:
        while not work.finished:
            if time.monotonic() - looked_at >= LOOK_EVERY_S:
                slots, looked_at = nodes.slots(), time.monotonic()
            seen_at = time.monotonic() if slots or flying else seen_at
            if time.monotonic() - seen_at > WITHOUT_NODES_S:
                raise TestbedError("no node is left that can run a session; the same command goes on")
            while (node := _free(slots, flying)) is not None and (taken := work.take()) is not None:
                unit, number = taken
                flying[nodes.start(node, _task(work, unit, number, facts, device))] = unit, node
            for handle in nodes.ended(list(flying), timeout_s=1.0):
                unit, node = flying.pop(handle)
                try:
                    result = nodes.result(handle)
                except Lost as lost:
                    losses[unit.name] += 1
                    slots, looked_at = nodes.slots(), time.monotonic()
                    if losses[unit.name] < LOST_OFTEN:
                        say(f"{unit.name}: {lost}; it is given back")
                        work.give_back(unit)
                    else:
                        work.end(unit, Attempt(FAILED, (f"{lost}, {LOST_OFTEN} times",), for_good=True))
                    continue
                for note in result.notes:
                    work.say(f"note: {note}")
                _store(work.out, result.files)
                work.end(unit, result.attempt)
    finally:
        nodes.cancel(list(flying))


def _free(slots: Mapping[str, int], flying: Mapping[Any, tuple[Unit, str]]) -> str | None:
    """The node with most room; None if there is none."""
    busy = Counter(node for _, node in flying.values())
    room = {node: count - busy[node] for node, count in slots.items()}
    best = max(room, key=lambda node: room[node], default=None)
    return best if best is not None and room[best] > 0 else None


def _task(work: SweepWork, unit: Unit, number: int, facts: SimulationFacts, device: str) -> NodeTask:
    plan = work.folder.plan
    if plan.simulated:
        return NodeTask(computed=computed_session(plan, unit, work.out, number), facts=facts)
    plans = session_plans(plan, unit, work.out, number, "", facts.command_line)
    return NodeTask(emulated=tuple(plans), stagger_s=unit.setting.stagger_s, device=device)


def _store(out: Path, files: Mapping[str, bytes]) -> None:
    """Write what a node has sent: whole files, the records last."""
    for name in sorted(files, key=lambda name: (not name.startswith(f"{LOGS}/"), name)):
        write_aside(out / name, files[name])


class RayNodes:
    """A Ray cluster, or a Ray of this machine's own where no address is given. A context manager.

    Args:
        address: of the cluster.
        emulated: whether sessions are emulated.
        lanes: of a Ray of this machine's own; nodes of a cluster declare theirs.
        say: shows a line.

    Raises:
        TestbedError: Ray is not installed, or no cluster answers.
    """

    def __init__(
        self, address: str | None, emulated: bool, lanes: int | None, say: Callable[[str], None]
    ) -> None:
        self._address = address
        self._lanes = lanes
        self._emulated = emulated
        self._say = say
        self._unfit: dict[str, str | None] = {}
        """Node -> why it cannot emulate; None if it can."""

    def __enter__(self) -> RayNodes:
        try:
            import ray
        except ImportError:
            raise TestbedError(
                "Ray is not installed: `pip install -e '.[cluster]'`, or leave --engine ray away"
            ) from None
        self._ray = ray
        if not ray.is_initialized():
            try:
                ray.init(self._address, include_dashboard=False, log_to_driver=False, **self._own())
            except (ConnectionError, RuntimeError, ValueError) as error:
                first = str(error).strip().splitlines()[0]
                raise TestbedError(f"no Ray cluster at {self._address or 'this machine'}: {first}") from None
        self._remote = ray.remote(max_retries=0)(run_task)
        return self

    def __exit__(self, *error: Any) -> None:
        self._ray.shutdown()

    def _own(self) -> dict[str, Any]:
        """What a Ray of this machine's own is to have.

        Raises:
            TestbedError: it has no lanes, which emulated sessions need.
        """
        if self._address or os.environ.get("RAY_ADDRESS") or not self._emulated:
            return {}
        if self._lanes is None:
            raise TestbedError("--engine ray without --address: say how many lanes are here, --lanes N")
        return {"resources": {LANE: self._lanes}}

    def slots(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for node in self._ray.nodes():
            count = int(node["Resources"].get(LANE if self._emulated else "CPU", 0))
            if node["Alive"] and count > 0 and (not self._emulated or self._fit(node)):
                found[node["NodeID"]] = count
        return found

    def _fit(self, node: Mapping[str, Any]) -> bool:
        """Whether a node can emulate; asked once, by a task there."""
        name = str(node["NodeID"])
        if name not in self._unfit:
            ask = self._ray.remote(max_retries=0)(fault_of_node)
            try:
                fault = self._ray.get(self._on(ask, name).remote(), timeout=60.0)
            except self._ray.exceptions.RayError as error:
                fault = f"it does not answer: {of_a_fault(error)}"
            self._unfit[name] = fault
            if fault is not None:
                self._say(f"node {node['NodeManagerHostname']} is left out: {fault}")
        return self._unfit[name] is None

    def _on(self, remote: Any, node: str, **resources: Any) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        pinned = NodeAffinitySchedulingStrategy(node, soft=False)
        return remote.options(scheduling_strategy=pinned, **{"num_cpus": 0, **resources})

    def start(self, node: str, task: NodeTask) -> Any:
        needs = {"resources": {LANE: 1}} if self._emulated else {"num_cpus": 1}
        return self._on(self._remote, node, **needs).remote(task)

    def ended(self, handles: Sequence[Any], timeout_s: float) -> list[Any]:
        if not handles:
            time.sleep(min(timeout_s, 0.2))
            return []
        ready, _ = self._ray.wait(list(handles), num_returns=1, timeout=timeout_s)
        return list(ready)

    def result(self, handle: Any) -> NodeResult:
        errors = self._ray.exceptions
        try:
            found: NodeResult = self._ray.get(handle)
            return found
        except errors.RayTaskError as error:  # it raised: a fault of the unit's or of ours, not of the node's
            last = str(error).strip().splitlines()[-1]
            return NodeResult(Attempt(FAILED, (last,)), {})
        except errors.RayError as error:
            raise Lost(f"its worker or node died: {of_a_fault(error)}") from None

    def cancel(self, handles: Sequence[Any]) -> None:
        for handle in handles:
            try:
                self._ray.cancel(handle, force=True)
            except Exception as error:  # the cluster is gone, and they with it
                print(f"sweep.py: a task could not be cancelled: {error}", file=sys.stderr)
