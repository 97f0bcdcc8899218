"""What changes in an episode, as arrays for machine code.

Pools of executors are numbered: 0 is that of executors without a job (`COMMON`), 1 + j that of idle executors
at job j, 1 + J + s that of executors at stage s, idle or busy. A *promise* sends executors of a pool, those
that are busy as soon as they are free, to a stage, or (`COMMON`) away.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from player.jobs.simulated.world import World

COMMON = 0
NOWHERE = -1
"""An executor on its way; no source of executors; no stage."""

Whole = NDArray[np.int64]

SOURCE, NEXT_JOB, NEXT_ORDER, ACTIVE, READY, FINISHED, DECISIONS, EVENTS, DRAWS, SEED = range(10)
"""Places in `State.whole`: pool that gives executors now, next job to arrive, order of events, how many
jobs are active, how many stages are schedulable, jobs done, decisions, events, draws (published mode), and
seed."""
NOW, JOB_TIME = range(2)
"""Places in `State.clock`, ms: the time, and the time that jobs have spent so far, all together."""
IDLE, ARRIVING, WORKING = range(3)
"""What an executor waits for."""


class State(NamedTuple):
    """J jobs, S stages, E executors, P = 1 + J + S pools."""

    clock: NDArray[np.float64]  # (2,)
    whole: Whole  # (10,)
    # stages
    unbegun: Whole  # (S,) tasks
    unfinished: Whole  # (S,) tasks
    waits_for: Whole  # (S,) parents that are not done
    recent_ms: NDArray[np.float64]  # (S,) duration of the task that began last
    moving_to: Whole  # (S,) executors
    promised_to: Whole  # (S,) executors
    chosen: NDArray[np.bool_]  # (S,) in this round
    ready: Whole  # (S,) schedulable stages, `whole[READY]` of them, in order
    # jobs
    supply: Whole  # (J,) executors there, on their way and promised
    saturated: Whole  # (J,) stages whose tasks have all begun
    stages_left: Whole  # (J,)
    here: Whole  # (J,) executors at the job
    done_ms: NDArray[np.float64]  # (J,) nan: not yet
    active: Whole  # (J,) jobs, `whole[ACTIVE]` of them, in order of arrival
    # executors
    pool_of: Whole  # (E,)
    at_job: Whole  # (E,)
    last_stage: Whole  # (E,) of the task that it does or did last; NOWHERE: it had none, or idled
    waiting: Whole  # (E,) IDLE, ARRIVING, WORKING
    event_ms: NDArray[np.float64]  # (E,) when that ends
    event_order: Whole  # (E,)
    event_stage: Whole  # (E,)
    # pools
    in_pool: Whole  # (P,) executors
    promised_from: Whole  # (P,)
    promises: Whole  # (P,) how many
    promise_to: NDArray[np.int32]  # (P, E) stage or NOWHERE for away, oldest first
    promise_count: NDArray[np.int32]  # (P, E) executors


def new_state(world: World, seed: int) -> State:
    """The state before the first job has come.

    Args:
        seed: 63 bits; of the durations.
    """
    jobs, stages, executors = len(world.arrival_ms), len(world.tasks), world.executors
    pools = 1 + jobs + stages
    places = np.zeros((pools, executors), np.int32)

    def whole(length: int, value: int = 0) -> Whole:
        return np.full(length, value, np.int64)

    state = State(
        np.zeros(2),
        whole(10),
        world.tasks.copy(),
        world.tasks.copy(),
        np.diff(world.first_parent),
        world.rough_ms.copy(),
        *(whole(stages), whole(stages)),
        np.zeros(stages, np.bool_),
        *(whole(stages), whole(jobs), whole(jobs)),
        np.diff(world.first_stage),
        whole(jobs),
        np.full(jobs, np.nan),
        whole(jobs),
        whole(executors, COMMON),
        whole(executors, NOWHERE),
        whole(executors, NOWHERE),
        whole(executors, IDLE),
        np.full(executors, np.inf),
        whole(executors),
        whole(executors, NOWHERE),
        whole(pools),
        whole(pools),
        whole(pools),
        places,
        places.copy(),
    )
    state.in_pool[COMMON], state.whole[SOURCE], state.whole[SEED] = executors, COMMON, seed
    state.whole[NEXT_ORDER] = jobs  # arrivals come first
    return state


def copied(state: State) -> State:
    """Another episode at the same point: what is done to one does not show in the other."""
    return State._make(part.copy() for part in state)
