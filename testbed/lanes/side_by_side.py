"""Run sessions side by side, each on its lane, from the first namespace to the last record."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Awaitable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.text import Text

from testbed.lanes.capacity import in_turns
from testbed.lanes.lanes_now import lanes_now
from testbed.lanes.medium import Medium, Plan, Result
from testbed.lanes.plan import LANES_AT_ONCE, LanesPlan
from testbed.lanes.policy_server import PolicyServer, PolicyServers
from testbed.lanes.streaming import LaneSessions, ReadySessions, StartedSessions
from testbed.link.lane import Lane
from testbed.link.probe import load_scapy
from testbed.link.shaper_client import ShaperClient
from testbed.process.children import taking_turns
from testbed.process.launching import Launching
from traces.words import counted

BEGIN_AFTER_S, BEGIN_AFTER_LANE_S = 0.2, 0.02
"""From the moment that all players are ready to the common start, and for each lane besides: shaper, delay
stage and player have to be told of it before it comes."""

END_WITHIN_S = 10.0
"""After an interrupt a player that has not ended by itself is killed, or at the second interrupt."""


def begin_after_s(lanes: int = 1) -> float:
    """How long after the last preparation sessions on so many lanes may begin together."""
    return BEGIN_AFTER_S + lanes * BEGIN_AFTER_LANE_S


Stage = TypeVar("Stage")


class Interrupt:
    """SIGINT, SIGTERM and SIGHUP; a second one means it."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()
        self.again = asyncio.Event()
        self.status = 0
        self.number: int = signal.SIGINT
        """Of the first that came."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._hear, number)

    def _hear(self, number: int) -> None:
        if not self.heard.is_set():
            self.status, self.number = 128 + number, number
        (self.again if self.heard.is_set() else self.heard).set()


class Interrupted(Exception):
    """A signal came before any session had begun."""


async def side_by_side(
    plan: LanesPlan, medium: Medium[Any, Result], console: Console, interrupt: Interrupt
) -> list[Result]:
    """Stream all sessions at once, each on its lane, or in turns where the machine does not hold as many.

    After an interrupt the turns that have not begun are left out.

    Raises:
        TestbedError: a lane, a process or a path that is not as asked.
        OSError: a record cannot be written.
        Interrupted: before the first start.
    """
    async with PolicyServers(plan.servers, plan.device) as servers:
        at_once, why = await asyncio.to_thread(lanes_now, plan)  # before anything of ours wants a processor
        if why:
            console.print(Text(why), soft_wrap=True)
        loading = [asyncio.create_task(servers.start()), asyncio.create_task(asyncio.to_thread(_load))]
        try:
            results = await _turns(
                plan, medium, in_turns(len(plan.sessions), at_once), servers, loading, console, interrupt
            )
        finally:
            await _cancel(loading)
        if left_out := len(plan.sessions) - len(results):
            console.print(f"{counted(left_out, 'session')} had not begun and left no record")
        return results


def _load() -> None:
    """Import meanwhile what a probe needs."""
    with taking_turns():
        load_scapy()


def _beginning(medium: Medium[Any, Any], lanes: int, servers: int) -> str:
    """What is being done now, for whoever waits for something to begin."""
    asked = f" and {counted(servers, 'policy server')}" if servers else ""
    return f"making {counted(lanes, 'lane')}; starting {medium.beginning(lanes)}{asked}"


async def _turns(
    plan: LanesPlan,
    medium: Medium[Any, Result],
    counts: Iterable[int],
    servers: PolicyServers,
    loading: Sequence[asyncio.Task[None]],
    console: Console,
    interrupt: Interrupt,
) -> list[Result]:
    """So many sessions at once, then the next; after an interrupt no more.

    Args:
        loading: what has to be done before the first session begins.
    """
    results: list[Result] = []
    for count in counts:
        sessions = plan.sessions[len(results) : len(results) + count]
        try:
            results += await _turn(sessions, medium, len(results), servers, loading, console, interrupt)
        except Interrupted:
            if not results:
                raise
        if interrupt.heard.is_set():
            break
    return results


async def _turn(
    plans: Sequence[Plan],
    medium: Medium[Plan, Result],
    first: int,
    servers: PolicyServers,
    loading: Sequence[asyncio.Task[None]],
    console: Console,
    interrupt: Interrupt,
) -> list[Result]:
    """Stream sessions at once, on lanes that are made for it; `first` is the number of the first lane."""
    console.print(_beginning(medium, len(plans), 0 if first else servers.count))
    leftovers: list[Path] = []
    try:
        async with contextlib.AsyncExitStack() as stack:
            sessions: list[LaneSessions[Any, Result]] = []
            starting: list[asyncio.Task[StartedSessions[Result]]] = []
            launching = await stack.enter_async_context(Launching(medium.forked))
            shaper = await stack.enter_async_context(ShaperClient())
            for index, plan in enumerate(plans):
                await asyncio.sleep(0)  # hear signals: a lane is made without a pause
                if interrupt.heard.is_set():
                    raise Interrupted
                name = f"sb{os.getpid()}-{first + index}"
                lane = stack.enter_context(Lane(name, plan.settings, plan.backend, plan.seed, plan.trace))
                mine, asked_of = _of_lane(plan, len(plans), servers)
                number = sum(len(one.plans) for one in sessions)
                asked = LaneSessions(mine, medium, lane, shaper, number, asked_of, launching=launching)
                stack.push_async_callback(asked.close)
                leftovers += asked.leftovers()
                sessions.append(asked)
                starting.append(asyncio.create_task(asked.start()))  # while the next lane is made
                stack.push_async_callback(_cancel, starting[-1:])
            started = await _all(interrupt, *starting)
            results = await _run_lanes(medium, sessions, started, loading, console, interrupt)
            await asyncio.gather(*(_taken_down(asked) for asked in sessions))  # side by side, too
            return results
    finally:
        for path in leftovers:
            path.unlink(missing_ok=True)


def _of_lane(plan: Any, lanes: int, servers: PolicyServers) -> tuple[list[Any], list[PolicyServer | None]]:
    """The plans of all sessions on a lane, and whom each asks."""
    whole = [
        dataclasses.replace(one, facts={**one.facts, LANES_AT_ONCE: lanes}) for one in (plan, *plan.beside)
    ]
    return whole, [servers.of(one.server) for one in whole]


async def _taken_down(asked: LaneSessions[Any, Any]) -> None:
    """End the sessions' processes, then their lane."""
    await asked.close()
    await asyncio.to_thread(asked.lane.close)


async def _run_lanes(
    medium: Medium[Plan, Result],
    asked: Sequence[LaneSessions[Plan, Result]],
    started: Sequence[StartedSessions[Result]],
    loading: Sequence[asyncio.Task[None]],
    console: Console,
    interrupt: Interrupt,
) -> list[Result]:
    console.print(medium.probing)
    loaded = [*map(asyncio.shield, loading), *(asyncio.ensure_future(one.loaded()) for one in started)]

    async def quiet() -> None:
        await asyncio.wait(loaded)  # whose faults are told below

    try:
        probed = await _all(interrupt, *(sessions.probe(quiet) for sessions in started))
        await _all(interrupt, *loaded)
    finally:
        await _cancel(loaded)
    ready = await _all(interrupt, *(sessions.ready() for sessions in probed))

    plans = [plan for sessions in asked for plan in sessions.plans]
    with medium.display(console, plans) as display:
        t0 = time.monotonic() + begin_after_s(len(ready))
        display.begin(t0)
        streaming = [asyncio.create_task(sessions.stream(t0, display)) for sessions in ready]
        stopping = asyncio.create_task(_interrupt_all(ready, interrupt))
        try:
            return [_with_others(results) for results in await asyncio.gather(*streaming)]
        finally:
            stopping.cancel()
            for task in streaming:
                task.cancel()
            await asyncio.gather(*streaming, return_exceptions=True)


def _with_others(results: Sequence[Result]) -> Result:
    """A lane's first result; those of the others on it stand in it."""
    first: Any = results[0]
    whole: Result = dataclasses.replace(first, beside=tuple(results[1:])) if len(results) > 1 else first
    return whole


async def _interrupt_all(ready: Sequence[ReadySessions[Any]], interrupt: Interrupt) -> None:
    await interrupt.heard.wait()
    for sessions in ready:
        sessions.interrupt(interrupt.number)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(END_WITHIN_S):
            await interrupt.again.wait()
    for sessions in ready:
        sessions.kill()


async def _cancel(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """End tasks that nobody waits for any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _all(interrupt: Interrupt, *work: Awaitable[Stage]) -> list[Stage]:
    """Do all of it at once; a fault of one, or a signal, ends the others first. What comes of each.

    Raises:
        Interrupted: a signal came.
        TestbedError: the first fault.
    """
    tasks = [asyncio.ensure_future(one) for one in work]
    together = asyncio.ensure_future(asyncio.gather(*tasks))
    waiting = asyncio.create_task(interrupt.heard.wait())
    try:
        first: set[asyncio.Future[Any]] = {waiting, together}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if interrupt.heard.is_set():
            raise Interrupted
        return list(await together)
    finally:
        waiting.cancel()
        together.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(waiting, together, *tasks, return_exceptions=True)
