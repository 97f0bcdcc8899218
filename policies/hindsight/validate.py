"""How good a policy is on the validation traces, beside RobustMPC on the same sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from player.simulated.batch.library import Floats, Ints, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.session import CHUNKS
from player.video.video import Video
from policies.hindsight.data import TraceSource
from policies.rules.batch_mpc import BatchMPC

STARTS = 12
"""Sessions on each validation trace, begun at places spread evenly over it."""


class Selects(Protocol):
    """What decides for every session of a batch."""

    def select(self) -> Ints: ...


def play(sessions: Sessions, selects: Selects) -> Floats:
    """(sessions,) mean QoE a chunk of sessions played to their end, the first chunk not counted."""
    total, counted = np.zeros(len(sessions)), sessions.state.chunks - 1
    while not sessions.done.all():
        sessions.step(selects.select())
        total += sessions.state.reward
    return total / counted


@dataclass(frozen=True)
class ValidationSource:
    """The validation sessions of one source, and what RobustMPC makes of them."""

    name: str
    weight: float
    library: Library
    setup: Setup
    robustmpc: Floats
    """(traces,) mean QoE a chunk."""

    @classmethod
    def of(cls, source: TraceSource, video: Video, threads: int) -> ValidationSource:
        library = Library(source.validation, [video])
        trace = np.repeat(np.arange(len(source.validation)), STARTS)
        places = np.tile(np.arange(STARTS), len(source.validation))
        start = 1 + places * (library.points()[trace] - 1) // STARTS
        setup = Setup.of(len(trace), trace=trace, start_index=start)
        empty = cls(source.name, source.weight, library, setup, np.zeros(0))
        sessions = empty.sessions(threads)
        scores = _by_trace(play(sessions, BatchMPC(sessions)))
        return cls(source.name, source.weight, library, setup, scores)

    def sessions(self, threads: int) -> Sessions:
        """The sessions at their beginning, the first chunk in at level 0."""
        return Sessions(self.library, self.setup, chunks=CHUNKS, first_level=0, threads=threads)


def _by_trace(scores: Floats) -> Floats:
    return scores.reshape(-1, STARTS).mean(axis=1)


class MakesSelects(Protocol):
    """A policy that is not yet bound to a batch."""

    def __call__(self, sessions: Sessions) -> Selects: ...


@dataclass(frozen=True)
class TeacherValidation:
    """All groups; the score is what is gained over RobustMPC, weighted as in the training mix."""

    groups: tuple[ValidationSource, ...]
    threads: int

    @classmethod
    def of(cls, sources: Sequence[TraceSource], video: Video, threads: int) -> TeacherValidation:
        """A group for each source that holds traces out; the first of sources of one name."""
        named = {each.name: each for each in reversed(sources) if each.validation}
        return cls(
            tuple(ValidationSource.of(each, video, threads) for each in reversed(named.values())), threads
        )

    def gains(self, make: MakesSelects) -> dict[str, Floats]:
        """(traces,) mean QoE a chunk less RobustMPC's, for each group."""
        found = {}
        for group in self.groups:
            sessions = group.sessions(self.threads)
            found[group.name] = _by_trace(play(sessions, make(sessions))) - group.robustmpc
        return found

    def score(self, gains: dict[str, Floats]) -> float:
        """One number to choose checkpoints by."""
        weights = np.array([group.weight for group in self.groups])
        means = np.array([gains[group.name].mean() for group in self.groups])
        return float((weights * means).sum() / weights.sum())
