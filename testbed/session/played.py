"""What one player of a lane tells of its link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from player.record import ChunkRow


@dataclass(frozen=True)
class Played:
    """One player's part of what passed a link."""

    chunks: Sequence[ChunkRow]
    offset_s: float
    """When it began, since the lane's first player did."""
    elapsed_s: float
    """From its begin to its end."""
    finished: bool
    """Whether it played its whole video."""
    wanted_share: float
    """Of its time in which some process wanted a processor and had none, 0 to 1."""


def payload_bytes(played: Sequence[Played]) -> int | None:
    """What the chunks of all hold; None where more than that was asked for."""
    if not all(one.finished for one in played):
        return None
    rows = [row for one in played for row in one.chunks]
    return None if any(row.retries for row in rows) else sum(row.size_bytes for row in rows)
