"""Whose rate it is: a policy's answer, GCC's where there is none that is a rate, or the one that holds."""

from __future__ import annotations

import math

from player.compiled.compiled import compiled

BY_POLICY, BY_HELD, BY_FALLBACK, BY_GUARD = range(4)


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
    if answered:
        if math.isfinite(answer_kbps) and answer_kbps >= 0.0:
            return min(max(answer_kbps, min_kbps), max_kbps), BY_POLICY
        return min(max(shadow_kbps, min_kbps), max_kbps), BY_FALLBACK
    if overusing and shadow_kbps < held_kbps:
        return max(shadow_kbps, min_kbps), BY_GUARD
    return held_kbps, BY_HELD
