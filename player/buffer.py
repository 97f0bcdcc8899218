"""The playback buffer: what is downloaded and not yet played.

One class, shared by the real player (driven by a clock) and by the simulated player (driven by
computed downloads). Time comes in from outside, in milliseconds, because the published chunk-level
simulators (Genet `fig_reproduce/sim/fixed_env.py`, NetLLM `baseline_special/env.py`) compute in
float64 milliseconds and we want to equal them to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

CAP_MS = 60_000.0
"""Above this level the player waits before it asks for more (the published simulators' 60 s)."""

WAIT_STEP_MS = 500.0
"""The wait is a whole number of these (the published simulators' step)."""


@dataclass(frozen=True)
class BufferThresholds:
    """When the player asks for more, when it plays, and whether it gives up what it has asked for.

    Raises:
        ValueError: one that is no time, a cap below the step of the wait (which would itself stall the
            video), or a threshold above the cap, which would never be reached.
    """

    buffer_cap_s: float = CAP_MS / 1000.0
    """The next request is held while more is buffered."""
    startup_s: float = 0.0
    """Playback begins once so much is buffered; 0: with the first chunk."""
    resume_s: float = 0.0
    """After a stall it goes on once so much is buffered; 0: with the next chunk."""
    abandon: bool = False
    """Whether a request that takes too long is given up for a lower level (`player/abandon/rule.py`)."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.buffer_cap_s) and self.buffer_cap_s > 0):
            raise ValueError(f"buffer_cap_s {self.buffer_cap_s}: must be positive and finite")
        if self.buffer_cap_s < WAIT_STEP_MS / 1000.0:
            raise ValueError(f"buffer_cap_s {self.buffer_cap_s:g}: must be {WAIT_STEP_MS / 1000.0:g} or more")
        for name in ("startup_s", "resume_s"):
            seconds = getattr(self, name)
            if not 0 <= seconds <= self.buffer_cap_s:
                raise ValueError(f"{name} {seconds:g}: expected 0 to buffer_cap_s, {self.buffer_cap_s:g}")

    def check_holds(self, chunk_s: float) -> None:
        """Raises ValueError where the buffer is not to hold even one chunk."""
        if self.buffer_cap_s < chunk_s:
            raise ValueError(
                f"buffer_cap_s {self.buffer_cap_s:g}: a chunk of {chunk_s:g} s doesn't fit; give that or more"
            )

    @property
    def recorded(self) -> dict[str, Any]:
        """What a manifest says of them: the cap always, the others where they are not the usual ones."""
        names = ("startup_s", "resume_s", "abandon")
        others = {name: getattr(self, name) for name in names if getattr(self, name)}
        return {"buffer_cap_s": self.buffer_cap_s, **others}

    def buffer_of(self, chunk_s: float) -> PlaybackBuffer:
        """An empty buffer for chunks of that length."""
        return PlaybackBuffer(
            chunk_s * 1000.0, self.buffer_cap_s * 1000.0, self.startup_s * 1000.0, self.resume_s * 1000.0
        )

    @property
    def times_ms(self) -> tuple[float, float, float]:
        """Cap, startup and resume."""
        return self.buffer_cap_s * 1000.0, self.startup_s * 1000.0, self.resume_s * 1000.0

    @property
    def unusual(self) -> dict[str, float]:
        """Those that are not the usual ones."""
        return {
            name: value for name, value in self.recorded.items() if value != getattr(USUAL_THRESHOLDS, name)
        }


USUAL_THRESHOLDS = BufferThresholds()


class PlaybackBuffer:
    """Milliseconds of video ahead of the playhead, and what running dry has cost.

    Before playback has begun, passing time is *startup*; after that, time in which nothing plays is *stall*;
    once :meth:`end` was called (no chunk is left to come), an empty buffer means the video is over.

    Raises:
        ValueError: a chunk length or cap that is not positive, or time that runs backwards.
    """

    def __init__(
        self, chunk_ms: float, cap_ms: float = CAP_MS, startup_ms: float = 0.0, resume_ms: float = 0.0
    ) -> None:
        if not (math.isfinite(chunk_ms) and chunk_ms > 0):
            raise ValueError(f"chunk length {chunk_ms} ms: must be positive and finite")
        if not cap_ms > 0:
            raise ValueError(f"buffer cap {cap_ms} ms: must be positive")
        self.chunk_ms = float(chunk_ms)
        self.cap_ms = float(cap_ms)
        self.begin_at_ms, self.resume_at_ms = startup_ms, resume_ms
        self.level_ms = self.added_ms = 0.0
        self.startup_ms = 0.0
        self.stall_ms = 0.0
        self.played_ms = 0.0
        self.started = False
        self.stalled = False
        """Ran dry, and does not play before as much is there as is wanted for it."""
        self.ended = False

    @property
    def position_ms(self) -> float:
        """What of the video has been shown."""
        return self.added_ms - self.level_ms

    def drain(self, elapsed_ms: float, rate: float = 1.0) -> float:
        """Let `elapsed_ms` pass.

        Args:
            rate: how fast the video is shown meanwhile, 1 as it was made.

        Returns:
            the stall in these milliseconds (0 before the start and after the end of the video).

        Raises:
            ValueError: the time is negative, or no number.
        """
        if not elapsed_ms >= 0:
            raise ValueError(f"{elapsed_ms} ms elapsed: time cannot run backwards")
        if not self.started:
            self.startup_ms += elapsed_ms
            return 0.0
        if self.stalled:
            self.stall_ms += elapsed_ms
            return elapsed_ms
        lasts_ms = self.level_ms / rate
        stall_ms = max(elapsed_ms - lasts_ms, 0.0)
        self.played_ms += min(elapsed_ms, lasts_ms)
        self.level_ms = max(self.level_ms - elapsed_ms * rate, 0.0)
        if self.ended:
            return 0.0
        self.stall_ms += stall_ms
        self.stalled = self.level_ms <= 0 and self.resume_at_ms > 0
        return stall_ms

    def add_chunk(self) -> None:
        """One whole chunk has arrived; playback starts, or goes on, once enough is there.

        Raises:
            ValueError: the video has ended.
        """
        self.add(self.chunk_ms)

    def add(self, media_ms: float) -> None:
        """So much video has arrived, a part of a chunk.

        Raises:
            ValueError: the video has ended.
        """
        if self.ended:
            raise ValueError("a chunk arrived after the end of the video")
        self.level_ms += media_ms
        self.added_ms += media_ms
        self.started = self.started or self.level_ms >= self.begin_at_ms
        self.stalled = self.stalled and self.level_ms < self.resume_at_ms

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
        self.ended = self.started = True
        self.stalled = False
