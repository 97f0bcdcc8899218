"""`small`: a net of thirteen thousand numbers that sets the rate at every feedback."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from player.call.compiled_rule import CompiledRule
from policies.call.rule import Rule
from policies.call.small import steps
from policies.call.small.net import SmallNet, read
from traces.safe_reading import sha256_of

WEIGHTS = Path(__file__).resolve().parent / "weights" / "small.safetensors"


class Small(Rule):
    """A small net that has learned from who is told the link what it will carry for certain.

    Args:
        scale: its rate is multiplied by this: less of it for less stall.
        weights: a file that `python -m policies.call.small train` made; empty for the shipped one.

    Raises:
        ValueError: a scale that is not over 0; SmallNetError for a file that holds no such net.
    """

    may_probe = False

    def __init__(self, scale: float = 1.0, weights: str = "") -> None:
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"scale {scale:g}; must be over 0")
        path = Path(weights) if weights else WEIGHTS
        self._net, self.scale = read(path), scale
        self.weights_sha256 = sha256_of(path)

    def compiled_rule(self) -> CompiledRule:
        """Its functions, with the weights in the state."""
        return rule_of(self._net, self.scale)


def rule_of(net: SmallNet, scale: float) -> CompiledRule:
    """A net as a compiled rule."""
    return CompiledRule(
        partial(steps.new_state, net=net, scale=scale),
        steps.begin,
        steps.step,
        steps.take_probe_kbps,
        steps.step_all,
    )
