"""`streambed/Jobs-v0`: gymnasium's own checks, and the return."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from player.jobs.simulated.gym_env import ID


def test_gymnasiums_own_checker_passes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(ID, sequences="tpch[0:2]", jobs=5).unwrapped)


def test_the_return_is_minus_the_jobs_times_and_a_stuck_episode_is_cut() -> None:
    env = gymnasium.make(ID, sequences="tpch[0:2]", jobs=6)
    seen, info = env.reset(seed=4)
    total, over, cut = 0.0, False, False
    while not (over or cut):
        assert env.observation_space.contains(seen)
        assert 1 <= seen["free"][0] <= 50 and seen["ready"].sum() >= 1
        seen, reward, over, cut, info = env.step(np.array([0, 9]))
        total += reward
    assert over and total == pytest.approx(-info["job_time_s"])
    env.reset(seed=4)
    for _ in range(200):
        _, _, over, cut, _ = env.step(np.array([191, 0]))
        if over or cut:
            break
    assert cut and not over
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.array([0, 0]))
