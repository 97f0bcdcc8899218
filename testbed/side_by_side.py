"""Run sessions at the same time, each on its lane, from the first namespace to the last record."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from testbed.lane import Lane
from testbed.plan import RunPlan
from testbed.policy_server import PolicyServers
from testbed.shaper_client import ShaperClient
from testbed.streaming import LaneSession, SessionResult
from testbed.watch import Display

BEGIN_AFTER_S = 0.5
"""From the moment that all players are ready to the common start."""

END_WITHIN_S = 10.0
"""After an interrupt a player that has not ended by itself is killed, or at the second interrupt."""


class Interrupt:
    """SIGINT, SIGTERM and SIGHUP; a second one means it."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()
        self.again = asyncio.Event()
        self.status = 0
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._hear, number)

    def _hear(self, number: int) -> None:
        self.status = self.status or 128 + number
        (self.again if self.heard.is_set() else self.heard).set()


class Interrupted(Exception):
    """A signal came before any session had begun."""


async def side_by_side(plan: RunPlan, console: Console, interrupt: Interrupt) -> list[SessionResult]:
    """Stream all sessions at once, each on its lane.

    Raises:
        TestbedError: a lane, a process or a path that is not as asked.
        OSError: a record cannot be written.
        Interrupted: before the start.
    """
    leftovers: list[Path] = []
    try:
        async with contextlib.AsyncExitStack() as stack:
            sessions = []
            servers = await stack.enter_async_context(PolicyServers(plan.servers, plan.device))
            if plan.servers:
                console.print(f"starting {len(plan.servers)} policy server{'s' * (len(plan.servers) > 1)}")
            await _all(interrupt, servers.start())
            shaper = await stack.enter_async_context(ShaperClient())
            for index, session_plan in enumerate(plan.sessions):
                await asyncio.sleep(0)  # hear signals: a lane is made without a pause
                if interrupt.heard.is_set():
                    raise Interrupted
                name = f"sb{os.getpid()}-{index}"
                lane = stack.enter_context(
                    Lane(
                        name,
                        session_plan.settings,
                        session_plan.backend,
                        session_plan.seed,
                        session_plan.trace,
                    )
                )
                session = LaneSession(session_plan, lane, shaper, index, servers.of(session_plan.server))
                stack.push_async_callback(session.close)
                leftovers += session.leftovers()
                sessions.append(session)
            results = await _run_lanes(plan, sessions, console, interrupt)
        return results
    finally:
        for path in leftovers:
            path.unlink(missing_ok=True)


async def _run_lanes(
    plan: RunPlan, sessions: Sequence[LaneSession], console: Console, interrupt: Interrupt
) -> list[SessionResult]:
    await _all(interrupt, *(session.start() for session in sessions))
    for session in sessions:  # one after the other: a probe wants a quiet machine
        await _all(interrupt, session.probe())
    await _all(interrupt, *(session.ready() for session in sessions))

    names = [session.plan.name for session in sessions]
    first = plan.sessions[0]
    with Display(console, names, first.video, first.trace, first.start_s) as display:
        t0 = time.monotonic() + BEGIN_AFTER_S
        display.begin(t0)
        streaming = [asyncio.create_task(session.stream(t0, display)) for session in sessions]
        stopping = asyncio.create_task(_interrupt_all(sessions, interrupt))
        try:
            return list(await asyncio.gather(*streaming))
        finally:
            stopping.cancel()
            for task in streaming:
                task.cancel()
            await asyncio.gather(*streaming, return_exceptions=True)


async def _interrupt_all(sessions: Sequence[LaneSession], interrupt: Interrupt) -> None:
    await interrupt.heard.wait()
    for session in sessions:
        session.interrupt()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(END_WITHIN_S):
            await interrupt.again.wait()
    for session in sessions:
        session.kill_player()


async def _all(interrupt: Interrupt, *work: Coroutine[Any, Any, None]) -> None:
    """Do all of it at once; a fault of one, or a signal, ends the others first.

    Raises:
        Interrupted: a signal came.
        TestbedError: the first fault.
    """
    tasks = [asyncio.create_task(one) for one in work]
    together = asyncio.ensure_future(asyncio.gather(*tasks))
    waiting = asyncio.create_task(interrupt.heard.wait())
    try:
        first: set[asyncio.Future[Any]] = {waiting, together}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if interrupt.heard.is_set():
            raise Interrupted
        await together
    finally:
        waiting.cancel()
        together.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(waiting, together, *tasks, return_exceptions=True)
