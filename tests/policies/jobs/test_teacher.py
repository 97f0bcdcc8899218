"""The teacher: tries without changing anything, and what it takes is better than its rule's answers."""

from __future__ import annotations

import numpy as np
import pytest

from player.jobs.settings import ClusterSettings, JobsError
from player.jobs.simulated.episode import Episode, state_bytes
from player.jobs.simulated.playing import play_jobs
from player.jobs.simulated.trying import take
from policies.jobs.release import Release
from policies.jobs.teacher import Teacher
from traces.jobs.generator import member


def test_it_is_ahead_of_its_rule_and_decides_alone() -> None:
    sequence = member(12, 12)
    tried = play_jobs(sequence, ClusterSettings(), Teacher(), 0)
    ruled = play_jobs(sequence, ClusterSettings(), Release(), 0)
    assert set(tried.end.decided_by) == {"policy"}
    assert np.mean(tried.episode.job_times_s) < np.mean(ruled.episode.job_times_s)


def test_trying_changes_nothing_and_takes_up_where_the_episode_is() -> None:
    episode = Episode(member(12, 6))
    copy, teacher = episode.copy(), Teacher()
    teacher.watch(episode)
    for _ in range(20):
        before = state_bytes(episode.state)
        answer = teacher.schedule(episode.observation())
        assert state_bytes(episode.state) == before
        episode.give(answer)
    take(copy.state, episode.state)
    for one in (episode, copy):
        one.play(Release().compiled_rule())
    assert copy.job_times_s.tolist() == episode.job_times_s.tolist()


def test_it_says_what_it_cannot() -> None:
    with pytest.raises(JobsError, match="jobs=0"):
        Teacher(jobs=0)
    with pytest.raises(JobsError, match="in the simulator alone"):
        Teacher().schedule(Episode(member(12, 6)).observation())
