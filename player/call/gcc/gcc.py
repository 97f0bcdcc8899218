"""Google's congestion control of one call, a step a feedback interval: what the parts say to each other.

As WebRTC's `goog_cc_network_control.cc` and `delay_based_bwe.cc` do with transport-wide feedback alone. Its
sources were read as they are in Chromium 138 (branch 7204) and 150, through forks and ports that are public.
Every constant stands in the part that it belongs to, with WebRTC's name for it, and where the draft
(draft-ietf-rmcat-gcc-02) has another. Not here: the loss model v2 and the estimator of the acknowledged rate
that came with it (`loss.py` and `acked.py` say what there is instead), probes beyond the start
(`probe_control.py`), and audio.

A call is a row of a `GccState`. Nothing is allocated, so that a real-time loop may call it.
"""

from __future__ import annotations

import math

from player.call.feedback_batch import FeedbackBatch
from player.call.gcc.acked import ESTIMATE_KBPS, add_acked, forget_acked
from player.call.gcc.aimd import HALVED, RATE_KBPS, RTT_S, begin_aimd, may_fall, set_estimate, update_aimd
from player.call.gcc.flight import add_reported, add_sent
from player.call.gcc.groups import add_packet, forget_groups
from player.call.gcc.loss import (
    TARGET_KBPS,
    begin_loss,
    expect_rtt,
    is_rtt_over,
    report_packets,
    set_delay_limit,
    set_probed,
    set_rtt,
    update_target,
)
from player.call.gcc.probe_control import ALLOWED, begin_probes, take_cluster, update_probes
from player.call.gcc.probe_result import probed_kbps
from player.call.gcc.pushback import begin_pushback, keep_rtt, pushed_kbps, update_window
from player.call.gcc.state import Floats, GccState
from player.call.gcc.trendline import NORMAL, OVERUSE, USAGE, add_group, forget_trend
from player.compiled.compiled import compiled

TIMED_OUT_S = 2.0
"""WebRTC `kStreamTimeOut`: after so long without feedback, groups and trend begin anew."""

HEARD_AT_S, LAST_SENT_S, MOST_KBPS = 13, 14, 15
"""Places in a row of `GccState.probes` that are this file's: when a packet was last heard of (NaN: never),
when the newest was sent, to a step, and the call's ceiling."""

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
    begin_probes(state.probes[call], state.clusters[call], start_kbps, max_kbps, may_probe)
    state.probes[call, HEARD_AT_S] = math.nan
    state.probes[call, LAST_SENT_S] = -math.inf
    state.probes[call, MOST_KBPS] = max_kbps


@compiled
def overusing(state: GccState, call: int) -> bool:
    """Whether the detector says that the queue grows."""
    return state.trend[call, USAGE] == OVERUSE


@compiled
def take_probe_kbps(state: GccState, call: int) -> float:
    """The rate of the cluster that is to be sent now, kbit/s, after `begin` and each `step`; 0: none."""
    return take_cluster(state.probes[call], state.clusters[call])


@compiled
def _hear_packets(state: GccState, call: int, feedback: FeedbackBatch) -> float:
    """Every packet of a feedback goes to its parts; what a probe measured, or NaN."""
    probes, probe_kbps, now_s = state.probes[call], math.nan, feedback.now_s[call]
    if math.isnan(probes[HEARD_AT_S]) or now_s - probes[HEARD_AT_S] > TIMED_OUT_S:
        forget_groups(state.groups[call])
        forget_trend(state.trend[call])
    for packet in range(feedback.packets[call]):
        size_bytes = float(feedback.size_bytes[call, packet])
        sent_s, arrived_s = feedback.sent_s[call, packet], feedback.arrived_s[call, packet]
        add_reported(state.push[call], feedback.seq[call, packet], size_bytes)
        if math.isnan(arrived_s):
            continue
        probes[HEARD_AT_S] = now_s
        add_acked(state.acked[call], arrived_s, size_bytes)
        ended, sent_ms, after_ms = add_packet(state.groups[call], sent_s, arrived_s, now_s)
        if ended:
            add_group(state.trend[call], state.window[call], sent_ms, after_ms, arrived_s * _MS_PER_S)
        number = feedback.probe[call, packet]
        if number > 0 and probes[ALLOWED] > 0.0:
            kbps = probed_kbps(state.clusters[call], number, sent_s, arrived_s, size_bytes)
            probe_kbps = probe_kbps if math.isnan(kbps) else kbps
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
def _round_trips(state: GccState, call: int, feedback: FeedbackBatch) -> None:
    """The longest round trip with waiting for the feedback, and the shortest without."""
    now_s, count = feedback.now_s[call], feedback.packets[call]
    last_s, longest_s, shortest_s, lost = -math.inf, -math.inf, math.inf, 0.0
    for packet in range(count):
        if math.isnan(feedback.arrived_s[call, packet]):
            lost += 1.0
        else:
            last_s = max(last_s, feedback.arrived_s[call, packet])
    for packet in range(count):
        arrived_s = feedback.arrived_s[call, packet]
        if not math.isnan(arrived_s):
            rtt_s = now_s - feedback.sent_s[call, packet]
            longest_s = max(longest_s, rtt_s)
            shortest_s = min(shortest_s, rtt_s - (last_s - arrived_s))
    report_packets(state.loss[call], float(count), lost, now_s)
    if longest_s > -math.inf:
        keep_rtt(state.push[call], state.rtts[call], longest_s)
        set_rtt(state.loss[call], shortest_s, now_s)
        state.aimd[call, RTT_S] = shortest_s


@compiled
def step(state: GccState, call: int, feedback: FeedbackBatch) -> float:
    """The end of a feedback interval at the sender, whether a feedback came or not.

    Args:
        call: the row of both.

    Returns:
        The encoder's new target, kbit/s.
    """
    loss, probes, push = state.loss[call], state.probes[call], state.push[call]
    now_s, sent_bytes = feedback.now_s[call], float(feedback.sent_bytes[call])
    add_sent(push, sent_bytes)
    if sent_bytes > 0.0:
        probes[LAST_SENT_S] = now_s
        expect_rtt(loss, now_s)
    if feedback.heard[call] and feedback.packets[call] > 0:
        _round_trips(state, call, feedback)
        probe_kbps = _hear_packets(state, call, feedback)
        if probes[HEARD_AT_S] == now_s:
            _by_delay(state, call, state.acked[call, ESTIMATE_KBPS], probe_kbps, now_s)
    update_target(loss, state.history[call], probes[LAST_SENT_S], now_s)
    update_window(push, state.rtts[call], loss[TARGET_KBPS])
    may_follow = state.trend[call, USAGE] == NORMAL and not is_rtt_over(loss, probes[LAST_SENT_S])
    update_probes(probes, loss[TARGET_KBPS], probes[MOST_KBPS], may_follow, now_s)
    return pushed_kbps(push, loss[TARGET_KBPS], sent_bytes)


@compiled
def step_all(state: GccState, feedback: FeedbackBatch, kbps: Floats, probe_kbps: Floats) -> None:
    """`step` of every call of a batch: (calls,) targets and probes are written."""
    for call in range(kbps.shape[0]):
        kbps[call] = step(state, call, feedback)
        probe_kbps[call] = take_probe_kbps(state, call)
