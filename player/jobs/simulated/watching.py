"""What a scheduler is told, taken from an episode's arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from player.compiled.compiled import compiled
from player.jobs.simulated.state import ACTIVE, READY, State
from player.jobs.simulated.world import World

STAGE, JOB, LEFT, READY_NOW, BEGINS = range(5)
"""Columns of a node: stage, its job's place among the active ones, tasks that have not begun, whether it is
schedulable, whether all its parents are done."""


@compiled
def nodes_of(world: World, state: State) -> NDArray[np.int64]:
    """(nodes, 5) all stages of active jobs that are not done."""
    count = 0
    for place in range(state.whole[ACTIVE]):
        count += state.stages_left[state.active[place]]
    found = np.zeros((count, 5), np.int64)
    row = 0
    for place in range(state.whole[ACTIVE]):
        job = state.active[place]
        for stage in range(world.first_stage[job], world.first_stage[job + 1]):
            if state.unfinished[stage] > 0:
                found[row, STAGE] = stage
                found[row, JOB] = place
                found[row, LEFT] = state.unbegun[stage]
                found[row, BEGINS] = state.waits_for[stage] == 0
                row += 1
    _mark_ready(state, found)
    return found


@compiled
def _mark_ready(state: State, nodes: NDArray[np.int64]) -> None:
    """Set `READY_NOW` of those that `find_ready` has listed."""
    place = 0
    for row in range(len(nodes)):
        listed = place < state.whole[READY] and state.ready[place] == nodes[row, STAGE]
        nodes[row, READY_NOW] = listed
        if listed:
            place += 1


@compiled
def edges_of(world: World, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(edges, 2) parent and child, as places among the nodes."""
    found = np.zeros((len(world.parents), 2), np.int64)
    count = 0
    for row in range(len(nodes)):
        stage = nodes[row, STAGE]
        for place in range(world.first_parent[stage], world.first_parent[stage + 1]):
            parent = world.parents[place]
            before = row - 1
            after = row + 1
            while before >= 0 and nodes[before, STAGE] > parent:
                before -= 1
            while after < len(nodes) and nodes[after, STAGE] < parent:
                after += 1
            if before >= 0 and nodes[before, STAGE] == parent:
                found[count, 0], found[count, 1] = before, row
                count += 1
            elif after < len(nodes) and nodes[after, STAGE] == parent:
                found[count, 0], found[count, 1] = after, row
                count += 1
    return found[:count].copy()
