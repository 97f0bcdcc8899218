"""Capacity, AIMD, acknowledged rate, loss and push-back, step by step by hand."""

from __future__ import annotations

import math

import pytest

from player.call.gcc import acked, aimd, capacity, flight, loss, probe_control, probe_result, pushback
from player.call.gcc.state import GccState, new_state
from player.call.gcc.trendline import NORMAL, OVERUSE, UNDERUSE


def test_constants_are_those_of_webrtc() -> None:
    assert (aimd.DECREASE, aimd.INCREASE_A_SECOND, aimd.LIMIT_FACTOR, aimd.LIMIT_KBPS) == (
        0.85,
        1.08,
        1.5,
        10.0,
    )
    assert (aimd.LEAST_WAIT_S, aimd.MOST_WAIT_S, aimd.FAR_BELOW, aimd.DEFAULT_RTT_S) == (0.01, 0.2, 0.5, 0.2)
    assert (capacity.SHARE_OF_NEW, capacity.LEAST_VARIANCE, capacity.MOST_VARIANCE) == (0.05, 0.4, 2.5)
    assert (acked.FIRST_WINDOW_S, acked.WINDOW_S, acked.UNCERTAINTY) == (0.5, 0.15, 10.0)
    assert (acked.FIRST_VARIANCE, acked.VARIANCE_A_SAMPLE) == (50.0, 5.0)
    assert (loss.LOW_LOSS, loss.HIGH_LOSS, loss.INCREASE, loss.INCREASE_KBPS) == (0.02, 0.1, 1.08, 1.0)
    assert (loss.DECREASE_SHARE, loss.DECREASE_WAIT_S, loss.START_PHASE_S) == (0.5, 0.3, 2.0)
    assert (loss.RTT_LIMIT_S, loss.RTT_DROP, loss.RTT_DROP_S, loss.RTT_FLOOR_KBPS) == (3.0, 0.8, 1.0, 5.0)
    assert (probe_control.FIRST_FACTOR, probe_control.SECOND_FACTOR) == (3.0, 6.0)
    assert (probe_control.FURTHER_FACTOR, probe_control.FURTHER_SHARE) == (2.0, 0.7)
    assert (probe_result.CLUSTER_S, probe_result.CLUSTER_PACKETS, probe_result.USED_SHARE) == (0.015, 5, 0.95)
    assert (pushback.QUEUE_S, pushback.LEAST_PUSHED_KBPS, pushback.LEAST_WINDOW_BYTES) == (0.35, 30.0, 3000.0)


def rates(start_kbps: float = 1000.0) -> GccState:
    state = new_state(1)
    aimd.begin_aimd(state.aimd[0], start_kbps, 80.0)
    loss.begin_loss(state.loss[0], start_kbps, 80.0, 2500.0)
    pushback.begin_pushback(state.push[0])
    acked.forget_acked(state.acked[0])
    probe_control.begin_probes(state.probes[0], state.clusters[0], start_kbps, 2500.0, True)
    return state


def test_it_rises_by_eight_per_cent_a_second_until_one_and_a_half_of_what_arrives() -> None:
    row = rates().aimd[0]
    aimd.update_aimd(row, NORMAL, 1000.0, 1.0)  # from hold to rise: the clock begins
    assert row[aimd.RATE_KBPS] == 1001.0  # the least step
    aimd.update_aimd(row, NORMAL, 1000.0, 1.5)
    assert row[aimd.RATE_KBPS] == pytest.approx(1001.0 * 1.08**0.5)
    aimd.update_aimd(row, NORMAL, 1000.0, 9.0)  # a longer time counts as a second
    assert row[aimd.RATE_KBPS] == pytest.approx(1001.0 * 1.08**1.5)
    for second in range(10, 40):
        aimd.update_aimd(row, NORMAL, 1000.0, float(second))
    assert row[aimd.RATE_KBPS] == 1.5 * 1000 + 10


def test_it_falls_to_085_of_what_arrives_and_then_rises_by_a_packet_a_response_time() -> None:
    row = rates(2000.0).aimd[0]
    row[aimd.RTT_S] = 0.1
    aimd.update_aimd(row, OVERUSE, 1000.0, 5.0)
    assert (row[aimd.RATE_KBPS], row[aimd.STATE]) == (850.0, aimd.HOLD)
    assert row[capacity.CAPACITY_KBPS] == 1000.0
    aimd.update_aimd(row, NORMAL, 1000.0, 5.1)
    aimd.update_aimd(row, NORMAL, 1000.0, 6.1)
    # 850 kbit/s are frames of 28333 bits at 30 a second, 3 packets each: 9444 bits in 2 x (100 + 100) ms
    assert row[aimd.RATE_KBPS] == pytest.approx(850.0 + 850_000 / 30 / 3 / 0.4 / 1000)


def test_low_rates_rise_by_at_least_four_kbit_a_second() -> None:
    assert aimd.added_kbps_a_second(30.0, 10.0) == 4.0
    assert aimd.added_kbps_a_second(300.0, 0.1) == pytest.approx(10_000 / 2 / 0.4 / 1000)


def test_a_decrease_never_raises_the_rate_and_waits_for_a_round_trip() -> None:
    row = rates(500.0).aimd[0]
    aimd.update_aimd(row, OVERUSE, 1000.0, 1.0)
    assert row[aimd.RATE_KBPS] == 500.0
    row[aimd.RTT_S] = 0.125
    assert not aimd.may_fall(row, 300.0, 1.124) and aimd.may_fall(row, 300.0, 1.125)
    assert aimd.may_fall(row, 249.0, 1.001)  # less than half of the estimate arrives
    row[aimd.RTT_S] = 5.0
    assert not aimd.may_fall(row, 300.0, 1.199) and aimd.may_fall(row, 300.0, 1.201)


def test_underuse_holds_and_a_far_acked_rate_forgets_the_capacity() -> None:
    row = rates(1000.0).aimd[0]
    aimd.update_aimd(row, OVERUSE, 1000.0, 1.0)
    aimd.update_aimd(row, UNDERUSE, 1000.0, 2.0)
    assert (row[aimd.RATE_KBPS], row[aimd.STATE]) == (850.0, aimd.HOLD)
    deviation = math.sqrt(0.4 * 1000.0)
    assert capacity.upper_kbps(row) == pytest.approx(1000 + 3 * deviation)
    assert capacity.lower_kbps(row) == pytest.approx(1000 - 3 * deviation)
    aimd.update_aimd(row, NORMAL, 1000 + 3 * deviation + 1, 3.0)
    assert math.isnan(row[capacity.CAPACITY_KBPS])


def test_the_capacity_is_a_moving_mean_with_a_bounded_variance() -> None:
    row = rates().aimd[0]
    for kbps in (1000.0, 900.0):
        capacity.learn_capacity(row, kbps)
    assert row[capacity.CAPACITY_KBPS] == pytest.approx(0.95 * 1000 + 0.05 * 900)
    variance = 0.95 * 0.4 + 0.05 * (995 - 900) ** 2 / 995
    assert row[capacity.VARIANCE_KBPS] == pytest.approx(variance)
    capacity.learn_capacity(row, 0.0)
    assert row[capacity.VARIANCE_KBPS] == 2.5


def acked_after(state: GccState, packets: list[tuple[float, float]]) -> float:
    """The acknowledged rate after packets of (arrival s, bytes)."""
    for arrived_s, size_bytes in packets:
        acked.add_acked(state.acked[0], arrived_s, size_bytes)
    return float(state.acked[0, acked.ESTIMATE_KBPS])


def test_the_first_acked_rate_is_that_of_half_a_second() -> None:
    even = [(n / 64, 1200.0) for n in range(33)]  # the packet at 0.5 s ends the window that began at 0
    assert math.isnan(acked_after(rates(), even[:32]))
    assert acked_after(rates(), even) == pytest.approx(32 * 9.6 / 0.5)


def test_later_windows_are_samples_that_count_for_less_the_further_they_are() -> None:
    state = rates()
    row = state.acked[0]
    row[acked.ESTIMATE_KBPS], row[acked.BEFORE_S], row[acked.COLLECTED_KBIT] = 1000.0, 0.0, 75.0
    assert acked_after(state, [(0.15, 1200.0)]) == pytest.approx(
        (25.0 * 1000 + 55.0 * 500) / (25.0 + 55.0)  # a sample of 500: doubt 10 x 0.5, 5 squared; 50 + 5
    )
    assert row[acked.VARIANCE] == pytest.approx(25.0 * 55.0 / 80.0)
    assert row[acked.COLLECTED_KBIT] == pytest.approx(9.6)


def test_what_came_before_a_gap_is_no_sample() -> None:
    state = rates()
    row = state.acked[0]
    row[acked.ESTIMATE_KBPS], row[acked.BEFORE_S], row[acked.COLLECTED_KBIT] = 1000.0, 0.0, 500.0
    assert acked_after(state, [(0.35, 1200.0)]) == 1000.0
    assert row[acked.COLLECTED_S] == pytest.approx(0.35 % 0.15) and row[acked.COLLECTED_KBIT] == 9.6


def test_a_rate_of_nothing_is_a_number() -> None:
    state = rates()
    state.acked[0, acked.ESTIMATE_KBPS], state.acked[0, acked.BEFORE_S] = 0.0, 0.0
    assert acked_after(state, [(0.15, 1200.0), (0.30, 1200.0), (0.45, 1200.0)]) >= 0.0


def loss_after(state: GccState, lost: float, packets: float, now_s: float) -> float:
    loss.report_packets(state.loss[0], packets, lost, now_s)
    loss.update_target(state.loss[0], state.history[0], now_s, now_s)
    return float(state.loss[0, loss.TARGET_KBPS])


def test_little_loss_lets_the_target_rise_by_eight_per_cent_of_the_least_of_a_second() -> None:
    state = rates(1000.0)
    loss.set_delay_limit(state.loss[0], 2000.0)
    state.loss[0, loss.FIRST_REPORT_S] = -10.0  # the start phase is over
    assert loss_after(state, 1, 100, 1.0) == pytest.approx(1081.0)
    assert loss_after(state, 0, 20, 1.5) == pytest.approx(
        1081.0
    )  # the least of the last second is still 1000
    assert loss_after(state, 0, 20, 2.1) == pytest.approx(1081.0 * 1.08 + 1)


def test_some_loss_holds_and_much_loss_cuts_by_half_of_it_once_a_report() -> None:
    state = rates(1000.0)
    loss.set_delay_limit(state.loss[0], 2000.0)
    state.loss[0, loss.FIRST_REPORT_S] = -10.0
    assert loss_after(state, 5, 100, 1.0) == 1000.0
    ratio = math.floor(256 * 30 / 100) / 256
    assert loss_after(state, 30, 100, 2.5) == pytest.approx(1000.0 * (1 - 0.5 * ratio))
    assert loss_after(state, 0, 0, 2.6) == pytest.approx(1000.0 * (1 - 0.5 * ratio))


def test_fewer_than_twenty_packets_make_no_ratio() -> None:
    state = rates(1000.0)
    state.loss[0, loss.FIRST_REPORT_S] = -10.0
    assert loss_after(state, 19, 19, 1.0) == 1000.0
    assert state.loss[0, loss.RATIO] == 0.0
    loss_after(state, 0, 1, 2.5)  # with this one there are 20: 19 of them lost
    assert state.loss[0, loss.RATIO] == math.floor(256 * 19 / 20) / 256


def test_in_the_first_two_seconds_the_target_follows_the_rate_by_delay() -> None:
    state = rates(300.0)
    loss.set_delay_limit(state.loss[0], 1500.0)
    assert loss_after(state, 0, 30, 0.1) == 1500.0
    loss.set_delay_limit(state.loss[0], 2400.0)
    assert loss_after(state, 0, 30, 2.2) == pytest.approx(1500.0 * 1.08 + 1)


def test_a_round_trip_over_three_seconds_costs_a_fifth_each_second() -> None:
    state = rates(1000.0)
    loss.set_rtt(state.loss[0], 0.125, 10.0)
    targets = []
    for eighth in range(80, 128):
        loss.update_target(state.loss[0], state.history[0], eighth / 8, eighth / 8)
        targets.append(round(float(state.loss[0, loss.TARGET_KBPS]), 6))
    assert targets[23] == 1000.0 and targets[24] == 800.0  # 2.875 s of silence and 0.125 s; then more
    assert sorted(set(targets), reverse=True) == [1000.0, 800.0, 640.0, 512.0]


def test_the_window_pushes_back_by_what_is_on_the_way() -> None:
    state = rates()
    push, rtts = state.push[0], state.rtts[0]
    pushback.keep_rtt(push, rtts, 0.25)
    pushback.keep_rtt(push, rtts, 0.15)
    pushback.update_window(push, rtts, 1000.0)
    assert push[pushback.WINDOW_BYTES] == pytest.approx(1000 * 125 * 0.5)  # the least RTT and 350 ms
    flight.add_sent(push, 62_500 * 1.2)
    assert pushback.pushed_kbps(push, 1000.0, 0.0) == pytest.approx(1000 * 0.95**3)
    flight.add_sent(push, 62_500 * 0.4)
    assert pushback.pushed_kbps(push, 1000.0, 2400.0) == pytest.approx(1000 * 0.95**3 * 0.9**5)
    flight.add_reported(push, 82, 1000.0)  # and 82 before it that nobody told of
    assert push[flight.FLIGHT_BYTES] == pytest.approx(62_500 * 1.6 - 82 * 1200 - 1000)
    assert pushback.pushed_kbps(push, 1000.0, 0.0) == 1000.0


def cluster(state: GccState, number: int, sent_ms: float, arrived_ms: float, packets: int = 5) -> list[float]:
    return [
        probe_result.probed_kbps(
            state.clusters[0], number, n * sent_ms / 1000, 0.1 + n * arrived_ms / 1000, 1200.0
        )
        for n in range(packets)
    ]


def test_a_probe_measures_what_arrived_and_095_of_a_link_that_is_slower() -> None:
    state = rates(300.0)
    assert [probe_control.take_cluster(state.probes[0], state.clusters[0]) for _ in range(3)] == [
        900,
        1800,
        0,
    ]
    fast = cluster(state, 1, 10.0, 10.0)
    assert all(math.isnan(kbps) for kbps in fast[:3])  # 4 of 5 packets are needed
    assert fast[3:] == pytest.approx([960.0, 960.0])
    slow = cluster(state, 2, 5.0, 12.0)
    assert slow[4] == pytest.approx(0.95 * 800.0)
    assert all(math.isnan(kbps) for kbps in cluster(state, 7, 5.0, 5.0))  # nobody asked for it


def test_probes_go_on_as_long_as_they_pay() -> None:
    state = rates(300.0)
    probes, clusters = state.probes[0], state.clusters[0]
    for _ in range(2):
        probe_control.take_cluster(probes, clusters)
    probe_control.update_probes(probes, 0.7 * 1800.0, 2500.0, True, 0.5)
    assert probe_control.take_cluster(probes, clusters) == 0.0
    probe_control.update_probes(probes, 1300.0, 2500.0, False, 0.5)  # delay grows
    assert probe_control.take_cluster(probes, clusters) == 0.0
    probe_control.update_probes(probes, 1300.0, 2500.0, True, 0.6)
    assert probe_control.take_cluster(probes, clusters) == 2500.0  # twice the target is over the ceiling
    probe_control.update_probes(probes, 2500.0, 2500.0, True, 0.7)
    assert probe_control.take_cluster(probes, clusters) == 0.0


def test_a_probe_without_a_result_is_waited_for_one_second() -> None:
    state = rates(300.0)
    probes, clusters = state.probes[0], state.clusters[0]
    for _ in range(2):
        probe_control.take_cluster(probes, clusters)
    probe_control.update_probes(probes, 300.0, 2500.0, True, 1.1)
    probe_control.update_probes(probes, 2000.0, 2500.0, True, 1.2)
    assert probe_control.take_cluster(probes, clusters) == 0.0
