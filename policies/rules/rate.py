"""Rate: as much as the last chunks' throughput carries. The rule that most players began with."""

from __future__ import annotations

import math

from player.observation import Observation
from player.policy import Decision
from player.qoe import QoE
from player.video.video import Video
from policies.rules.throughput import harmonic_mean_mbps

KBPS_PER_MBPS = 1000.0


def highest_within(ladder_kbps: tuple[int, ...], kbps: float) -> int:
    """The highest level whose nominal bitrate is at most `kbps`; 0 when none is."""
    return max((level for level, rate in enumerate(ladder_kbps) if rate <= kbps), default=0)


class Rate:
    """The highest bitrate within `safety` x the harmonic mean of the last five throughputs.

    As in the public comparisons (the "RB" of Mao et al., SIGCOMM 2017), which take the mean as it is
    (`safety` 1). FESTIVE (Jiang et al., CoNEXT 2012) keeps a margin: 0.85. The first chunk is level 0.

    Args:
        safety: share of the predicted throughput that may be used, positive.

    Raises:
        ValueError: a safety that is not positive.
    """

    def __init__(self, safety: float = 1.0) -> None:
        if not (math.isfinite(safety) and safety > 0):
            raise ValueError(f"safety {safety}; must be positive")
        self.safety = safety

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self._ladder_kbps = video.ladder_kbps

    def select(self, observation: Observation) -> Decision:
        if not observation.history:
            return Decision(0, reason="no throughput known yet")
        mean_mbps = harmonic_mean_mbps(observation.history)
        level = highest_within(self._ladder_kbps, self.safety * mean_mbps * KBPS_PER_MBPS)
        return Decision(level, reason=f"harmonic mean {mean_mbps:.2f} Mbit/s")
