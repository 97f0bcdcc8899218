"""The vectors of `features.py`, written for many sessions of a batch by compiled code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from player.compiled.compiled import compiled
from player.compiled.threads import share
from player.simulated.batch.feature_units import BUFFER_UNIT_S, DOWNLOAD_UNIT_S, MBPS_UNIT
from player.simulated.batch.library import PackedLibrary
from player.simulated.batch.prefetch import LINE_BYTES, prefetch
from player.simulated.batch.sessions import SMALLEST_PART, BatchState, Sessions

_MS_PER_S = 1000.0

Vectors = NDArray[np.float32]


def fill_vectors(
    sessions: Sessions, levels: int, chunks: int, history: int, ahead: int, vectors: Vectors
) -> None:
    """Write (sessions, width) of a batch; the numbers are those of `Features`."""
    packed, state = sessions.library.packed, sessions.state

    def part(begin: int, end: int) -> None:
        _fill(packed, state, levels, chunks, history, ahead, vectors, begin, end)

    share(part, len(sessions), sessions.threads, SMALLEST_PART)


SESSIONS_AHEAD = 12
"""So many sessions before its turn what a session has seen is brought near."""


@compiled
def _fill(
    packed: PackedLibrary,
    state: BatchState,
    levels: int,
    chunks: int,
    history: int,
    ahead: int,
    vectors: Vectors,
    begin: int,
    end: int,
) -> None:
    top = max(levels - 1, 1)
    most = packed.sizes_bytes.shape[2]
    of_past, past_chunks = state.past.ctypes.data, state.past.shape[1]
    for session in range(begin, end):  # no part of an array is made: counting who holds it takes longer
        coming = min(session + SESSIONS_AHEAD, end - 1)
        seen_at = of_past + 16 * (coming * past_chunks + max(state.chunk[coming] - history, 0))
        for more in range(0, 16 * history, LINE_BYTES):
            prefetch(seen_at + more)
        chunk, video = state.chunk[session], np.uint64(state.video[session])
        left = state.chunks[session] - chunk
        seen = min(chunk, history)
        for back in range(history - seen):
            vectors[session, back] = 0.0
            vectors[session, history + back] = 0.0
        for back in range(seen):
            past, place = np.uint64(chunk - seen + back), np.uint64(history - seen + back)
            vectors[session, place] = state.past[session, past, 0] / MBPS_UNIT
            vectors[session, np.uint64(history) + place] = state.past[session, past, 1] / DOWNLOAD_UNIT_S
        place = np.uint64(2 * history)
        rows = min(ahead, left)
        if levels == most:
            sizes = np.uint64(chunk * most)
            for each in range(rows * levels):
                at = np.uint64(each)
                vectors[session, place + at] = packed.sizes_shown[video, sizes + at]
        else:
            for row in range(rows):
                for level in range(levels):
                    size = packed.sizes_shown[video, (chunk + row) * most + level] if level < most else 0.0
                    vectors[session, place + np.uint64(row * levels + level)] = size
        for each in range(rows * levels, ahead * levels):
            vectors[session, place + np.uint64(each)] = 0.0
        place = np.uint64(2 * history + ahead * levels)
        vectors[session, place] = state.buffer_ms[session] / _MS_PER_S / BUFFER_UNIT_S
        vectors[session, place + np.uint64(1)] = left / chunks
        vectors[session, place + np.uint64(2)] = max(state.level[session], 0) / top
