"""Sets of simulated sessions under one setting, and what policies make of them, side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from player.defaults import CHUNKS
from player.playable import refuse_unplayable
from player.qoe import QoE
from player.registry import load_policy
from player.simulated.batch.library import KINDS, Floats, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.video.video import Video
from policies.bootstrap import percentile_interval
from policies.hindsight.data import generated, held_out, line_of
from policies.hindsight.policy import BatchHindsight
from policies.hindsight.validate import Selects, play, stall_ratio
from policies.llm.tasks.abr.play import BATCH, BatchEngine, batch_policy
from policies.llm.tasks.ladder.batch_model import BatchModel, model_of
from policies.llm.tasks.ladder.play import LadderEngine
from policies.llm.tasks.ladder.teacher import read_teacher
from traces.families.catalogue import resolve_many
from traces.trace import Trace

AHEAD, TIE, BEHIND = "ahead", "tie", "behind"
MOST_CHUNKS, CHUNK_S = 120, 4.0

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
        qoe: QoE,
        *,
        starts: int,
        rtt_ms: float,
        cap_s: float,
    ) -> SessionSet:
        """`starts` sessions on each trace, begun at places spread evenly over it."""
        library = Library(traces, [video])
        trace = np.repeat(np.arange(len(traces)), starts)
        places = np.tile(np.arange(starts), len(traces))
        published = video.chunks >= CHUNKS and video.chunk_s == CHUNK_S
        setup = Setup.of(
            len(trace), trace=trace, start_index=1 + places * (library.points()[trace] - 1) // starts,
            rtt_ms=rtt_ms, cap_ms=1000.0 * cap_s, kind=KINDS.index(qoe.kind), mu=qoe.mu, smooth=qoe.smooth,
            chunks=CHUNKS if published else min(video.chunks, MOST_CHUNKS),
        )  # fmt: skip
        return cls(name, library, setup, tuple(line_of(traces[at].name) for at in trace))


@dataclass(frozen=True)
class PlayedSet:
    """What a policy made of a set."""

    qoe: Floats
    """(sessions,) mean a chunk, the first not counted."""
    stall_pct: float
    """Of all sessions' time after startup."""


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


def played(sessions: SessionSet, make: Makes, threads: int = 1) -> PlayedSet:
    """Play a set, `BATCH` sessions at a time.

    Raises:
        ValueError: the policy refuses the video.
    """
    qoe, stalled, lasted = [], 0.0, 0.0
    for begin in range(0, len(sessions.setup), BATCH):
        part = sessions.setup.part(slice(begin, begin + BATCH))
        most = int(part.chunks.max())
        batch = Sessions(sessions.library, part, chunks=most, first_level=0, threads=threads)
        selects = make(batch, part)
        qoe.append(play(batch, selects))
        if isinstance(selects, BatchEngine | LadderEngine):
            selects.close()
        total = float((batch.state.stalled_ms + batch.state.played_ms).sum())
        stalled, lasted = stalled + stall_ratio(batch) * total, lasted + total
    return PlayedSet(np.concatenate(qoe), stalled / max(lasted, 1.0))


def maker(spec: str, threads: int = 1) -> Makes:
    """A policy as `player.registry` reads it, its weights loaded once.

    Raises:
        PolicyError, AdapterError, BaseError, ValueError: it can't be had.
    """
    model = model_of(spec, threads)
    if model is not None:
        return made_by(model)
    loaded = load_policy(spec)

    def make(sessions: Sessions, setup: Setup) -> Selects:
        video = sessions.library.videos[0]
        refuse_unplayable(loaded, video, video.name, 0, sessions.qoe_of(0))
        return batch_policy(spec, sessions, setup)

    return make


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
    def of(cls, values: Floats, lines: tuple[str, ...]) -> Spread:
        """Of (sessions,) values."""
        return cls(float(values.mean()), *percentile_interval(values, lines))

    @property
    def verdict(self) -> str:
        """Ahead or behind where the interval excludes 0."""
        if self.low > 0.0:
            return AHEAD
        return BEHIND if self.high < 0.0 else TIE

    def words(self, form: str = "+.3f") -> str:
        """`+0.124 [+0.083, +0.166]`."""
        return f"{self.mean:{form}} [{self.low:{form}}, {self.high:{form}}]"
