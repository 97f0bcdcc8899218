"""Stream over one lane: its link, its players (mostly one) and their records, from start to verdict.

A type a stage: `LaneSessions` are asked for, `ProbedSessions` have a link, `ReadySessions` their players
too; `stream` gives the results. Several players share the lane's link and begin one after the other: each
has a process, connections and a record of its own. The link is judged once, from the first begin to the
last end, and the verdict stands in every record: a link that was not true was so for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from player.record import FINISHED, INTERRUPTED, EndRow, RecordWriter, by_fallback_alone
from testbed.link.lane import Lane
from testbed.link.shaper_client import ShaperClient
from testbed.machine.readings import MachineReading
from testbed.process.launching import Launching
from testbed.session.lane_link import Judged, ProbedLink, ShapedLink, WatchedLink
from testbed.session.lane_player import LanePlayer, LoadingPlayer
from testbed.session.lane_processes import LaneProcesses
from testbed.session.played import Played
from testbed.session.session_manifest import session_manifest
from testbed.session.session_plan import AskedServer, SessionPlan, SessionResult, Watcher


class LaneSessions:
    """The sessions of one lane, before anything is started. `close` ends what came of them, at any stage.

    Args:
        plans: one a player, in order of their begins.
        first_index: by which a `Watcher` knows the first player; those after it count on.
        server: whom their policy asks.
        stagger_s: each player begins so long after the one before.
        listens: whether it is heard who changes something in the lane; without that only the counters tell.
        launching: forks origin and players; None: each has an interpreter of its own.
    """

    def __init__(
        self,
        plans: Sequence[SessionPlan],
        lane: Lane,
        shaper: ShaperClient,
        first_index: int = 0,
        server: AskedServer | None = None,
        stagger_s: float = 0.0,
        listens: bool = True,
        launching: Launching | None = None,
    ) -> None:
        self.plans = tuple(plans)
        self.lane = lane
        self.first_index = first_index
        self.server = server
        self.stagger_s = stagger_s
        self.listens = listens
        self._shaper = shaper
        self.processes = LaneProcesses(lane, launching)
        self._opened = contextlib.AsyncExitStack()

    async def start(self) -> StartedSessions:
        """Shape the link at the trace's mean, start the origin, and have the players begin to load their
        policies.

        Raises:
            TestbedError: something did not start.
        """
        for path in self.leftovers():  # of a run that was killed: the origin's log is appended to
            path.unlink(missing_ok=True)
        self._opened.push_async_callback(self.processes.close)
        players = [
            await LoadingPlayer.start(plan, self.processes, self.server, self.first_index + number)
            for number, plan in enumerate(self.plans)
        ]
        link = await ShapedLink.shape(self.plans[0], self.lane, self._shaper, self.processes, self._opened)
        return StartedSessions(self, link, players)

    def leftovers(self) -> list[Path]:
        """Files that unfinished sessions would leave."""
        return [path for plan in self.plans for path in plan.leftovers()]

    async def close(self) -> None:
        """End the processes and what is open; safe to call twice."""
        await self._opened.aclose()


class StartedSessions:
    """Sessions whose link is shaped."""

    def __init__(self, asked: LaneSessions, link: ShapedLink, players: Sequence[LoadingPlayer]) -> None:
        self._asked = asked
        self._link = link
        self._players = players

    async def loaded(self) -> None:
        """Wait until the players have loaded their policies.

        Raises:
            TestbedError: one can't, or not in time.
        """
        for player in self._players:
            await player.loaded()

    async def probe(self, quiet: Callable[[], Awaitable[object]] | None = None) -> ProbedSessions:
        """Probe the path, before any video: at once, and where that does not find it as asked, again when the
        machine is quiet.

        Args:
            quiet: waits for that; None: for our own players to have loaded.

        Raises:
            TestbedError: it is not as asked, after several tries.
        """
        probed = await self._link.probe(quiet or self.loaded)
        return ProbedSessions(self._asked, probed, self._players)


class ProbedSessions:
    """Sessions whose path is as asked."""

    def __init__(self, asked: LaneSessions, link: ProbedLink, players: Sequence[LoadingPlayer]) -> None:
        self._asked = asked
        self._link = link
        self._players = players

    async def ready(self) -> ReadySessions:
        """Hand the link to the shaper and let the players read the MPD over the link.

        Raises:
            TestbedError: something did not start.
        """
        asked = self._asked
        for player in self._players:
            await player.loaded()
        await self._link.attach()
        players = [await player.read_mpd() for player in self._players]
        return ReadySessions(asked, await self._link.watch(asked.listens), players)


class ReadySessions:
    """Sessions that need no more than a moment to begin at: `stream`."""

    def __init__(self, asked: LaneSessions, link: WatchedLink, players: Sequence[LanePlayer]) -> None:
        self._asked = asked
        self._link = link
        self._players = players
        self._played: list[Played] = []
        self._judged: asyncio.Future[Judged] = asyncio.get_running_loop().create_future()

    def interrupt(self, number: int) -> None:
        """Let the players end their sessions now, by the signal that has come."""
        for player in self._players:
            player.interrupt(number)

    def kill_players(self) -> None:
        """Do not wait any longer for players that were interrupted."""
        for player in self._players:
            player.kill()

    async def stream(self, t0: float, watcher: Watcher) -> list[SessionResult]:
        """Play from monotonic time `t0` on; the records are complete when this returns. All or none.

        Raises:
            TestbedError: the replay cannot begin, or the lane's counters cannot be read before it does.
            OSError: a record cannot be written.
        """
        before = self._link.machine()
        await self._link.play(t0)
        tasks = [
            asyncio.create_task(self._session(player, t0, number * self._asked.stagger_s, before, watcher))
            for number, player in enumerate(self._players)
        ]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _session(
        self, player: LanePlayer, t0: float, offset_s: float, before: MachineReading, watcher: Watcher
    ) -> SessionResult:
        """One player's session."""
        plan, server = player.plan, self._asked.server
        manifest = session_manifest(plan, player.told, self._link, server)
        with RecordWriter(plan.record, manifest) as writer:
            try:
                await player.play(t0 + offset_s)
                end = await self._unless_broken(player, player.follow(writer, watcher))
                machine = self._link.machine().since(before)
                finished = end.outcome == FINISHED
                judged = await self._judge(
                    Played(player.chunks, offset_s, end.elapsed_s, finished, machine.wanted_share)
                )
                verdict = judged.verdict
                said = {**dataclasses.asdict(verdict), **judged.found, "machine": dataclasses.asdict(machine)}
                end = dataclasses.replace(end, valid=verdict.valid, link=said)
                await player.finish_logs()
                writer.finish(end)
            except BaseException:
                writer.abandon()
                raise
        watcher.end(player.index, end)
        notes = () if server is None else tuple(server.notes)
        return SessionResult(plan, tuple(player.chunks), end, verdict, notes)

    async def _judge(self, played: Played) -> Judged:
        """Wait for all players to end; the last one has the link judged."""
        self._played.append(played)
        if len(self._played) == len(self._players):
            in_order = sorted(self._played, key=lambda one: one.offset_s)
            self._judged.set_result(await self._link.judge(in_order))
        return await asyncio.shield(self._judged)  # whoever is cancelled while waiting cancels only itself

    async def _unless_broken(self, player: LanePlayer, following: Coroutine[Any, Any, EndRow]) -> EndRow:
        """The session's end. What is known to be dead is not waited for as what is only silent."""
        end = asyncio.create_task(following)
        death = asyncio.create_task(self._link.death())
        try:
            await asyncio.wait([end, death], return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                return end.result()
            player.interrupt()
            ended = await end
            if ended.outcome != INTERRUPTED:
                return ended
            outcome, reason = death.result()
            return dataclasses.replace(ended, outcome=outcome, reason=reason)
        finally:
            death.cancel()
            end.cancel()
            await asyncio.gather(death, end, return_exceptions=True)


def finished(result: SessionResult) -> bool:
    """Whether the whole video was played over a link that was true, and not by the fallback alone."""
    alone = by_fallback_alone({row.by for row in result.chunks})
    return result.end.outcome == FINISHED and result.end.valid and not alone
