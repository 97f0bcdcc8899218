"""When a running request is given up for a lower level: as dash.js's AbandonRequestsRule does.

Its rule and figures are those of dash.js 5 (`src/streaming/rules/abr/AbandonRequestsRule.js` and the
defaults in `src/core/Settings.js`): a chunk that would take 1.8 times as long as it plays, by the mean of at
least six samples of its own throughput since its first byte, half a second after that, while less is buffered
than dash.js wants to have; the new level is the highest within 0.9 of that throughput, and only taken where
it has fewer bytes than are still missing. Each chunk is given up at most once. Other than dash.js we know a
chunk's bytes at each level where the MPD says them, and sample at a fixed rate, not at the browser's progress
events.
"""

from __future__ import annotations

from dataclasses import dataclass

from player.video.video import Video

DURATION_MULTIPLE = 1.8
FEWEST_SAMPLES = 6
LEAST_S = 0.5
"""After the first byte."""
SAFETY = 0.9
"""Of the measured throughput, within which the new level has to be."""
ENOUGH_BUFFERED_S = 18.0
"""dash.js's `bufferTimeDefault`: with more nothing is given up."""
SAMPLE_S = 0.1
"""How often a request is looked at."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A request that was given up."""

    level: int
    received_bytes: int
    """How much of it had come."""

    @property
    def in_words(self) -> str:
        """As a record has it."""
        return f"level {self.level} given up after {self.received_bytes} bytes"


class RequestWatch:
    """Looks at one request, and says when to give it up.

    Args:
        video: as many chunks of it as are streamed.
        chunk, level: what was asked for.
        cap_s: above which the player would not ask: no more than that is ever buffered.
    """

    def __init__(self, video: Video, chunk: int, level: int, cap_s: float) -> None:
        self._video = video
        self._sizes = video.sizes_bytes[chunk]
        self._level = level
        self._enough_s = min(ENOUGH_BUFFERED_S, cap_s)
        self._samples_kbps: list[float] = []

    def look(self, received_bytes: int, since_first_s: float, buffer_s: float) -> int | None:
        """The lower level to ask for instead, or None.

        Args:
            received_bytes: of the body.
            since_first_s: how long ago its first byte came.
            buffer_s: what is left to be played.
        """
        if self._level == 0 or received_bytes <= 0 or since_first_s <= 0 or buffer_s > self._enough_s:
            return None
        self._samples_kbps.append(received_bytes * 8 / since_first_s / 1000)
        total_bytes = self._sizes[self._level]
        missing_bytes = total_bytes - received_bytes
        if len(self._samples_kbps) < FEWEST_SAMPLES or since_first_s <= LEAST_S or missing_bytes <= 0:
            return None
        mean_kbps = sum(self._samples_kbps) / len(self._samples_kbps)
        if total_bytes * 8 / (mean_kbps * 1000) < DURATION_MULTIPLE * self._video.chunk_s:
            return None
        lower = self._within(SAFETY * mean_kbps)
        return lower if self._sizes[lower] < missing_bytes else None

    def _within(self, kbps: float) -> int:
        """The highest level below ours of no more than a bitrate, or the lowest."""
        ladder = self._video.ladder_kbps[: self._level]
        return max((level for level, nominal in enumerate(ladder) if nominal <= kbps), default=0)
