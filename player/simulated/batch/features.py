"""The observation as a vector: what a learned policy sees, in a batch and in the emulator.

`Features.of` makes it of one `Observation`, `Features.fill` of every session of a batch; the two are
equal to the last bit, so that a policy that was trained in the batch can stream over a real link. In
this order, float32:

    history x throughput / 10 Mbit/s    oldest first; 0 where there was no chunk yet
    history x download time / 10 s      the same
    ahead x levels x size / 10^6 bytes  the next chunk first, lowest level first; 0 after the last chunk
    buffer / 10 s
    chunks left, of all that are streamed
    last level, of the top level        0 before the first chunk

The units keep the numbers near 1 for the usual ladders (Mao et al., SIGCOMM 2017, scale alike).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.compiled.compiled import compiled
from player.compiled.threads import share
from player.observation import HORIZON, Observation
from player.simulated.batch.library import SIZE_UNIT_BYTES, PackedLibrary
from player.simulated.batch.prefetch import LINE_BYTES, prefetch
from player.simulated.batch.sessions import SMALLEST_PART, BatchState, Sessions

MBPS_UNIT = 10.0
DOWNLOAD_UNIT_S = 10.0
BUFFER_UNIT_S = 10.0

_MS_PER_S = 1000.0

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Features:
    """The shape of the vector.

    Args:
        levels: of the ladder (of the longest, where videos differ).
        chunks: streamed in a session.
        history: past chunks that are shown.
        ahead: next chunks whose sizes are shown, 1 to 8.

    Raises:
        ValueError: a number out of range.
    """

    levels: int
    chunks: int
    history: int = 8
    ahead: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.ahead <= HORIZON:
            raise ValueError(f"ahead {self.ahead}; a client is shown 1 to {HORIZON} chunks ahead")
        if self.history < 1 or self.levels < 1 or self.chunks < 1:
            raise ValueError(f"{self}: every number must be 1 or more")

    def __len__(self) -> int:
        return 2 * self.history + self.ahead * self.levels + 3

    def of(self, observation: Observation) -> Vectors:
        """(len(self),) of one client."""
        vector = np.zeros(len(self), np.float32)
        past = observation.history[-self.history :]
        begin = self.history - len(past)
        for place, each in enumerate(past, start=begin):
            vector[place] = each.throughput_mbps / MBPS_UNIT
            vector[self.history + place] = each.download_s / DOWNLOAD_UNIT_S
        for step, row in enumerate(observation.next_sizes_bytes[: self.ahead]):
            place = 2 * self.history + step * self.levels
            vector[place : place + len(row)] = [size / SIZE_UNIT_BYTES for size in row]
        vector[-3] = observation.buffer_s / BUFFER_UNIT_S
        vector[-2] = observation.chunks_left / self.chunks
        vector[-1] = (observation.last_level or 0) / max(self.levels - 1, 1)
        return vector

    def fill(self, sessions: Sessions, vectors: Vectors | None = None) -> Vectors:
        """(sessions, len(self)) of a batch.

        Args:
            vectors: written into and returned; a new array where None.
        """
        if vectors is None:
            vectors = np.empty((len(sessions), len(self)), np.float32)
        packed, state, filled = sessions.library.packed, sessions.state, vectors

        def part(begin: int, end: int) -> None:
            _fill(packed, state, self.levels, self.chunks, self.history, self.ahead, filled, begin, end)

        share(part, len(sessions), sessions.threads, SMALLEST_PART)
        return vectors


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
