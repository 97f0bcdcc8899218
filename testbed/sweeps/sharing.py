"""Several players behind one lane's bottleneck.

Each has a process, connections and a record of its own; they begin one after the other. The first one's
session has the lane's origin and link log. The link is judged once, from the first begin to the last
end, and the verdict stands in every record: a link that was not true was so for all.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from player.record import FINISHED, EndRow
from testbed.link.lane import Lane
from testbed.link.log import LinkRow
from testbed.link.shaper_client import ShaperClient
from testbed.session.session_plan import Server, SessionPlan, SessionResult, Watcher
from testbed.session.streaming import LaneSession
from testbed.verdict.evidence import ChunkTime
from testbed.verdict.lane_guard import chunk_times
from testbed.verdict.selfcheck import Verdict

Judged = tuple[Verdict, dict[str, Any]]


@dataclass
class Bottleneck:
    """What the players of one lane have in common."""

    players: int
    first: SharingSession | None = None
    """Who has the origin and the link."""
    sessions: list[SharingSession] = field(default_factory=list)
    """All of them."""
    ended_s: list[float] = field(default_factory=list)
    """When players ended, since the first one's begin."""
    all_finished: bool = True
    """Of those that have ended."""
    judged: asyncio.Future[Judged] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class SharingSession(LaneSession):
    """One player of several behind a bottleneck; with one alone, a `LaneSession`.

    Args:
        offset_s: when it begins after the first.
    """

    def __init__(
        self,
        plan: SessionPlan,
        lane: Lane,
        shaper: ShaperClient,
        index: int,
        bottleneck: Bottleneck,
        offset_s: float,
        server: Server | None,
    ) -> None:
        super().__init__(plan, lane, shaper, index, server)
        self._bottleneck = bottleneck
        self._offset_s = offset_s
        bottleneck.sessions.append(self)
        if index == 0:
            bottleneck.first = self

    @property
    def _is_first(self) -> bool:
        return self._bottleneck.first is self

    async def start(self) -> None:
        if self._is_first:
            await super().start()
            return
        for path in self.leftovers():
            path.unlink(missing_ok=True)

    async def probe(self) -> None:
        if self._is_first:
            await super().probe()

    async def _attach_link(self) -> None:
        if self._is_first:
            await super()._attach_link()

    async def _watch_link(self) -> None:
        if self._is_first:
            await super()._watch_link()

    async def ready(self) -> None:
        first = self._bottleneck.first
        assert first is not None
        self._origin, self._origin_says, self._probe = first._origin, first._origin_says, first._probe
        await super().ready()

    async def _play_link(self, t0: float) -> None:
        if self._is_first:
            await super()._play_link(t0)

    async def _judge_link(self, end: EndRow) -> Judged:
        """Wait for all to end; the last one has the link judged."""
        shared = self._bottleneck
        shared.ended_s.append(self._offset_s + end.elapsed_s)
        shared.all_finished = shared.all_finished and end.outcome == FINISHED
        if len(shared.ended_s) == shared.players:
            assert shared.first is not None
            whole = dataclasses.replace(end, elapsed_s=max(shared.ended_s))
            shared.judged.set_result(await LaneSession._judge_link(shared.first, whole))
        return await asyncio.shield(shared.judged)  # whoever is cancelled while waiting cancels only itself

    @property
    def _alone(self) -> bool:
        return self._bottleneck.players == 1

    def _chunk_times(self, rows: Sequence[LinkRow]) -> list[ChunkTime]:
        if self._alone:
            return super()._chunk_times(rows)
        sessions = self._bottleneck.sessions
        return [one for session in sessions for one in chunk_times(session._chunks, session._offset_s)]

    def _payload_bytes(self, end: EndRow) -> int | None:
        if not self._bottleneck.all_finished:
            return None
        held = [LaneSession._payload_bytes(session, end) for session in self._bottleneck.sessions]
        return None if None in held else sum(bytes_ for bytes_ in held if bytes_ is not None)


def sharing(
    plans: Sequence[SessionPlan],
    lane: Lane,
    shaper: ShaperClient,
    stagger_s: float,
    server: Server | None = None,
) -> list[SharingSession]:
    """The sessions of a lane's players, in order of their begins; `server` is who their policy asks."""
    bottleneck = Bottleneck(len(plans))
    return [
        SharingSession(plan, lane, shaper, index, bottleneck, index * stagger_s, server)
        for index, plan in enumerate(plans)
    ]


async def play_together(
    sessions: Sequence[SharingSession], t0: float, stagger_s: float, watcher: Watcher
) -> list[SessionResult]:
    """Play all from monotonic time `t0` on, each `stagger_s` after the one before; all or none.

    Raises:
        TestbedError, OSError: the first fault; nothing is recorded then.
    """
    tasks = [
        asyncio.create_task(session.stream(t0 + index * stagger_s, watcher))
        for index, session in enumerate(sessions)
    ]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
