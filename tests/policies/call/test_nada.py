"""NADA: the RFC's equations by hand, its two modes, its memory of losses, and what it does with links."""

from __future__ import annotations

import math

import numpy as np
import pytest

from policies.call import nada_steps as nada
from tests.support.constant_call import ConstantCall


def test_constants_are_those_of_the_rfc() -> None:
    assert (nada.PRIO, nada.XREF_MS, nada.KAPPA, nada.ETA, nada.TAU_MS) == (1.0, 10.0, 0.5, 2.0, 500.0)
    assert (nada.DELTA_S, nada.LOGWIN_S, nada.QEPS_MS, nada.DFILT_MS) == (0.1, 0.5, 10.0, 120.0)
    assert (nada.GAMMA_MAX, nada.QBOUND_MS, nada.MULTILOSS) == (0.5, 50.0, 7.0)
    assert (nada.QTH_MS, nada.LAMBDA, nada.PLRREF, nada.DLOSS_MS) == (50.0, 0.5, 0.01, 10.0)
    assert (nada.FPS, nada.BETA_V, nada.ALPHA, nada.TAPS) == (30.0, 0.1, 0.1, 15)


def test_equation_1_and_2_by_hand() -> None:
    assert nada.warped_ms(49.9) == 49.9
    assert nada.warped_ms(100.0) == pytest.approx(50 * math.exp(-0.5))
    assert nada.congestion_ms(100.0, 0.02, False) == pytest.approx(100 + 10 * 4)
    assert nada.congestion_ms(100.0, 0.02, True) == pytest.approx(50 * math.exp(-0.5) + 40)


def test_accelerated_ramp_up_by_hand() -> None:
    assert nada.ramped_kbps(500.0, 500.0, 80.0) == pytest.approx(500 * (1 + 50 / (80 + 100 + 120)))
    assert nada.ramped_kbps(900.0, 500.0, 80.0) == 900.0  # never down
    assert nada.ramped_kbps(0.0, 500.0, -200.0) == pytest.approx(500 * 1.5)  # GAMMA_MAX


def test_gradual_update_by_hand() -> None:
    # x = 20 ms, before 15 ms, r = 1000 of 2500 kbit/s: offset 20 - 25 = -5, change 5
    expected = 1000 - 0.5 * (100 / 500) * (-5 / 500) * 1000 - 0.5 * 2 * (5 / 500) * 1000
    assert nada.gradual_kbps(1000.0, 20.0, 15.0, 100.0, 2500.0) == pytest.approx(expected)


def test_at_rest_the_queue_is_xref_times_ceiling_over_rate() -> None:
    assert nada.gradual_kbps(1000.0, 25.0, 25.0, 100.0, 2500.0) == pytest.approx(1000.0)


def test_loss_intervals_are_weighted_as_tfrc_s() -> None:
    intervals = np.array([30.0, 10, 20, 0, 0, 0, 0, 0, 0])
    assert nada.mean_loss_interval(intervals, 2) == max((30 + 10) / 2, (10 + 20) / 2)
    whole = np.array([0.0, 8, 7, 6, 5, 4, 3, 2, 1])
    weights = np.array([1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    assert nada.mean_loss_interval(whole, 8) == pytest.approx((weights * whole[1:]).sum() / weights.sum())


def heard(state: nada.NadaState, packets: list[tuple[int, float, float]], now_s: float) -> float:
    """A feedback of (seq, sent s, one-way delay s) packets of 1200 bytes; the new target."""
    from player.call.feedback_batch import room_for_feedback

    room = room_for_feedback(1, max(len(packets), 1))
    room.now_s[0], room.heard[0], room.packets[0], room.rtt_s[0] = now_s, True, len(packets), 0.08
    for place, (seq, sent_s, owd_s) in enumerate(packets):
        room.seq[0, place], room.size_bytes[0, place] = seq, 1200
        room.sent_s[0, place], room.arrived_s[0, place] = sent_s, sent_s + owd_s
    return float(nada.step(state, 0, room))


def begun() -> nada.NadaState:
    state = nada.new_state(1)
    nada.begin(state, 0, 300.0, 80.0, 2500.0, False)
    return state


def evenly(first: int, count: int, owd_s: float, every_s: float = 0.01) -> list[tuple[int, float, float]]:
    return [(first + n, (first + n) * every_s, owd_s) for n in range(count)]


def test_both_modes() -> None:
    """960 kbit/s without a queue ramp up; 30 ms of queue are a gradual update."""
    state = begun()
    heard(state, evenly(0, 10, 0.04), 0.15)
    assert heard(state, evenly(10, 10, 0.04), 0.25) == pytest.approx(960 * (1 + 50 / 300))
    assert state.facts[0, nada.RAMPS] == 1.0
    before = state.facts[0, nada.REF_KBPS]
    after = heard(state, evenly(20, 20, 0.07), 0.45)
    assert state.facts[0, nada.RAMPS] == 0.0 and state.facts[0, nada.QUEUE_MS] == pytest.approx(30.0)
    assert after == pytest.approx(nada.gradual_kbps(before, 30.0, 0.0, 200.0, 2500.0))


def test_rates_are_updated_each_delta_not_each_feedback() -> None:
    state = begun()
    heard(state, evenly(0, 5, 0.04), 0.10)
    assert heard(state, evenly(5, 5, 0.04), 0.15) == 300.0
    assert heard(state, evenly(10, 5, 0.04), 0.20) > 300.0


def test_a_delay_is_warped_while_the_last_loss_is_within_seven_mean_intervals() -> None:
    """Losses each 10 packets; after the last, 7 x (mean interval) packets are waited for."""
    state = begun()
    seq = 0
    for burst in range(4):
        heard(state, evenly(seq, 10, 0.04 + 0.1), 0.1 * (burst + 1))
        seq += 11  # one is lost
    mean = nada.mean_loss_interval(state.intervals[0], int(state.facts[0, nada.LOST_EVER]))
    assert mean == pytest.approx(10.0)
    state.facts[0, nada.BASE_S] = 0.04
    warped, signals = [], []
    for burst in range(4, 30):
        heard(state, evenly(seq, 5, 0.04 + 0.1), 0.1 * (burst + 1))
        seq += 5
        mean = nada.mean_loss_interval(state.intervals[0], int(state.facts[0, nada.LOST_EVER]))
        warped.append(state.intervals[0, 0] <= 7 * mean)
        signals.append(state.facts[0, nada.X_MS] - 10 * (state.facts[0, nada.PLR] / 0.01) ** 2)
    for was_warped, signal in zip(warped, signals, strict=True):
        assert signal == pytest.approx(50 * math.exp(-0.5) if was_warped else 100.0, abs=1e-6)
    assert warped[0]


def test_the_loss_ratio_is_that_of_the_log_window_smoothed() -> None:
    state = begun()
    heard(state, evenly(0, 20, 0.04), 0.2)
    heard(state, [each for each in evenly(20, 30, 0.04) if each[0] not in (25, 31)], 0.5)
    assert state.facts[0, nada.PLR] == pytest.approx(0.1 * 2 / 50)


@pytest.mark.parametrize("mbps", [1.0, 2.0])
def test_a_constant_link_is_used_with_a_short_queue_and_no_loss(mbps: float) -> None:
    call = ConstantCall([(0.0, mbps)], int(mbps * 25_000))
    call.run(nada, nada.new_state(1), 60.0)
    payload_kbps = 1000 * mbps * 1200 / 1242
    assert 0.9 <= np.array(call.targets_kbps)[400:].mean() / payload_kbps <= 1.02
    # at rest the queue is XREF x 2500 / rate
    assert np.percentile(call.queue_delays_s(20.0), 50) == pytest.approx(
        0.010 * 2500 / payload_kbps, abs=0.012
    )
    assert call.lost == 0


def test_halved_capacity_is_given_way_to_within_two_seconds() -> None:
    call = ConstantCall([(0.0, 2.0), (30.0, 1.0)], 50_000)
    call.run(nada, nada.new_state(1), 45.0)
    targets = np.array(call.targets_kbps)
    assert targets[600:640].min() < 966 and np.percentile(call.queue_delays_s(36.0), 95) < 0.100
