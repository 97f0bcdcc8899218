"""How good a policy is on the validation traces, beside RobustMPC on the same sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from player.defaults import CHUNKS
from player.simulated.batch.library import Floats, Ints, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.video.video import Video
from policies.hindsight.data import TraceSource
from policies.hindsight.draws import PUBLISHED, SessionMix, World, draw_setup, draw_world
from policies.hindsight.seen import reward_units
from policies.rules.batch_mpc import BatchMPC
from policies.view.batch import View

SESSIONS = 144
"""On each source's held-out traces, begun at places spread evenly over them."""
DRAWN_SESSIONS = 1200
"""On drawn ladders and weights, over held-out traces of all sources."""
DRAWN_SEED = 20_210
DRAWN_TIMES = 2
"""As many drawn sessions as of one source, where fewer than all are asked for."""
DRAWN_NAME = "drawn"
DRAWN_WEIGHT = 0.5
"""Of the drawn sessions, beside all others together. Many weigh a stall little, so that only QoE counts."""
STALLS_ALLOWED, STALL_PENALTY = 0.1, 0.1
"""Points of stall ratio above RobustMPC's that cost a checkpoint nothing; QoE that each one more costs."""


class Selects(Protocol):
    """What decides for every session of a batch."""

    def select(self) -> Ints: ...


class MakesSelects(Protocol):
    """A policy that is not yet bound to a batch."""

    def __call__(self, sessions: Sessions) -> Selects: ...


def play(sessions: Sessions, selects: Selects) -> Floats:
    """(sessions,) mean QoE a chunk of sessions played to their end, the first chunk not counted."""
    total, counted = np.zeros(len(sessions)), sessions.state.chunks - 1
    while not sessions.done.all():
        going = ~sessions.done
        sessions.step(selects.select())
        total += np.where(going, sessions.state.reward, 0.0)
    return np.asarray(total / counted)


@dataclass(frozen=True)
class Score:
    """What a policy made of a group."""

    gain: float
    """Mean QoE a chunk less RobustMPC's, in the units that training rewards in."""
    stalls: float
    """Points of stall ratio more than RobustMPC's."""


@dataclass(frozen=True)
class ValidationSessions:
    """The validation sessions of one source, and what RobustMPC makes of them."""

    name: str
    weight: float
    library: Library
    setup: Setup
    robustmpc: Floats
    """(sessions,) mean QoE a chunk."""
    stalled: float
    """RobustMPC's stall ratio, in per cent."""

    @classmethod
    def of(cls, name: str, weight: float, library: Library, setup: Setup, threads: int) -> ValidationSessions:
        group = cls(name, weight, library, setup, np.zeros(0), 0.0)
        sessions = group.sessions(threads)
        qoe = play(sessions, BatchMPC(sessions))
        return replace(group, robustmpc=qoe, stalled=stall_ratio(sessions))

    def sessions(self, threads: int) -> Sessions:
        """The sessions at their beginning, the first chunk in at level 0."""
        most = int(max(self.setup.chunks.max(), 0)) or CHUNKS
        return Sessions(self.library, self.setup, chunks=most, first_level=0, threads=threads)

    def score(self, make: MakesSelects, threads: int) -> Score:
        sessions = self.sessions(threads)
        units = reward_units(View(sessions))
        gain = (play(sessions, make(sessions)) - self.robustmpc) * units
        return Score(float(gain.mean()), stall_ratio(sessions) - self.stalled)


def _worth(name: str, score: Score) -> float:
    """What a checkpoint is chosen by."""
    beyond = max(score.stalls - STALLS_ALLOWED, 0.0) if name != DRAWN_NAME else 0.0
    return score.gain - STALL_PENALTY * beyond


def stall_ratio(sessions: Sessions) -> float:
    """Per cent of the time after startup, over all sessions, in which playback stood still."""
    stalled, played = sessions.state.stalled_ms.sum(), sessions.state.played_ms.sum()
    return float(100.0 * stalled / max(stalled + played, 1.0))


@dataclass(frozen=True)
class TeacherValidation:
    """All groups; the score weighs them by the roots of their shares in the mix."""

    groups: tuple[ValidationSessions, ...]
    threads: int

    @classmethod
    def of(cls, mix: SessionMix, threads: int, most: int | None = None) -> TeacherValidation:
        """A group for each source that holds traces out (the first of one name), and one of all they hold.

        Args:
            most: sessions of a source, `DRAWN_TIMES` as many drawn ones, spread over all; None: all.
        """
        named = {each.name: each for each in reversed(mix.sources) if each.validation}
        sources = tuple(reversed(named.values()))
        groups = [_published(each, mix.videos[0], threads, most) for each in sources]
        if groups:
            weight = DRAWN_WEIGHT * sum(group.weight for group in groups)
            groups.append(_drawn(mix, sources, weight, threads, None if most is None else DRAWN_TIMES * most))
        return cls(tuple(groups), threads)

    def scores(self, make: MakesSelects) -> dict[str, Score]:
        """What a policy makes of each group."""
        return {group.name: group.score(make, self.threads) for group in self.groups}

    def score(self, scores: dict[str, Score]) -> float:
        """One number to choose checkpoints by."""
        weights = np.array([group.weight for group in self.groups])
        worths = np.array([_worth(name, scores[name]) for name in (group.name for group in self.groups)])
        return float((weights * worths).sum() / weights.sum())


def _spread(setup: Setup, most: int | None) -> Setup:
    """So many of the sessions at most, spread over all of them."""
    if most is None or most >= len(setup):
        return setup
    return setup.part(np.unique(np.linspace(0, len(setup) - 1, most).round().astype(np.int64)))


def _published(source: TraceSource, video: Video, threads: int, most: int | None) -> ValidationSessions:
    library = Library(source.validation, [video])
    traces = len(source.validation)
    starts = max(SESSIONS // traces, 2)
    trace = np.repeat(np.arange(traces), starts)
    places = np.tile(np.arange(starts), traces)
    start = 1 + places * (library.points()[trace] - 1) // starts
    setup = Setup.of(len(trace), trace=trace, start_index=start)
    return ValidationSessions.of(source.name, source.weight**0.5, library, _spread(setup, most), threads)


def _drawn(
    mix: SessionMix, sources: Sequence[TraceSource], weight: float, threads: int, most: int | None
) -> ValidationSessions:
    """Sessions on drawn ladders and with drawn weights, over what the sources hold out."""
    random = np.random.default_rng(DRAWN_SEED)
    held = tuple(replace(source, training=source.validation) for source in sources)
    world: World = draw_world(SessionMix(held, mix.videos, mix.shares), random)
    setup = draw_setup(world, round(DRAWN_SESSIONS / (1.0 - PUBLISHED)), random)
    drawn = setup.part(np.arange(len(setup) - DRAWN_SESSIONS, len(setup)))
    return ValidationSessions.of(DRAWN_NAME, weight, world.library, _spread(drawn, most), threads)
