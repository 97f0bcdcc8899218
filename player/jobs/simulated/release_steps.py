"""The rule `release` as machine code: the shortest job first, and a job that holds enough lets go.

Caps are those of `sqrt`. The job whose executors are free comes in its turn as any other, and keeps them up
to `keep` times its cap. If all are at their caps, it keeps what is left in its turn, and others go to
`spread` times theirs.
"""

from __future__ import annotations

import math

from player.compiled.compiled import compiled
from player.jobs.simulated.events import decide
from player.jobs.simulated.pools import free_executors, job_of_pool
from player.jobs.simulated.rule_steps import LEAST_CAP, stage_of, work_ms
from player.jobs.simulated.state import ACTIVE, NOWHERE, READY, SOURCE, State
from player.jobs.simulated.world import World

C, KEEP, SPREAD = range(3)
"""Places among the rule's figures."""
Figures = tuple[float, float, float]


@compiled
def room_of(
    state: State, job: int, work_s: float, source: int, free: int, figures: Figures, last: bool
) -> int:
    """Executors that the job may get now; `last`: all are at their caps."""
    wanted = max(LEAST_CAP, math.ceil(figures[C] * math.sqrt(work_s)))
    if job == source:
        if last:
            return free
        return math.ceil(wanted * figures[KEEP]) - (state.supply[job] - free)
    return math.ceil(wanted * (figures[SPREAD] if last else 1.0)) - state.supply[job]


@compiled
def released_by(world: World, state: State, figures: Figures) -> tuple[int, int]:
    """(stage or NOWHERE, executors)."""
    free, source = free_executors(state), job_of_pool(world, state.whole[SOURCE])
    for last in (False, True):
        best_stage, best_count, least_s = NOWHERE, free, math.inf
        for place in range(state.whole[ACTIVE]):
            job = state.active[place]
            if job != source and state.supply[job] >= world.executors:
                continue
            work_s = work_ms(world, state, job) / 1000.0
            if best_stage != NOWHERE and work_s >= least_s:
                continue
            room = room_of(state, job, work_s, source, free, figures, last)
            stage = stage_of(world, state, job) if room > 0 else NOWHERE
            if stage != NOWHERE:
                best_stage, best_count, least_s = stage, min(free, room), work_s
        if best_stage != NOWHERE:
            return best_stage, best_count
    return NOWHERE, free


@compiled
def play_release(world: World, state: State, figures: Figures, decisions: int) -> bool:
    """Play by the rule for at most so many decisions; whether the episode goes on."""
    for _ in range(decisions):
        stage, executors = released_by(world, state, figures)
        if not decide(world, state, stage, executors) or state.whole[READY] == 0:
            return False
    return True
