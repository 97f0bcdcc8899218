"""Copa, compiled: a window that aims at a queue of 1/delta packets, for one call of a batch.

By V. Arun and H. Balakrishnan, "Copa: Practical Delay-Based Congestion Control for the Internet" (NSDI 2018),
with what the paper leaves open as in mvfst's `Copa.cpp`. On each packet that is acknowledged:

    target rate = 1 / (delta (RTTstanding - RTTmin)) packets a second, current rate = cwnd / RTTstanding
    cwnd += v / (delta cwnd) when the current rate is at most the target, else -= the same

and once a smoothed round trip the velocity v doubles when cwnd went the same way for three of them, else it
is 1. The default mode alone: competing with loss-based flows is left off.

What a call makes different, and how it is met here:

* Feedback comes each 50 ms with the arrival of each packet. Packets are acknowledged one by one at the time
  at which each one's own acknowledgement would have been here.
* The encoder's target is cwnd / RTTstanding, which is paced by the call's pacer, not by 2 cwnd / RTT.
* cwnd is at most twice what is acknowledged in a round trip: otherwise it grows without bound while the
  encoder's ceiling, and not the window, limits what is sent.
* A window that is full lets out what is acknowledged, and no more. While more is on the way than the window
  and what feedback can't have told of yet, that is the most that the target is: nothing, if nothing is heard.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from player.call.feedback_batch import FeedbackBatch
from player.call.gcc.flight import FLIGHT_BYTES, add_reported, add_sent, begin_flight
from player.call.gcc.state import Floats
from player.compiled.compiled import compiled
from policies.call.least import PLACES as LEAST_PLACES
from policies.call.least import add_least, forget_least

DELTA = 0.5
"""The paper's default: 2 packets in the queue."""
LEAST_RTT_WINDOW_S = 10.0
"""The paper's window of RTTmin."""
STANDING_SHARE = 0.5
"""The paper's window of RTTstanding: half a smoothed round trip."""
SMOOTHING = 0.125
"""Of the smoothed round trip: RFC 6298, as mvfst (genericCC has 1/16)."""
SAME_WAY = 3
"""The paper: round trips in one direction after which the velocity doubles."""
LEAST_PACKETS = 2.0
"""mvfst `kDefaultMinCwndInMss`."""
PACKET_BYTES = 1200.0
MOST_OVER_ACKED = 2.0
"""Ours: the cap on cwnd, over what is acknowledged in a smoothed round trip."""
ACKED_S = 0.2
"""Ours: the time over which that is measured: five frames."""
ACKED_KEPT = 32
UNTOLD_S = 0.1
"""Ours: two feedback intervals, of which nothing can be known yet."""

(
    CWND,
    RTT_S,
    VELOCITY,
    WAY,
    SAME,
    CHECKED_S,
    CHECKED_CWND,
    SLOW_START,
    DOUBLED_S,
    STANDING_S,
    TARGET_KBPS,
    LEAST_KBPS,
    MOST_KBPS,
    START_KBPS,
    ACKED_NEXT,
    KNOWN,
    ACKED_KBPS,
) = range(17)
"""Places in a row of `CopaState.facts`; cwnd is packets, WAY is 1 up, -1 down, KNOWN whether a packet has
been acknowledged."""

_KBIT_A_PACKET = PACKET_BYTES * 8.0 / 1000.0


class CopaState(NamedTuple):
    """Arrays, the first axis calls; made by `new_state`."""

    facts: Floats
    least: Floats
    """(calls, LEAST_PLACES) RTTmin."""
    standing: Floats
    """(calls, LEAST_PLACES) RTTstanding."""
    acked: Floats
    """(calls, ACKED_KEPT, 2) a ring: when a feedback came, packets that it acknowledged."""
    flight: Floats
    """(calls, 2) what is on the way: `player/call/gcc/flight.py`."""


def new_state(calls: int) -> CopaState:
    """Room for so many calls."""
    least = (calls, LEAST_PLACES)
    acked = np.zeros((calls, ACKED_KEPT, 2))
    return CopaState(np.zeros((calls, 17)), np.zeros(least), np.zeros(least), acked, np.zeros((calls, 2)))


@compiled
def begin(
    state: CopaState, call: int, start_kbps: float, min_kbps: float, max_kbps: float, may_probe: bool
) -> None:
    """A call begins; Copa has no probes."""
    facts = state.facts[call]
    for place in range(facts.shape[0]):
        facts[place] = 0.0
    for place in range(ACKED_KEPT):
        state.acked[call, place, 0] = -math.inf
        state.acked[call, place, 1] = 0.0
    facts[VELOCITY] = 1.0
    facts[SLOW_START] = 1.0
    facts[CHECKED_S] = math.nan
    facts[DOUBLED_S] = math.nan
    facts[TARGET_KBPS] = start_kbps
    facts[START_KBPS] = start_kbps
    facts[LEAST_KBPS] = min_kbps
    facts[MOST_KBPS] = max_kbps
    forget_least(state.least[call])
    forget_least(state.standing[call])
    begin_flight(state.flight[call])


@compiled
def take_probe_kbps(state: CopaState, call: int) -> float:
    """None, ever."""
    return 0.0


@compiled
def _check_way(facts: Floats, at_s: float) -> None:
    """Once a round trip: did the window go the same way as before."""
    if math.isnan(facts[CHECKED_S]):
        facts[CHECKED_S] = at_s
        facts[CHECKED_CWND] = facts[CWND]
        return
    if at_s - facts[CHECKED_S] < facts[RTT_S]:
        return
    way = 1.0 if facts[CWND] > facts[CHECKED_CWND] else -1.0
    if way != facts[WAY]:
        facts[VELOCITY] = 1.0
        facts[SAME] = 0.0
    else:
        facts[SAME] += 1.0
        if facts[SAME] >= SAME_WAY:
            facts[VELOCITY] = min(2.0 * facts[VELOCITY], max(DELTA * facts[CWND], 1.0))
    facts[WAY] = way
    facts[CHECKED_S] = at_s
    facts[CHECKED_CWND] = facts[CWND]


@compiled
def _turn(facts: Floats, way: float, at_s: float) -> None:
    """A step against a fast direction ends it at once (mvfst)."""
    if facts[WAY] != way and facts[VELOCITY] > 1.0:
        facts[WAY] = way
        facts[VELOCITY] = 1.0
        facts[SAME] = 0.0
        facts[CHECKED_S] = at_s
        facts[CHECKED_CWND] = facts[CWND]


@compiled
def acknowledge(state: CopaState, call: int, rtt_s: float, at_s: float, heard_s: float) -> None:
    """A packet was acknowledged at `at_s` after so long, of which the sender heard at `heard_s`."""
    facts = state.facts[call]
    if facts[KNOWN] == 0.0:
        facts[KNOWN] = 1.0
        facts[RTT_S] = rtt_s
        facts[CWND] = max(facts[START_KBPS] * rtt_s / _KBIT_A_PACKET, LEAST_PACKETS)
    facts[RTT_S] += SMOOTHING * (rtt_s + heard_s - at_s - facts[RTT_S])
    least_s = add_least(state.least[call], rtt_s, at_s, LEAST_RTT_WINDOW_S)
    standing_s = add_least(state.standing[call], rtt_s, at_s, STANDING_SHARE * facts[RTT_S])
    facts[STANDING_S] = standing_s
    queue_s = standing_s - least_s
    up = queue_s <= 0.0 or facts[CWND] / standing_s <= 1.0 / (DELTA * queue_s)
    if not (up and facts[SLOW_START] > 0.0):
        _check_way(facts, at_s)
    if not up:
        _turn(facts, -1.0, at_s)
        facts[SLOW_START] = 0.0
        facts[CWND] = max(facts[CWND] - facts[VELOCITY] / (DELTA * facts[CWND]), LEAST_PACKETS)
    elif facts[SLOW_START] == 0.0:
        _turn(facts, 1.0, at_s)
        facts[CWND] += facts[VELOCITY] / (DELTA * facts[CWND])
    elif math.isnan(facts[DOUBLED_S]):
        facts[DOUBLED_S] = at_s
    elif at_s - facts[DOUBLED_S] > facts[RTT_S]:
        facts[CWND] *= 2.0
        facts[DOUBLED_S] = at_s


@compiled
def _cap(state: CopaState, call: int, now_s: float, packets: float) -> None:
    """Hold cwnd to twice what is acknowledged in a round trip."""
    facts, acked = state.facts[call], state.acked[call]
    place = int(facts[ACKED_NEXT])
    acked[place, 0] = now_s
    acked[place, 1] = packets
    facts[ACKED_NEXT] = (place + 1) % ACKED_KEPT
    since = 0.0
    for each in range(ACKED_KEPT):
        if acked[each, 0] > now_s - ACKED_S:
            since += acked[each, 1]
    facts[ACKED_KBPS] = since / ACKED_S * _KBIT_A_PACKET
    most_kbps = MOST_OVER_ACKED * max(facts[ACKED_KBPS], facts[START_KBPS])
    facts[CWND] = max(min(facts[CWND], most_kbps * facts[RTT_S] / _KBIT_A_PACKET), LEAST_PACKETS)


@compiled
def step(state: CopaState, call: int, feedback: FeedbackBatch) -> float:
    """The end of a feedback interval: the encoder's new target, kbit/s."""
    facts, flight, now_s = state.facts[call], state.flight[call], feedback.now_s[call]
    add_sent(flight, float(feedback.sent_bytes[call]))
    last, acknowledged = -1, 0.0
    for packet in range(feedback.packets[call]):
        add_reported(flight, feedback.seq[call, packet], float(feedback.size_bytes[call, packet]))
        if not math.isnan(feedback.arrived_s[call, packet]):
            last = packet
            acknowledged += 1.0
    if last >= 0 and not math.isnan(feedback.rtt_s[call]):
        newest_s = feedback.arrived_s[call, last] - feedback.sent_s[call, last]
        back_s = feedback.rtt_s[call] - newest_s
        for packet in range(last + 1):
            arrived_s = feedback.arrived_s[call, packet]
            if not math.isnan(arrived_s):
                rtt_s = arrived_s - feedback.sent_s[call, packet] + back_s
                acknowledge(state, call, rtt_s, arrived_s + back_s, now_s)
    if facts[KNOWN] > 0.0:
        _cap(state, call, now_s, acknowledged)
        facts[TARGET_KBPS] = facts[CWND] * _KBIT_A_PACKET / facts[STANDING_S]
        untold_bytes = facts[TARGET_KBPS] * 125.0 * UNTOLD_S
        if flight[FLIGHT_BYTES] > facts[CWND] * PACKET_BYTES + untold_bytes:
            facts[TARGET_KBPS] = min(facts[TARGET_KBPS], facts[ACKED_KBPS])
    return min(max(facts[TARGET_KBPS], facts[LEAST_KBPS]), facts[MOST_KBPS])


@compiled
def step_all(state: CopaState, feedback: FeedbackBatch, kbps: Floats, probe_kbps: Floats) -> None:
    """`step` of every call of a batch: (calls,) targets and probes are written."""
    for call in range(kbps.shape[0]):
        kbps[call] = step(state, call, feedback)
        probe_kbps[call] = 0.0
