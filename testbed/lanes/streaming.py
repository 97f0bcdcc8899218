"""Sessions over one lane: its link, its players or calls and their records, from start to verdict.

A type a stage: `LaneSessions` are asked for, `ProbedSessions` have a link, `ReadySessions` their players
too; `stream` gives the results. What runs is a `Medium`'s. Several sessions share the lane's link and begin
one after the other: each has processes, connections and a record of its own. The link is judged once, from
the first begin to the last end, and the verdict stands in every record: a link that was not true was so for
all.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Generic

from player.record import INTERRUPTED
from testbed.lanes.link import Judged, ProbedLink, ShapedLink, WatchedLink
from testbed.lanes.medium import (
    Accompanies,
    LaneSession,
    LoadingSession,
    Medium,
    Plan,
    Result,
    Watcher,
)
from testbed.lanes.plan import AskedServer
from testbed.lanes.played import Played
from testbed.lanes.processes import LaneProcesses
from testbed.link.lane import Lane
from testbed.link.shaper_client import ShaperClient
from testbed.machine.readings import MachineReading
from testbed.process.launching import Launching


class LaneSessions(Generic[Plan, Result]):
    """The sessions of one lane, before anything is started. `close` ends what came of them, at any stage.

    Args:
        plans: one a session, in order of their begins.
        medium: what they play.
        first_index: by which a `Watcher` knows the first session; those after it count on.
        server: whom their policies ask; several: of each session in turn, None where it asks nobody.
        stagger_s: each session begins so long after the one before.
        listens: whether it is heard who changes something in the lane; without that only the counters tell.
        launching: forks what it can of their processes; None: each has an interpreter of its own.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        medium: Medium[Plan, Result],
        lane: Lane,
        shaper: ShaperClient,
        first_index: int = 0,
        server: AskedServer | Sequence[AskedServer | None] | None = None,
        stagger_s: float = 0.0,
        listens: bool = True,
        launching: Launching | None = None,
    ) -> None:
        self.plans = tuple(plans)
        self.medium = medium
        self.lane = lane
        self.first_index = first_index
        self.servers = tuple(server) if isinstance(server, Sequence) else (server,) * len(self.plans)
        self.stagger_s = stagger_s
        self.listens = listens
        self._shaper = shaper
        self.processes = LaneProcesses(lane, launching)
        self._opened = contextlib.AsyncExitStack()

    async def start(self) -> StartedSessions[Result]:
        """Shape the link at the trace's mean, start what serves the sessions, and have these begin to load
        their policies.

        Raises:
            TestbedError: something did not start.
        """
        for path in self.leftovers():  # of a run that was killed: the origin's log is appended to
            path.unlink(missing_ok=True)
        self._opened.push_async_callback(self.processes.close)
        first, load = self.plans[0], self.medium.load
        sessions = [
            await load(plan, self.processes, server, self.first_index + number)
            for number, (plan, server) in enumerate(zip(self.plans, self.servers, strict=True))
        ]
        source = functools.partial(self.medium.source, self.plans, self.processes)
        link = await ShapedLink.shape(first, self.lane, self._shaper, source, self._opened)
        return StartedSessions(self, link, sessions)

    def offset_s(self, number: int) -> float:
        """When a session begins, after the first one."""
        asked = self.plans[number].offset_s
        return number * self.stagger_s if asked is None else asked

    def leftovers(self) -> list[Path]:
        """Files that unfinished sessions would leave."""
        return [path for plan in self.plans for path in plan.leftovers()]

    async def close(self) -> None:
        """End the processes and what is open; safe to call twice."""
        await self._opened.aclose()


class StartedSessions(Generic[Result]):
    """Sessions whose link is shaped."""

    def __init__(
        self, asked: LaneSessions[Any, Result], link: ShapedLink, sessions: Sequence[LoadingSession[Result]]
    ) -> None:
        self._asked = asked
        self._link = link
        self._sessions = sessions

    async def loaded(self) -> None:
        """Wait until the sessions have loaded their policies.

        Raises:
            TestbedError: one can't, or not in time.
        """
        for session in self._sessions:
            await session.loaded()

    async def probe(self, quiet: Callable[[], Awaitable[object]] | None = None) -> ProbedSessions[Result]:
        """Probe the path, before any session: at once, and where that does not find it as asked, again when
        the machine is quiet.

        Args:
            quiet: waits for that; None: for our own sessions to have loaded.

        Raises:
            TestbedError: it is not as asked, after several tries.
        """
        probed = await self._link.probe(quiet or self.loaded)
        return ProbedSessions(self._asked, probed, self._sessions)


class ProbedSessions(Generic[Result]):
    """Sessions whose path is as asked."""

    def __init__(
        self, asked: LaneSessions[Any, Result], link: ProbedLink, sessions: Sequence[LoadingSession[Result]]
    ) -> None:
        self._asked = asked
        self._link = link
        self._sessions = sessions

    async def ready(self) -> ReadySessions[Result]:
        """Hand the link to the shaper and let the sessions prepare themselves over the link.

        Raises:
            TestbedError: something did not start.
        """
        asked = self._asked
        for session in self._sessions:
            await session.loaded()
        await self._link.attach()
        watching = asyncio.create_task(self._link.watch(asked.listens))  # while sessions wait for round trips
        try:
            sessions = [await session.ready() for session in self._sessions]
            link = await watching
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await link.count()
        return ReadySessions(asked, link, sessions)


class ReadySessions(Generic[Result]):
    """Sessions that need no more than a moment to begin at: `stream`."""

    def __init__(
        self, asked: LaneSessions[Any, Result], link: WatchedLink, sessions: Sequence[LaneSession[Result]]
    ) -> None:
        self._asked = asked
        self._link = link
        self._sessions = sessions
        self._played: dict[int, Played] = {}
        """Of those that have ended, by number."""
        self._left = sum(not _accompanies(session) for session in sessions)
        """Sessions that go on by themselves."""
        self._judged: asyncio.Future[Judged] = asyncio.get_running_loop().create_future()

    def interrupt(self, number: int) -> None:
        """Let the sessions end now, by the signal that has come."""
        for session in self._sessions:
            session.interrupt(number)

    def kill(self) -> None:
        """Do not wait any longer for sessions that were interrupted."""
        for session in self._sessions:
            session.kill()

    async def stream(self, t0: float, watcher: Watcher) -> list[Result]:
        """Play from monotonic time `t0` on; the records are complete when this returns. All or none.

        Raises:
            TestbedError: the replay cannot begin, or the lane's counters cannot be read before it does.
            OSError: a record cannot be written.
        """
        before = self._link.machine()
        for number, session in enumerate(self._sessions):  # before a record's head takes its time
            await session.play(t0 + self._asked.offset_s(number))
        await self._link.play(t0, alone=len(self._sessions) == 1)
        tasks = [
            asyncio.create_task(self._session(session, number, before, watcher))
            for number, session in enumerate(self._sessions)
        ]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _session(
        self,
        session: LaneSession[Result],
        number: int,
        before: MachineReading,
        watcher: Watcher,
    ) -> Result:
        """One session, to its last line."""
        server, offset_s = self._asked.servers[number], self._asked.offset_s(number)
        with session.record(self._link, server) as writer:
            try:
                end = await self._unless_broken(session, session.follow(writer, watcher))
                await self._one_less(session)
                machine = self._link.machine().since(before)
                judged = await self._judge(number, session.played(end, offset_s, machine.wanted_share))
                verdict = judged.verdict
                said = {**dataclasses.asdict(verdict), **judged.found, "machine": dataclasses.asdict(machine)}
                end = dataclasses.replace(end, valid=verdict.valid, link=said)
                await session.finish_logs()
                writer.finish(end)
            except BaseException:
                writer.abandon()
                raise
        watcher.end(session.index, end)
        return session.result(end, verdict, () if server is None else tuple(server.notes))

    async def _one_less(self, session: LaneSession[Result]) -> None:
        """A session has ended; after the last one that goes on by itself, those that accompany end, too."""
        if _accompanies(session):
            return
        self._left -= 1
        if not self._left:
            for one in self._sessions:
                if isinstance(one, Accompanies):
                    await one.enough()

    async def _judge(self, number: int, played: Played) -> Judged:
        """Wait for all sessions to end; the last one has the link judged."""
        self._played[number] = played
        if len(self._played) == len(self._sessions):
            in_order = sorted((one for _, one in sorted(self._played.items())), key=lambda one: one.offset_s)
            self._judged.set_result(await self._link.judge(in_order))
        return await asyncio.shield(self._judged)  # whoever is cancelled while waiting cancels only itself

    async def _unless_broken(self, session: LaneSession[Result], following: Coroutine[Any, Any, Any]) -> Any:
        """The session's end. What is known to be dead is not waited for as what is only silent."""
        end = asyncio.create_task(following)
        death = asyncio.create_task(self._link.death())
        try:
            await asyncio.wait([end, death], return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                return end.result()
            session.interrupt()
            ended = await end
            if ended.outcome != INTERRUPTED:
                return ended
            outcome, reason = death.result()
            return dataclasses.replace(ended, outcome=outcome, reason=reason)
        finally:
            death.cancel()
            end.cancel()
            await asyncio.gather(death, end, return_exceptions=True)


def _accompanies(session: object) -> bool:
    """Whether it goes on for as long as others do."""
    return isinstance(session, Accompanies)
