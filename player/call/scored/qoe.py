"""One number for a call: three kinds, computed from its outcomes, with their weights in words.

One controller is ahead of another without doubt only where it is worse in neither bitrate nor stall: a single
number is a choice of weights, and the (bitrate, stall) plane stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from player.call.checks import CallError, expect
from player.call.scored.kinds import DELAY_MBPS_PER_S, KINDS, STALL_MBPS
from player.call.scored.outcomes import CallOutcomes

LATEST_MS = 400.0
"""OpenNetLab's challenge counts no longer delay (Challenge-Environment, MMSys 2021)."""
_ONL_DELAY, _ONL_RATE, _ONL_LOSS = 0.2, 0.2, 0.3

PANDIA_PER_MBPS, PANDIA_DELAY_MS, PANDIA_MOST = 2.0, 100.0, 10.0
"""Reward of johnson-li/Pandia: 2 a Mbit/s less the square of the frame's delay over 100 ms, within +-10."""


@dataclass(frozen=True)
class CallQoE:
    """A kind of score and its weights.

    `linear`: Mbit/s - `stall` x stall ratio - `delay` x p95 frame delay in s. `opennetlab`: 100 x (0.2 (400 -
    p95)/(400 - least) + 0.2 min(1, link share) + 0.3 (1 - loss)), one-way delay of packets in ms within 400;
    without the parts that judge pictures, so 70 at most. `pandia`: 2 x Mbit/s - (p50 frame delay / 100 ms)^2
    within +-10; published for each step of 100 ms, here of the whole call.

    Raises:
        CallError: no such kind, or a weight below 0.
    """

    kind: str = "linear"
    stall: float = STALL_MBPS
    delay: float = DELAY_MBPS_PER_S

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise CallError(f"call: QoE {self.kind!r}; expected {', '.join(KINDS)}")
        expect("QoE stall", self.stall, 0.0, 1e6)
        expect("QoE delay", self.delay, 0.0, 1e6)

    @property
    def in_words(self) -> str:
        """For a table."""
        if self.kind == "linear":
            return f"linear: Mbit/s - {self.stall:g} x stall ratio - {self.delay:g} x p95 frame delay in s"
        return {"opennetlab": "opennetlab, without picture quality: 70 at most", "pandia": "pandia"}[
            self.kind
        ]

    def of(self, outcomes: CallOutcomes) -> float:
        """The call's score. A call in which nothing was seen, or nothing came, has the longest delay."""
        return {"linear": self._linear, "opennetlab": self._opennetlab, "pandia": self._pandia}[self.kind](
            outcomes
        )

    def _linear(self, outcomes: CallOutcomes) -> float:
        delay_ms = outcomes.frame_delay_p95_ms
        delay_s = outcomes.scored_s if delay_ms is None else delay_ms / 1000.0
        return outcomes.bitrate_mbps - self.stall * outcomes.stall_ratio - self.delay * delay_s

    def _opennetlab(self, outcomes: CallOutcomes) -> float:
        p95_ms, least_ms = outcomes.delay_p95_ms, outcomes.delay_least_ms
        delay = 0.0
        if p95_ms is not None and least_ms is not None and least_ms < LATEST_MS:
            delay = (LATEST_MS - min(p95_ms, LATEST_MS)) / (LATEST_MS - least_ms)
        rate = min(outcomes.link_share or 0.0, 1.0)
        return 100.0 * (_ONL_DELAY * delay + _ONL_RATE * rate + _ONL_LOSS * (1.0 - outcomes.loss_ratio))

    def _pandia(self, outcomes: CallOutcomes) -> float:
        delay_ms = outcomes.frame_delay_p50_ms
        if delay_ms is None:
            return -PANDIA_MOST
        reward = PANDIA_PER_MBPS * outcomes.bitrate_mbps - (delay_ms / PANDIA_DELAY_MS) ** 2
        return min(max(reward, -PANDIA_MOST), PANDIA_MOST)
