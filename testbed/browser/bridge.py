"""A policy of ours decides for dash.js: its page asks when it would ask its own rules.

Our Observation is made of what the page tells, so a policy can't tell whom it decides for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from player.decide import Decider, TimedDecision
from player.faults import PolicyFault
from player.observation import HORIZON, Observation, PastChunk
from player.video.video import Video
from traces.safe_reading import json_object

ROWS_S = 5.0
"""For what the page told of the last chunk, on another way than it asks for the next one."""


class Bridge:
    """Answers `{"chunk", "buffer_ms", "at", …}` with `{"level"}`.

    Args:
        video: cut to the chunks that are streamed.
        history: grows as chunks come in; somebody else's.
    """

    def __init__(
        self,
        video: Video,
        decider: Decider,
        history: Sequence[PastChunk],
        buffer_cap_s: float,
    ) -> None:
        self._video = video
        self._decider = decider
        self._history = history
        self._cap_s = buffer_cap_s
        self.begun_ms = 0.0
        """The page's time at which the session began."""
        self.decided: dict[int, TimedDecision] = {}
        """By chunk."""
        self.fault: PolicyFault | None = None
        """What ends a strict session."""
        self.faulted = asyncio.Event()

    async def answer(self, question: str) -> tuple[int, str]:
        """A question of the page's: status and answer."""
        asked = json_object(question, "the page")
        chunk = int(asked["chunk"])
        if not 0 <= chunk < self._video.chunks:
            return 400, json.dumps({"error": f"there is no chunk {chunk}"})
        if chunk not in self.decided:
            await self._heard_of(chunk)
            try:
                self.decided[chunk] = await self._decider.select(self._observation(chunk, asked))
            except PolicyFault as fault:
                self.fault = fault
                self.faulted.set()
                return 500, json.dumps({"error": "policy fault"})
        return 200, json.dumps({"level": self.decided[chunk].decision.level})

    async def _heard_of(self, chunk: int) -> None:
        """Wait until all chunks before this one are in the history."""
        async with asyncio.timeout(ROWS_S):
            while len(self._history) < chunk:
                await asyncio.sleep(0.001)

    def _observation(self, chunk: int, asked: Mapping[str, Any]) -> Observation:
        return Observation(
            chunk=chunk,
            history=tuple(self._history),
            buffer_s=float(asked["buffer_ms"]) / 1000.0,
            next_sizes_bytes=self._video.sizes_bytes[chunk : chunk + HORIZON],
            chunks_left=self._video.chunks - chunk,
            elapsed_s=max(float(asked["at"]) - self.begun_ms, 0.0) / 1000.0 if self.begun_ms else 0.0,
            buffer_cap_s=self._cap_s,
            latency_s=float(asked["latency_s"]) if "latency_s" in asked else None,
        )
