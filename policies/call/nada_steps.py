"""NADA, compiled: RFC 8698 at the sender alone, for one call of a batch.

Feedback tells the arrival of each packet, so the sender computes what the RFC's receiver would (its section
5.3 allows both). Equations and numbers are the RFC's; its authors' simulation module (`cisco/ns3-rmcat`,
which is the draft's) says how intervals between losses are averaged: as TFRC's (RFC 5348, section 5.4).

Two figures are the call's: RMIN and RMAX are its floor and ceiling. Where the RFC is silent: nothing changes
while nothing is heard.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from player.call.feedback_batch import FeedbackBatch
from player.call.gcc.state import Floats
from player.compiled.compiled import compiled

PRIO, XREF_MS, KAPPA, ETA, TAU_MS = 1.0, 10.0, 0.5, 2.0, 500.0
DELTA_S, LOGWIN_S, QEPS_MS, DFILT_MS = 0.100, 0.500, 10.0, 120.0
GAMMA_MAX, QBOUND_MS, MULTILOSS, QTH_MS, LAMBDA = 0.5, 50.0, 7.0, 50.0, 0.5
PLRREF, DLOSS_MS = 0.01, 10.0
FPS, BETA_V = 30.0, 0.1
"""Figure 3 of the RFC, by its names. (A public Go version has GAMMA_MAX 0.1.)"""
ALPHA = 0.1
"""Smoothing of the loss ratio: RFC section 5.1.2."""
TAPS = 15
"""Packets of the minimum filter on the delay: RFC section 5.1.1."""
LOSS_INTERVALS = 8
"""TFRC's, with weights 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2."""
FEWEST = 5
"""Packets that a loss ratio or a receiving rate is made of at least, as in the authors' module."""
KEPT = 512
"""Packets of a log window at most: half a second of 9.8 Mbit/s."""

(
    REF_KBPS,
    BASE_S,
    X_MS,
    PLR,
    UPDATED_S,
    RTT_S,
    RECV_KBPS,
    FIRST,
    COUNT,
    LAST_SEQ,
    LOST_EVER,
    MIN_KBPS,
    MAX_KBPS,
    RAMPS,
    TARGET_KBPS,
    QUEUE_MS,
) = range(16)
"""Places in a row of `NadaState.facts`; RAMPS says whether the last update was an accelerated one."""

_SENT, _OWD, _BYTES, _ARRIVED, _SEQ = range(5)


class NadaState(NamedTuple):
    """Arrays, the first axis calls; made by `new_state`."""

    facts: Floats
    log: Floats
    """(calls, KEPT, 5) a ring, the log window: sent s, one-way delay s, bytes, arrived s, seq."""
    intervals: Floats
    """(calls, LOSS_INTERVALS + 1) packets between losses, the present one first."""


def new_state(calls: int) -> NadaState:
    """Room for so many calls."""
    return NadaState(np.zeros((calls, 16)), np.zeros((calls, KEPT, 5)), np.zeros((calls, LOSS_INTERVALS + 1)))


@compiled
def begin(
    state: NadaState, call: int, start_kbps: float, min_kbps: float, max_kbps: float, may_probe: bool
) -> None:
    """A call begins; NADA has no probes, it ramps up."""
    facts = state.facts[call]
    for place in range(facts.shape[0]):
        facts[place] = 0.0
    for place in range(LOSS_INTERVALS + 1):
        state.intervals[call, place] = 0.0
    facts[REF_KBPS] = start_kbps
    facts[TARGET_KBPS] = start_kbps
    facts[BASE_S] = math.inf
    facts[UPDATED_S] = math.nan
    facts[RTT_S] = math.nan
    facts[LAST_SEQ] = -1.0
    facts[MIN_KBPS] = min_kbps
    facts[MAX_KBPS] = max_kbps


@compiled
def take_probe_kbps(state: NadaState, call: int) -> float:
    """None, ever."""
    return 0.0


@compiled
def _count_losses(state: NadaState, call: int, seq: float) -> None:
    """A packet came: the interval since the last loss grows, or, after a gap, another begins."""
    facts, intervals = state.facts[call], state.intervals[call]
    if facts[LAST_SEQ] >= 0.0 and seq > facts[LAST_SEQ] + 1.0:
        for place in range(LOSS_INTERVALS, 0, -1):
            intervals[place] = intervals[place - 1]
        intervals[0] = 1.0
        facts[LOST_EVER] = min(facts[LOST_EVER] + 1.0, LOSS_INTERVALS)
    else:
        intervals[0] += 1.0
    facts[LAST_SEQ] = max(facts[LAST_SEQ], seq)


@compiled
def mean_loss_interval(intervals: Floats, known: int) -> float:
    """Packets between losses, of `known` whole intervals; the present one counts when it raises the mean."""
    with_present, without, weights = 0.0, 0.0, 0.0
    for place in range(known):
        weight = 1.0 if place < LOSS_INTERVALS // 2 else 2.0 * (LOSS_INTERVALS - place) / (LOSS_INTERVALS + 2)
        with_present += weight * intervals[place]
        without += weight * intervals[place + 1]
        weights += weight
    return max(with_present, without) / weights


@compiled
def _log(state: NadaState, call: int, seq: float, sent_s: float, arrived_s: float, size_bytes: float) -> None:
    facts, log = state.facts[call], state.log[call]
    _count_losses(state, call, seq)
    owd_s = arrived_s - sent_s
    facts[BASE_S] = min(facts[BASE_S], owd_s)
    if facts[COUNT] >= KEPT:
        facts[FIRST] = (facts[FIRST] + 1.0) % KEPT
        facts[COUNT] -= 1.0
    at = int(facts[FIRST] + facts[COUNT]) % KEPT
    log[at, _SENT], log[at, _OWD], log[at, _BYTES] = sent_s, owd_s, size_bytes
    log[at, _ARRIVED], log[at, _SEQ] = arrived_s, seq
    facts[COUNT] += 1.0
    while facts[COUNT] > 1.0 and sent_s - log[int(facts[FIRST]), _SENT] >= LOGWIN_S:
        facts[FIRST] = (facts[FIRST] + 1.0) % KEPT
        facts[COUNT] -= 1.0


@compiled
def warped_ms(queue_ms: float) -> float:
    """Equation 1: a delay over QTH counts for less, the longer it is."""
    if queue_ms < QTH_MS:
        return queue_ms
    return QTH_MS * math.exp(-LAMBDA * (queue_ms - QTH_MS) / QTH_MS)


@compiled
def congestion_ms(queue_ms: float, plr: float, warps: bool) -> float:
    """Equation 2: the aggregate congestion signal."""
    share = plr / PLRREF
    return (warped_ms(queue_ms) if warps else queue_ms) + DLOSS_MS * share * share


@compiled
def ramped_kbps(ref_kbps: float, recv_kbps: float, rtt_ms: float) -> float:
    """Equations 3 and 4: accelerated ramp-up."""
    gamma = min(GAMMA_MAX, QBOUND_MS / (rtt_ms + DELTA_S * 1000.0 + DFILT_MS))
    return max(ref_kbps, (1.0 + gamma) * recv_kbps)


@compiled
def gradual_kbps(ref_kbps: float, x_ms: float, before_ms: float, delta_ms: float, max_kbps: float) -> float:
    """Equations 5 to 7: gradual rate update."""
    offset_ms = x_ms - PRIO * XREF_MS * max_kbps / ref_kbps
    change_ms = x_ms - before_ms
    by_offset = KAPPA * (delta_ms / TAU_MS) * (offset_ms / TAU_MS) * ref_kbps
    by_change = KAPPA * ETA * (change_ms / TAU_MS) * ref_kbps
    return ref_kbps - by_offset - by_change


@compiled
def _look(state: NadaState, call: int) -> tuple[float, float, bool]:
    """Of the log window: the filtered queue delay, the loss ratio, whether no queue has built up."""
    facts, log = state.facts[call], state.log[call]
    count, first = int(facts[COUNT]), int(facts[FIRST])
    least_s, longest_s, total_bytes = math.inf, 0.0, 0.0
    for place in range(count):
        row = (first + place) % KEPT
        longest_s = max(longest_s, log[row, _OWD])
        total_bytes += log[row, _BYTES]
        if place >= count - TAPS:
            least_s = min(least_s, log[row, _OWD])
    last = (first + count - 1) % KEPT
    ratio = 0.0
    if count >= FEWEST:
        span = log[last, _SEQ] - log[first, _SEQ] + 1.0
        ratio = max(span - count, 0.0) / span
        for_s = log[last, _ARRIVED] - log[first, _ARRIVED]
        if for_s > 0.0:
            facts[RECV_KBPS] = (total_bytes - log[first, _BYTES]) * 8.0 / 1000.0 / for_s
    return (least_s - facts[BASE_S]) * 1000.0, ratio, (longest_s - facts[BASE_S]) * 1000.0 < QEPS_MS


@compiled
def _update(state: NadaState, call: int, now_s: float) -> None:
    facts = state.facts[call]
    queue_ms, ratio, empty = _look(state, call)
    facts[QUEUE_MS] = queue_ms
    facts[PLR] += ALPHA * (ratio - facts[PLR])
    known = int(facts[LOST_EVER])
    warps = known > 0 and state.intervals[call, 0] <= MULTILOSS * mean_loss_interval(
        state.intervals[call], known
    )
    before_ms = facts[X_MS]
    facts[X_MS] = congestion_ms(queue_ms, facts[PLR], warps)
    if ratio == 0.0 and empty:
        facts[RAMPS] = 1.0
        kbps = ramped_kbps(facts[REF_KBPS], facts[RECV_KBPS], facts[RTT_S] * 1000.0)
    else:
        facts[RAMPS] = 0.0
        delta_ms = (now_s - facts[UPDATED_S]) * 1000.0
        kbps = gradual_kbps(facts[REF_KBPS], facts[X_MS], before_ms, delta_ms, facts[MAX_KBPS])
    facts[REF_KBPS] = min(max(kbps, facts[MIN_KBPS]), facts[MAX_KBPS])
    facts[UPDATED_S] = now_s


@compiled
def step(state: NadaState, call: int, feedback: FeedbackBatch) -> float:
    """The end of a feedback interval: the encoder's new target, kbit/s."""
    facts, now_s, came = state.facts[call], feedback.now_s[call], False
    for packet in range(feedback.packets[call]):
        arrived_s = feedback.arrived_s[call, packet]
        if not math.isnan(arrived_s):
            came = True
            size_bytes = float(feedback.size_bytes[call, packet])
            _log(
                state,
                call,
                float(feedback.seq[call, packet]),
                feedback.sent_s[call, packet],
                arrived_s,
                size_bytes,
            )
    if came:
        if not math.isnan(feedback.rtt_s[call]):
            facts[RTT_S] = feedback.rtt_s[call]
        if math.isnan(facts[UPDATED_S]):
            facts[UPDATED_S] = now_s
        elif now_s - facts[UPDATED_S] >= DELTA_S - 1e-6 and not math.isnan(facts[RTT_S]):
            _update(state, call, now_s)
    waiting_kbit = feedback.pacer_bytes[call] * 8.0 / 1000.0
    return max(facts[MIN_KBPS], facts[REF_KBPS] - BETA_V * waiting_kbit * FPS)


@compiled
def step_all(state: NadaState, feedback: FeedbackBatch, kbps: Floats, probe_kbps: Floats) -> None:
    """`step` of every call of a batch: (calls,) targets and probes are written."""
    for call in range(kbps.shape[0]):
        kbps[call] = step(state, call, feedback)
        probe_kbps[call] = 0.0
