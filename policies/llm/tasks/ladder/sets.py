"""Sets of simulated sessions under one setting, and what policies make of them, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from player.buffer import CAP_MS
from player.defaults import CHUNKS, RTT_MS
from player.qoe import QoE, Scoring
from player.simulated.batch.library import KINDS, Floats, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.video.built_in import load_video
from player.video.video import Video
from policies.bootstrap import mean_interval
from policies.hindsight.data import generated, held_out, line_of
from policies.hindsight.policy import BatchHindsight
from policies.hindsight.validate import Selects, play, stall_ratio
from policies.llm.engine.engine import Engine
from policies.llm.tasks.ladder.batch_model import BatchModel, model_of
from policies.llm.tasks.ladder.batch_policy import batch_policy
from policies.llm.tasks.ladder.play import BATCH, LadderEngine
from policies.llm.tasks.ladder.teacher import read_teacher
from traces.families.catalogue import resolve_many
from traces.trace import Trace

AHEAD, TIE, BEHIND = "ahead", "tie", "behind"
MOST_CHUNKS, CHUNK_S = 120, 4.0
CAP_S = CAP_MS / 1000.0

Makes = Callable[[Sessions, Setup], Selects]
"""A policy that is not yet bound to a batch of sessions."""


@dataclass(frozen=True)
class SessionSet:
    """Sessions over some traces, all under one setting."""

    name: str
    library: Library
    setup: Setup
    lines: tuple[str, ...]
    """(sessions,) what each was measured on."""

    @classmethod
    def of(
        cls,
        name: str,
        traces: list[Trace],
        video: Video,
        qoe: QoE | None = None,
        *,
        starts: int = 1,
        rtt_ms: float = RTT_MS,
        cap_s: float = CAP_S,
    ) -> SessionSet:
        """`starts` sessions on each trace, begun at places spread evenly over it.

        Args:
            qoe: linear with the ladder's top as mu where None.
        """
        library, qoe = Library(traces, [video]), qoe or Scoring().on(video.ladder_kbps)
        trace = np.repeat(np.arange(len(traces)), starts)
        places = np.tile(np.arange(starts), len(traces))
        published = video.chunks >= CHUNKS and video.chunk_s == CHUNK_S
        setup = Setup.of(
            len(trace), trace=trace, start_index=1 + places * (library.points()[trace] - 1) // starts,
            rtt_ms=rtt_ms, cap_ms=1000.0 * cap_s, kind=KINDS.index(qoe.kind), mu=qoe.mu, smooth=qoe.smooth,
            chunks=CHUNKS if published else min(video.chunks, MOST_CHUNKS),
        )  # fmt: skip
        return cls(name, library, setup, tuple(line_of(traces[at].name) for at in trace))

    @classmethod
    def on(cls, spec: str, video: str) -> SessionSet:
        """A session on each trace of a word, as published.

        Raises:
            TraceError, VideoError: there is none.
        """
        streamed = load_video(video)
        return cls.of(f"{spec}, {streamed.name}", resolve_many(spec), streamed)

    @property
    def chunks(self) -> int:
        """Of each session."""
        return int(self.setup.chunks.max())

    def parts(self, at_once: int, threads: int = 1) -> Iterator[tuple[Sessions, Setup]]:
        """All of it, so many sessions at a time at their beginning, the first chunk in at level 0."""
        for begin in range(0, len(self.setup), at_once):
            part = self.setup.part(slice(begin, begin + at_once))
            yield (
                Sessions(self.library, part, chunks=self.chunks, first_level=0, threads=threads),
                part,
            )


@dataclass(frozen=True)
class PlayedSet:
    """What a policy made of a set."""

    qoe: Floats
    """(sessions,) mean a chunk, the first not counted."""
    stall_pct: float
    """Of all sessions' time from the end of startup until the last chunk is in, stalled or played."""


def chosen(spec: str, every: bool) -> list[Trace]:
    """The traces of a word; of measured ones those that training held out, unless all are asked for.

    Raises:
        TraceError: there is none.
        ValueError: none is held out.
    """
    found = resolve_many(spec)
    kept = [trace for trace in found if every or generated(spec) or held_out(trace)]
    if not kept:
        raise ValueError(f"{spec}: none of its {len(found)} traces is held out; --all takes them all")
    return kept


def played(sessions: SessionSet, make: Makes, threads: int = 1, at_once: int = BATCH) -> PlayedSet:
    """Play a set, so many sessions at a time.

    Raises:
        ValueError: the policy refuses the video.
    """
    qoe, stalled, lasted = [], 0.0, 0.0
    for batch, part in sessions.parts(at_once, threads):
        selects = make(batch, part)
        try:
            qoe.append(play(batch, selects))
        finally:
            if isinstance(selects, LadderEngine):
                selects.close()
        total = float((batch.state.stalled_ms + batch.state.played_ms).sum())
        stalled, lasted = stalled + stall_ratio(batch) * total, lasted + total
    return PlayedSet(np.concatenate(qoe), stalled / max(lasted, 1.0))


def engine_qoe(engine: Engine, sessions: SessionSet, threads: int = 1) -> Floats:
    """(sessions,) mean QoE a chunk of an engine, as many at a time as it has slots."""
    return played(sessions, made_by(BatchModel(engine)), threads, engine.slots).qoe


def maker(spec: str, threads: int = 1) -> Makes:
    """A policy as `player.registry` reads it, its weights loaded once.

    Raises:
        PolicyError, AdapterError, BaseError, ValueError: it can't be had.
    """
    model = model_of(spec, threads)
    if model is not None:
        return made_by(model)
    return lambda sessions, setup: batch_policy(spec, sessions, setup)


def made_by(model: BatchModel) -> Makes:
    """An adapter's decisions."""
    return lambda sessions, setup: model.over(sessions)


def teacher(path: str | None) -> Makes:
    """`hindsight` with the weights of a file; None for the shipped ones.

    Raises:
        OptionNetError: they can't be read.
    """
    net = read_teacher(path)
    return lambda sessions, setup: BatchHindsight(sessions, net)


@dataclass(frozen=True)
class Spread:
    """A mean and the middle 95 % when whole lines are drawn."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Floats, lines: Sequence[str]) -> Spread:
        """Of (sessions,) values."""
        return cls(*mean_interval(values, lines))

    @property
    def verdict(self) -> str:
        """Ahead or behind where the interval excludes 0."""
        if self.low > 0.0:
            return AHEAD
        return BEHIND if self.high < 0.0 else TIE

    def words(self, form: str = "+.3f") -> str:
        """`+0.124 [+0.083, +0.166]`."""
        return f"{self.mean:{form}} [{self.low:{form}}, {self.high:{form}}]"
