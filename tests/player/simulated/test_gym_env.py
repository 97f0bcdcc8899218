"""The gymnasium environments: gymnasium's own checks, episodes, autoreset, seeds and bad arguments."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from player.qoe import QoE
from player.simulated.batch.gym_env import ID
from player.simulated.batch.sessions import Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.video import Video
from policies.rules.fixed import Fixed
from traces.trace import Trace

LADDER_KBPS = (300, 750, 1200)
VIDEO = Video("cbr", 4.0, LADDER_KBPS, ((150_000, 375_000, 600_000),) * 12)
TRACES = (
    Trace("steps", (0.0, 30.0, 60.0, 90.0), (1.0, 1.0, 4.0, 0.4)),
    Trace("flat", (0.0, 10.0, 20.0), (2.0, 2.0, 2.0)),
)
STEPS = 11


def make(**more: Any) -> gymnasium.Env:
    return gymnasium.make(ID, traces=TRACES, video=VIDEO, **more)


def make_vec(num_envs: int = 3, **more: Any) -> gymnasium.vector.VectorEnv:
    return gymnasium.make_vec(ID, num_envs=num_envs, traces=TRACES, video=VIDEO, **more)


def test_gymnasiums_own_checker_passes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make().unwrapped)


def test_an_episode_is_a_session_and_its_mean_reward_the_published_qoe() -> None:
    env = gymnasium.make(ID, traces=TRACES[:1], video=VIDEO, random_start=False, mu=10.0)
    observation, info = env.reset(seed=3)
    assert info == {} and env.observation_space.contains(observation)
    rewards, ended = [], False
    while not ended:
        observation, reward, ended, cut, info = env.step(2)
        rewards.append(reward)
        assert not cut and env.observation_space.contains(observation)
    qoe = QoE(mu=10.0)
    rows, _ = simulate(VIDEO, TRACES[0], Fixed(2), seed=0, qoe=qoe, link=PublishedLink(), chunks=12)
    assert rewards == qoe.per_chunk([row.level for row in rows], [row.stall_s for row in rows], LADDER_KBPS)
    assert min(rewards) < -1.0 < 1.0 < max(rewards)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)


def test_info_holds_the_chunks_facts_and_the_parts_of_its_qoe() -> None:
    env = gymnasium.make(ID, traces=TRACES[:1], video=VIDEO, random_start=False, mu=10.0, smooth=0.5)
    env.reset(seed=3)
    rows, _ = simulate(
        VIDEO, TRACES[0], Fixed(2), seed=0, qoe=QoE(mu=10.0), link=PublishedLink(), chunks=STEPS + 1
    )
    for row in rows[1:]:
        _, reward, _, _, info = env.step(2)
        assert reward == info["quality"] - info["stall"] - info["smoothness"]
        assert (info["quality"], info["stall"]) == (1.2, 10.0 * row.stall_s)
        assert info["smoothness"] == pytest.approx(0.45 if row.chunk == 1 else 0.0)
        for name in ("chunk", "level", "bitrate_kbps", "size_bytes", "download_s", "stall_s"):
            assert info[name] == getattr(row, name), name
        assert info["throughput_mbps"] == pytest.approx(row.throughput_mbps)
        assert info["buffer_s"] == pytest.approx(row.buffer_after_s)
        assert isinstance(info["stall_s"], float) and isinstance(info["level"], int)


def test_a_vector_has_the_facts_where_it_is_asked_for_them() -> None:
    envs, env = make_vec(1, facts=True), make()
    envs.reset(seed=9)
    env.reset(seed=9)
    for level in (0, 1, 2, 1):
        *_, infos = envs.step(np.array([level]))
        *_, info = env.step(level)
        assert {name: infos[name][0] for name in info} == info
        assert all(infos[f"_{name}"].tolist() == [True] for name in info)
    for _ in range(STEPS - 4 + 1):
        *_, infos = envs.step(np.array([1]))
    assert infos["_stall_s"].tolist() == [False]  # the first observation of the next session


@pytest.mark.parametrize("noise", [False, True])
def test_no_observation_is_beyond_finite_bounds(noise: bool) -> None:
    dark = Trace("dark", (0.0, 2.0, 60.0), (9.0, 9.0, 0.0))
    envs = gymnasium.make_vec(
        ID, num_envs=16, traces=(*TRACES, dark), video=VIDEO, noise=noise, rtt_ms=(0.0, 500.0), cap_ms=9_000.0
    )
    space = envs.single_observation_space
    assert isinstance(space, gymnasium.spaces.Box) and np.isfinite(space.high).all()
    seen = [envs.reset(seed=1)[0]]
    dice = np.random.default_rng(2)
    seen += [envs.step(dice.integers(0, 3, 16))[0] for _ in range(4 * STEPS)]
    values = np.concatenate(seen)
    assert (values >= space.low).all() and (values <= space.high).all()
    assert (
        values.max(axis=0)[:8] > 0.5 * space.high[:8]
    ).all()  # and the bounds of throughput are no idle ones


def test_one_seed_gives_one_run_and_another_another() -> None:
    def run(seed: int) -> tuple[list[Any], list[Any]]:
        envs = make_vec(8, noise=True, rtt_ms=(20.0, 200.0), cap_ms=(8_000.0, 30_000.0))
        dice = np.random.default_rng(1)
        observations, rewards = [envs.reset(seed=seed)[0]], []
        for _ in range(2 * STEPS + 3):
            observation, reward, *_ = envs.step(dice.integers(0, 3, 8))
            observations.append(observation)
            rewards.append(reward)
        return np.array(observations).tolist(), np.array(rewards).tolist()

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_the_vector_is_what_single_environments_are() -> None:
    """One environment each, from the same generator: the same session, step by step."""
    envs, env = make_vec(1), make()
    many, _ = envs.reset(seed=9)
    one, _ = env.reset(seed=9)
    assert many[0].tolist() == one.tolist()
    for level in (0, 1, 2, 1, 0):
        many, rewards, *_ = envs.step(np.array([level]))
        one, reward, *_ = env.step(level)
        assert many[0].tolist() == one.tolist()
        assert rewards.tolist() == [reward]


def test_autoreset_at_the_next_step() -> None:
    envs = make_vec()
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    envs.reset(seed=0)
    for step in range(STEPS):
        observation, reward, ended, cut, infos = envs.step(np.array([1, 1, 1]))
        assert ended.tolist() == [step == STEPS - 1] * 3 and not cut.any() and infos == {}
    assert observation[:, -2].tolist() == [0.0] * 3  # no chunks left
    observation, reward, ended, _, _ = envs.step(np.array([2, 2, 2]))
    assert reward.tolist() == [0.0] * 3 and not ended.any()
    assert observation[:, -2].tolist() == pytest.approx([11 / 12] * 3)
    assert envs.observation_space.contains(observation)


def test_autoreset_at_the_same_step() -> None:
    envs = make_vec(autoreset_mode=AutoresetMode.SAME_STEP)
    envs.reset(seed=0)
    for step in range(2 * STEPS):
        observation, reward, ended, _, infos = envs.step(np.array([1, 1, 1]))
        assert ended.tolist() == [(step + 1) % STEPS == 0] * 3
        assert (reward != 0.0).all()
        if ended.any():
            assert infos["_final_obs"].all()
            assert [last[-2] for last in infos["final_obs"]] == [0.0] * 3
            assert observation[:, -2].tolist() == pytest.approx([11 / 12] * 3)


def test_autoreset_disabled_and_a_mask() -> None:
    envs = make_vec(autoreset_mode="Disabled")
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.step(np.zeros(3, np.int64))
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.reset(options={"reset_mask": np.array([True, False, True])})
    envs.reset(seed=0)
    for _ in range(3):
        envs.step(np.zeros(3, np.int64))
    observation, _ = envs.reset(options={"reset_mask": np.array([True, False, True])})
    assert observation[:, -2].tolist() == pytest.approx([11 / 12, 8 / 12, 11 / 12])
    for _ in range(8):
        *_, ended, _, _ = envs.step(np.zeros(3, np.int64))
    assert ended.tolist() == [False, True, False]
    with pytest.raises(gymnasium.error.ResetNeeded, match="session 1 is over"):
        envs.step(np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="reset_mask must be a numpy array of 3 truth values"):
        envs.reset(options={"reset_mask": [True, True, True]})


def test_a_curriculum_draws_the_setups() -> None:
    def draw(random: np.random.Generator, sessions: int) -> Setup:
        return Setup.of(sessions, trace=1, rtt_ms=np.linspace(10.0, 500.0, sessions))

    envs = make_vec(4, draw=draw).unwrapped
    envs.reset(seed=0)
    assert np.diff(envs.sessions.state.delay_ms).tolist() == pytest.approx([490.0 / 3] * 3)
    envs.source.draw = lambda random, sessions: Setup.of(sessions, trace=0)
    envs.reset()
    assert np.ptp(envs.sessions.state.delay_ms) == 0.0


def test_traces_by_name_and_the_wrappers_of_gymnasium() -> None:
    envs = gymnasium.make_vec(ID, num_envs=2, traces="3g[0:2]", video=["envivio", "envivio-hi"], chunks=5)
    envs = gymnasium.wrappers.vector.RecordEpisodeStatistics(envs)
    envs.reset(seed=0)
    total = np.zeros(2)
    for _ in range(4):
        _, reward, _, _, infos = envs.step(np.array([0, 3]))
        total += reward
    assert infos["episode"]["r"].tolist() == pytest.approx(total.tolist())
    assert infos["episode"]["l"].tolist() == [4, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"qoe": "best"}, "qoe 'best': expected one of linear, log, hd"),
        ({"chunks": 13}, "13 chunks; expected 2 to 12"),
        ({"chunks": 1}, "1 chunks; expected 2 to 12"),
        ({"rtt_ms": (90.0, 20.0)}, "the lower end comes first"),
        ({"ahead": 0}, "ahead 0"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_vec(**arguments)


@pytest.mark.parametrize(
    ("arguments", "mu"),
    [
        ({}, {"cbr": 1.2, "high": 9.0}),
        ({"mu": 4.3}, {"cbr": 4.3, "high": 4.3}),
        ({"qoe": "log"}, {"cbr": 1.39, "high": 1.5}),
    ],
)
def test_a_stall_costs_the_top_of_its_own_ladder(arguments: dict[str, Any], mu: dict[str, float]) -> None:
    high = Video("high", 4.0, (2000, 5000, 9000), ((1_000_000, 2_500_000, 4_500_000),) * 12)
    slow = Trace("slow", (0.0, 9.0), (0.5, 0.5))
    envs = gymnasium.make_vec(
        ID, num_envs=8, traces=[slow], video=[VIDEO, high], random_start=False, facts=True, **arguments
    )
    envs.reset(seed=0)
    seen = set()
    for _ in range(4):
        _, _, _, _, infos = envs.step(np.full(8, 2))
        for place in np.flatnonzero(infos["stall_s"]):
            name = "cbr" if infos["bitrate_kbps"][place] == 1200 else "high"
            assert infos["stall"][place] == pytest.approx(mu[name] * infos["stall_s"][place])
            seen.add(name)
    assert seen == {"cbr", "high"}


def test_ladders_of_different_length_make_no_action_space() -> None:
    short = Video("short", 4.0, (300,), ((150_000,),) * 12)
    with pytest.raises(ValueError, match="the videos' ladders differ in length"):
        gymnasium.make_vec(ID, traces=TRACES, video=[VIDEO, short])


def test_an_illegal_action_is_named() -> None:
    envs = make_vec()
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="session 2: level 3; the ladder has 0 to 2"):
        envs.step(np.array([0, 1, 3]))
