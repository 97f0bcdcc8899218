"""The oracle against brute force and against every other policy; what it says when it knows nothing."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.observation import Observation
from player.policy import Decision, Policy
from player.qoe import QoE
from player.registry import load_policy
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import Future, LinkSession, simulate
from player.video.video import Video
from policies.rules.bba import BBA
from policies.rules.fixed import Fixed
from policies.rules.mpc import RobustMPC
from policies.rules.mpc_published import PublishedMPC
from policies.rules.oracle import Oracle, OraclePlan, best_plan
from tests.support.batch_worlds import LADDER_KBPS, QOES, traces, videos
from traces.totals import running_total
from traces.trace import Trace, TraceError

CHUNKS = 6
NOTHING = 1e-6
"""QoE that rounding may make."""

CBR = Video("cbr", 4.0, LADDER_KBPS, ((150_000, 375_000, 600_000),) * 40)
STEPS = Trace("steps", (0.0, 30.0, 60.0, 90.0), (1.0, 1.0, 0.2, 4.0))

worlds = st.tuples(
    traces(),
    st.one_of(videos(CHUNKS), videos(CHUNKS, most_bytes=300_000)),
    st.sampled_from(QOES),
    st.floats(0.0, 300.0),  # round trip, ms
    st.one_of(st.just(60_000.0), st.floats(500.0, 15_000.0)),  # cap, ms
)


def all_totals(
    trace: Trace,
    video: Video,
    qoe: QoE,
    rtt_ms: float,
    cap_ms: float,
    plans: list[tuple[int, ...]],
    noise: bool = False,
    seed: int = 0,
) -> np.ndarray:
    """(plans,) sum of QoE without the first chunk's, every plan followed in a session of its own."""
    setup = Setup.of(len(plans), rtt_ms=rtt_ms, cap_ms=cap_ms, seed=seed)
    library = Library([trace], [video], qoe)
    sessions = Sessions(library, setup, chunks=video.chunks, first_level=None, noise=noise)
    totals = np.zeros(len(plans))
    for levels in np.array(plans).T:
        sessions.step(levels)
        totals += sessions.state.reward
    return totals


def every_plan(*prefix: int) -> list[tuple[int, ...]]:
    return [(*prefix, *rest) for rest in itertools.product(range(3), repeat=CHUNKS - len(prefix))]


@settings(max_examples=150, deadline=None)
@given(world=worlds, prefix=st.sampled_from([(0,), (2,), (0, 1, 2), ()]))
def test_the_plan_is_the_best_of_all_and_proven(
    world: tuple[Trace, Video, QoE, float, float], prefix: tuple[int, ...]
) -> None:
    trace, video, qoe, rtt_ms, cap_ms = world
    link = PublishedLink(rtt_ms=rtt_ms)
    plan = best_plan(video, trace, link, qoe, chunks=CHUNKS, prefix=prefix, cap_ms=cap_ms)
    totals = all_totals(trace, video, qoe, rtt_ms, cap_ms, every_plan(*prefix))
    assert plan.levels[: len(prefix)] == prefix
    assert plan.total == pytest.approx(totals.max(), abs=NOTHING)
    assert plan.gap <= NOTHING


@settings(max_examples=100, deadline=None)
@given(world=worlds, width=st.integers(1, 12))
def test_where_plans_do_not_fit_the_bound_still_holds(
    world: tuple[Trace, Video, QoE, float, float], width: int
) -> None:
    trace, video, qoe, rtt_ms, cap_ms = world
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("policies.rules.oracle.WIDTH", width)
        plan = best_plan(video, trace, PublishedLink(rtt_ms=rtt_ms), qoe, chunks=CHUNKS, cap_ms=cap_ms)
    best = all_totals(trace, video, qoe, rtt_ms, cap_ms, every_plan(0)).max()
    assert plan.total <= best + NOTHING
    assert best <= plan.bound + NOTHING


def test_too_few_plans_make_a_gap_and_not_a_silence() -> None:
    """So that the test above has something to hold."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("policies.rules.oracle.WIDTH", 2)
        plan = best_plan(CBR, STEPS, PublishedLink(), QoE(), chunks=40)
    assert plan.gap > 0.0
    assert best_plan(CBR, STEPS, PublishedLink(), QoE(), chunks=40).gap <= NOTHING


@settings(max_examples=40, deadline=None)
@given(world=worlds, seed=st.integers(0, 2**40))
def test_with_noise_the_plan_is_good_and_nothing_is_proven(
    world: tuple[Trace, Video, QoE, float, float], seed: int
) -> None:
    trace, video, qoe, rtt_ms, cap_ms = world
    link = PublishedLink(noise=True, rtt_ms=rtt_ms)
    plan = best_plan(video, trace, link, qoe, chunks=CHUNKS, cap_ms=cap_ms, seed=seed)
    totals = all_totals(trace, video, qoe, rtt_ms, cap_ms, every_plan(0), noise=True, seed=seed)
    assert np.median(totals) - NOTHING <= plan.total <= totals.max() + NOTHING
    assert plan.bound == plan.gap == float("inf")


def total_of(
    policy: Policy, trace: Trace, video: Video, qoe: QoE, rtt_ms: float, cap_ms: float, start_index: int = 1
) -> float:
    """Sum of QoE without the first chunk's, in the simulated player."""
    rows, _ = simulate(
        video,
        trace,
        policy,
        seed=3,
        qoe=qoe,
        link=PublishedLink(rtt_ms=rtt_ms),
        chunks=video.chunks,
        cap_ms=cap_ms,
        start_index=start_index,
    )
    levels, stalls_s = [row.level for row in rows], [row.stall_s for row in rows]
    return running_total(qoe.per_chunk(levels, stalls_s, video.ladder_kbps))


@settings(max_examples=30, deadline=None)
@given(
    trace=traces(40),
    video=videos(30),
    qoe=st.sampled_from(QOES),
    rtt_ms=st.floats(0.0, 200.0),
    data=st.data(),
)
def test_no_policy_beats_it_and_its_worth_is_attained(
    trace: Trace, video: Video, qoe: QoE, rtt_ms: float, data: st.DataObject
) -> None:
    start = data.draw(st.integers(1, len(trace.time_s) - 1))
    cap_ms = data.draw(st.sampled_from((60_000.0, 12_000.0)))
    oracle = Oracle()
    attained = total_of(oracle, trace, video, qoe, rtt_ms, cap_ms, start)
    assert oracle.plan is not None
    assert attained == oracle.plan.total
    assert oracle.plan.total <= oracle.plan.bound
    for policy in (BBA(), RobustMPC(), PublishedMPC(), Fixed(0), Fixed(1), Fixed(2)):
        assert total_of(policy, trace, video, qoe, rtt_ms, cap_ms, start) <= oracle.plan.bound + NOTHING


def test_it_is_better_than_robustmpc_where_the_future_matters() -> None:
    robust = total_of(RobustMPC(), STEPS, CBR, QoE(), 80.0, 60_000.0)
    assert total_of(Oracle(), STEPS, CBR, QoE(), 80.0, 60_000.0) > robust + 1.0


class Meddled:
    """The oracle, but chunk 2 is somebody else's choice."""

    def __init__(self) -> None:
        self.oracle = Oracle()

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self.oracle.reset(video, seed, qoe)

    def tell(self, future: Future) -> None:
        self.oracle.tell(future)

    def select(self, observation: Observation) -> Decision | int:
        return 1 if observation.chunk == 2 else self.oracle.select(observation)


def test_it_plans_anew_from_what_somebody_else_chose() -> None:
    video = CBR.first(CHUNKS)
    rich = Trace("rich", (0.0, 100.0), (9.0, 9.0))
    meddled = Meddled()
    attained = total_of(meddled, rich, video, QoE(), 80.0, 60_000.0)
    assert meddled.oracle.plan is not None
    plans = every_plan(*meddled.oracle.plan.levels[:3])
    assert meddled.oracle.plan.levels[2] == 1
    assert attained == pytest.approx(all_totals(rich, video, QoE(), 80.0, 60_000.0, plans).max())


class OtherLink:
    """A link model that the oracle cannot compute."""

    def open(self, trace: Trace, start_index: int, seed: int) -> LinkSession:
        raise AssertionError("the oracle has to refuse this link before it is opened")


def test_who_knows_no_future_says_so() -> None:
    oracle = Oracle()
    oracle.reset(CBR, 0, QoE())
    observation = Observation(0, (), 0.0, CBR.sizes_bytes[:8], 40, 0.0)
    with pytest.raises(ValueError, match="has not been told the future; only the simulator knows it"):
        oracle.select(observation)
    oracle.tell(Future(STEPS, 1, PublishedLink(), 40, 60_000.0, 0))
    assert 0 <= oracle.select(observation).level < 3
    oracle.reset(CBR, 0, QoE())
    with pytest.raises(ValueError, match="has not been told the future"):
        oracle.select(observation)
    with pytest.raises(ValueError, match="plans for the published link only; choose --link published"):
        oracle.tell(Future(STEPS, 1, OtherLink(), 40, 60_000.0, 0))
    with pytest.raises(ValueError, match=r"cap 499\.0 ms; the oracle needs 500 ms or more"):
        best_plan(CBR, STEPS, PublishedLink(), QoE(), chunks=40, cap_ms=499.0)
    dark = Trace("dark", (0.0, 1.0), (0.0, 1e-12))
    with pytest.raises(TraceError, match="dark: a chunk never arrives"):
        best_plan(CBR, dark, PublishedLink(), QoE(), chunks=40)


def test_means_leave_the_first_chunk_out() -> None:
    plan = OraclePlan((0, 1, 2), total=3.0, bound=4.0)
    assert (plan.mean, plan.gap) == (1.5, 0.5)


def test_it_can_be_had_by_name() -> None:
    assert isinstance(load_policy("oracle").policy, Oracle)


def test_one_delay_is_a_longer_round_trip_and_delays_that_vary_are_refused() -> None:
    delayed = replace(STEPS, delay_ms=(0.0, 120.0, 120.0, 120.0))
    plan = best_plan(CBR, delayed, PublishedLink(rtt_ms=80.0), QoE(), chunks=20)
    same = best_plan(CBR, STEPS, PublishedLink(rtt_ms=200.0), QoE(), chunks=20)
    assert plan.gap <= NOTHING and plan.total == pytest.approx(same.total)
    varying = replace(STEPS, delay_ms=(0.0, 120.0, 120.0, 20.0))
    with pytest.raises(ValueError, match=r"^steps: its delays vary \(20 to 120 ms\).*leave the oracle out"):
        Oracle().tell(Future(varying, 1, PublishedLink(), 20, 60_000.0, 0))
    with pytest.raises(ValueError, match="delays vary"):
        best_plan(CBR, varying, PublishedLink(), QoE(), chunks=20)
