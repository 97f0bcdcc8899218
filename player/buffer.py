"""The playback buffer: what is downloaded and not yet played.

One class, shared by the real player (driven by a clock) and by the simulated player (driven by
computed downloads). Time comes in from outside, in milliseconds, because the published chunk-level
simulators (Genet `fig_reproduce/sim/fixed_env.py`, NetLLM `baseline_special/env.py`) compute in
float64 milliseconds and we want to equal them to the last bit.
"""

from __future__ import annotations

import math

CAP_MS = 60_000.0
"""Above this level the player waits before it asks for more (the published simulators' 60 s)."""

WAIT_STEP_MS = 500.0
"""The wait is a whole number of these (the published simulators' step)."""


class PlaybackBuffer:
    """Milliseconds of video ahead of the playhead, and what running dry has cost.

    Before the first chunk is in, passing time is *startup*; after it, time at level 0 is *stall*;
    once :meth:`end` was called (no chunk is left to come), an empty buffer means the video is over.

    Raises:
        ValueError: a chunk length or cap that is not positive, or time that runs backwards.
    """

    def __init__(self, chunk_ms: float, cap_ms: float = CAP_MS) -> None:
        if not (math.isfinite(chunk_ms) and chunk_ms > 0):
            raise ValueError(f"chunk length {chunk_ms} ms: must be positive and finite")
        if not cap_ms > 0:
            raise ValueError(f"buffer cap {cap_ms} ms: must be positive")
        self.chunk_ms = float(chunk_ms)
        self.cap_ms = float(cap_ms)
        self.level_ms = 0.0
        self.startup_ms = 0.0
        self.stall_ms = 0.0
        self.played_ms = 0.0
        self.started = False
        self.ended = False

    def drain(self, elapsed_ms: float) -> float:
        """Let `elapsed_ms` pass at 1x playback.

        Returns:
            the stall in these milliseconds (0 before the start and after the end of the video).
        """
        if not elapsed_ms >= 0:
            raise ValueError(f"{elapsed_ms} ms elapsed: time cannot run backwards")
        if not self.started:
            self.startup_ms += elapsed_ms
            return 0.0
        stall_ms = max(elapsed_ms - self.level_ms, 0.0)
        self.played_ms += min(elapsed_ms, self.level_ms)
        self.level_ms = max(self.level_ms - elapsed_ms, 0.0)
        if self.ended:
            return 0.0
        self.stall_ms += stall_ms
        return stall_ms

    def add_chunk(self) -> None:
        """One whole chunk has arrived; playback starts with the first."""
        if self.ended:
            raise ValueError("a chunk arrived after the end of the video")
        self.started = True
        self.level_ms += self.chunk_ms

    def wait_ms(self) -> float:
        """How long to hold the next request so that the level falls to the cap or below.

        Returns:
            0, or a multiple of `WAIT_STEP_MS`; the caller drains it.
        """
        excess_ms = self.level_ms - self.cap_ms
        if excess_ms <= 0:
            return 0.0
        return math.ceil(excess_ms / WAIT_STEP_MS) * WAIT_STEP_MS

    def end(self) -> None:
        """No chunk is left to come: from now on an empty buffer is the end, not a stall."""
        self.ended = True
