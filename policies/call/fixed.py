"""Fixed: the same rate throughout. The plainest controller, and a probe of path and media."""

from __future__ import annotations

import math
from functools import partial

from player.call.compiled_rule import CompiledRule
from policies.call import fixed_steps
from policies.call.rule import Rule


class Fixed(Rule):
    """Always the same rate, within the call's bounds.

    Args:
        kbps: the encoder's target.

    Raises:
        ValueError: a rate that is not over 0.
    """

    def __init__(self, kbps: float) -> None:
        if not (math.isfinite(kbps) and kbps > 0):
            raise ValueError(f"kbps {kbps:g}; must be over 0")
        self.kbps = kbps

    def compiled_rule(self) -> CompiledRule:
        """Its functions, with the rate in the state."""
        steps = fixed_steps
        return CompiledRule(
            partial(steps.new_state, kbps=self.kbps),
            steps.begin,
            steps.step,
            steps.take_probe_kbps,
            steps.step_all,
        )
