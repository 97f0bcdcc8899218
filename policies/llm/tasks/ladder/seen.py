"""The chunks that a session has seen, kept as objects and as numbers, so that neither is made anew for every
step: a longer one shares what it has in common with the one before."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from player.observation import PastChunk
from policies.view.asked import Floats
from policies.view.client_rows import PAST_NUMBERS, past_numbers

FIRST_ROOM = 16


@dataclass
class _Shelf:
    """What a session's states share; only ever appended to."""

    chunks: list[PastChunk] = field(default_factory=list)
    numbers: Floats = field(default_factory=lambda: np.empty((FIRST_ROOM, PAST_NUMBERS)))

    def append(self, chunk: PastChunk) -> None:
        place = len(self.chunks)
        if place == len(self.numbers):
            self.numbers = np.concatenate((self.numbers, np.empty_like(self.numbers)))
        self.numbers[place] = past_numbers(chunk)
        self.chunks.append(chunk)


class SeenChunks:
    """A session's past chunks, oldest first. It does not change; `grown` makes the next."""

    __slots__ = ("_count", "_shelf")

    def __init__(self) -> None:
        self._shelf, self._count = _Shelf(), 0

    def grown(self, chunk: PastChunk) -> SeenChunks:
        """With one more. For one thread of a session at a time."""
        shelf, count = self._shelf, self._count
        if not count or (len(shelf.chunks) > count and shelf.chunks[count] != chunk):
            shelf = _Shelf()
            for each in self._shelf.chunks[:count]:
                shelf.append(each)
        if len(shelf.chunks) == count:
            shelf.append(chunk)
        more = SeenChunks.__new__(SeenChunks)
        more._shelf, more._count = shelf, count + 1
        return more

    @property
    def chunks(self) -> tuple[PastChunk, ...]:
        """As an observation has them."""
        return tuple(self._shelf.chunks[: self._count])

    @property
    def numbers(self) -> Floats:
        """(chunks, PAST_NUMBERS) of `view.client_rows.past_numbers`. Read only."""
        return self._shelf.numbers[: self._count]

    @property
    def last_level(self) -> int:
        """The last one's; -1 where there is none."""
        return self._shelf.chunks[self._count - 1].level if self._count else -1

    def __len__(self) -> int:
        return self._count

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SeenChunks) and self.chunks == other.chunks

    def __hash__(self) -> int:
        return hash(self.chunks)
