"""What a session is asked for, and on what ladder: all of the view that an observation doesn't say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from player.qoe import QoE
from player.video.video import Video
from policies.view.layout import MAX_LEVELS, SPAN, TOP_MBPS

Floats = NDArray[np.float64]
PACKED_QUALITY = 4
PACKED_LADDER = PACKED_QUALITY + MAX_LEVELS


@dataclass(frozen=True)
class Asked:
    """A ladder of 1 to MAX_LEVELS levels, a chunk's length and the weights of QoE."""

    ladder_kbps: tuple[int, ...]
    chunk_s: float
    quality: tuple[float, ...]
    """q of each level, in the units of QoE."""
    mu: float
    smooth: float

    @classmethod
    def of(cls, video: Video, qoe: QoE, caution: float = 1.0) -> Asked:
        """The whole ladder, however long.

        Args:
            caution: a stall is shown so many times as costly as it is.

        Raises:
            ValueError: `hd` for a ladder that its table does not know.
        """
        quality = qoe.quality(video.ladder_kbps)
        return cls(video.ladder_kbps, video.chunk_s, quality, qoe.mu * caution, qoe.smooth)

    @property
    def levels(self) -> int:
        return len(self.ladder_kbps)

    @cached_property
    def scale(self) -> float:
        """What rates and sizes are multiplied by."""
        return TOP_MBPS / (self.ladder_kbps[-1] / 1000.0)

    @cached_property
    def unit(self) -> float:
        """What quality and mu are multiplied by to be relative."""
        return unit_of(self.quality)

    @cached_property
    def relative_mu(self) -> float:
        return self.mu * self.unit

    @cached_property
    def relative_quality(self) -> Floats:
        """(levels,) 0 for the lowest, `SPAN` for the top."""
        return (np.asarray(self.quality) - self.quality[0]) * self.unit

    @cached_property
    def rates(self) -> Floats:
        """(levels,) nominal, relative."""
        return np.asarray(self.ladder_kbps) / 1000.0 * self.scale

    @cached_property
    def packed(self) -> Floats:
        """All of it as compiled code reads it: levels, chunk length s, relative mu, smooth; from
        `PACKED_QUALITY` on the levels' relative quality, from `PACKED_LADDER` on their nominal Mbit/s; 0
        where there is no level."""
        found = np.zeros(PACKED_LADDER + MAX_LEVELS)
        found[:PACKED_QUALITY] = self.levels, self.chunk_s, self.relative_mu, self.smooth
        found[PACKED_QUALITY : PACKED_QUALITY + self.levels] = self.relative_quality
        found[PACKED_LADDER : PACKED_LADDER + self.levels] = np.asarray(self.ladder_kbps) / 1000.0
        return found

    def only(self, levels: Sequence[int]) -> Asked:
        """The same with some of its levels."""
        ladder = tuple(self.ladder_kbps[level] for level in levels)
        quality = tuple(self.quality[level] for level in levels)
        return Asked(ladder, self.chunk_s, quality, self.mu, self.smooth)


def unit_of(quality: Sequence[float]) -> float:
    """What quality is multiplied by to span `SPAN`; that of a single level stays as it is."""
    span = quality[-1] - quality[0]
    return SPAN / span if span > 0.0 else 1.0


def options(levels: int, last: int | None) -> tuple[int, ...]:
    """MAX_LEVELS of a longer ladder's levels that a choice is made among, rising.

    The lowest, the top, the last one with two neighbours to each side, and what spreads best over the rest.
    """
    if levels <= MAX_LEVELS:
        return tuple(range(levels))
    centre = 0 if last is None else last
    chosen = {0, levels - 1, *range(max(centre - 2, 0), min(centre + 3, levels))}
    while len(chosen) < MAX_LEVELS:
        ordered = sorted(chosen)
        widest = max(range(len(ordered) - 1), key=lambda place: ordered[place + 1] - ordered[place])
        chosen.add((ordered[widest] + ordered[widest + 1]) // 2)
    return tuple(sorted(chosen))
