"""A session of a live stream, as a run plans it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LivePlan:
    """A video as a live stream."""

    latency_s: float
    """Behind the making, wanted."""
    part_s: float | None
    """Chunks come in parts so long, as they are made; None: whole."""

    def ahead_s(self, chunk_s: float) -> float:
        """How long before it is whole a chunk can be asked for."""
        return 0.0 if self.part_s is None else chunk_s - chunk_s / max(round(chunk_s / self.part_s), 1)
