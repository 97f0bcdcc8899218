"""Fixed: the same level for every chunk. The plainest policy, and a probe of link and player."""

from __future__ import annotations

from player.observation import Observation
from player.policy import Decision
from player.qoe import QoE
from player.video.video import Video


class Fixed:
    """Always `level`.

    Args:
        level: index into the ladder, 0 the lowest.

    Raises:
        ValueError: a negative level; from `reset`, a level that the video does not have.
    """

    def __init__(self, level: int) -> None:
        if level < 0:
            raise ValueError(f"level {level}; must be 0 or more")
        self.level = level

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        if self.level >= video.levels:
            raise ValueError(f"level {self.level}; {video.name} has levels 0 to {video.levels - 1}")

    def select(self, observation: Observation) -> Decision:
        return Decision(self.level, reason="fixed")
