"""Simulated sessions, many at once: played by an engine or by any policy, and looked at step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from player.defaults import CHUNKS
from player.registry import load_policy
from player.simulated.batch.library import Floats, Ints, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from policies.genet.net import read as read_actor
from policies.genet.policy import UDR, WEIGHTS, Genet
from policies.genet.score import by_actor, by_baseline
from policies.hindsight.policy import BatchHindsight
from policies.llm.engine.engine import Engine
from policies.llm.learning.pool import Experience
from policies.llm.model.adapter import MAX_STEPS
from policies.llm.task import named, task_named
from policies.llm.tasks.abr import features as abr
from policies.llm.tasks.abr.batch import Filler
from policies.llm.tasks.abr.policy import ANY_LADDER
from policies.llm.tasks.abr.small import WEIGHTS as SMALL
from policies.llm.tasks.abr.teacher import Teacher
from policies.rules.batch_mpc import BatchMPC

BATCH = 128
"""Sessions at a time: what their caches take stays small."""

ANY_LADDER_ENGINE = "policies.llm.tasks.ladder.play:LadderEngine"
"""What plays `small`, whose task is built on this one."""
BFLOAT16 = 2.0**-8
"""Relative distance of neighbouring numbers."""

Bools = NDArray[np.bool_]
Explore = Callable[[Ints], Ints]
"""May put other levels in the place of those chosen."""


class Selects(Protocol):
    """What decides for every session of a batch."""

    def select(self) -> Ints: ...


class BatchEngine:
    """An engine as the policy of a batch: every session has a slot, one step is fed for each decision.

    Args:
        sessions: at their beginning, their first chunk in or not; all are at the same chunk.
        engine: with as many free slots.
        target: the mean return a chunk to ask for, relative; None takes the adapter's, which may be none.
    """

    def __init__(self, sessions: Sessions, engine: Engine, target: float | None = None) -> None:
        self._sessions, self._engine = sessions, engine
        self._target = target if target is not None else engine.info.target
        self._filler = Filler(sessions)
        self._slots = [engine.open() for _ in range(len(sessions))]
        self._gained = np.zeros(len(sessions))
        self.vectors = self._filler.fill()
        self.last = np.zeros((len(sessions), abr.LEVELS), np.float32)
        self._owed = [self._filler.before_first()] if sessions.state.chunk.any() else []

    def select(self) -> Ints:
        """(sessions,) the level of each next chunk."""
        logits = self.last = self.logits()
        return np.asarray(abr.allowed(logits, self.vectors).argmax(axis=1), np.int64)

    def logits(self) -> abr.Vectors:
        """(sessions, LEVELS) for each next chunk."""
        sessions = self._sessions
        self._gained += sessions.state.reward * self._filler.scales
        counted = np.maximum(sessions.state.chunks - 1, 1)
        goal = None if self._target is None else self._target - self._gained / counted
        self.vectors = self._filler.fill(goal=goal)
        steps = [*self._owed, self.vectors]
        if self._owed and self._target is not None:
            self._owed[0][:, abr.GOAL_AT] = self._target
        self._owed = []
        fed = np.stack(steps, axis=1)  # (sessions, 1 or 2, WIDTH)
        return self._engine.forward(list(zip(self._slots, fed, strict=True)))

    def close_calls(self) -> Bools:
        """(sessions,) whether the last decision's two best logits are closer than bfloat16 can tell."""
        ordered = np.sort(abr.allowed(self.last, self.vectors), axis=1)
        return np.asarray(ordered[:, -1] - ordered[:, -2] < BFLOAT16 * np.abs(ordered[:, -1]))

    def close(self) -> None:
        """Give the slots back."""
        for slot in self._slots:
            self._engine.close(slot)
        self._slots = []


class Replays:
    """Takes levels that are known beforehand.

    Args:
        levels: (sessions, chunks).
    """

    def __init__(self, sessions: Sessions, levels: Ints) -> None:
        self._sessions, self._levels = sessions, levels

    def select(self) -> Ints:
        chunk = np.minimum(self._sessions.state.chunk, self._levels.shape[1] - 1)
        return np.asarray(self._levels[np.arange(len(self._levels)), chunk])


def batch_policy(name: str, sessions: Sessions, setup: Setup) -> Selects:
    """A registered policy over a batch: compiled where it has such a form, else played session by session.

    Args:
        name: as `player.registry` reads it.
        setup: the one that the sessions were begun with.

    Raises:
        PolicyError: no such policy.
        ValueError: a video that it refuses.
    """
    if name == "hindsight":
        return BatchHindsight(sessions)
    if name == "robustmpc":
        return BatchMPC(sessions)
    if name in ("genet", "udr"):
        shipped = {"genet": Genet, "udr": UDR}[name].shipped
        return _Chooses(sessions, by_actor(read_actor(WEIGHTS / shipped)))
    if name == "small":
        return _small(sessions, _small_engine(len(sessions), sessions.chunks, sessions.threads))
    if name == "bba":
        return _Chooses(sessions, by_baseline(name))
    return Replays(sessions, _one_by_one(name, sessions, setup))


def _small(sessions: Sessions, engine: Engine) -> Any:
    return named(ANY_LADDER_ENGINE)(sessions, engine)


def _small_engine(slots: int, chunks: int, threads: int) -> Engine:
    """On the CPU, where it is faster than the way to a GPU; contexts as long as short sessions."""
    steps = min(chunks, MAX_STEPS)
    return Engine(task_named(ANY_LADDER), SMALL, device="cpu", slots=slots, max_steps=steps, threads=threads)


class _Chooses:
    def __init__(self, sessions: Sessions, choose: Callable[[Sessions], Ints]) -> None:
        self._sessions, self._choose = sessions, choose

    def select(self) -> Ints:
        if not self._sessions.state.chunk.any():
            return np.zeros(len(self._sessions), np.int64)
        return self._choose(self._sessions)


def _one_by_one(name: str, sessions: Sessions, setup: Setup) -> Ints:
    library, chunks = sessions.library, sessions.chunks
    policy = load_policy(name).policy
    levels = np.zeros((len(setup), chunks), np.int64)
    for at in range(len(setup)):
        rows, _ = simulate(
            library.videos[setup.video[at]],
            library.traces[setup.trace[at]],
            policy,
            seed=int(setup.seed[at]),
            qoe=sessions.qoe_of(at),
            link=PublishedLink(rtt_ms=float(setup.rtt_ms[at])),
            start_index=int(setup.start_index[at]),
            chunks=int(sessions.state.chunks[at]),
            cap_ms=float(setup.cap_ms[at]),
        )
        levels[at, : len(rows)] = [row.level for row in rows]
    return levels


def part_of(setup: Setup, begin: int, end: int) -> Setup:
    """Some sessions of a setup."""
    return setup.part(slice(begin, end))


class PlayedSessions(NamedTuple):
    """How sessions went that were played to their end; arrays are (sessions,)."""

    qoe: Floats
    """Mean a chunk, the first not counted."""
    stall_ratio: Floats
    """stall / (stall + played), startup left out."""

    @classmethod
    def together(cls, parts: Sequence[PlayedSessions]) -> PlayedSessions:
        """All of them, in order."""
        return cls(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def played(sessions: Sessions, selects: Selects) -> PlayedSessions:
    """Play sessions to their end."""
    state = sessions.state
    total = np.zeros(len(sessions))
    while not sessions.done.all():
        sessions.step(selects.select())
        total += state.reward
    media_ms = state.chunks * sessions.library.packed.chunk_ms[state.video]
    return PlayedSessions(
        total / np.maximum(state.chunks - 1, 1), state.stalled_ms / (state.stalled_ms + media_ms)
    )


def mean_qoe(sessions: Sessions, selects: Selects) -> Floats:
    """(sessions,) mean QoE a chunk of sessions played to their end, the first chunk not counted."""
    return played(sessions, selects).qoe


def policy_played(
    name: str, library: Library, setup: Setup, chunks: int = CHUNKS, threads: int = 1
) -> PlayedSessions:
    """What a registered policy makes of sessions; the first level is 0."""
    if name == "small":
        engine = _small_engine(min(BATCH, len(setup)), chunks, threads)
        return _played_by(
            lambda sessions: _small(sessions, engine), engine.slots, library, setup, chunks, threads
        )
    sessions = Sessions(library, setup, chunks=chunks, first_level=0, threads=threads)
    return played(sessions, batch_policy(name, sessions, setup))


def policy_qoe(name: str, library: Library, setup: Setup, chunks: int = CHUNKS, threads: int = 1) -> Floats:
    """(sessions,) mean QoE of a registered policy; the first level is 0."""
    return policy_played(name, library, setup, chunks, threads).qoe


def engine_qoe(
    engine: Engine,
    library: Library,
    setup: Setup,
    chunks: int = CHUNKS,
    threads: int = 1,
    target: float | None = None,
) -> Floats:
    """(sessions,) mean QoE of an engine, as `engine_played`."""
    return engine_played(engine, library, setup, chunks, threads, target).qoe


def engine_played(
    engine: Engine,
    library: Library,
    setup: Setup,
    chunks: int = CHUNKS,
    threads: int = 1,
    target: float | None = None,
) -> PlayedSessions:
    """What an engine makes of sessions; the first level is 0. As many at a time as it has slots."""
    asked = target if target is not None else engine.info.target
    return _played_by(
        lambda sessions: BatchEngine(sessions, engine, asked), engine.slots, library, setup, chunks, threads
    )


def _played_by(
    make: Callable[[Sessions], Any], slots: int, library: Library, setup: Setup, chunks: int, threads: int
) -> PlayedSessions:
    found = []
    for begin in range(0, len(setup), slots):
        part = part_of(setup, begin, begin + slots)
        sessions = Sessions(library, part, chunks=chunks, first_level=0, threads=threads)
        player = make(sessions)
        try:
            found.append(played(sessions, player))
        finally:
            player.close()
    return PlayedSessions.together(found)


def watch(
    sessions: Sessions, selects: Selects, teacher: Teacher, explore: Explore | None = None
) -> Experience:
    """Play sessions that have not begun and keep every step; the first level is 0.

    Args:
        teacher: of the same sessions.
    """
    filler, count, chunks = Filler(sessions), len(sessions), sessions.chunks
    vectors = np.zeros((count, chunks, abr.WIDTH), np.float32)
    levels, rewards = np.zeros((count, chunks), np.int8), np.zeros((count, chunks), np.float32)
    scores = np.zeros((count, chunks, abr.LEVELS), np.float32)
    for step in range(chunks):
        vectors[:, step], scores[:, step] = filler.fill(), teacher.scores()
        chosen = selects.select()
        if step == 0:
            chosen = np.zeros_like(chosen)
        elif explore is not None:
            chosen = explore(chosen)
        levels[:, step] = chosen
        sessions.step(chosen)
        rewards[:, step] = sessions.state.reward * filler.scales
    return Experience(vectors, levels, rewards, scores, np.full(count, teacher.kind, np.int8))
