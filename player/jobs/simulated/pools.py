"""Executors in their pools, what is promised, and which stages can take more: the bookkeeping of an
episode."""

from __future__ import annotations

from player.compiled.compiled import compiled
from player.jobs.simulated.state import (
    ACTIVE,
    COMMON,
    NOWHERE,
    READY,
    SOURCE,
    WORKING,
    State,
)
from player.jobs.simulated.world import World


@compiled
def job_of_pool(world: World, pool: int) -> int:
    """The job that a pool belongs to; NOWHERE for executors without a job."""
    jobs = len(world.arrival_ms)
    if pool in (NOWHERE, COMMON):
        return NOWHERE
    if pool <= jobs:
        return pool - 1
    return world.job_of[pool - 1 - jobs]


@compiled
def pool_of_stage(world: World, stage: int) -> int:
    """The number of a stage's pool."""
    return 1 + len(world.arrival_ms) + stage


@compiled
def free_executors(state: State) -> int:
    """How many executors of the source are promised to nobody."""
    source = state.whole[SOURCE]
    if source == NOWHERE:
        return 0
    return state.in_pool[source] - state.promised_from[source]


@compiled
def demand(state: State, stage: int) -> int:
    """Executors that a stage can take besides those at work, promised and on their way; may be below 0."""
    return state.unbegun[stage] - state.moving_to[stage] - state.promised_to[stage]


@compiled
def is_ready(world: World, state: State, stage: int) -> bool:
    """Whether a stage can take executors: it needs some, and its parents need none."""
    if state.chosen[stage] or demand(state, stage) <= 0:
        return False
    for place in range(world.first_parent[stage], world.first_parent[stage + 1]):
        if demand(state, world.parents[place]) > 0:
            return False
    return True


@compiled
def find_ready(world: World, state: State) -> int:
    """List the schedulable stages in `state.ready`, jobs in order of arrival; how many there are.

    A job that holds as many executors as there are takes no more, but for the one that gives them.
    """
    source, found = job_of_pool(world, state.whole[SOURCE]), 0
    for place in range(state.whole[ACTIVE]):
        job = state.active[place]
        if job != source and state.supply[job] >= world.executors:
            continue
        for stage in range(world.first_stage[job], world.first_stage[job + 1]):
            if is_ready(world, state, stage):
                state.ready[found] = stage
                found += 1
    state.whole[READY] = found
    return found


@compiled
def last_ready(world: World, state: State, job: int) -> int:
    """The last stage of a job that can take executors; NOWHERE if none can."""
    for stage in range(world.first_stage[job + 1] - 1, world.first_stage[job] - 1, -1):
        if is_ready(world, state, stage):
            return stage
    return NOWHERE


@compiled
def promise(world: World, state: State, stage: int, count: int) -> None:
    """So many executors of the source go to a stage (NOWHERE: away) once they are free."""
    source = state.whole[SOURCE]
    place = 0
    while place < state.promises[source] and state.promise_to[source, place] != stage:
        place += 1
    if place == state.promises[source]:
        state.promise_to[source, place] = stage
        state.promise_count[source, place] = 0
        state.promises[source] += 1
    state.promise_count[source, place] += count
    state.promised_from[source] += count
    if stage != NOWHERE:
        state.promised_to[stage] += count
        job = world.job_of[stage]
        if job != job_of_pool(world, source):
            state.supply[job] += count


@compiled
def keep_promise(world: World, state: State, pool: int, stage: int) -> None:
    """One executor fewer of a pool is promised to a stage (NOWHERE: away)."""
    place = 0
    while state.promise_to[pool, place] != stage:
        place += 1
    state.promise_count[pool, place] -= 1
    state.promised_from[pool] -= 1
    if stage != NOWHERE:
        state.promised_to[stage] -= 1
        job = world.job_of[stage]
        if job != job_of_pool(world, pool):
            state.supply[job] -= 1
    if state.promise_count[pool, place] == 0:
        state.promises[pool] -= 1
        for later in range(place, state.promises[pool]):
            state.promise_to[pool, later] = state.promise_to[pool, later + 1]
            state.promise_count[pool, later] = state.promise_count[pool, later + 1]


@compiled
def move_to_pool(state: State, executor: int, pool: int) -> None:
    """The executor is in that pool from now on; NOWHERE: on its way."""
    if state.pool_of[executor] != NOWHERE:
        state.in_pool[state.pool_of[executor]] -= 1
    state.pool_of[executor] = pool
    if pool != NOWHERE:
        state.in_pool[pool] += 1


@compiled
def leave_job(state: State, executor: int) -> None:
    """The executor is at no job; the next one gives it a fresh start."""
    if state.at_job[executor] != NOWHERE:
        state.here[state.at_job[executor]] -= 1
    state.at_job[executor] = NOWHERE
    state.last_stage[executor] = NOWHERE


@compiled
def put_up(world: World, state: State, executor: int, pool: int) -> None:
    """An idle executor of a pool waits where it belongs: at its job, or, if that needs nobody, at none."""
    job = job_of_pool(world, pool)
    if job == NOWHERE:
        return
    saturated = state.saturated[job] == world.first_stage[job + 1] - world.first_stage[job]
    if saturated:
        move_to_pool(state, executor, COMMON)
        leave_job(state, executor)
    elif pool != 1 + job:
        move_to_pool(state, executor, 1 + job)


@compiled
def put_all_up(world: World, state: State, pool: int) -> None:
    """`put_up` for all idle executors of a pool."""
    if pool in (NOWHERE, COMMON):
        return
    for executor in range(world.executors):
        if state.pool_of[executor] == pool and state.waiting[executor] != WORKING:
            put_up(world, state, executor, pool)
