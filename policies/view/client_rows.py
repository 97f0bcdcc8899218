"""What many clients know, laid into a few arrays: compiled code makes all their vectors in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from player.observation import PastChunk
from policies.view.asked import Floats

Ints = NDArray[np.int64]
PAST_NUMBERS = 4
"""Of a past chunk."""


def past_numbers(past: PastChunk) -> tuple[float, float, float, float]:
    """What of a past chunk is looked at: Mbit/s, download time s, round trip ms, stall s."""
    return past.throughput_mbps, past.download_s, past.rtt_ms, past.stall_s


class PackedRows(NamedTuple):
    """Clients' rows as compiled code reads them."""

    numbers: Floats
    """(rows, 2) buffer, its cap, s."""
    wholes: Ints
    """(rows, 7): the last level, -1 before the first chunk; chunks left; past chunks, where these begin in
    `past`; chunks whose sizes are known, where these begin in `sizes`; the session."""
    past: Floats
    """(all past chunks, PAST_NUMBERS)."""
    sizes: Floats
    """Of all rows, one after the other: [chunk][level], bytes."""
    contexts: Floats
    """(sessions, …) as `begin_session` was given them."""


@dataclass
class ClientRows:
    """Clients whose vectors are made together; rows of a session follow each other."""

    _numbers: list[float] = field(default_factory=list)
    _wholes: list[int] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)
    _past: list[Floats] = field(default_factory=list)
    _contexts: list[Floats] = field(default_factory=list)
    _past_begin: int = 0

    def begin_session(self, context: Floats, past: Floats) -> None:
        """The rows that are added from now on are of another session.

        Args:
            context: (numbers,) what holds for all of it; of all sessions as many.
            past: (chunks, PAST_NUMBERS) all that any of its rows knows of.
        """
        self._past_begin += len(self._past[-1]) if self._past else 0
        self._past.append(past)
        self._contexts.append(context)

    def add(
        self,
        buffer_s: float,
        cap_s: float,
        last: int,
        left: int,
        past_chunks: int,
        sizes_bytes: Sequence[Sequence[int]],
    ) -> None:
        """A row.

        Args:
            last: the level before; -1 before the first chunk.
            left: chunks still to come, the asked one among them.
            past_chunks: of the session's, how many are known at this row.
            sizes_bytes: as in `Observation`.
        """
        self._numbers += (buffer_s, cap_s)
        known, at, session = len(sizes_bytes), len(self._sizes), len(self._contexts) - 1
        self._wholes += (last, left, past_chunks, self._past_begin, known, at, session)
        for row in sizes_bytes:
            self._sizes += row

    def packed(self) -> PackedRows:
        """All of them, one or more."""
        return PackedRows(
            np.array(self._numbers, np.float64).reshape(-1, 2),
            np.array(self._wholes, np.int64).reshape(-1, 7),
            np.concatenate(self._past),
            np.array(self._sizes, np.float64),
            np.stack(self._contexts),
        )
