"""The oracle's labels against the oracle itself, and that the net learns from them."""

import dataclasses

import numpy as np
import pytest

from player.call.media import facts
from player.call.observation import CallObservation, Interval
from player.call.path import CallPath
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from policies.call.oracle import PAYLOAD_SHARE, Oracle
from policies.call.small.collect import (
    FIRST_ROWS,
    GROUP,
    Watched,
    by_oracle_astray,
    drawn_link,
    drawn_path,
    watch,
    windows,
)
from policies.call.small.inputs import INTERVALS, NUMBERS, RECEIVED, ROWS_WIDTH, TARGET
from policies.call.small.labels import label_all, teach_all, told_links
from policies.call.small.memory import MEMORIES
from policies.call.small.net import SHAPES, SmallNet
from policies.call.small.score import Scored, row
from policies.call.small.teacher import TEACHER_MARGIN
from traces.trace import Trace

CALL = CallSettings(duration_s=6.0, warm_up_s=1.0)


def traces():
    return [
        Trace("steps", (0.0, 1.0, 1.7, 4.0), (0.0, 2.0, 0.2, 1.0)),
        Trace("holes", (0.0, 0.4, 0.6, 2.5, 3.0), (0.0, 3.0, 0.0, 1.5, 0.6)),
    ]


def nothing_recalled():
    return np.zeros((16, 60, MEMORIES), np.float32)


def still_net():
    return SmallNet({name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()})


def test_labels_are_the_oracle_s_own_rates():
    path = CallPath(rtt_ms=60.0, media_delay_ms=20.0)
    calls = SimulatedCalls(CALL, traces(), path, seeds=[1, 2], start_s=[0.3, 3.9], threads=1)
    links, kbps = told_links(calls), np.zeros(2)
    oracles = [Oracle(), Oracle()]
    for n, oracle in enumerate(oracles):
        oracle.reset(CALL, 0, None)
        oracle.tell(calls.traces[n], float(calls.start_s[n]), path)
    random = np.random.default_rng(0)
    for _ in range(100):
        feedback = calls.to_next_feedback()
        label_all(links, feedback, kbps)
        for n, oracle in enumerate(oracles):
            seen = Interval(*calls.facts[n].tolist())
            said = oracle.decide(CallObservation(seen, (), ()))
            assert kbps[n] == pytest.approx(said.kbps, rel=1e-6, abs=1e-3)
        calls.set_rates(random.uniform(80.0, 2500.0, 2))
    assert calls.facts[0, facts.INTERVAL] == 99


def test_a_hole_stops_the_oracle_and_not_the_teacher():
    """A link of 2 Mbit/s without a third of a second: of a second ahead it takes a third, of 0.2 s all."""
    hole = Trace("hole", (0.0, 1.0, 1.0 + 1 / 3, 60.0), (0.0, 2.0, 0.0, 2.0))
    calls = SimulatedCalls(CALL, [hole], CallPath(rtt_ms=0.0, media_delay_ms=0.0), threads=1)
    feedback = calls.to_next_feedback()
    while feedback.now_s[0] < 1.0 - 1e-9:
        calls.set_rates(80.0)
        feedback = calls.to_next_feedback()
    oracle, teacher = np.zeros(1), np.zeros(1)
    label_all(told_links(calls), feedback, oracle)
    teach_all(told_links(calls), feedback, teacher)
    assert oracle[0] == 0.0
    expected = (2.0 * (feedback.now_s[0] + 1.0 - 4 / 3) * 1000.0) * TEACHER_MARGIN * PAYLOAD_SHARE
    assert teacher[0] == pytest.approx(expected, rel=0.05)


def test_what_is_watched_is_what_a_player_s_net_would_be_told():
    calls = SimulatedCalls(CALL, traces(), CallPath(), seeds=[1, 2], threads=1)
    seen = watch(calls, by_oracle_astray(np.random.default_rng(1), 2), still_net())
    kept = CALL.intervals - 8
    assert seen.labels.shape == (2, kept)
    assert seen.rows.shape == (2, FIRST_ROWS + kept, NUMBERS)
    assert seen.recalled.shape == (2, kept, MEMORIES)
    views = windows(seen)
    assert views.shape == (2, kept, INTERVALS, NUMBERS)
    assert np.array_equal(views[1, 30, -1], seen.rows[1, FIRST_ROWS + 30])
    assert np.array_equal(views[1, 30, 0], seen.rows[1, FIRST_ROWS + 11])
    assert np.allclose(views[:, 0, 0, TARGET], np.log(CALL.start_kbps / 1000.0))
    told = seen.told(np.array([1]), np.array([30]))
    assert np.array_equal(told[0, :ROWS_WIDTH], views[1, 30].ravel())
    assert np.array_equal(told[0, ROWS_WIDTH:], seen.recalled[1, 30])
    bounds = np.log([0.08, 5.0]).astype(np.float32)
    assert (seen.labels >= bounds[0]).all() and (seen.labels <= bounds[1]).all()


def test_the_net_learns_what_can_be_learned():
    pytest.importorskip("torch")
    from policies.call.small.learn import learn, new_net

    random = np.random.default_rng(2)
    rows = random.normal(size=(16, FIRST_ROWS + 60, NUMBERS)).astype(np.float32)
    labels = 0.7 * rows[:, FIRST_ROWS:, RECEIVED] - 0.2 * rows[:, FIRST_ROWS:, TARGET]
    watched = Watched(rows, nothing_recalled(), labels.astype(np.float32), np.ones(16, np.float32))
    error = learn(new_net(1), watched, 300, random)
    assert error < 0.25 * labels.std()


def test_where_errors_upwards_count_more_the_net_stays_below():
    pytest.importorskip("torch")
    from policies.call.small.learn import as_arrays, learn, new_net
    from policies.call.small.steps import log_mbps, new_state

    random = np.random.default_rng(2)
    rows = np.zeros((16, FIRST_ROWS + 60, NUMBERS), np.float32)
    labels = random.normal(size=(16, 60)).astype(np.float32)
    said = []
    for over in (1.0, 4.0):
        net = new_net(1)
        weighed = Watched(rows, nothing_recalled(), labels, np.full(16, over, np.float32))
        learn(net, weighed, 200, np.random.default_rng(3))
        said.append(log_mbps(new_state(1, as_arrays(net), 1.0), 0))
    assert said[0] == pytest.approx(0.0, abs=0.15)
    assert said[1] < said[0] - 0.25  # of a normal distribution the expectile is 0.55 below its mean


def test_errors_upwards_count_for_each_set_or_the_same_for_all():
    from policies.call.small.__main__ import overs_of

    assert overs_of([4.0], 3) == [4.0, 4.0, 4.0]
    assert overs_of([1.0, 2.0], 2) == [1.0, 2.0]
    with pytest.raises(ValueError, match="--over has 2 numbers; give one, or one for each of the 3"):
        overs_of([1.0, 2.0], 3)


def test_a_run_is_the_same_again():
    pytest.importorskip("torch")
    from policies.call.small.settings import TrainSettings
    from policies.call.small.train import train

    settings = TrainSettings(calls=2, rounds=1, steps=3, last_steps=3)
    one, other = (train([traces()], [4.0], settings, lambda line: None) for _ in range(2))
    assert one[1] == other[1]
    assert all(np.array_equal(one[0].tensors[name], other[0].tensors[name]) for name in SHAPES)
    apart, _ = train([traces()], [4.0], dataclasses.replace(settings, seed=2), lambda line: None)
    assert not np.array_equal(one[0].tensors["first.weight"], apart.tensors["first.weight"])


def test_drawn_paths_are_paths_and_vary():
    random = np.random.default_rng(3)
    paths = [drawn_path(random) for _ in range(40)]
    usual = sum(path == CallPath() for path in paths)
    assert 8 <= usual <= 32
    assert all(path.rtt_ms <= 200.0 and path.media_jitter_ms <= path.media_delay_ms for path in paths)
    assert GROUP > 0


def test_half_of_the_links_are_thinner_all_along():
    random = np.random.default_rng(4)
    whole = traces()[0]
    factors = [
        np.asarray(drawn_link(whole, random).rate_mbps)[1:] / np.array([2.0, 0.2, 1.0]) for _ in range(60)
    ]
    assert all(each == pytest.approx(each[0]) and 0.15 <= each[0] <= 1.0 for each in factors)
    assert 15 <= sum(each[0] == 1.0 for each in factors) <= 45


def test_a_row_says_what_is_gained_call_by_call():
    base = Scored(np.array([1.0, 2.0]), np.array([4.0, 2.0]), np.array([100.0, 200.0]))
    mine = Scored(np.array([1.5, 2.5]), np.array([3.0, 3.0]), np.array([90.0, 210.0]))
    found = row("mine", mine, base)
    assert found["more_mbps"] == 0.5 and found["more_mbps_ci95"] == [0.5, 0.5]
    assert found["more_bitrate_pct"] == pytest.approx(100 / 3)
    assert found["more_stall_pts"] == 0.0 and found["more_stall_pts_ci95"] == [-1.0, 1.0]
