"""What would come of an answer: it is given in a copy of the episode, and `release` goes on from there.

Durations and arrivals are the episode's own, so all answers face the same future, the true one: nothing
outside a simulator can do this.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from player.compiled.compiled import compiled
from player.jobs.simulated.events import decide
from player.jobs.simulated.pools import free_executors, job_of_pool
from player.jobs.simulated.release_steps import Figures, released_by, room_of
from player.jobs.simulated.rule_steps import stage_of, work_ms
from player.jobs.simulated.state import ACTIVE, NEXT_JOB, NOWHERE, READY, SOURCE, State
from player.jobs.simulated.world import World

Answers = NDArray[np.int64]


@compiled
def take(into: State, state: State) -> None:
    """The same point in another episode's arrays."""
    into.clock[:], into.whole[:] = state.clock, state.whole
    into.unbegun[:], into.unfinished[:], into.waits_for[:] = state.unbegun, state.unfinished, state.waits_for
    into.recent_ms[:], into.moving_to[:], into.promised_to[:] = (
        state.recent_ms,
        state.moving_to,
        state.promised_to,
    )
    into.chosen[:], into.ready[:], into.supply[:] = state.chosen, state.ready, state.supply
    into.saturated[:], into.stages_left[:], into.here[:] = state.saturated, state.stages_left, state.here
    into.done_ms[:], into.active[:], into.pool_of[:] = state.done_ms, state.active, state.pool_of
    into.at_job[:], into.last_stage[:], into.waiting[:] = state.at_job, state.last_stage, state.waiting
    into.event_ms[:], into.event_order[:], into.event_stage[:] = (
        state.event_ms,
        state.event_order,
        state.event_stage,
    )
    into.in_pool[:], into.promised_from[:], into.promises[:] = (
        state.in_pool,
        state.promised_from,
        state.promises,
    )
    for pool in range(len(state.promises)):
        for place in range(state.promises[pool]):
            into.promise_to[pool, place] = state.promise_to[pool, place]
            into.promise_count[pool, place] = state.promise_count[pool, place]


@compiled
def answers_of(world: World, state: State, figures: Figures, jobs: int) -> Answers:
    """(n, 2) stage and executors: the rule's own first; then for its shortest jobs so many executors as
    their caps allow, and all that are free."""
    free, source = free_executors(state), job_of_pool(world, state.whole[SOURCE])
    found = np.empty((1 + 2 * jobs, 2), np.int64)
    found[0, 0], found[0, 1] = released_by(world, state, figures)
    count, after_s, after = 1, -1.0, -1
    for _ in range(jobs):
        best, least_s = NOWHERE, math.inf
        for place in range(state.whole[ACTIVE]):
            job = state.active[place]
            if job != source and state.supply[job] >= world.executors:
                continue
            work_s = work_ms(world, state, job) / 1000.0
            later = work_s > after_s or (work_s == after_s and job > after)
            if later and work_s < least_s and stage_of(world, state, job) != NOWHERE:
                best, least_s = job, work_s
        if best == NOWHERE:
            break
        after_s, after = least_s, best
        room = room_of(state, best, least_s, source, free, figures, False)
        stage = stage_of(world, state, best)
        for executors in (min(room, free), free):
            known = executors < 1
            for place in range(count):
                known = known or (found[place, 0] == stage and found[place, 1] == executors)
            if not known:
                found[count, 0], found[count, 1] = stage, executors
                count += 1
    return found[:count]


@compiled
def cost_of(world: World, copy: State, figures: Figures, stage: int, executors: int, last_job: int) -> float:
    """The ends of all jobs before `last_job` summed up, ms, if this is answered and the rule goes on.
    The copy is played on."""
    undone = np.isnan(copy.done_ms[:last_job])
    on = decide(world, copy, stage, executors) and copy.whole[READY] > 0
    while on and (copy.whole[NEXT_JOB] < last_job or (copy.whole[ACTIVE] > 0 and copy.active[0] < last_job)):
        next_stage, count = released_by(world, copy, figures)
        on = decide(world, copy, next_stage, count) and copy.whole[READY] > 0
    total = 0.0
    for job in range(last_job):
        if undone[job]:
            total += math.inf if np.isnan(copy.done_ms[job]) else copy.done_ms[job]
    return total


@compiled
def best_answer(
    world: World, state: State, copy: State, figures: Figures, jobs: int, ahead: int
) -> tuple[int, int]:
    """(stage, executors) after which the jobs that are there and the `ahead` next ones end soonest, in sum;
    the rule's own unless another is better."""
    answers = answers_of(world, state, figures, jobs)
    stage, executors = answers[0]
    if len(answers) == 1:
        return stage, executors
    least, last_job = math.inf, min(len(world.arrival_ms), state.whole[NEXT_JOB] + ahead)
    for place in range(len(answers)):
        take(copy, state)
        cost = cost_of(world, copy, figures, answers[place, 0], answers[place, 1], last_job)
        if cost < least:
            least, stage, executors = cost, answers[place, 0], answers[place, 1]
    return stage, executors
