"""Simulated players in real time: open-loop arrivals, one event loop, no process a session.

A player's chunk arrives when the simulated link says so, and until then it sleeps; its decisions take the
real time that they take, in which its buffer drains and its link idles. Nobody waits for anybody: a slow
server makes no player ask later but for what its own late decisions cost it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from player.buffer import CAP_MS
from player.observation import Observation
from player.policy import BY_PLAYER, Decision
from player.qoe import Scoring
from player.simulated.link_published import PublishedLink
from player.simulated.session import SimulatedSession
from player.video.video import Video
from policies.apc.load.client import AsyncSession, Connections
from policies.apc.policy import BY_LIGHT
from policies.apc.router import Router
from policies.llm.serving.conversation import ServerError
from policies.llm.serving.protocol import BY_LLM
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import VideoStep
from traces.trace import Trace


@dataclass(frozen=True)
class Workload:
    """Who arrives, and how long it is watched."""

    sessions: int
    traces: Sequence[Trace]
    video: Video
    chunks: int
    ramp_s: float
    """Players arrive at random times within it."""
    counted_from_s: float
    """Decisions before are not counted: caches and step times are cold."""
    duration_s: float
    seed: int


@dataclass
class Observed:
    """What happened to all players together."""

    delays_ms: list[float] = field(default_factory=list)
    """Of each decision that counts."""
    by: dict[str, int] = field(default_factory=dict)
    lags_ms: list[float] = field(default_factory=list)
    """How late the generator itself was at each of them."""
    asked: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    """Why the model did not decide where it was asked, shortened."""
    chunk_qoe: list[list[float]] = field(default_factory=list)
    """Of every session, in the workload's order, that of each chunk but the first."""
    traces: list[str] = field(default_factory=list)
    """Every session's."""


async def play(
    workload: Workload, make: Callable[[], Router], connections: Connections | None, deadline_s: float
) -> Observed:
    """Play all sessions at the same time, until the duration is over.

    Args:
        make: a router for each session.
        connections: to the server; None where nobody asks one.
        deadline_s: for one question.
    """
    observed = Observed()
    dice = np.random.default_rng(workload.seed)
    arrivals = np.sort(dice.uniform(0.0, workload.ramp_s, workload.sessions))
    order = dice.permutation(workload.sessions)
    starts = dice.integers(1 << 30, size=workload.sessions)
    players = [
        _Player(workload, int(order[number]), int(starts[number]), make(), connections, deadline_s, observed)
        for number in range(workload.sessions)
    ]
    begun_s = time.monotonic() + 0.1  # when all are made: that takes seconds for a thousand
    await asyncio.gather(
        *(player.play(begun_s, begun_s + at) for player, at in zip(players, arrivals, strict=True))
    )
    observed.chunk_qoe = [player.chunk_qoe() for player in players]
    observed.traces = [player.trace for player in players]
    return observed


class _Player:
    def __init__(
        self,
        workload: Workload,
        number: int,
        start: int,
        router: Router,
        connections: Connections | None,
        deadline_s: float,
        observed: Observed,
    ) -> None:
        trace = workload.traces[number % len(workload.traces)]
        self.trace = trace.name
        link = PublishedLink().open(trace, 1 + start % (len(trace.time_s) - 1), number)
        self._session = SimulatedSession(workload.video.first(workload.chunks), link, CAP_MS)
        self._workload, self._router, self._observed = workload, router, observed
        self._deadline_s = deadline_s
        self._steps: list[VideoStep] = []
        self._qoe = Scoring().on(workload.video.ladder_kbps)
        context = TASK.context_of(workload.video, self._qoe)
        self._remote = None if connections is None else AsyncSession(connections, TASK, context)
        router.reset(workload.video, number, self._qoe)

    async def play(self, begun_s: float, due_s: float) -> None:
        """Until the video or the watch is over."""
        until_s = begun_s + self._workload.duration_s
        session = self._session
        await _sleep_until(due_s)
        self._steps.append(self._step(session.observation()))
        session.fetch(Decision(0, BY_PLAYER), 0.0)
        due_s += session.rows[-1].download_s
        for _ in range(1, self._workload.chunks):
            wait_ms = session.wait()
            due_s += wait_ms / 1000.0
            if due_s >= until_s:
                break
            await _sleep_until(due_s)
            awake_s = time.monotonic()
            decision = await self._decide()
            took_ms = 1000.0 * (time.monotonic() - awake_s)
            if due_s - begun_s >= self._workload.counted_from_s:
                self._count(decision, took_ms, 1000.0 * (awake_s - due_s))
            session.fetch(decision, wait_ms, took_ms)
            due_s += took_ms / 1000.0 + session.rows[-1].download_s
        if self._remote is not None:
            await self._remote.end()

    def _step(self, observation: Observation) -> VideoStep:
        return VideoStep.of(TASK.thinned(observation))

    async def _decide(self) -> Decision:
        begun_s = time.monotonic()
        observation = self._session.observation()
        considered = self._router.consider(observation)
        self._steps.append(self._step(observation))
        asked, decision = considered.routing.to_llm and self._remote is not None, None
        if asked:
            assert self._remote is not None
            try:
                answer = await self._remote.decide(self._steps, self._deadline_s)
                level = TASK.level_of(answer.value, self._workload.video)
                decision = Decision(level, answer.by)
            except ServerError as error:
                why = " ".join(word for word in str(error).split() if word.isalpha())[:40]
                self._observed.faults[why] = self._observed.faults.get(why, 0) + 1
        if decision is None:
            decision = Decision(considered.light.level, BY_LIGHT)
        took_ms = 1000.0 * (time.monotonic() - begun_s)
        self._router.decided(asked, decision.by == BY_LLM, took_ms)
        self._observed.asked += asked
        return decision

    def _count(self, decision: Decision, took_ms: float, lag_ms: float) -> None:
        self._observed.delays_ms.append(took_ms)
        self._observed.lags_ms.append(lag_ms)
        self._observed.by[decision.by] = self._observed.by.get(decision.by, 0) + 1

    def chunk_qoe(self) -> list[float]:
        """QoE of each chunk, the first not counted."""
        rows = self._session.rows
        levels, stalls_s = [row.level for row in rows], [row.stall_s for row in rows]
        return list(self._qoe.per_chunk(levels, stalls_s, self._workload.video.ladder_kbps))


async def _sleep_until(at_s: float) -> None:
    left_s = at_s - time.monotonic()
    if left_s > 0:
        await asyncio.sleep(left_s)
