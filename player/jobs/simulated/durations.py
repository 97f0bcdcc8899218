"""How long a task takes: the level of executors, the wave, and a draw.

In `common` mode a draw is a hash of (seed, job, stage, task, wave, level): it does not matter what was drawn
before, so any two schedulers that start a task on equal terms see the same duration. In `published` mode
draws follow each other, and between two levels the *farther* one is the likelier: a slip of the published
environments (`spark_env/node.py` of decima-sim has it, too) that their figures contain.
"""

from __future__ import annotations

import numpy as np

from player.compiled.compiled import compiled
from player.jobs.simulated.state import DRAWS, NOWHERE, SEED, Whole
from player.jobs.simulated.world import FIRST, FRESH, HIGHEST, LEAST_LEVEL, REST, Durations

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_MIX = np.uint64(0x94D049BB133111EB)
_OF_LEVEL = 3
"""In the place of a wave: the draw of a level."""


@compiled
def mixed(word: np.uint64) -> np.uint64:
    """SplitMix64's mix of 64 bits."""
    word = (word ^ (word >> np.uint64(30))) * _FIRST_MIX
    word = (word ^ (word >> np.uint64(27))) * _SECOND_MIX
    return word ^ (word >> np.uint64(31))


@compiled
def hashed(key: np.uint64, part: int) -> np.uint64:
    """A key and one number more as a key."""
    return mixed((key ^ np.uint64(part + 1)) * _GAMMA + _GAMMA)


@compiled
def share_of(word: np.uint64) -> float:
    """64 bits as a number in [0, 1)."""
    return float(word >> np.uint64(11)) / 9007199254740992.0


@compiled
def key_of(seed: int, job: int, stage_in_job: int, task: int) -> np.uint64:
    """What all draws of a task come from."""
    return hashed(hashed(hashed(np.uint64(seed), job), stage_in_job), task)


@compiled
def _draw(published: bool, whole: Whole, key: np.uint64, wave: int, level: int) -> float:
    """In [0, 1)."""
    if published:
        whole[DRAWS] += 1
        return share_of(hashed(np.uint64(whole[SEED]), whole[DRAWS]))
    return share_of(hashed(hashed(key, wave), level))


@compiled
def level_of(known: Durations, whole: Whole, key: np.uint64, stage: int, here: int) -> int:
    """The level (a place in `LEVELS`, or `HIGHEST`) that `here` executors at the job are taken for."""
    below = LEAST_LEVEL
    last = len(known.level_executors) - 1
    while below < last and known.level_executors[below + 1] <= here:
        below += 1
    level = below
    low = known.level_executors[below]
    if here > low and below < last:
        gap = known.level_executors[below + 1] - low
        share = _draw(known.published, whole, key, _OF_LEVEL, 0)
        reached = 1 + int(share * gap) > here - low if known.published else share * gap < here - low
        level += 1 if reached else 0
    return level if known.has_level[stage, level] else HIGHEST


@compiled
def duration_ms(known: Durations, whole: Whole, key: np.uint64, last: int, here: int, stage: int) -> float:
    """How long a task of a stage takes.

    Args:
        whole: `State.whole`: the seed, and in `published` mode how much was drawn.
        key: the task's.
        last: the stage of the executor's last task; NOWHERE if it had none, or idled.
        here: executors at the job.
    """
    level = level_of(known, whole, key, stage, here)
    wave, extra_ms = FIRST, 0.0
    if last == NOWHERE:
        wave = FRESH
        if known.value_count[stage, FRESH, level] == 0:
            wave, extra_ms = FIRST, known.warm_up_ms
    elif last == stage and known.value_count[stage, REST, level] > 0:
        wave = REST
    if wave == FIRST and known.value_count[stage, FIRST, level] == 0:
        wave = FRESH
    count = known.value_count[stage, wave, level]
    if count == 0:  # nothing is known at this level
        return extra_ms
    place = int(_draw(known.published, whole, key, wave, level) * count)
    value = known.values[known.first_value[stage, wave, level] + place]
    return extra_ms + known.scale_ms[stage, wave, level] * value
