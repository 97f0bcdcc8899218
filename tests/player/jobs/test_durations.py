"""Levels of executors, both ways, and draws that depend on the task alone."""

from __future__ import annotations

import numpy as np
import pytest

from player.jobs.settings import ClusterSettings
from player.jobs.simulated.durations import key_of, level_of
from player.jobs.simulated.state import SEED, State, new_state
from player.jobs.simulated.world import World, world_of
from tests.support.tiny_jobs import sequence, stage


def level(world: World, state: State, task: int, here: int) -> int:
    key = np.uint64(key_of(state.whole[SEED], 0, 0, task))
    return int(level_of(world.durations, state.whole, key, 0, here))


LEVELS = (5, 10, 20, 40, 50)
TASKS = 4000


@pytest.mark.parametrize(
    ("mode", "executors", "share"),
    [("common", 7, 0.4), ("published", 7, 0.6), ("common", 36, 0.8), ("published", 36, 0.2)],
)
def test_between_two_levels_one_is_drawn(mode: str, executors: int, share: float) -> None:
    """At 36 executors, four fifths of the way from 20 to 40, the upper is right in four of five; the
    published environment has it the other way round."""
    world = world_of(sequence([[stage(TASKS, levels=LEVELS)]]), ClusterSettings(mode=mode))
    state = new_state(world, 5)
    drawn = [level(world, state, task, executors) for task in range(TASKS)]
    lower, upper = sorted(set(drawn))
    assert upper == lower + 1
    assert np.mean(np.array(drawn) == upper) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(("executors", "place"), [(1, 1), (5, 1), (10, 2), (20, 3), (50, 5), (70, 9)])
def test_levels_that_are_sure(executors: int, place: int) -> None:
    """Places in 2, 5, 10, 20, 40, 50, …; over the stage's highest level that one holds, place 9."""
    world = world_of(sequence([[stage(3, levels=LEVELS)]]), ClusterSettings(executors=100))
    assert level(world, new_state(world, 1), 0, executors) == place


def test_a_draw_depends_on_the_task_alone() -> None:
    world = world_of(sequence([[stage(50, levels=LEVELS)]]), ClusterSettings())
    one, two = new_state(world, 5), new_state(world, 5)
    forth = [level(world, one, task, 30) for task in range(50)]
    back = [level(world, two, task, 30) for task in reversed(range(50))]
    assert forth == back[::-1] and len(set(forth)) == 2
    assert forth != [level(world, new_state(world, 6), task, 30) for task in range(50)]
