"""Google's congestion control of one call, a step a feedback interval: what the parts say to each other.

As WebRTC's `goog_cc_network_control.cc` and `delay_based_bwe.cc` do with transport-wide feedback alone. Its
sources were read as they are in Chromium 138 (branch 7204) and 150, through forks and ports that are public.
Every constant stands in the part that it belongs to, with WebRTC's name for it, and where the draft
(draft-ietf-rmcat-gcc-02) has another. Not here: the loss model v2 (`loss.py` says what there is instead),
probes beyond the start (`probe_control.py`), and audio.

A call is a row of a `GccState`. Nothing is allocated, so that a real-time loop may call it.
"""

from __future__ import annotations

import math

from player.call.gcc.acked import acked_kbps, add_acked, forget_acked, trim_acked
from player.call.gcc.aimd import HALVED, RATE_KBPS, RTT_S, begin_aimd, may_fall, set_estimate, update_aimd
from player.call.gcc.groups import add_packet, forget_groups
from player.call.gcc.loss import (
    TARGET_KBPS,
    begin_loss,
    is_rtt_over,
    report_packets,
    set_delay_limit,
    set_probed,
    set_rtt,
    update_target,
)
from player.call.gcc.probe_control import ALLOWED, begin_probes, update_probes
from player.call.gcc.probe_result import probed_kbps
from player.call.gcc.pushback import begin_pushback, keep_rtt, pushed_kbps, update_window
from player.call.gcc.state import Floats, GccState, Ints
from player.call.gcc.trendline import NORMAL, OVERUSE, USAGE, add_group, forget_trend
from player.simulated.batch.compiled import compiled

TIMED_OUT_S = 2.0
"""WebRTC `kStreamTimeOut`: after so long without feedback, groups and trend begin anew."""

HEARD_AT_S, MOST_KBPS = 14, 15
"""Places in a row of `GccState.probes` that are this file's: when a packet was last heard of (NaN: never),
and the call's ceiling."""

_MS_PER_S = 1000.0


@compiled
def begin(
    state: GccState, call: int, start_kbps: float, min_kbps: float, max_kbps: float, may_probe: bool
) -> None:
    """A call begins, at time 0 of its clock.

    Args:
        call: its row.
        may_probe: False for a GCC that runs in the shadow of another rule.
    """
    forget_groups(state.groups[call])
    forget_trend(state.trend[call])
    begin_aimd(state.aimd[call], start_kbps, min_kbps)
    forget_acked(state.acked[call])
    begin_loss(state.loss[call], start_kbps, min_kbps, max_kbps)
    begin_pushback(state.push[call])
    begin_probes(state.probes[call], state.clusters[call], start_kbps, max_kbps, may_probe, 0.0)
    state.probes[call, HEARD_AT_S] = math.nan
    state.probes[call, MOST_KBPS] = max_kbps


@compiled
def overusing(state: GccState, call: int) -> bool:
    """Whether the detector says that the queue grows."""
    return state.trend[call, USAGE] == OVERUSE


@compiled
def _hear_packets(
    state: GccState,
    call: int,
    now_s: float,
    count: int,
    size_bytes: Ints,
    sent_s: Floats,
    arrived_s: Floats,
    cluster: Ints,
) -> float:
    """Every packet of a feedback goes to its parts; what a probe measured, or NaN."""
    probes, probe_kbps = state.probes[call], math.nan
    if math.isnan(probes[HEARD_AT_S]) or now_s - probes[HEARD_AT_S] > TIMED_OUT_S:
        forget_groups(state.groups[call])
        forget_trend(state.trend[call])
    for packet in range(count):
        at_s = arrived_s[packet]
        if math.isnan(at_s):
            continue
        probes[HEARD_AT_S] = now_s
        add_acked(state.acked[call], state.packets[call], at_s, sent_s[packet], size_bytes[packet])
        ended, sent_ms, after_ms = add_packet(state.groups[call], sent_s[packet], at_s, now_s)
        if ended:
            add_group(state.trend[call], state.window[call], sent_ms, after_ms, at_s * _MS_PER_S)
        if cluster[packet] > 0 and probes[ALLOWED] > 0.0:
            kbps = probed_kbps(
                state.clusters[call], cluster[packet], sent_s[packet], at_s, size_bytes[packet]
            )
            probe_kbps = probe_kbps if math.isnan(kbps) else kbps
    trim_acked(state.acked[call], state.packets[call])
    return probe_kbps


@compiled
def _by_delay(state: GccState, call: int, acked: float, probe_kbps: float, now_s: float) -> None:
    """The rate by delay, and what follows for the target."""
    aimd, usage = state.aimd[call], state.trend[call, USAGE]
    if usage == OVERUSE:
        if math.isnan(acked):
            if not may_fall(aimd, HALVED * aimd[RATE_KBPS], now_s):
                return
            set_estimate(aimd, HALVED * aimd[RATE_KBPS], now_s)
        elif may_fall(aimd, acked, now_s):
            update_aimd(aimd, usage, acked, now_s)
        else:
            return
    elif not math.isnan(probe_kbps):
        set_estimate(aimd, probe_kbps, now_s)
        set_probed(state.loss[call], aimd[RATE_KBPS])
    else:
        update_aimd(aimd, usage, acked, now_s)
    set_delay_limit(state.loss[call], aimd[RATE_KBPS])


@compiled
def _round_trips(
    state: GccState, call: int, now_s: float, count: int, sent_s: Floats, arrived_s: Floats
) -> None:
    """The longest round trip with waiting for the feedback, and the shortest without."""
    last_s, longest_s, shortest_s, lost = -math.inf, -math.inf, math.inf, 0.0
    for packet in range(count):
        if math.isnan(arrived_s[packet]):
            lost += 1.0
        else:
            last_s = max(last_s, arrived_s[packet])
    for packet in range(count):
        if not math.isnan(arrived_s[packet]):
            rtt_s = now_s - sent_s[packet]
            longest_s = max(longest_s, rtt_s)
            shortest_s = min(shortest_s, rtt_s - (last_s - arrived_s[packet]))
    report_packets(state.loss[call], float(count), lost, now_s)
    if longest_s > -math.inf:
        keep_rtt(state.push[call], state.rtts[call], longest_s)
        set_rtt(state.loss[call], shortest_s, now_s)
        state.aimd[call, RTT_S] = shortest_s


@compiled
def step(
    state: GccState,
    call: int,
    now_s: float,
    heard: bool,
    last_sent_s: float,
    in_flight_bytes: float,
    sent_packets: int,
    count: int,
    size_bytes: Ints,
    sent_s: Floats,
    arrived_s: Floats,
    cluster: Ints,
) -> float:
    """The end of a feedback interval, at the sender.

    Args:
        heard: whether a feedback came; without one `count` is 0.
        last_sent_s: when the newest packet was sent.
        in_flight_bytes: sent, and neither reported to have arrived nor to be lost.
        sent_packets: within this interval.
        count: packets that the feedback tells of: the first of each array, by sequence number.
        size_bytes, sent_s, arrived_s, cluster: (K,) payload, times, and the probe cluster or 0; a lost
            packet's arrival is NaN.

    Returns:
        The encoder's new target, kbit/s.
    """
    loss, trend, most_kbps = state.loss[call], state.trend[call], state.probes[call, MOST_KBPS]
    if heard and count > 0:
        _round_trips(state, call, now_s, count, sent_s, arrived_s)
        probe_kbps = _hear_packets(state, call, now_s, count, size_bytes, sent_s, arrived_s, cluster)
        if state.probes[call, HEARD_AT_S] == now_s:
            acked = acked_kbps(state.acked[call], state.packets[call])
            _by_delay(state, call, acked, probe_kbps, now_s)
    update_target(loss, state.history[call], last_sent_s, now_s)
    update_window(state.push[call], state.rtts[call], loss[TARGET_KBPS])
    may_follow = trend[USAGE] == NORMAL and not is_rtt_over(loss, last_sent_s)
    update_probes(state.probes[call], state.clusters[call], loss[TARGET_KBPS], most_kbps, may_follow, now_s)
    return pushed_kbps(state.push[call], loss[TARGET_KBPS], in_flight_bytes, sent_packets)
