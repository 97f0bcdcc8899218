"""An episode from decision to decision, as the published environment has it.

Jobs arrive, executors arrive, tasks end. An executor goes on with its stage as long as that has tasks; then
it does what was promised, or asks for a decision. A round of decisions gives the executors of one pool,
those that are still busy among them, to stages until executors or stages run out.

Semantics: spark-sched-sim as published with NetLLM; differences are none but for `JOB_TIME`, in which also
jobs count that come and go between two decisions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from player.compiled.compiled import compiled
from player.jobs.simulated.durations import duration_ms, key_of
from player.jobs.simulated.pools import (
    demand,
    find_ready,
    free_executors,
    job_of_pool,
    keep_promise,
    last_ready,
    leave_job,
    move_to_pool,
    pool_of_stage,
    promise,
    put_all_up,
    put_up,
)
from player.jobs.simulated.state import (
    ACTIVE,
    ARRIVING,
    COMMON,
    DECISIONS,
    EVENTS,
    FINISHED,
    IDLE,
    JOB_TIME,
    NEXT_JOB,
    NEXT_ORDER,
    NOW,
    NOWHERE,
    READY,
    SEED,
    SOURCE,
    WORKING,
    State,
    Whole,
)
from player.jobs.simulated.world import World


@compiled
def _wait(state: State, executor: int, kind: int, stage: int, until_ms: float) -> None:
    """The executor has an event ahead; of two at the same time the one that was made first comes first."""
    state.waiting[executor] = kind
    state.event_ms[executor] = until_ms
    state.event_stage[executor] = stage
    state.event_order[executor] = state.whole[NEXT_ORDER]
    state.whole[NEXT_ORDER] += 1


@compiled
def _begin_task(world: World, state: State, executor: int, stage: int) -> None:
    """The executor, which is at the stage's job, takes its next task."""
    task = world.tasks[stage] - state.unbegun[stage]
    state.unbegun[stage] -= 1
    if state.unbegun[stage] == 0:
        state.saturated[world.job_of[stage]] += 1
    job = world.job_of[stage]
    key = key_of(state.whole[SEED], job, stage - world.first_stage[job], task)
    last = state.last_stage[executor]
    took_ms = duration_ms(world.durations, state.whole, key, last, state.here[job], stage)
    state.last_stage[executor] = stage
    state.recent_ms[stage] = took_ms
    _wait(state, executor, WORKING, stage, state.clock[NOW] + took_ms)


@compiled
def _send(world: World, state: State, executor: int, stage: int) -> None:
    """The executor sets out for another job."""
    old = job_of_pool(world, state.pool_of[executor])
    move_to_pool(state, executor, NOWHERE)
    state.moving_to[stage] += 1
    state.supply[world.job_of[stage]] += 1
    if old != NOWHERE:
        state.supply[old] -= 1
    leave_job(state, executor)
    _wait(state, executor, ARRIVING, stage, state.clock[NOW] + world.moving_ms)


@compiled
def _backup(world: World, state: State, executor: int) -> int:
    """The last stage that can take the executor, of its own job, or of the last other; NOWHERE if none."""
    job = state.at_job[executor]
    if job != NOWHERE:
        found = last_ready(world, state, job)
        if found != NOWHERE:
            return found
    for place in range(state.whole[ACTIVE] - 1, -1, -1):
        other = state.active[place]
        if other != job and state.supply[other] < world.executors:
            found = last_ready(world, state, other)
            if found != NOWHERE:
                return found
    return NOWHERE


@compiled
def _go_to(world: World, state: State, executor: int, wanted: int) -> None:
    """The executor goes to a stage, or where it is needed if it isn't there."""
    stage = wanted
    if state.unbegun[stage] == 0:
        stage = _backup(world, state, executor)
        if stage == NOWHERE:
            put_up(world, state, executor, state.pool_of[executor])
            return
    job = world.job_of[stage]
    if state.at_job[executor] != job:
        _send(world, state, executor, stage)
    elif state.waits_for[stage] > 0:  # ahead of time: it waits at the job
        state.last_stage[executor] = NOWHERE
        move_to_pool(state, executor, 1 + job)
    else:
        move_to_pool(state, executor, pool_of_stage(world, stage))
        _begin_task(world, state, executor, stage)


@compiled
def _fulfil(world: World, state: State, executor: int, stage: int) -> None:
    """The executor does what is promised of its pool: it goes to the stage, or (NOWHERE) away."""
    pool = state.pool_of[executor]
    keep_promise(world, state, pool, stage)
    if stage == NOWHERE:
        put_up(world, state, executor, pool)
    else:
        _go_to(world, state, executor, stage)


@compiled
def _fulfil_from_source(world: World, state: State) -> None:
    """Idle executors of the source do what is promised, oldest promise first."""
    source = state.whole[SOURCE]
    idle = np.empty(world.executors, np.int64)
    count = 0
    for executor in range(world.executors):
        if state.pool_of[executor] == source and state.waiting[executor] != WORKING:
            idle[count] = executor
            count += 1
    kept = state.promises[source]
    stages = state.promise_to[source, :kept].copy()
    wanted = state.promise_count[source, :kept].copy()
    next_idle = 0
    for place in range(kept):
        for _ in range(wanted[place]):
            if next_idle < count:
                _fulfil(world, state, idle[next_idle], stages[place])
                next_idle += 1


@compiled
def _job_arrives(state: State, job: int) -> None:
    state.active[state.whole[ACTIVE]] = job
    state.whole[ACTIVE] += 1
    if state.in_pool[COMMON] > 0:
        state.whole[SOURCE] = COMMON


@compiled
def _executor_arrives(world: World, state: State, executor: int) -> None:
    stage = state.event_stage[executor]
    job = world.job_of[stage]
    state.at_job[executor] = job
    state.here[job] += 1
    state.moving_to[stage] -= 1
    move_to_pool(state, executor, 1 + job)
    _go_to(world, state, executor, stage)


@compiled
def _stage_ends(world: World, state: State, stage: int) -> bool:
    """Whether others can begin now."""
    unlocked = False
    for place in range(world.first_child[stage], world.first_child[stage + 1]):
        child = world.children[place]
        state.waits_for[child] -= 1
        unlocked = unlocked or state.waits_for[child] == 0
    state.stages_left[world.job_of[stage]] -= 1
    return unlocked


@compiled
def _job_ends(world: World, state: State, job: int) -> None:
    put_all_up(world, state, 1 + job)
    place = 0
    while state.active[place] != job:
        place += 1
    state.whole[ACTIVE] -= 1
    for later in range(place, state.whole[ACTIVE]):
        state.active[later] = state.active[later + 1]
    state.whole[FINISHED] += 1
    state.done_ms[job] = state.clock[NOW]


@compiled
def _task_ends(world: World, state: State, executor: int) -> None:
    """The last task that the executor does for its stage, for now."""
    stage = state.event_stage[executor]
    job, pool = world.job_of[stage], pool_of_stage(world, stage)
    state.unfinished[stage] -= 1
    unlocked = False
    if state.unfinished[stage] == 0:
        unlocked = _stage_ends(world, state, stage)
        if state.stages_left[job] == 0:
            _job_ends(world, state, job)
    promised = state.promises[pool] > 0
    if promised:
        _fulfil(world, state, executor, state.promise_to[pool, 0])
    else:
        state.last_stage[executor] = NOWHERE
        if unlocked:
            put_up(world, state, executor, pool)
    if unlocked:
        state.whole[SOURCE] = 1 + job
    elif not promised:
        state.whole[SOURCE] = pool


@compiled
def _advance(clock: NDArray[np.float64], whole: Whole, to_ms: float) -> None:
    clock[JOB_TIME] += whole[ACTIVE] * (to_ms - clock[NOW])
    clock[NOW] = to_ms
    whole[EVENTS] += 1


_ARRIVAL = -2
"""A job is next."""


@compiled
def _work_on(world: World, state: State) -> int:
    """Let tasks end whose executors go on with their stages, which is nearly all that happens, until
    something else is next: the executor that it happens to, `_ARRIVAL`, or NOWHERE."""
    clock, whole, known = state.clock, state.whole, world.durations
    event_ms, event_order, event_stage = state.event_ms, state.event_order, state.event_stage
    waiting, unbegun, unfinished, recent_ms = state.waiting, state.unbegun, state.unfinished, state.recent_ms
    while True:
        first, due_ms = NOWHERE, np.inf
        for executor in range(world.executors):
            at_ms = event_ms[executor]  # infinite for those that idle
            if at_ms < due_ms or (
                at_ms == due_ms and first != NOWHERE and event_order[executor] < event_order[first]
            ):
                first, due_ms = executor, at_ms
        arriving = whole[NEXT_JOB]
        if arriving < len(world.arrival_ms) and world.arrival_ms[arriving] <= due_ms:
            return _ARRIVAL
        if first == NOWHERE:
            return NOWHERE
        stage = event_stage[first]
        if waiting[first] != WORKING or unbegun[stage] == 0:
            return first
        _advance(clock, whole, due_ms)
        unfinished[stage] -= 1
        job, task = world.job_of[stage], world.tasks[stage] - unbegun[stage]
        unbegun[stage] -= 1
        if unbegun[stage] == 0:
            state.saturated[job] += 1
        key = key_of(whole[SEED], job, stage - world.first_stage[job], task)
        took_ms = duration_ms(known, whole, key, stage, state.here[job], stage)
        recent_ms[stage] = took_ms
        event_ms[first] = due_ms + took_ms
        event_order[first] = whole[NEXT_ORDER]
        whole[NEXT_ORDER] += 1


@compiled
def _next_event(world: World, state: State) -> bool:
    """Let the next event happen after which somebody may be free; False if there is none."""
    first = _work_on(world, state)
    if first == NOWHERE:
        return False
    if first == _ARRIVAL:
        job = state.whole[NEXT_JOB]
        state.whole[NEXT_JOB] += 1
        _advance(state.clock, state.whole, world.arrival_ms[job])
        _job_arrives(state, job)
        return True
    _advance(state.clock, state.whole, state.event_ms[first])
    arriving = state.waiting[first] == ARRIVING
    state.waiting[first], state.event_ms[first] = IDLE, np.inf
    if arriving:
        _executor_arrives(world, state, first)
    else:
        _task_ends(world, state, first)
    return True


@compiled
def begin(world: World, state: State) -> None:
    """The jobs that are there at the start arrive; the first round begins."""
    while state.whole[NEXT_JOB] < len(world.arrival_ms) and world.arrival_ms[state.whole[NEXT_JOB]] <= 0.0:
        _next_event(world, state)
    find_ready(world, state)


@compiled
def _to_next_round(world: World, state: State) -> None:
    """Events until executors are free that a stage can take, or until all is done."""
    while _next_event(world, state):
        if free_executors(state) > 0:
            if find_ready(world, state) > 0:
                return
            put_all_up(world, state, state.whole[SOURCE])
            state.whole[SOURCE] = NOWHERE
    state.whole[READY] = 0


@compiled
def decide(world: World, state: State, stage: int, executors: int) -> bool:
    """Give a schedulable stage so many executors of the source, or as many as it can take if that is less;
    NOWHERE: none of what is left of them. Whether the episode goes on."""
    state.whole[DECISIONS] += 1
    if stage == NOWHERE:
        promise(world, state, NOWHERE, free_executors(state))
    else:
        promise(world, state, stage, min(executors, demand(state, stage), free_executors(state)))
        state.chosen[stage] = True
        if free_executors(state) > 0 and find_ready(world, state) > 0:
            return True
    left = free_executors(state)
    if left > 0:
        promise(world, state, NOWHERE, left)
    _fulfil_from_source(world, state)
    state.whole[SOURCE] = NOWHERE
    state.chosen[:] = False
    _to_next_round(world, state)
    return state.whole[FINISHED] < len(world.arrival_ms)
