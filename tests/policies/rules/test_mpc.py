"""RobustMPC and the published variant against enumeration in plain Python."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from player.observation import Observation, PastChunk
from player.qoe import QoE
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.video import Video
from policies.rules.lookahead import affordable_steps, plan_stalls_s, plan_table, quality_for_sums
from policies.rules.mpc import RobustMPC
from policies.rules.mpc_published import PublishedMPC
from policies.rules.throughput import harmonic_mean_mbps, robust_mbps
from traces.trace import Trace

LADDER_KBPS = (300, 750, 1200, 1850)
LEVELS = len(LADDER_KBPS)
QOES = (QoE(), QoE(mu=43.0), QoE("log", 2.66), QoE("hd", 8.0), QoE(smooth=0.0), QoE(mu=0.0))


def past(mbps: float, level: int = 0) -> PastChunk:
    return PastChunk(level, 150_000, 1.2 / mbps, mbps, 80.0, 0.0, 8.0)


def reward(
    plan: Sequence[int],
    sizes: Sequence[Sequence[int]],
    mbps: float,
    buffer_s: float,
    last_level: int,
    qoe: QoE,
) -> float:
    """What a plan brings, one chunk after the other, in the order of operations that is promised."""
    linear = qoe.kind == "linear"
    q = [float(kbps) for kbps in LADDER_KBPS] if linear else list(qoe.quality(LADDER_KBPS))
    unit = 1000.0 if linear else 1.0
    gain = change = stall_s = 0.0
    for step, level in enumerate(plan):
        download_s = 8 * sizes[step][level] / 1e6 / mbps
        if download_s > buffer_s:
            stall_s += download_s - buffer_s
            buffer_s = 0.0
        else:
            buffer_s -= download_s
        buffer_s += 4.0
        gain += q[level]
        change += abs(q[level] - q[last_level])
        last_level = level
    return gain / unit - qoe.mu * stall_s - qoe.smooth * change / unit


def brute_force(plans: Sequence[Sequence[int]], rewards: Sequence[float]) -> int:
    """The first level of the best plan; of equal ones the last."""
    best = max(rewards)
    return next(plan[0] for plan, each in zip(plans[::-1], rewards[::-1], strict=True) if each == best)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Video, Observation, QoE]:
    size = st.integers(10_000, 2_000_000)
    flat = draw(st.booleans())  # constant bitrate makes plans of equal worth likely
    rows = (
        [tuple(kbps * 500 for kbps in LADDER_KBPS)] * 12
        if flat
        else draw(st.lists(st.tuples(size, size, size, size), min_size=12, max_size=12))
    )
    video = Video("random", 4.0, LADDER_KBPS, tuple(rows))
    throughputs = draw(st.lists(st.floats(0.05, 20.0), min_size=1, max_size=11))
    history = tuple(past(mbps, draw(st.integers(0, LEVELS - 1))) for mbps in throughputs)
    chunk = len(history)
    observation = Observation(
        chunk, history, draw(st.floats(0.0, 40.0)), video.sizes_bytes[chunk : chunk + 8], 12 - chunk, 0.0
    )
    return video, observation, draw(st.sampled_from(QOES))


@settings(max_examples=150, deadline=None)
@given(situation=situations(), horizon=st.integers(1, 4))
def test_robustmpc_is_brute_force(situation: tuple[Video, Observation, QoE], horizon: int) -> None:
    video, observation, qoe = situation
    policy = RobustMPC(horizon)
    policy.reset(video, 0, qoe)
    sizes = observation.next_sizes_bytes[:horizon]
    mbps = robust_mbps(observation.history)
    plans = list(itertools.product(range(LEVELS), repeat=len(sizes)))
    last = observation.history[-1].level
    rewards = [reward(plan, sizes, mbps, observation.buffer_s, last, qoe) for plan in plans]
    assert policy.select(observation).level == brute_force(plans, rewards)


@settings(max_examples=100, deadline=None)
@given(situation=situations(), steps=st.integers(1, 4))
def test_every_reward_is_equal_to_the_last_bit(situation: tuple[Video, Observation, QoE], steps: int) -> None:
    _, observation, qoe = situation
    sizes = observation.next_sizes_bytes[:steps]
    last, buffer_s = observation.history[-1].level, observation.buffer_s
    mbps = observation.history[-1].throughput_mbps
    table = plan_table(quality_for_sums(qoe, LADDER_KBPS), last, len(sizes))
    expected = [
        reward(plan, sizes, mbps, buffer_s, last, qoe)
        for plan in itertools.product(range(LEVELS), repeat=len(sizes))
    ]
    assert table.rewards(plan_stalls_s(sizes, mbps, buffer_s, 4.0)).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(situation=situations())
def test_published_mpc_is_brute_force_with_its_handicaps(situation: tuple[Video, Observation, QoE]) -> None:
    video, observation, qoe = situation
    policy = PublishedMPC()
    policy.reset(video, 0, qoe)
    steps = min(5, observation.chunks_left)
    rows = [*video.sizes_bytes, video.sizes_bytes[-1]]  # the row after the last is the last one's
    sizes = [rows[observation.chunk + step + 1] for step in range(steps)]
    last = observation.history[-1].level
    plans = [
        plan
        for plan in itertools.product(range(LEVELS), repeat=steps)
        if all(abs(after - before) <= 1 for before, after in itertools.pairwise((last, *plan)))
    ]
    mbps = harmonic_mean_mbps(observation.history)  # it has seen no error yet
    rewards = [reward(plan, sizes, mbps, observation.buffer_s, last, qoe) for plan in plans]
    assert policy.select(observation).level == brute_force(plans, rewards)


def test_the_prediction_by_hand() -> None:
    history = tuple(past(mbps) for mbps in (9.0, 2.0, 4.0, 4.0, 1.0, 2.0))
    # of the last five, 2 4 4 1 2: 5 / (0.5 + 0.25 + 0.25 + 1 + 0.5)
    assert harmonic_mean_mbps(history) == pytest.approx(2.0)
    # before the last but one chunk the mean of 9 2 4 4 was 4 / (1/9 + 1) = 3.6: error 2.6 at 1; the
    # others are smaller, but for the error of 9 predicted for 2: 3.5, which is among the last five
    assert robust_mbps(history) == pytest.approx(2.0 / (1 + 3.5))
    assert robust_mbps((*history, past(2.0))) == pytest.approx(
        harmonic_mean_mbps([*history, past(2.0)]) / 3.6
    )
    assert robust_mbps(history[:1]) == 9.0


def test_a_plan_by_hand() -> None:
    # 1 Mbit/s, 4 s of buffer, one chunk left: level 1 takes 3.0 s, level 2 4.8 s: 0.8 s of stall cost 3.4
    video = Video("cbr", 4.0, LADDER_KBPS, tuple(tuple(kbps * 500 for kbps in LADDER_KBPS) for _ in range(2)))
    observation = Observation(1, (past(1.0, level=1),), 4.0, video.sizes_bytes[1:], 1, 0.0)
    policy = RobustMPC()
    policy.reset(video, 0, QoE())
    assert policy.select(observation).level == 1
    policy.reset(video, 0, QoE(mu=0.0, smooth=0.5))
    assert policy.select(observation).level == 3


def test_nothing_known_is_level_0_and_a_bad_horizon_is_named() -> None:
    video = Video("one", 4.0, LADDER_KBPS, ((1, 2, 3, 4),))
    for policy in (RobustMPC(), PublishedMPC()):
        policy.reset(video, 0, QoE())
        assert policy.select(Observation(0, (), 0.0, video.sizes_bytes, 1, 0.0)).level == 0
    with pytest.raises(ValueError, match="horizon 9; a client is shown 1 to 8 chunks ahead"):
        RobustMPC(9)


def test_a_long_ladder_is_planned_over_fewer_chunks() -> None:
    assert [affordable_steps(levels, 5) for levels in (1, 6, 10, 11, 400)] == [5, 5, 5, 4, 1]


TRACE = Trace("falls and rises", (0.0, 30.0, 60.0, 90.0), (1.0, 4.0, 0.4, 2.0))
VBR = Video(
    "vbr",
    4.0,
    LADDER_KBPS,
    tuple(tuple(kbps * (400 + 37 * (chunk * 7 % 9)) for kbps in LADDER_KBPS) for chunk in range(20)),
)


def levels_of(policy: RobustMPC | PublishedMPC) -> list[int]:
    rows, _ = simulate(VBR, TRACE, policy, seed=0, qoe=QoE(), link=PublishedLink(), chunks=20)
    return [row.level for row in rows]


def test_robustmpc_forgets_and_published_mpc_carries_its_errors() -> None:
    plain, published = RobustMPC(), PublishedMPC()
    assert levels_of(plain) == levels_of(plain) == levels_of(RobustMPC())
    first, second = levels_of(published), levels_of(published)
    assert first == levels_of(PublishedMPC())
    assert first != second


@settings(max_examples=50, deadline=None)
@given(
    first=st.lists(st.floats(0.1, 9.0), min_size=1, max_size=7),
    second=st.lists(st.floats(0.1, 9.0), min_size=1, max_size=7),
)
def test_the_carried_errors_are_those_of_the_public_code(first: list[float], second: list[float]) -> None:
    """Over two sessions, each told of its end, against one list of errors that is never cleared."""
    policy = PublishedMPC()
    errors: list[float] = []
    estimate: float | None = None
    for session in (first, second):
        policy.reset(VBR, 0, QoE())
        for chunk in range(1, len(session) + 1):
            window = session[max(chunk - 5, 0) : chunk]
            errors.append(0.0 if estimate is None else abs(estimate - window[-1]) / window[-1])
            estimate = len(window) / sum(1 / mbps for mbps in window)
            history = tuple(past(mbps) for mbps in session[:chunk])
            sizes = VBR.sizes_bytes[chunk : chunk + 8]
            observation = Observation(chunk, history, 8.0, sizes, 20 - chunk, 0.0)
            if chunk == len(session):
                policy.ended(observation)
            else:
                expected = estimate / (1 + max(errors[-5:]))
                assume(abs(expected * 100 % 1 - 0.5) > 1e-6)  # the reason shows two decimals
                assert policy.select(observation).reason == f"plans with {expected:.2f} Mbit/s"
