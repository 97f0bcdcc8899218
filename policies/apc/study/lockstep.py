"""Simulated sessions of APC, many side by side, so that their questions to the model share its forwards.

Player, facts, light policy and scheduler are those of the policy `apc`; only the model is asked for all
sessions at once. So a session here decides as it would alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.defaults import CHUNKS
from player.observation import Observation
from player.policy import BY_PLAYER, Decision
from player.qoe import QoE, Scoring
from player.simulated.link_published import PublishedLink
from player.simulated.session import SimulatedSession
from policies.apc.policy import BY_LIGHT, by_light
from policies.apc.router import Considered, Router
from policies.apc.study.starts import StudyStart
from policies.llm.engine.contract import ServingEngine
from policies.llm.serving.protocol import BY_LLM
from policies.llm.tasks.ladder.task import TASK
from traces.totals import running_total

Floats = NDArray[np.float64]
MakeRouter = Callable[[], Router]


@dataclass
class Seat:
    """One of the sessions, where it stands."""

    start: StudyStart
    session: SimulatedSession
    router: Router
    slot: int
    context: Any
    """The task's."""
    pending: list[NDArray[np.float32]] = field(default_factory=list)
    """Steps that the model has not been told of yet."""
    asked_steps: list[int] = field(default_factory=list)
    """Of every question to the model, how many steps came with it."""


@dataclass(frozen=True)
class Moment:
    """A session at the moment of a decision."""

    seat: Seat
    observation: Observation
    considered: Considered
    llm_level: int | None
    """None where the model was not asked."""


@dataclass(frozen=True)
class PlayedStudy:
    """What came of the sessions."""

    qoe: Floats
    """(sessions,) mean a chunk, the first not counted."""
    stall_ratio: Floats
    """(sessions,) stall / (stall + played), startup left out."""
    by_llm: Floats
    """(sessions,) share of the decisions that the model made; the first chunk's level is fixed."""
    asked_steps: tuple[int, ...]
    """Of every question to the model, how many steps came with it."""
    decisions: int


class Lockstep:
    """Sessions side by side; each has its first chunk in, at level 0, when the first moments are seen.

    Args:
        engine: with a free slot for each of them.
        starts: one a session.
        make: a router for each.
        ask_all: ask the model also where nobody would, to see what it says.
        scoring: None for linear QoE with each ladder's top as mu.
    """

    def __init__(
        self,
        engine: ServingEngine,
        starts: Sequence[StudyStart],
        make: MakeRouter,
        *,
        chunks: int = CHUNKS,
        ask_all: bool = False,
        scoring: Scoring | None = None,
    ) -> None:
        self._engine, self._ask_all = engine, ask_all
        self._chunks = chunks
        self._scoring = scoring or Scoring()
        self.seats = [self._seat(start, make()) for start in starts]

    def _seat(self, start: StudyStart, router: Router) -> Seat:
        link = PublishedLink().open(start.trace, start.start_index, start.seed)
        session = SimulatedSession(start.video.first(self._chunks), link, 60_000.0)
        qoe = self.qoe_of(start)
        router.reset(start.video, start.seed, qoe)
        context = TASK.context_of(start.video, qoe)
        return Seat(start, session, router, self._engine.open(), context)

    def qoe_of(self, start: StudyStart) -> QoE:
        """What a session's router is told."""
        return self._scoring.on(start.video.ladder_kbps)

    def moments(self) -> Iterator[list[Moment]]:
        """Chunk by chunk: all sessions before they fetch; they go on when the next are asked for."""
        for seat in self.seats:
            self._note(seat, seat.session.observation())
            seat.session.fetch(Decision(0, BY_PLAYER), 0.0)
        for _ in range(1, self._chunks):
            waits = [seat.session.wait() for seat in self.seats]
            found = self._look()
            yield found
            for moment, wait_ms in zip(found, waits, strict=True):
                moment.seat.session.fetch(_decision(moment), wait_ms)

    def _look(self) -> list[Moment]:
        observations = [seat.session.observation() for seat in self.seats]
        considered = [seat.router.consider(seen) for seat, seen in zip(self.seats, observations, strict=True)]
        for seat, seen in zip(self.seats, observations, strict=True):
            self._note(seat, seen)
        levels = self._ask(
            [
                seat
                for seat, each in zip(self.seats, considered, strict=True)
                if each.routing.to_llm or self._ask_all
            ]
        )
        return [
            Moment(seat, seen, each, levels.get(seat.slot))
            for seat, seen, each in zip(self.seats, observations, considered, strict=True)
        ]

    def _note(self, seat: Seat, observation: Observation) -> None:
        seat.pending.append(TASK.seen(TASK.thinned(observation), seat.context))

    def _ask(self, seats: Sequence[Seat]) -> dict[int, int]:
        """Levels by slot."""
        if not seats:
            return {}
        work = [(seat.slot, np.stack(seat.pending)) for seat in seats]
        logits = self._engine.forward(work)
        levels = {}
        for seat, (slot, steps), row in zip(seats, work, logits, strict=True):
            value = TASK.answer(row, steps[-1]).value
            levels[slot] = TASK.level_of(value, seat.start.video)
            seat.asked_steps.append(len(steps))
            seat.pending = []
        return levels

    def close(self) -> None:
        """Give the engine's slots back."""
        for seat in self.seats:
            self._engine.close(seat.slot)
        self.seats = []


def _decision(moment: Moment) -> Decision:
    if moment.considered.routing.to_llm:
        assert moment.llm_level is not None
        return Decision(moment.llm_level, BY_LLM, moment.considered.routing.reason)
    return by_light(moment.considered)


def play(
    engine: ServingEngine,
    starts: Sequence[StudyStart],
    make: MakeRouter,
    *,
    together: int,
    chunks: int = CHUNKS,
    scoring: Scoring | None = None,
) -> PlayedStudy:
    """Play sessions to their end, so many at a time.

    Args:
        together: at most the engine's free slots.
        scoring: as of `Lockstep`.
    """
    values: list[float] = []
    stalls: list[float] = []
    shares: list[float] = []
    asked: list[int] = []
    decisions = 0
    for begin in range(0, len(starts), together):
        part = starts[begin : begin + together]
        lockstep = Lockstep(engine, part, make, chunks=chunks, scoring=scoring)
        try:
            for _ in lockstep.moments():
                pass
            for seat in lockstep.seats:
                end = seat.session.finish()
                stalls.append(end.stall_s / (end.stall_s + end.played_s))
                values.append(mean_qoe(seat.session, lockstep.qoe_of(seat.start)))
                rows = seat.session.rows[1:]
                decisions += len(rows)
                shares.append(sum(row.by == BY_LLM for row in rows) / max(len(rows), 1))
                assert all(row.by in (BY_LLM, BY_LIGHT) for row in rows)
                asked += seat.asked_steps
        finally:
            lockstep.close()
    return PlayedStudy(np.array(values), np.array(stalls), np.array(shares), tuple(asked), decisions)


def mean_qoe(session: SimulatedSession, qoe: QoE, last: int | None = None) -> float:
    """Mean QoE a chunk, the first not counted.

    Args:
        last: over so many chunks at the end only.
    """
    rows = session.rows if last is None else session.rows[-last - 1 :]
    values = qoe.per_chunk(
        [row.level for row in rows], [row.stall_s for row in rows], session.video.ladder_kbps
    )
    return running_total(values) / len(values)
