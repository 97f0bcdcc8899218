"""Simulated sessions on any ladder, many at once: played by an engine or a policy, looked at step by step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from player.simulated.batch.library import Ints
from player.simulated.batch.sessions import Sessions
from policies.hindsight.validate import Selects
from policies.llm.engine.engine import Engine
from policies.llm.learning.pool import Experience
from policies.llm.tasks.ladder.task import CAUTION, allowed
from policies.llm.tasks.ladder.teacher import LadderTeacher
from policies.view.batch import View
from policies.view.layout import MAX_LEVELS, WIDTH

STEPS = 64
"""Of a session in a pool: a stretch of it where it has more."""
BATCH = 128
"""Sessions at a time: what their caches take stays small."""

Explore = Callable[[Ints], Ints]
"""May put other levels in the place of those chosen."""


class LadderEngine:
    """An engine as the policy of a batch: every session has a slot, one step is fed for each decision.

    Args:
        sessions: at their beginning, their first chunk in or not; all are at the same chunk.
        engine: with as many free slots.
    """

    def __init__(self, sessions: Sessions, engine: Engine) -> None:
        self._sessions, self._engine, self._view = sessions, engine, View(sessions, CAUTION)
        self._slots = [engine.open() for _ in range(len(sessions))]
        self._owed = [self._view.before_first()] if sessions.state.chunk.any() else []

    def select(self) -> Ints:
        """(sessions,) the level of each next chunk; 0 for sessions that are over."""
        going = np.flatnonzero(~self._sessions.done)
        vectors = self._view.fill()
        fed = np.stack([*self._owed, vectors], axis=1)  # (sessions, 1 or 2, WIDTH)
        self._owed = []
        logits = self._engine.forward([(self._slots[place], fed[place]) for place in going])
        levels = np.zeros(len(self._sessions), np.int64)
        levels[going] = allowed(logits, vectors[going]).argmax(axis=1)
        return levels

    def close(self) -> None:
        """Give the slots back."""
        for slot in self._slots:
            self._engine.close(slot)
        self._slots = []


def watch(
    sessions: Sessions,
    selects: Selects,
    teacher: LadderTeacher,
    random: np.random.Generator,
    explore: Explore | None = None,
) -> Experience:
    """Play sessions that have not begun; `STEPS` steps of each. The first level is 0.

    Steps after a session's end are zeros.

    Args:
        teacher: of the same sessions.
        random: says where a longer session's stretch begins.
    """
    view, count, chunks = View(sessions), len(sessions), sessions.chunks
    begin = random.integers(np.maximum(sessions.state.chunks - STEPS, 0) + 1)
    vectors, scores = (np.zeros((count, STEPS, width), np.float32) for width in (WIDTH, MAX_LEVELS))
    levels, rewards = np.zeros((count, STEPS), np.int8), np.zeros((count, STEPS), np.float32)
    units = view.units
    for step in range(chunks):
        seen = view.fill()
        going, at = ~sessions.done, step - begin
        kept = np.flatnonzero(going & (at >= 0) & (at < STEPS))
        vectors[kept, at[kept]], scores[kept, at[kept]] = seen[kept], teacher.scores(seen)[kept]
        chosen = selects.select()
        if step == 0:
            chosen = np.zeros(count, np.int64)
        elif explore is not None:
            chosen = explore(chosen)
        sessions.step(chosen)
        levels[kept, at[kept]] = chosen[kept]
        rewards[kept, at[kept]] = (sessions.state.reward * units)[kept]
        if sessions.done.all():
            break
    return Experience(vectors, levels, rewards, scores, np.full(count, teacher.kind, np.int8))
