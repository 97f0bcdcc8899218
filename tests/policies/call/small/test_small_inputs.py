"""What the net is told, computed by hand from made feedback."""

import math

import numpy as np
import pytest

from player.call.feedback_batch import room_for_feedback
from policies.call.small import inputs
from policies.call.small.memory import MEMORIES
from policies.call.small.net import SHAPES, SmallNet
from policies.call.small.steps import begin, new_state, watch_all


def still_net():
    """A net of zeros."""
    return SmallNet({name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()})


@pytest.fixture
def state():
    made = new_state(1, still_net(), 1.0)
    begin(made, 0, 300.0, 80.0, 2500.0, False)
    return made


def told(state, now_s, packets, target_kbps=500.0, heard=True, pacer_bytes=0):
    """The newest row after a feedback of (sent_s, arrived_s or nan, bytes)."""
    feedback = room_for_feedback(1, 8)
    feedback.now_s[0], feedback.heard[0], feedback.packets[0] = now_s, heard, len(packets)
    feedback.target_kbps[0], feedback.pacer_bytes[0] = target_kbps, pacer_bytes
    for place, (sent_s, arrived_s, size) in enumerate(packets):
        feedback.sent_s[0, place], feedback.arrived_s[0, place] = sent_s, arrived_s
        feedback.size_bytes[0, place] = size
    rows = np.zeros((1, inputs.NUMBERS), np.float32)
    watch_all(state, feedback, rows, np.zeros((1, MEMORIES), np.float32))
    return rows[0]


def test_rate_target_delay_and_slope_by_hand(state):
    told(state, 0.10, [(0.00, 0.04, 1000)])
    row = told(state, 0.15, [(0.05, 0.10, 1000), (0.06, 0.13, 1500)], pacer_bytes=1250)
    assert row[inputs.RECEIVED] == pytest.approx(math.log(2500 * 8 / 0.05 / 1e6 + 0.01), rel=1e-6)
    assert row[inputs.TARGET] == pytest.approx(math.log(0.5), rel=1e-6)
    # one-way delays 50 and 70 ms over a least of 40; 20 ms more over 30 ms of arrival
    assert row[inputs.QUEUE] == pytest.approx(0.20, rel=1e-5)
    assert row[inputs.SLOPE] == pytest.approx(2 / 3, rel=1e-5)
    # 10 kbit at 500 kbit/s are 20 ms
    assert row[inputs.PACER] == pytest.approx(0.2, rel=1e-5)
    assert row[inputs.LOST] == row[inputs.UNHEARD] == 0.0


def test_lost_packets_count_and_bring_nothing(state):
    row = told(
        state, 0.05, [(0.0, 0.04, 1000), (0.01, math.nan, 1000), (0.02, math.nan, 1000), (0.0, 0.05, 500)]
    )
    assert row[inputs.LOST] == 0.5
    assert row[inputs.RECEIVED] == pytest.approx(math.log(1500 * 8 / 0.05 / 1e6 + 0.01), rel=1e-6)


def test_without_feedback_the_queue_is_the_last_known(state):
    told(state, 0.05, [(0.0, 0.04, 1000)])
    told(state, 0.10, [(0.05, 0.14, 1000)])
    row = told(state, 0.15, [], heard=False)
    assert row[inputs.UNHEARD] == 1.0
    assert row[inputs.QUEUE] == pytest.approx(0.5, rel=1e-5)
    assert row[inputs.RECEIVED] == pytest.approx(math.log(0.01), rel=1e-6)


def test_rows_move_up_and_the_newest_is_last(state):
    first = told(state, 0.05, [(0.0, 0.04, 700)])
    second = told(state, 0.10, [(0.05, 0.10, 900)])
    assert np.array_equal(state.rows[0, -2], first)
    assert np.array_equal(state.rows[0, -1], second)
    assert state.rows[0, 0, inputs.TARGET] == pytest.approx(math.log(0.3), rel=1e-6)  # before the call


def test_wild_values_stay_within_bounds(state):
    told(state, 0.05, [(0.0, 0.04, 1000)])
    row = told(state, 5.0, [(0.1, 4.9, 1000), (0.2, 4.9 + 1e-7, 1000)], pacer_bytes=10**9)
    assert row[inputs.QUEUE] == row[inputs.PACER] == inputs.MOST_UNITS
    assert abs(row[inputs.SLOPE]) <= inputs.MOST_SLOPE
    assert np.isfinite(row).all() and np.isfinite(state.recalled).all()
