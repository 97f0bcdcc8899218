"""PANDA: probe for bandwidth as TCP does, then follow it slowly (Li et al., IEEE JSAC 32(4), 2014)."""

from __future__ import annotations

import math

from player.observation import Observation
from player.policy import Decision
from player.qoe import QoE
from player.video.video import Video
from policies.rules.rate import KBPS_PER_MBPS, highest_within
from policies.rules.throughput import observed_mbps


class PANDA:
    """Estimate, smooth, quantise: the paper's algorithm 1 without its last step.

    With T the time from one request to the next and x the throughput just measured:

        estimate += kappa T (w - max(estimate - x + w, 0))      probe up by w, back off by the excess
        smoothed += -alpha T (smoothed - estimate)
        level: the highest within (1 - epsilon) smoothed, if that is a step up; the highest within
               smoothed, if that is a step down; else as it was

    The paper's fourth step, scheduling the next request for a target buffer, is left out: a policy
    here picks levels, and the player asks again at once until its buffer is full. T is the time
    between this decision and the one before, and is held to at most 1 / kappa and 1 / alpha, beyond
    which a step would overshoot. The first chunk is level 0, and its throughput starts both estimates.

    Args:
        kappa: probing convergence rate, 1/s (the paper's table: 0.14).
        w_mbps: probing additive increase (0.3).
        alpha: smoothing convergence rate, 1/s (0.2).
        epsilon: multiplicative safety margin on the way up, 0 to below 1 (0.15).

    Raises:
        ValueError: a parameter out of range.
    """

    def __init__(
        self, kappa: float = 0.14, w_mbps: float = 0.3, alpha: float = 0.2, epsilon: float = 0.15
    ) -> None:
        for name, value in (("kappa", kappa), ("w_mbps", w_mbps), ("alpha", alpha)):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} {value}; must be positive")
        if not 0 <= epsilon < 1:
            raise ValueError(f"epsilon {epsilon}; must be 0 to below 1")
        self.kappa, self.w_mbps, self.alpha, self.epsilon = kappa, w_mbps, alpha, epsilon

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self._ladder_kbps = video.ladder_kbps
        self._estimate_mbps: float | None = None
        self._smoothed_mbps = 0.0
        self._asked_s = 0.0

    def select(self, observation: Observation) -> Decision:
        between_s = max(observation.elapsed_s - self._asked_s, 0.0)
        self._asked_s = observation.elapsed_s
        if not observation.history:
            return Decision(0, reason="no throughput known yet")
        measured_mbps = observed_mbps(observation.history[-1])
        if self._estimate_mbps is None:
            self._estimate_mbps = self._smoothed_mbps = measured_mbps
        else:
            excess_mbps = max(self._estimate_mbps - measured_mbps + self.w_mbps, 0.0)
            step = min(self.kappa * between_s, 1.0)
            self._estimate_mbps = max(self._estimate_mbps + step * (self.w_mbps - excess_mbps), 0.0)
            step = min(self.alpha * between_s, 1.0)
            self._smoothed_mbps -= step * (self._smoothed_mbps - self._estimate_mbps)
        level = self._quantise(observation.history[-1].level)
        return Decision(level, reason=f"smoothed {self._smoothed_mbps:.2f} Mbit/s")

    def _quantise(self, last_level: int) -> int:
        """The level of the smoothed estimate, with a dead zone against flapping."""
        kbps = self._smoothed_mbps * KBPS_PER_MBPS
        up = highest_within(self._ladder_kbps, (1 - self.epsilon) * kbps)
        down = highest_within(self._ladder_kbps, kbps)
        return max(up, min(last_level, down))
