"""Episodes side by side as the model sees them: driven by an engine or anybody, and watched by a teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from player.jobs.observation import JobsObservation
from player.jobs.policy import Assignment
from player.jobs.simulated.episode import Episode
from policies.llm.engine.engine import Engine
from policies.llm.learning.pool import BY_POLICY, Experience
from policies.llm.tasks.jobs.seen import JobsMemory, SeenStep
from policies.llm.tasks.jobs.task import TASK
from policies.llm.tasks.jobs.vectors import NOBODY, Vectors, may_idle, share_of, vector_of

UNTAUGHT = -1.0


@dataclass(frozen=True)
class Moment:
    """A decision that is due in one of the episodes."""

    episode: int
    seen: JobsObservation
    step: SeenStep
    vector: Vectors


Drives = Callable[[Sequence[Moment]], Sequence[Assignment]]
"""What is answered at each of these moments."""
Teaches = Callable[[Moment], Assignment]


class EngineDrives:
    """An engine decides: every episode has a slot, which is fed a step at each decision.

    Args:
        engine: with as many free slots.
    """

    def __init__(self, engine: Engine, episodes: int) -> None:
        self._engine = engine
        self._slots = [engine.open() for _ in range(episodes)]

    def __call__(self, moments: Sequence[Moment]) -> list[Assignment]:
        work = [(self._slots[moment.episode], moment.vector[None]) for moment in moments]
        outputs = self._engine.forward(work)
        return [
            moment.step.assignment(TASK.answer(output, moment.vector).value, "llm")
            for moment, output in zip(moments, outputs, strict=True)
        ]

    def close(self) -> None:
        """Give the slots back."""
        for slot in self._slots:
            self._engine.close(slot)
        self._slots = []


def play(episodes: Sequence[Episode], drives: Drives, watch: Callable[[Moment, Assignment], None]) -> None:
    """Play all episodes to their ends, a decision of each at a time.

    Args:
        watch: told of every moment and its answer, before the cluster is.
    """
    context = [TASK.context_of(episode.cluster) for episode in episodes]
    memories = [JobsMemory() for _ in episodes]
    playing = [place for place, episode in enumerate(episodes) if not episode.over]
    while playing:
        moments = []
        for place in playing:
            seen = episodes[place].observation()
            step = memories[place].step(seen)
            moments.append(Moment(place, seen, step, vector_of(step.step, context[place])))
        for moment, answer in zip(moments, drives(moments), strict=True):
            watch(moment, answer)
            memories[moment.episode].gave(moment.seen, answer)
            episodes[moment.episode].give(answer)
        playing = [place for place in playing if not episodes[place].over]


def play_engine(episodes: Sequence[Episode], engine: Engine) -> None:
    """All episodes by an engine, as many at once as it has slots."""
    for begin in range(0, len(episodes), engine.slots):
        part = episodes[begin : begin + engine.slots]
        drives = EngineDrives(engine, len(part))
        try:
            play(part, drives, lambda moment, answer: None)
        finally:
            drives.close()


def label_of(moment: Moment, answer: Assignment) -> tuple[float, float]:
    """A row of the graph and the number of a share, as the head learns them: below 0 what is not learned."""
    if answer.stage is None:
        return (float(NOBODY) if may_idle(moment.step.step) else UNTAUGHT), UNTAUGHT
    place = np.flatnonzero(moment.step.kept == answer.stage)
    if not len(place):
        return UNTAUGHT, UNTAUGHT
    seen = moment.seen
    return 1.0 + place[0], float(share_of(answer.executors, seen.free, seen.executors))


class Watched:
    """Keeps runs of consecutive decisions of each episode, each a session of the pool.

    Args:
        teaches: what it would answer at each moment.
        length: decisions of a session.
        share: of all sessions that are kept, drawn by `random`.
    """

    def __init__(
        self, episodes: int, teaches: Teaches, length: int, share: float, random: np.random.Generator
    ) -> None:
        self._teaches, self._length, self._share, self._random = teaches, length, share, random
        self._open: list[list[tuple[Vectors, tuple[float, float], tuple[float, float]]]] = [
            [] for _ in range(episodes)
        ]
        self._keeps = [self._draw() for _ in range(episodes)]
        self._counts = [0] * episodes
        self._found: list[Experience] = []

    def _draw(self) -> bool:
        return bool(self._random.random() < self._share)

    def __call__(self, moment: Moment, answer: Assignment) -> None:
        place = moment.episode
        if self._keeps[place]:
            taught = label_of(moment, self._teaches(moment))
            self._open[place].append((moment.vector, label_of(moment, answer), taught))
        self._counts[place] += 1
        if self._counts[place] == self._length:
            if self._keeps[place]:
                self._found.append(_session(self._open[place]))
            self._open[place], self._counts[place], self._keeps[place] = [], 0, self._draw()

    def sessions(self, most: int) -> Experience | None:
        """Those that were kept, so many at the most, drawn; None: there are none."""
        if not self._found:
            return None
        chosen = self._random.permutation(len(self._found))[:most]
        return Experience.joined([self._found[place] for place in np.sort(chosen)])


def _session(
    decisions: Sequence[tuple[Vectors, tuple[float, float], tuple[float, float]]],
) -> Experience:
    vectors, taken, taught = zip(*decisions, strict=True)
    return Experience(
        np.stack(vectors)[None],
        np.array(taken, np.float32)[None],
        np.zeros((1, len(decisions)), np.float32),
        np.array(taught, np.float32)[None],
        np.full(1, BY_POLICY, np.int8),
    )
