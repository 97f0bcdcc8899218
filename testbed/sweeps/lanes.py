"""Run a sweep's sessions on emulated lanes of this machine, each lane taking the next unit of the plan.

Sessions begin one at a time: a lane that is being made and a path that is being probed want a quiet
machine, and what begins at a common clock's time must be told in time. Those that play go on meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from player.policy import Served, ServerCommand
from player.record import ChunkRow, EndRow
from player.registry import VIDEO, Kind
from testbed.calling.calls import CALLS
from testbed.calling.plan import CallPlan
from testbed.lanes.medium import Medium
from testbed.lanes.pace import Pace
from testbed.lanes.plan import LANES_AT_ONCE, LOGS, LanePlan
from testbed.lanes.policy_server import PolicyServer, PolicyServers
from testbed.lanes.side_by_side import Interrupt, begin_after_s
from testbed.lanes.streaming import LaneSessions
from testbed.link.lane import Lane
from testbed.link.shaper_client import ShaperClient
from testbed.process.errors import StrictStop, TestbedError
from testbed.process.launching import Launching
from testbed.session.session_plan import SessionPlan
from testbed.session.videos import VIDEOS
from testbed.simulating.tasks import CALL
from testbed.sweeps.calls import call_plans
from testbed.sweeps.experiment.deciders import KINDS, loaded
from testbed.sweeps.experiment.plan import SweepPlan
from testbed.sweeps.experiment.units import Unit
from testbed.sweeps.folder import Attempt, judged, judged_calls
from testbed.sweeps.state import DONE, FAILED, INVALID, manifest_facts
from testbed.sweeps.work import SweepWork
from testbed.together.mixed import MIXED
from testbed.together.plan import BESIDE, shared_lane
from traces.ownership import make_within

LOOK_AGAIN_S = 0.5
"""A lane that finds nothing to do looks again: another's session may have to be made anew."""


class Silent:
    """Nobody watches."""

    def state(self, index: int, state: dict[str, Any]) -> None: ...

    def chunk(self, index: int, row: ChunkRow) -> None: ...

    def end(self, index: int, row: EndRow) -> None: ...

    def decision(self, index: int, row: dict[str, Any]) -> None: ...

    def second(self, index: int, row: dict[str, Any]) -> None: ...


def server_of(spec: str, kind: Kind = VIDEO) -> ServerCommand | None:
    """What has to be started for a policy; None for one that decides by itself."""
    policy = loaded(spec, kind).policy
    return policy.server() if isinstance(policy, Served) else None


def session_plans(
    plan: SweepPlan, unit: Unit, out: Path, attempt: int, backend: str, command_line: Sequence[str]
) -> list[SessionPlan]:
    """A unit's sessions as the emulator knows them, one a player."""
    setting = unit.setting
    plans = []
    for index, record in enumerate(unit.records):
        offset_s = index * setting.stagger_s
        facts = {"run_id": out.name, **manifest_facts(plan, unit, index, attempt)}
        plans.append(
            SessionPlan(
                policy=unit.policy.spec,
                trace=unit.swept.trace,
                trace_spec=unit.swept.spec,
                start_s=unit.start.at_s + offset_s,
                video=unit.video,
                video_spec=unit.video_spec,
                settings=setting.link,
                backend=backend,
                qoe=plan.qoe_of(unit),
                seed=unit.seed + index,
                decision_deadline_s=plan.file.decision_deadline_s,
                record=(out / record).absolute(),
                command_line=tuple(command_line),
                thresholds=setting.thresholds,
                client=setting.client,
                live=unit.live,
                transport=setting.transport,
                cap_mbps=setting.cap_mbps,
                server=server_of(unit.policy.spec),
                facts=facts,
                fallback=unit.policy.fallback,
                strict=plan.strict,
            )
        )
    return plans


class LaneServices:
    """What the lanes of a sweep share: one shaper, what forks their players and origins, and the servers
    that policies ask. They are had when they are first wanted, and anew when they have died (the sessions
    that they served are tried again).

    Args:
        stack: takes them down in the end.
        device: where servers put their models.
        medium: what the sessions play.
    """

    def __init__(
        self, stack: contextlib.AsyncExitStack, device: str, medium: Medium[Any, Any] = VIDEOS
    ) -> None:
        self._stack = stack
        self.medium = medium
        self._device = device
        self._shaper: ShaperClient | None = None
        self._servers: dict[ServerCommand, PolicyServer] = {}
        self._told: dict[PolicyServer, int] = {}
        """Of all that were ever started, how many of its notes `news` has given."""
        self._launching: Launching | None = None
        self._shaper_starting, self._server_starting = asyncio.Lock(), asyncio.Lock()
        self._launching_starting = asyncio.Lock()

    async def launching(self) -> Launching:
        """What forks players and origins."""
        async with self._launching_starting:
            if self._launching is None or self._launching.died():
                self._launching = await self._stack.enter_async_context(Launching(self.medium.forked))
            return self._launching

    async def shaper(self) -> ShaperClient:
        """The shaper.

        Raises:
            TestbedError: it does not start.
        """
        async with self._shaper_starting:
            if self._shaper is None or self._shaper.died():
                self._shaper = await self._stack.enter_async_context(ShaperClient())
            return self._shaper

    async def server(self, command: ServerCommand | None) -> PolicyServer | None:
        """The server of a command; None of none.

        Raises:
            TestbedError: it does not start.
        """
        if command is None:
            return None
        async with self._server_starting:
            server = self._servers.get(command)
            if server is None or server.gone:
                servers = await self._stack.enter_async_context(PolicyServers([command], self._device))
                await servers.start()
                server = servers.of(command)
                assert server is not None
                self._servers[command] = server
                self._told[server] = 0
            return server

    def news(self) -> list[str]:
        """What has happened to the servers since this was asked last, in words."""
        fresh = [note for server, told in self._told.items() for note in server.notes[told:]]
        self._told = {server: len(server.notes) for server in self._told}
        return fresh


class Lanes:
    """The lanes of a sweep. Where links are no longer true, fewer stream at once (`Pace`): the others wait.

    Args:
        lanes: how many at once, at most.
        backend: who delays and loses (`testbed.link.lane.delay_backend`).
        device: where servers that policies ask put their models.
        command_line: for the manifests.
    """

    def __init__(
        self, work: SweepWork, lanes: int, backend: str, device: str, command_line: Sequence[str]
    ) -> None:
        self._work = work
        self._lanes = lanes
        self._pace = Pace(lanes)
        self._streaming = 0
        self._backend = backend
        self._command_line = command_line
        self._beginning = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()
        self._calls = work.folder.plan.file.task == CALL
        mixed = any(unit.setting.others for unit in work.folder.plan.units)
        medium: Medium[Any, Any] = MIXED if mixed else CALLS if self._calls else VIDEOS
        self._shared = LaneServices(self._stack, device, medium)

    async def run(self, interrupt: Interrupt) -> None:
        """Stream all that is left, or until a signal comes; sessions in flight then come to nothing.

        Raises:
            OSError: a record cannot be written.
            TestbedError: no shaper can be had, or a server that a policy asks does not start.
            StrictStop: a policy's fault, where it is to stop everything.
        """
        async with self._stack:
            streaming = asyncio.create_task(self._all())
            heard = asyncio.create_task(interrupt.heard.wait())
            try:
                await asyncio.wait({streaming, heard}, return_when=asyncio.FIRST_COMPLETED)
                if not interrupt.heard.is_set():
                    await streaming
            finally:
                heard.cancel()
                streaming.cancel()
                await asyncio.gather(heard, streaming, return_exceptions=True)

    async def _all(self) -> None:
        """Start what policies ask before anything streams; then all lanes."""
        kind = KINDS[self._work.folder.plan.file.task]
        pending = self._work.folder.pending()
        asked = [server_of(unit.policy.spec, kind) for unit in pending]
        for setting in dict.fromkeys(unit.setting for unit in pending):
            asked += [server_of(one.policy, KINDS[one.kind]) for one in setting.others.companions]
        for command in dict.fromkeys(asked):
            await self._shared.server(command)
        lanes = [asyncio.create_task(self._lane(number)) for number in range(self._lanes)]
        try:
            await asyncio.gather(*lanes)
        finally:
            for lane in lanes:
                if not lane.cancelling():  # or what it is taking down already would be left half done
                    lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)

    async def _lane(self, number: int) -> None:
        while not self._work.finished:
            taken = self._work.take() if self._streaming < self._pace.lanes else None
            if taken is None:
                await asyncio.sleep(LOOK_AGAIN_S)
                continue
            unit, attempt = taken
            begun_on = self._pace.lanes
            self._streaming += 1
            try:
                ended = await self._attempt(unit, attempt, f"sb{os.getpid()}-{number}")
            except StrictStop:
                raise
            except TestbedError as error:
                ended = Attempt(FAILED, (str(error),))
            finally:
                self._streaming -= 1
            self._work.end(unit, ended)
            for note in self._shared.news():
                self._work.say(f"note: {note}")
            self._keep_pace(begun_on, ended)

    def _keep_pace(self, begun_on: int, ended: Attempt) -> None:
        """Learn from a session whether the machine holds its lanes; one cut short tells nothing of that."""
        if ended.status in (DONE, INVALID) and (why := self._pace.ended(begun_on, ended.status == DONE)):
            self._work.paced(self._pace.lanes, why)

    async def _attempt(self, unit: Unit, attempt: int, name: str) -> Attempt:
        plan, out = self._work.folder.plan, self._work.out
        planned: Callable[..., Sequence[Any]] = call_plans if self._calls else session_plans
        own = [
            dataclasses.replace(one, facts={**one.facts, LANES_AT_ONCE: self._streaming})
            for one in planned(plan, unit, out, attempt, self._backend, self._command_line)
        ]
        plans = own
        if unit.setting.others:
            make_within(out, BESIDE, LOGS)
            plans = shared_lane(own, unit.setting.others, unit.setting.stagger_s, unit.name)
            for one in plans[len(own) :]:
                one.record.unlink(missing_ok=True)  # of an earlier attempt
        stagger_s = unit.setting.stagger_s
        return await stream_unit(plans, stagger_s, name, self._shared, self._beginning, len(own))


async def stream_unit(
    plans: Sequence[Any],
    stagger_s: float,
    name: str,
    shared: LaneServices,
    beginning: asyncio.Lock,
    own: int | None = None,
) -> Attempt:
    """One attempt at a unit, from the first namespace to the last record.

    Args:
        plans: of its players, and of who else is on their lane.
        own: how many are its players; None: all.
        name: of the lane.
        shared: the shaper, and the server that the policy asks.
        beginning: held by whoever begins; see this file's first words.

    Raises:
        TestbedError: a lane, a process or a path that is not as asked.
        OSError: a record cannot be written.
    """
    shaper = await shared.shaper()
    servers = [await shared.server(plan.server) for plan in plans]
    async with _lane_of(plans[0], name, beginning) as lane:
        launching = await shared.launching()
        asked = LaneSessions(
            plans, shared.medium, lane, shaper, server=servers, stagger_s=stagger_s, launching=launching
        )
        async with _open(asked), contextlib.AsyncExitStack() as ending:
            async with beginning:
                started = await asked.start()
                probed = await started.probe()
                ready = await probed.ready()
                rest_s = begin_after_s()
                t0 = time.monotonic() + rest_s
                playing = asyncio.create_task(ready.stream(t0, Silent()))
                ending.push_async_callback(_end, playing)  # before any wait is cut short
                await asyncio.wait([playing], timeout=rest_s)
            results = await playing
    mine = plans[:own]
    if isinstance(mine[0], CallPlan):
        return judged_calls([plan.record for plan in mine])
    return judged([(result.chunks, result.end) for result in results[: len(mine)]])


async def _end(playing: asyncio.Task[list[Any]]) -> None:
    """No session plays on over a lane that is about to go."""
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)


@contextlib.asynccontextmanager
async def _lane_of(plan: LanePlan, name: str, beginning: asyncio.Lock) -> AsyncIterator[Lane]:
    """A lane; making it and taking it down keep the event loop busy, so nobody begins meanwhile."""
    lane = Lane(name, plan.settings, plan.backend, plan.seed, plan.trace)
    async with beginning:
        lane.__enter__()
    try:
        yield lane
    finally:
        with contextlib.ExitStack() as closing:
            closing.callback(lane.close)
            async with beginning:
                closing.close()


@contextlib.asynccontextmanager
async def _open(asked: LaneSessions[Any, Any]) -> AsyncIterator[None]:
    """End the sessions' processes in the end, and remove what they leave half written."""
    try:
        yield
    finally:
        await asked.close()
        for path in asked.leftovers():
            path.unlink(missing_ok=True)
