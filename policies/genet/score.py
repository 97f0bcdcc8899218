"""Scores of an actor and of the rules it is compared with, over batches of sessions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from player.defaults import CHUNKS
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.video.video import Video
from policies.genet.inputs import of_sessions
from policies.genet.net import Actor
from policies.rules.batch_mpc import BatchMPC
from policies.rules.bba import CUSHION_S, RESERVOIR_S
from traces.trace import Trace

Means = NDArray[np.float64]
Chooser = Callable[[Sessions], NDArray[np.int64]]


def mean_qoe(library: Library, setup: Setup, choose: Chooser, chunks: int | None = None) -> Means:
    """(sessions,) mean QoE of each session, the first chunk, at level 0, left out."""
    count = library.chunks if chunks is None else chunks
    sessions = Sessions(library, setup, chunks=count, threads=1)
    total = np.zeros(len(sessions))
    for _ in range(count - 1):
        sessions.step(choose(sessions))
        total += sessions.state.reward
    return total / (count - 1)


def by_actor(actor: Actor) -> Chooser:
    """The actor's highest scores."""
    return lambda sessions: actor.best(of_sessions(sessions))


def by_baseline(name: str) -> Chooser:
    """`robustmpc` or `bba`, as `policies/rules/mpc.py` and `policies/rules/bba.py` decide."""
    return {"robustmpc": lambda sessions: BatchMPC(sessions).select(), "bba": _bba}[name]


def _bba(sessions: Sessions) -> NDArray[np.int64]:
    buffer_s = sessions.state.buffer_ms / 1000.0
    top = sessions.library.packed.levels[sessions.state.video] - 1
    ramp = (top * (buffer_s - RESERVOIR_S) / CUSHION_S).astype(np.int64)
    levels = np.where(buffer_s >= RESERVOIR_S + CUSHION_S, top, ramp)
    return np.where(buffer_s < RESERVOIR_S, 0, levels)


def over_traces(traces: Sequence[Trace], video: Video, choose: Chooser) -> Means:
    """(traces,) mean QoE of a session from each trace's beginning: the published test's player.

    At most 48 chunks are streamed, and no plan sees beyond them.
    """
    setup = Setup.of(len(traces), trace=np.arange(len(traces)))
    return mean_qoe(Library(traces, [video]), setup, choose, min(CHUNKS, video.chunks))
