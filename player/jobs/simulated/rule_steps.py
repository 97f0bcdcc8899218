"""Rules as machine code: whom to give executors next, and how many.

All first serve the job whose executors are free, with all of them, stages whose parents are done before
others; then another job, up to a cap of executors. They differ in the order of jobs and in the cap. `fifo`
and `fair` are those of the published environment.
"""

from __future__ import annotations

import math

from player.compiled.compiled import compiled
from player.jobs.simulated.events import decide
from player.jobs.simulated.pools import free_executors, is_ready, job_of_pool
from player.jobs.simulated.state import ACTIVE, NOWHERE, READY, SOURCE, State
from player.jobs.simulated.world import World

FIFO, FAIR, SJF, SQRT, RELEASE = range(5)
LEAST_CAP = 3
"""Executors a job, of `SQRT`."""


@compiled
def work_ms(world: World, state: State, job: int) -> float:
    """What is left of a job, in executor-ms: tasks that have not begun times the newest duration."""
    total = 0.0
    for stage in range(world.first_stage[job], world.first_stage[job + 1]):
        total += state.unbegun[stage] * state.recent_ms[stage]
    return total


@compiled
def stage_of(world: World, state: State, job: int) -> int:
    """The job's first schedulable stage whose parents are done; else its first; NOWHERE if it has none."""
    found = NOWHERE
    for stage in range(world.first_stage[job], world.first_stage[job + 1]):
        if is_ready(world, state, stage):
            if state.waits_for[stage] == 0:
                return stage
            if found == NOWHERE:
                found = stage
    return found


@compiled
def cap_of(world: World, state: State, job: int, rule: int, figure: float) -> int:
    """Executors that the job may hold."""
    if rule == FIFO:
        return (world.executors + 1) // 2
    if rule == FAIR:
        return math.ceil(world.executors / max(1, state.whole[ACTIVE]))
    if rule == SJF:
        return min(int(figure), world.executors)
    wanted = math.ceil(figure * math.sqrt(work_ms(world, state, job) / 1000.0))
    return min(max(wanted, LEAST_CAP), world.executors)


@compiled
def chosen_by(world: World, state: State, rule: int, figure: float) -> tuple[int, int]:
    """(stage or NOWHERE, executors)."""
    free, source = free_executors(state), job_of_pool(world, state.whole[SOURCE])
    best, best_stage, best_count, best_work = NOWHERE, NOWHERE, free, math.inf
    for place in range(state.whole[ACTIVE]):
        job = state.active[place]
        if job == source:
            stage = stage_of(world, state, job)
            if stage != NOWHERE:
                return stage, free
    for place in range(state.whole[ACTIVE]):
        job = state.active[place]
        if job == source:
            continue
        cap = cap_of(world, state, job, rule, figure)
        if state.supply[job] >= cap:
            continue
        by_work = rule in (SJF, SQRT)
        work = work_ms(world, state, job) if by_work else 0.0
        if best != NOWHERE and work >= best_work:
            continue
        stage = stage_of(world, state, job)
        if stage == NOWHERE:
            continue
        best, best_stage, best_work = job, stage, work
        best_count = min(free, cap - state.supply[job])
        if not by_work:
            break
    return best_stage, best_count


@compiled
def play(world: World, state: State, rule: int, figure: float, decisions: int) -> bool:
    """Play by a rule for at most so many decisions; whether the episode goes on."""
    for _ in range(decisions):
        stage, executors = chosen_by(world, state, rule, figure)
        if not decide(world, state, stage, executors) or state.whole[READY] == 0:
            return False
    return True
