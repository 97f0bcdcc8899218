"""BBA: the buffer alone decides (Huang et al., SIGCOMM 2014, "A buffer-based approach")."""

from __future__ import annotations

import math

from player.observation import Observation
from player.policy import Decision
from player.qoe import QoE
from player.video.video import Video

RESERVOIR_S = 5.0
CUSHION_S = 10.0
"""The values of the public comparisons (Pensieve, Genet, NetLLM); the paper's own are 90 and 126 s."""


class BBA:
    """BBA-0 with a linear map: level 0 in the reservoir, the top level above the cushion.

    In between the level is floor((levels - 1) x (buffer - reservoir) / cushion), as in public code.

    Args:
        reservoir_s: below this buffer level the lowest level is taken, 0 or more.
        cushion_s: length of the ramp above the reservoir, positive.

    Raises:
        ValueError: a reservoir or a cushion out of range.
    """

    def __init__(self, reservoir_s: float = RESERVOIR_S, cushion_s: float = CUSHION_S) -> None:
        if not (math.isfinite(reservoir_s) and reservoir_s >= 0):
            raise ValueError(f"reservoir_s {reservoir_s}; must be 0 or more")
        if not (math.isfinite(cushion_s) and cushion_s > 0):
            raise ValueError(f"cushion_s {cushion_s}; must be positive")
        self.reservoir_s = reservoir_s
        self.cushion_s = cushion_s

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self._top = video.levels - 1

    def select(self, observation: Observation) -> Decision:
        buffer_s = observation.buffer_s
        if buffer_s < self.reservoir_s:
            return Decision(0, reason="buffer in the reservoir")
        if buffer_s >= self.reservoir_s + self.cushion_s:
            return Decision(self._top, reason="buffer above the cushion")
        level = int(self._top * (buffer_s - self.reservoir_s) / self.cushion_s)
        return Decision(level, reason="buffer in the cushion")
