"""Episodes that a person can follow, and what holds in every one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from player.jobs.policy import Assignment, CompiledJobsRule, IllegalAssignment
from player.jobs.settings import ClusterSettings, JobsError
from player.jobs.simulated import events, pools
from player.jobs.simulated.episode import Episode, state_bytes
from player.jobs.simulated.rule_steps import FAIR, FIFO, SJF, SQRT, chosen_by
from player.jobs.simulated.state import ARRIVING, FINISHED, NOWHERE, READY, SOURCE, State
from player.jobs.simulated.world import World
from tests.support.tiny_jobs import sequence, stage
from traces.jobs.generator import member

TWO = ClusterSettings(executors=2)
FAIR_RULE = CompiledJobsRule(FAIR)
RULES = (FAIR_RULE, CompiledJobsRule(FIFO), CompiledJobsRule(SJF, 20.0), CompiledJobsRule(SQRT, 0.7))


def played(episode: Episode, rule: CompiledJobsRule = FAIR_RULE) -> Episode:
    episode.play(rule)
    assert episode.over and not episode.stuck
    return episode


def test_one_stage_of_three_tasks_on_two_executors() -> None:
    """Both come after 2 s, begin afresh (200 + 1000 ms), and one does the third task in 100 ms."""
    episode = played(Episode(sequence([[stage(3)]]), TWO))
    assert episode.job_times_s.tolist() == [3.3]
    assert episode.job_time_ms == 3300.0
    assert episode.decisions == 1


def test_fresh_durations_stand_for_the_warm_up_where_they_are_known() -> None:
    assert played(Episode(sequence([[stage(3, fresh_ms=700.0)]]), TWO)).job_times_s.tolist() == [2.8]


def test_without_a_rest_wave_the_first_wave_holds() -> None:
    assert played(Episode(sequence([[stage(3, rest_ms=None)]]), TWO)).job_times_s.tolist() == [3.4]


def test_an_executor_is_sent_ahead_and_waits_for_the_parent() -> None:
    """The parent needs nobody once its one task is promised, so its child is schedulable at once."""
    episode = Episode(sequence([[stage(1, first_ms=5000.0), stage(1, (0,))]]), TWO)
    assert episode.observation().ready.tolist() == [True, False]
    episode.give(Assignment(0, 2))
    seen = episode.observation()
    assert seen.ready.tolist() == [False, True] and seen.begins.tolist() == [True, False]
    episode.give(Assignment(1, 1))
    assert episode.now_ms == 8000.0  # 2 s on the way, 6 s of work; then both are free for the child
    assert episode.observation().free == 2
    assert played(episode).job_times_s.tolist() == [9.2]


def test_an_executor_of_another_job_takes_two_seconds_to_come() -> None:
    jobs = sequence([[stage(1, first_ms=1000.0)], [stage(1)]], (0.0, 100.0))
    episode = played(Episode(jobs, ClusterSettings(executors=1)), CompiledJobsRule(FIFO))
    assert episode.job_times_s.tolist() == pytest.approx([4.0, 4.0 + 2.0 + 1.2 - 0.1])


def test_the_next_stage_of_the_same_job_is_a_first_wave_without_warm_up() -> None:
    """A promise is kept without idling: the executor goes from stage to stage."""
    episode = Episode(sequence([[stage(2), stage(2, (0,))]]), ClusterSettings(executors=1))
    episode.give(Assignment(0, 1))
    assert episode.now_ms == 2000.0 + 1200.0 + 100.0  # it has done both tasks and asks
    assert played(episode).job_times_s.tolist() == [3.3 + 1.2 + 0.1]  # it had nothing promised, so it idled


def test_what_is_left_goes_away_and_comes_with_the_next_job() -> None:
    jobs = sequence([[stage(1)], [stage(1)]], (0.0, 50.0))
    episode = Episode(jobs, TWO)
    episode.give(Assignment(0, 1))
    assert episode.now_ms == 50.0 and episode.observation().source == -1
    assert played(episode).job_times_s.tolist() == [3.2, 3.2]


@pytest.mark.parametrize(
    ("answer", "said"),
    [(Assignment(1, 1), "stage 1"), (Assignment(-1, 1), "stage -1"), (Assignment(0, 0), "0 executors")],
)
def test_illegal_answers_are_refused(answer: Assignment, said: str) -> None:
    episode = Episode(sequence([[stage(2), stage(1, (0,))]]), TWO)
    before = state_bytes(episode.state)
    with pytest.raises(IllegalAssignment, match=said):
        episode.give(answer)
    assert state_bytes(episode.state) == before


def test_whoever_never_gives_anything_is_stuck() -> None:
    episode = Episode(sequence([[stage(1)]]), TWO)
    episode.give(Assignment(None))
    assert episode.stuck and np.isnan(episode.job_times_s).all()
    with pytest.raises(IllegalAssignment, match="over"):
        episode.give(Assignment(None))


@pytest.mark.parametrize("rule", RULES)
def test_the_return_is_minus_the_sum_of_job_times(rule: CompiledJobsRule) -> None:
    episode = played(Episode(member(3, 40)), rule)
    times_ms = episode.state.done_ms - episode.world.arrival_ms
    assert episode.job_time_ms == pytest.approx(times_ms.sum(), abs=1e-3)
    assert (times_ms > 0).all()


def test_the_same_seed_is_the_same_episode_and_another_is_not() -> None:
    first, second, third = (played(Episode(member(4, 30), seed=seed)) for seed in (1, 1, 2))
    assert state_bytes(first.state) == state_bytes(second.state)
    assert state_bytes(first.state) != state_bytes(third.state)


def test_a_copy_goes_its_own_way() -> None:
    episode = Episode(member(4, 20))
    episode.play(FAIR_RULE, 30)
    twin, before = episode.copy(), state_bytes(episode.state)
    played(twin)
    assert state_bytes(episode.state) == before
    played(episode)
    assert state_bytes(episode.state) == state_bytes(twin.state)


def by_events(world: World, state: State, rule: CompiledJobsRule) -> Iterator[None]:
    """An episode by a rule, with a stop after every event."""
    while state.whole[READY]:
        stage, executors = chosen_by(world, state, rule.rule, rule.figure)
        if stage != NOWHERE:
            count = min(executors, pools.demand(state, stage), pools.free_executors(state))
            pools.promise(world, state, stage, count)
            state.chosen[stage] = True
            yield
            if pools.free_executors(state) > 0 and pools.find_ready(world, state) > 0:
                continue
        if (left := pools.free_executors(state)) > 0:
            pools.promise(world, state, NOWHERE, left)
        events._fulfil_from_source(world, state)
        state.whole[SOURCE] = NOWHERE
        state.chosen[:] = False
        state.whole[READY] = 0
        while events._next_event(world, state):
            yield
            if pools.free_executors(state) > 0:
                if pools.find_ready(world, state) > 0:
                    break
                pools.put_all_up(world, state, int(state.whole[SOURCE]))
                state.whole[SOURCE] = NOWHERE


@pytest.mark.parametrize("rule", RULES[:3])
@pytest.mark.parametrize("mode", ["common", "published"])
def test_executors_are_conserved_at_every_event_and_parents_come_first(
    rule: CompiledJobsRule, mode: str
) -> None:
    episode = Episode(member(5, 12), ClusterSettings(mode=mode), seed=3)
    other = episode.copy()
    world, state = episode.world, episode.state
    parents = np.repeat(np.arange(len(world.tasks)), np.diff(world.first_parent)), world.parents
    seen = 0
    for _ in by_events(world, state, rule):
        seen += 1
        on_their_way = int((state.waiting == ARRIVING).sum())
        assert (
            state.in_pool.sum() + on_their_way
            == world.executors
            == state.moving_to.sum() + state.in_pool.sum()
        )
        assert (state.promised_from <= state.in_pool).all() and (state.here.sum() <= world.executors)
        assert (
            np.bincount(state.pool_of[state.pool_of >= 0], minlength=len(state.in_pool)) == state.in_pool
        ).all()
        child, parent = parents
        begun = state.unbegun[child] < world.tasks[child]
        assert (state.unfinished[parent][begun] == 0).all()
    assert seen > 300 and state.whole[FINISHED] == len(world.arrival_ms)
    assert (state.unfinished == 0).all()
    played(other, rule)
    assert np.array_equal(other.state.done_ms, state.done_ms)


def test_a_task_lasts_as_long_whoever_schedules_it() -> None:
    """One stage alone with one executor: what else happens in the cluster before changes nothing."""
    jobs = member(6, 2)
    alone = [np.float64(0)] * 2
    for place, first in enumerate((0, 1)):
        episode = Episode(jobs, ClusterSettings(executors=1, moving_ms=1.0), seed=9)
        seen = episode.observation()
        roots = np.flatnonzero(seen.ready)
        episode.give(Assignment(int(roots[0]), 1))
        if first:
            assert episode.observation().now_s > 0
        alone[place] = episode.state.recent_ms[roots[0]]
    assert alone[0] == alone[1]


def test_features_of_a_step_do_not_see_the_future() -> None:
    """Jobs that have not come, and durations not yet drawn, can be anything."""
    whole = member(7, 30)
    changed = dataclasses.replace(
        whole, arrivals_ms=np.concatenate([whole.arrivals_ms[:15], whole.arrivals_ms[15:] + 1e6])
    )
    first = Episode(whole, seed=1)
    second = Episode(changed, seed=1)
    second.state.whole[9] = first.state.whole[9]  # the seed of durations depends on the sequence
    until = whole.arrivals_ms[15] / 1000.0
    compared = 0
    while first.observation().now_s < until:
        one, two = first.observation(), second.observation()
        for name in ("job", "left", "duration_ms", "ready", "begins", "edges", "supply", "age_s"):
            assert np.array_equal(getattr(one, name), getattr(two, name)), name
        assert (one.source, one.free, one.now_s) == (two.source, two.free, two.now_s)
        compared += 1
        first.play(FAIR_RULE, 1)
        second.play(FAIR_RULE, 1)
        if second.observation().now_s != first.observation().now_s:
            break
    assert compared > 50


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"executors": 0}, "executors=0"),
        ({"moving_ms": -1.0}, "moving_ms=-1"),
        ({"mode": "mine"}, "mode=mine"),
    ],
)
def test_figures_that_make_no_cluster_are_refused(figures: dict[str, object], said: str) -> None:
    with pytest.raises(JobsError, match=said):
        ClusterSettings(**figures)  # type: ignore[arg-type]
