"""Copa: steps of the window and the velocity by hand, and what it does with links."""

from __future__ import annotations

import numpy as np
import pytest

from policies.call import copa_steps as copa
from policies.call.copa_steps import CWND, RTT_S, SLOW_START, VELOCITY, WAY, acknowledge, begin, new_state
from tests.support.constant_call import ConstantCall


def started(cwnd: float, rtt_s: float = 0.1) -> copa.CopaState:
    """A call that has left slow start, with this window."""
    state = new_state(1)
    begin(state, 0, 300.0, 80.0, 2500.0, False)
    facts = state.facts[0]
    facts[copa.KNOWN], facts[SLOW_START], facts[CWND], facts[RTT_S] = 1.0, 0.0, cwnd, rtt_s
    return state


def test_constants_are_those_of_the_paper() -> None:
    assert (copa.DELTA, copa.LEAST_RTT_WINDOW_S, copa.STANDING_SHARE, copa.SAME_WAY) == (0.5, 10.0, 0.5, 3)


def test_an_empty_queue_raises_the_window_by_v_over_delta_cwnd() -> None:
    state = started(10.0)
    acknowledge(state, 0, 0.1, 1.0, 1.0)
    assert state.facts[0, CWND] == pytest.approx(10 + 1 / (0.5 * 10))


def test_the_target_rate_decides_up_or_down() -> None:
    """A queue of 40 ms: target 1 / (0.5 x 0.04) = 50 packets a second. Over a standing round trip of 140 ms
    a window of 6.9 packets is 49.3 a second, one of 7.1 is 50.7."""
    for cwnd, way in ((6.9, 1), (7.1, -1)):
        state = started(cwnd, 0.140)
        copa.add_least(state.least[0], 0.100, 0.5, 10.0)
        acknowledge(state, 0, 0.140, 1.0, 1.0)
        assert state.facts[0, CWND] == pytest.approx(cwnd + way * 1 / (0.5 * cwnd))


def test_velocity_doubles_from_the_third_round_trip_of_one_direction_and_is_1_after_a_turn() -> None:
    state = started(50.0)
    facts, seen = state.facts[0], []
    for ack in range(75):
        acknowledge(state, 0, 0.1, 1.0 + ack / 8, 1.0 + ack / 8)
        seen.append(float(facts[VELOCITY]))
    # the first ack records the window; then a check each round trip: up (the first direction is none), up,
    # up, up: three times the same, and from there on it doubles, to delta x cwnd at most
    assert seen[:4] == [1.0, 1.0, 1.0, 1.0] and seen[4] == 2.0 and seen[5] == 4.0
    assert max(seen) <= 0.5 * facts[CWND] and facts[WAY] == 1.0
    acknowledge(state, 0, 0.9, 20.0, 20.0)  # a queue of 0.8 s
    assert (facts[VELOCITY], facts[WAY]) == (1.0, -1.0)


def test_the_window_never_falls_below_two_packets() -> None:
    state = started(3.0)
    copa.add_least(state.least[0], 0.01, 0.5, 10.0)
    for ack in range(200):
        acknowledge(state, 0, 0.9, 1.0 + ack / 100, 1.0 + ack / 100)
    assert state.facts[0, CWND] == copa.LEAST_PACKETS


def test_slow_start_doubles_once_a_round_trip_and_ends_with_a_queue() -> None:
    state = new_state(1)
    begin(state, 0, 960.0, 80.0, 2500.0, False)
    windows = []
    for ack in range(5):
        acknowledge(state, 0, 0.1, 1.0 + 0.101 * ack, 1.0 + 0.101 * ack)
        windows.append(float(state.facts[0, CWND]))
    assert windows == [10.0, 20.0, 40.0, 80.0, 160.0]  # 960 kbit/s are 10 packets of 1200 bytes in 100 ms
    acknowledge(state, 0, 0.4, 2.0, 2.0)
    acknowledge(state, 0, 0.4, 2.5, 2.5)
    assert state.facts[0, SLOW_START] == 0.0 and state.facts[0, CWND] < 160.0


@pytest.mark.parametrize("mbps", [1.0, 2.0])
def test_a_constant_link_is_used_and_its_queue_stays_far_from_full(mbps: float) -> None:
    call = ConstantCall([(0.0, mbps)], int(mbps * 25_000))
    call.run(copa, new_state(1), 60.0)
    share = np.array(call.targets_kbps)[400:] / (1000 * mbps * 1200 / 1242)
    assert 0.8 <= share.mean() <= 1.0
    assert np.percentile(call.queue_delays_s(20.0), 50) < 0.060
    assert call.lost < 0.01 * len(call.packets)


def test_an_encoder_at_its_ceiling_does_not_let_the_window_grow_without_bound() -> None:
    call = ConstantCall([(0.0, 20.0)], 500_000)
    state = new_state(1)
    call.run(copa, state, 30.0)
    assert state.facts[0, CWND] * 9.6 / state.facts[0, RTT_S] <= 2 * 2500 * 1.2


def test_a_dark_link_is_left_to_itself() -> None:
    call = ConstantCall([(0.0, 2.0), (20.0, 0.0), (25.0, 2.0)], 50_000)
    call.run(copa, new_state(1), 40.0)
    targets = np.array(call.targets_kbps)
    assert targets[415:500].max() == 80.0 and targets[600:].mean() > 1000


def test_no_feedback_at_all_leaves_the_start_rate() -> None:
    state = new_state(1)
    begin(state, 0, 300.0, 80.0, 2500.0, False)
    from player.call.feedback_batch import room_for_feedback

    silent = room_for_feedback(1, 8)
    assert copa.step(state, 0, silent) == 300.0
