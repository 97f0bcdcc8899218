"""Where every session of a batch stands."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from player.simulated.batch.library import Floats, Ints


class BatchState(NamedTuple):
    """Where every session stands; arrays are (sessions,) where nothing else is said."""

    begin: Ints
    """Where its trace begins in the packed arrays."""
    end: Ints
    video: Ints
    rtt_ms: Floats
    cap_ms: Floats
    kind: Ints
    """Its QoE: a place in `library.KINDS`."""
    mu: Floats
    smooth: Floats
    chunks: Ints
    """How many it streams."""
    noise: Floats
    """(sessions, most chunks) factor on each delay, or (sessions, 0) without noise."""
    interval: Ints
    """The interval that the session is in, counted in the packed arrays."""
    at_s: Floats
    """The time in the trace."""
    chunk: Ints
    """The next chunk to ask for; its `chunks` when the session is over."""
    level: Ints
    """The last chunk's level; -1 before the first."""
    buffer_ms: Floats
    """When the policy is asked: after the wait."""
    elapsed_ms: Floats
    startup_ms: Floats
    stalled_ms: Floats
    """All stall after startup."""
    played_ms: Floats
    size_bytes: Floats
    """From here on: of the last chunk."""
    delay_ms: Floats
    stall_ms: Floats
    """0 for the first chunk, whose whole delay is startup."""
    after_ms: Floats
    """Buffer when the chunk had been added."""
    wait_ms: Floats
    """Held back after the chunk, before the next is asked for."""
    reward: Floats
    """QoE of the chunk, by the session's own kind and weights; 0 for the first, which no mean counts, and
    in a step of a session that was over."""
    past: Floats
    """(sessions, most chunks, 2) of every chunk so far: the two that follow, side by side in memory."""
    past_mbps: Floats
    """(sessions, most chunks) throughput of every chunk so far."""
    past_s: Floats
    """(sessions, most chunks) download time of every chunk so far."""
    past_rtt_ms: Floats
    """(sessions, most chunks) round trip of every chunk so far, the trace's delay in it."""
    past_level: NDArray[np.int8]
    """(sessions, most chunks) level of every chunk so far."""


def room_for(sessions: int, chunks: int, noise: bool) -> BatchState:
    """Room for so many sessions, none of which has begun."""
    rows = {"noise": chunks if noise else 0, "past_rtt_ms": chunks, "past_level": chunks}
    kinds: dict[str, type] = dict.fromkeys(
        ("begin", "end", "video", "kind", "chunks", "interval", "chunk", "level"), np.int64
    )
    kinds["past_level"] = np.int8
    past = np.zeros((sessions, chunks, 2))
    made: dict[str, Any] = {"past": past, "past_mbps": past[:, :, 0], "past_s": past[:, :, 1]}
    for name in BatchState._fields:
        if name not in made:
            shape = (sessions, rows[name]) if name in rows else sessions
            made[name] = np.zeros(shape, kinds.get(name, np.float64))
    return BatchState(**made)
