"""A session of a live stream, as a run plans it."""

from __future__ import annotations

from dataclasses import dataclass

from player.live.parts import check_part_s, parts_of
from player.live.stream import LiveSettings


@dataclass(frozen=True)
class LivePlan:
    """A video as a live stream."""

    latency_s: float
    """Behind the making, wanted."""
    part_s: float | None
    """Chunks come in parts so long, as they are made; None: whole."""

    def ahead_s(self, chunk_s: float) -> float:
        """How long before it is whole a chunk can be asked for."""
        return 0.0 if self.part_s is None else chunk_s - chunk_s / parts_of(chunk_s, self.part_s)


@dataclass(frozen=True)
class LiveAsked:
    """A live stream as somebody asks for it, of whatever video."""

    latency_s: float | None = None
    """Behind the making, wanted; None: three chunks."""
    part_s: float | None = None

    def of(self, chunk_s: float) -> LivePlan:
        """The same of a video with such chunks.

        Raises:
            ValueError: a latency or a part that can't be, or don't go together; it begins with its name.
        """
        settings = LiveSettings(self.latency_s)
        if self.part_s is not None:
            check_part_s(self.part_s, chunk_s)
        plan = LivePlan(settings.wanted_s(chunk_s), self.part_s)
        settings.check_can_be(chunk_s, plan.ahead_s(chunk_s))
        return plan
