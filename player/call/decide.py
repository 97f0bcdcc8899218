"""Who decides a call's rate at a feedback: the policy, GCC in its place, GCC as a guard, or nobody.

Plain numbers, compiled, so that a batch and a real-time loop call the same.
"""

from __future__ import annotations

import math

from player.compiled.compiled import compiled

BY_POLICY, BY_HELD, BY_FALLBACK, BY_GUARD = range(4)
"""Codes; in words `WORDS`."""
WORDS = ("policy", "held", "fallback", "guard")


@compiled
def decided(
    answer_kbps: float,
    answered: bool,
    shadow_kbps: float,
    overusing: bool,
    held_kbps: float,
    min_kbps: float,
    max_kbps: float,
) -> tuple[float, int]:
    """The rate from now on and who decided it.

    Args:
        answer_kbps: what the policy answered; no number, one below 0, or an infinity is no answer.
        answered: whether an answer was due now: where it is late, hand in NaN.
        shadow_kbps: the rate of the GCC that runs in the policy's shadow.
        overusing: whether that GCC sees the queue grow.
        held_kbps: the rate in force.
    """
    if answered:
        if math.isfinite(answer_kbps) and answer_kbps >= 0:
            return min(max(answer_kbps, min_kbps), max_kbps), BY_POLICY
        return min(max(shadow_kbps, min_kbps), max_kbps), BY_FALLBACK
    if overusing and shadow_kbps < held_kbps:
        return min(max(shadow_kbps, min_kbps), max_kbps), BY_GUARD
    return held_kbps, BY_HELD
