"""Run a sweep's sessions on emulated lanes of this machine, each lane taking the next unit of the plan.

Sessions begin one at a time: a lane that is being made and a path that is being probed want a quiet
machine, and what begins at a common clock's time must be told in time. Those that play go on meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from player.policy import Served, ServerCommand
from player.record import ChunkRow, EndRow
from player.registry import load_policy
from testbed.errors import TestbedError
from testbed.lane import Lane
from testbed.policy_server import PolicyServers
from testbed.shaper_client import ShaperClient
from testbed.side_by_side import BEGIN_AFTER_S, Interrupt
from testbed.streaming import SessionPlan
from testbed.sweeps.computed import sweep_facts
from testbed.sweeps.folder import Attempt, judged
from testbed.sweeps.plan import SweepPlan, Unit
from testbed.sweeps.sharing import SharingSession, play_together, sharing
from testbed.sweeps.state import FAILED
from testbed.sweeps.work import Work

LOOK_AGAIN_S = 0.5
"""A lane that finds nothing to do looks again: another's session may have to be made anew."""


class Silent:
    """Nobody watches."""

    def state(self, index: int, state: dict[str, Any]) -> None: ...

    def chunk(self, index: int, row: ChunkRow) -> None: ...

    def end(self, index: int, row: EndRow) -> None: ...


def server_commands(units: Sequence[Unit]) -> dict[str, ServerCommand]:
    """The servers that the units' policies ask, by the policy's spec.

    Raises:
        PolicyError: a policy that cannot be had.
    """
    policies = {spec: load_policy(spec).policy for spec in {unit.policy.spec for unit in units}}
    asked = {spec: policy.server() for spec, policy in policies.items() if isinstance(policy, Served)}
    return {spec: command for spec, command in asked.items() if command is not None}


def session_plans(
    plan: SweepPlan,
    unit: Unit,
    out: Path,
    attempt: int,
    backend: str,
    command_line: Sequence[str],
    server: ServerCommand | None = None,
) -> list[SessionPlan]:
    """A unit's sessions as the emulator knows them, one a player.

    Args:
        server: which the policy asks; without one it sees for itself who decides.
    """
    setting = unit.setting
    plans = []
    for index, record in enumerate(unit.records):
        offset_s = index * setting.stagger_s
        facts = {"run_id": out.name, **sweep_facts(plan, unit, index, attempt)}
        if unit.players > 1:
            facts["shared"] = {
                "group": unit.name,
                "players": unit.players,
                "index": index,
                "stagger_s": setting.stagger_s,
                "offset_s": offset_s,
            }
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
                qoe=plan.qoe,
                seed=unit.seed + index,
                decision_deadline_s=plan.file.decision_deadline_s,
                record=(out / record).absolute(),
                command_line=tuple(command_line),
                cap_mbps=setting.cap_mbps,
                facts=facts,
                server=server,
            )
        )
    return plans


class Lanes:
    """The lanes of a sweep and the one shaper that they share.

    Args:
        lanes: how many at once.
        backend: who delays and loses (`testbed.lane.delay_backend`).
        command_line: for the manifests.
    """

    def __init__(self, work: Work, lanes: int, backend: str, command_line: Sequence[str]) -> None:
        self._work = work
        self._lanes = lanes
        self._backend = backend
        self._command_line = command_line
        self._beginning = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()
        self._shaper: ShaperClient | None = None
        self._commands = server_commands(work.folder.plan.units)
        self._servers = PolicyServers(self._commands.values(), "auto")

    async def run(self, interrupt: Interrupt) -> None:
        """Stream all that is left, or until a signal comes; sessions in flight then come to nothing.

        Raises:
            OSError: a record cannot be written.
            TestbedError: no shaper can be had, or a policy's server does not start.
        """
        async with self._stack:
            await self._stack.enter_async_context(self._servers)
            await self._servers.start()
            lanes = [asyncio.create_task(self._lane(number)) for number in range(self._lanes)]
            together = asyncio.gather(*lanes)
            heard = asyncio.create_task(interrupt.heard.wait())
            first: set[asyncio.Future[Any]] = {together, heard}
            try:
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                if not interrupt.heard.is_set():
                    await together
            finally:
                heard.cancel()
                together.cancel()
                for lane in lanes:
                    lane.cancel()
                await asyncio.gather(heard, together, *lanes, return_exceptions=True)

    async def _lane(self, number: int) -> None:
        while not self._work.finished:
            taken = self._work.take()
            if taken is None:
                await asyncio.sleep(LOOK_AGAIN_S)
                continue
            unit, attempt = taken
            try:
                ended = await self._attempt(unit, attempt, f"sb{os.getpid()}-{number}")
            except TestbedError as error:
                ended = Attempt(FAILED, (str(error),))
            self._work.end(unit, ended)

    async def _attempt(self, unit: Unit, attempt: int, name: str) -> Attempt:
        plan, out = self._work.folder.plan, self._work.out
        server = self._commands.get(unit.policy.spec)
        plans = session_plans(plan, unit, out, attempt, self._backend, self._command_line, server)
        stagger_s = unit.setting.stagger_s
        return await stream_unit(plans, stagger_s, name, self._the_shaper, self._beginning, self._servers)

    async def _the_shaper(self) -> ShaperClient:
        """The shaper; a new one if it has died (the sessions that it served are tried again)."""
        if self._shaper is None or self._shaper.died():
            self._shaper = await self._stack.enter_async_context(ShaperClient())
        return self._shaper


async def stream_unit(
    plans: Sequence[SessionPlan],
    stagger_s: float,
    name: str,
    shaper: Callable[[], Awaitable[ShaperClient]],
    beginning: asyncio.Lock,
    servers: PolicyServers | None = None,
) -> Attempt:
    """One attempt at a unit, from the first namespace to the last record.

    Args:
        plans: of its players.
        name: of the lane.
        shaper: gives the one that is to be used.
        beginning: held by whoever begins; see this file's first words.
        servers: that run; those of the plans are among them.

    Raises:
        TestbedError: a lane, a process or a path that is not as asked.
        OSError: a record cannot be written.
    """
    async with _lane_of(plans[0], name, beginning) as lane:
        async with beginning:
            sessions = sharing(plans, lane, await shaper(), stagger_s, servers)
        async with _open(sessions):
            async with beginning:
                await sessions[0].start()
                await sessions[0].probe()
                for session in sessions[1:]:
                    await session.start()
                for session in sessions:
                    await session.ready()
                t0 = time.monotonic() + BEGIN_AFTER_S
                playing = asyncio.create_task(play_together(sessions, t0, stagger_s, Silent()))
                await asyncio.wait([playing], timeout=BEGIN_AFTER_S)
            try:
                results = await playing
            finally:
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)
    return judged([(result.chunks, result.end) for result in results])


@contextlib.asynccontextmanager
async def _lane_of(plan: SessionPlan, name: str, beginning: asyncio.Lock) -> AsyncIterator[Lane]:
    """A lane; making it and taking it down keep the event loop busy, so nobody begins meanwhile."""
    lane = Lane(name, plan.settings, plan.backend, plan.seed)
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
async def _open(sessions: Sequence[SharingSession]) -> AsyncIterator[None]:
    """End the sessions' processes in the end, and remove what they leave half written."""
    try:
        yield
    finally:
        await asyncio.gather(*(session.close() for session in sessions))
        for session in sessions:
            for path in session.leftovers():
                path.unlink(missing_ok=True)
