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

A policy that decides for one client takes along neither numba nor the batch, which load half a second.
The units keep the numbers near 1 for the usual ladders (Mao et al., SIGCOMM 2017, scale alike).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from player.observation import HORIZON, Observation
from player.simulated.batch.feature_units import (
    BUFFER_UNIT_S,
    DOWNLOAD_UNIT_S,
    MBPS_UNIT,
    SIZE_UNIT_BYTES,
)

if TYPE_CHECKING:
    from player.simulated.batch.sessions import Sessions

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
        from player.simulated.batch.features_filled import fill_vectors  # brings numba along

        fill_vectors(sessions, self.levels, self.chunks, self.history, self.ahead, vectors)
        return vectors
