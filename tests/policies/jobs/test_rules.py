"""The rules: Python says what the compiled ones do; their caps and orders."""

from __future__ import annotations

import numpy as np
import pytest

from player.jobs.policy import Assignment
from player.jobs.settings import JobsError
from player.jobs.simulated.episode import Episode, state_bytes
from policies.jobs.release import Release
from policies.jobs.rule import Rule
from policies.jobs.rules import Fair, Fifo, ShortestFirst, SquareRoot
from tests.support.tiny_jobs import sequence, stage
from traces.jobs.generator import member


@pytest.mark.parametrize(
    "rule",
    [Fifo(), Fair(), ShortestFirst(20), SquareRoot(0.7), Release()],
    ids=lambda rule: type(rule).__name__,
)
def test_python_decides_as_the_compiled_rule(rule: Rule | Release) -> None:
    asked = Episode(member(11, 15))
    compiled = asked.copy()
    while not asked.over:
        asked.give(rule.schedule(asked.observation()))
        compiled.play(rule.compiled_rule(), 1)
        assert state_bytes(asked.state) == state_bytes(compiled.state)
    assert compiled.over


def answers(rule: Rule) -> list[Assignment]:
    """Of the first round: a large job has come, then a small one."""
    jobs = sequence([[stage(400, first_ms=900.0)], [stage(9, first_ms=100.0)]], (0.0, 0.0))
    episode, found = Episode(jobs), []
    for _ in range(3):
        found.append(rule.schedule(episode.observation()))
        if found[-1].stage is None:
            break
        episode.give(found[-1])
        if episode.now_ms > 0.0:
            break
    return found


def test_first_come_takes_half_and_fair_a_share() -> None:
    assert answers(Fifo())[:2] == [Assignment(0, 25), Assignment(1, 25)]
    assert answers(Fair())[:2] == [Assignment(0, 25), Assignment(1, 25)]


def test_the_small_job_comes_first() -> None:
    assert answers(ShortestFirst(20))[:2] == [Assignment(1, 20), Assignment(0, 20)]
    # 0.7 sqrt(0.9 s) is under 3; 0.7 sqrt(360 s) is 13.3
    assert answers(SquareRoot(0.7))[:2] == [Assignment(1, 3), Assignment(0, 14)]


def test_figures_that_make_no_rule_are_refused() -> None:
    with pytest.raises(JobsError, match="cap=0"):
        ShortestFirst(0)
    with pytest.raises(JobsError, match="c=nan"):
        SquareRoot(float("nan"))
    with pytest.raises(JobsError, match="keep=0"):
        Release(keep=0)


def after_a_task_of_the_large_job(rule: Rule | Release) -> Assignment:
    """Its executors become free while a small one waits for some."""
    jobs = sequence([[stage(4000)] * 2, [stage(90, first_ms=100.0)]], (0.0, 5000.0))
    episode = Episode(jobs)
    while episode.now_ms <= 5000.0 or episode.observation().source != 0:
        seen = episode.observation()
        episode.give(Assignment(int(np.flatnonzero(seen.ready)[0]), 50))
    return rule.schedule(episode.observation())


def test_a_job_that_holds_enough_lets_executors_go() -> None:
    assert after_a_task_of_the_large_job(SquareRoot()).stage == 1
    assert after_a_task_of_the_large_job(Release(keep=0.1)).stage == 2
    assert after_a_task_of_the_large_job(Release(keep=0.1, c=1e5)).stage == 2  # the shorter one, in its turn


def test_order_of_the_rules_on_a_few_sequences() -> None:
    """First come is far behind; the square root is not behind the cap."""
    means = {}
    for rule in (Fifo(), Fair(), ShortestFirst(20), SquareRoot(0.7)):
        times = []
        for index in range(3):
            episode = Episode(member(index))
            episode.play(rule.compiled_rule())
            times.append(episode.job_times_s.mean())
        means[type(rule).__name__] = float(np.mean(times))
    assert means["Fifo"] > means["Fair"] > means["SquareRoot"]
