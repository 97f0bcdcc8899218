"""GCC as a policy: the rule that every call carries, asked for by name."""

from __future__ import annotations

from player.call.compiled_rule import CompiledRule
from player.call.gcc import gcc as steps
from player.call.gcc.state import new_state
from player.call.gcc.trendline import THRESHOLD, TREND
from policies.call.rule import Rule


class GCC(Rule):
    """Google's congestion control as WebRTC runs it: delay's slope, loss, probes at the start.

    Args:
        probe: send probes in the first seconds.
    """

    def __init__(self, probe: bool = True) -> None:
        self.may_probe = probe

    def compiled_rule(self) -> CompiledRule:
        """Its functions."""
        return CompiledRule(new_state, steps.begin, steps.step, steps.take_probe_kbps, steps.step_all)

    @property
    def overuse(self) -> float:
        """The delay's trend over its threshold: over 1 and rising the queue grows; below 0 it shrinks."""
        trend = self._state.trend[0]
        return float(trend[TREND] / trend[THRESHOLD])

    @property
    def overusing(self) -> bool:
        """Whether it sees the queue grow."""
        return bool(steps.overusing(self._state, 0))
