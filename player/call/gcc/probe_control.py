"""When a probe is worth sending: at the start, at 3 and 6 times the start rate, and on as long as it pays.

As WebRTC's `probe_controller.cc` for a camera's stream: no periodic probes (WebRTC sends them for screens
alone, when the encoder leaves the rate unused), and so none after a drop either, which WebRTC sends only
then. The pacer sends a probe as a cluster of packets at its rate, of 15 ms and 5 packets at least (WebRTC
`min_probe_duration`, `min_probe_packets_sent`; its 100 ms are for probes before media flows), and numbers
clusters from 1 as they are taken from here.
"""

from __future__ import annotations

import math

from player.call.gcc.filled import fill
from player.call.gcc.probe_result import expect_cluster
from player.call.gcc.state import CLUSTERS, Floats
from player.compiled.compiled import compiled

FIRST_FACTOR, SECOND_FACTOR = 3.0, 6.0
"""WebRTC `first_exponential_probe_scale`, `second_exponential_probe_scale`: of the start rate."""
FURTHER_FACTOR, FURTHER_SHARE = 2.0, 0.7
"""WebRTC `further_exponential_probe_scale`, `further_probe_threshold`: a target over 0.7 of the last probe
is followed by one at twice the target."""
LONGEST_WAIT_S = 1.0
"""WebRTC `kMaxWaitingTimeForProbingResult`."""

ALLOWED, TAKEN, NEXT_KBPS, THEN_KBPS, WAITING, FURTHER_KBPS, ASKED_S = range(7)
"""Places in a row of `GccState.probes`: whether this GCC may probe at all, how many clusters were taken, the
rates of those that wait to be (0: none), whether a result is waited for, the target over which one more
follows, and when the last was asked for."""


@compiled
def _ask(probes: Floats, kbps: float, most_kbps: float, now_s: float) -> None:
    """One probe; more may follow it unless it reaches the most that is wanted."""
    asked_kbps = min(kbps, most_kbps)
    if probes[NEXT_KBPS] == 0.0:
        probes[NEXT_KBPS] = asked_kbps
    else:
        probes[THEN_KBPS] = asked_kbps
    probes[ASKED_S] = now_s
    probes[WAITING] = 0.0 if kbps >= most_kbps else 1.0
    probes[FURTHER_KBPS] = math.inf if kbps >= most_kbps else FURTHER_SHARE * asked_kbps


@compiled
def begin_probes(
    probes: Floats, clusters: Floats, start_kbps: float, most_kbps: float, allowed: bool
) -> None:
    """A call begins, at time 0."""
    fill(probes, 0.0)
    for row in range(CLUSTERS):
        fill(clusters[row], 0.0)
    if allowed:
        probes[ALLOWED] = 1.0
        _ask(probes, FIRST_FACTOR * start_kbps, most_kbps, 0.0)
        _ask(probes, SECOND_FACTOR * start_kbps, most_kbps, 0.0)


@compiled
def update_probes(
    probes: Floats, target_kbps: float, most_kbps: float, may_follow: bool, now_s: float
) -> None:
    """The target is so much now.

    Args:
        may_follow: False while delay grows or shrinks, or the round trip is too long.
    """
    if probes[WAITING] == 0.0:
        return
    if now_s - probes[ASKED_S] > LONGEST_WAIT_S:
        probes[WAITING] = 0.0
    elif target_kbps > probes[FURTHER_KBPS] and may_follow:
        _ask(probes, FURTHER_FACTOR * target_kbps, most_kbps, now_s)


@compiled
def take_cluster(probes: Floats, clusters: Floats) -> float:
    """The rate of the next cluster to send, kbit/s, which is sent now; 0 when none is wanted."""
    kbps = probes[NEXT_KBPS]
    if kbps > 0.0:
        probes[NEXT_KBPS] = probes[THEN_KBPS]
        probes[THEN_KBPS] = 0.0
        probes[TAKEN] += 1.0
        expect_cluster(clusters, int(probes[TAKEN]), kbps)
    return kbps
