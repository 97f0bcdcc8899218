"""An observation with some of the ladder's levels alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from player.observation import Observation


def thinned(observation: Observation, levels: Sequence[int]) -> Observation:
    """As if the ladder had only `levels`: a past chunk of another one counts as the next lower.

    Args:
        levels: rising, the lowest among them.
    """
    past = tuple(replace(each, level=bisect_right(levels, each.level) - 1) for each in observation.history)
    sizes = tuple(tuple(row[level] for level in levels) for row in observation.next_sizes_bytes)
    return replace(observation, history=past, next_sizes_bytes=sizes)
