"""A live stream as its client knows it: when its chunks can be had, and how far behind them one plays."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

LEAST_LATENCY_S, MOST_LATENCY_S = 0.1, 3600.0
USUAL_CHUNKS_BEHIND = 3
"""Where nobody asks for a latency, nor suggests one: so many chunks."""


@dataclass(frozen=True)
class LiveStream:
    """When its chunks are made. Chunk k is of the time from `begins_s` + k chunks on, and all of it is there
    one chunk later. Times are Unix seconds by our own clock."""

    begins_s: float
    """When chunk 0 begins to be made."""
    ahead_s: float = 0.0
    """So long before it is whole can a chunk be asked for (`@availabilityTimeOffset`); it comes as it is
    made."""
    suggested_s: float | None = None
    """How far behind one is to be, by the MPD."""
    clock_ahead_s: float = 0.0
    """What the origin's clock shows more than ours."""
    moves_to: str | None = None
    """The part of its URLs that is the beginning in Unix ms, where another one may stand there: the origin's
    own live streams begin when whoever asks says. None: it is as it is."""

    def beginning(self, begins_s: float) -> LiveStream:
        """The same from another time on, as exactly as its URLs can say it."""
        ms = round(1000 * (begins_s + self.clock_ahead_s))
        return replace(self, begins_s=ms / 1000 - self.clock_ahead_s, moves_to=str(ms))

    def available_s(self, chunk: int, chunk_s: float) -> float:
        """From when on a chunk can be asked for."""
        return self.begins_s + (chunk + 1) * chunk_s - self.ahead_s

    def latency_s(self, now_s: float, position_s: float) -> float:
        """How far behind the making of what is shown one is.

        Args:
            position_s: of what is shown, from chunk 0 on.
        """
        return now_s - self.begins_s - position_s


@dataclass(frozen=True)
class LiveSettings:
    """How a live stream is played.

    Raises:
        ValueError: a latency that nobody plays at, or a rate that is none.
    """

    latency_s: float | None = None
    """Behind the making, wanted; None: three chunks."""
    most_faster: float = 0.05
    """Played faster than it was made by no more than this share, to catch up; and as much slower."""

    def __post_init__(self) -> None:
        if self.latency_s is not None and not LEAST_LATENCY_S <= self.latency_s <= MOST_LATENCY_S:
            raise ValueError(
                f"latency_s {self.latency_s:g}: expected {LEAST_LATENCY_S:g} to {MOST_LATENCY_S:g}"
            )
        if not 0 <= self.most_faster <= 0.5:
            raise ValueError(f"most_faster {self.most_faster:g}: expected 0 to 0.5")

    def wanted_s(self, chunk_s: float, suggested_s: float | None = None) -> float:
        """The latency, of a stream of such chunks; `suggested_s` is its MPD's."""
        usual_s = USUAL_CHUNKS_BEHIND * chunk_s if suggested_s is None else suggested_s
        return usual_s if self.latency_s is None else self.latency_s

    def check_can_be(self, chunk_s: float, ahead_s: float, suggested_s: float | None = None) -> None:
        """Raises ValueError for a latency at which no chunk could be there in time."""
        first_s = chunk_s - ahead_s
        wanted_s = self.wanted_s(chunk_s, suggested_s)
        if wanted_s <= first_s:
            raise ValueError(
                f"latency_s {wanted_s:g}: what is made can be asked for after {first_s:g} s;"
                " give more, or chunks in parts"
            )


def playback_rate(latency_s: float, wanted_s: float, most_faster: float, recovering: bool) -> float:
    """How fast to play, 1 as it was made: dash.js's default (`CatchupController`), a sigmoid of five times
    the seconds by which one is late, within 1 - `most_faster` and 1 + `most_faster`.

    Args:
        recovering: playback has stalled, and less than half of the wanted latency is buffered since.
    """
    late_s = latency_s - wanted_s
    if recovering or late_s == 0:
        return 1.0
    return 1 - most_faster + 2 * most_faster / (1 + math.exp(-5 * max(min(late_s, 100.0), -100.0)))
