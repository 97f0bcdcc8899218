"""When a probe is worth sending: at the start, at 3 and 6 times the start rate, and on as long as it pays.

As WebRTC's `probe_controller.cc` for a camera's stream: no periodic probes (WebRTC sends them for screens
alone, when the encoder leaves the rate unused), and so none after a drop either, which WebRTC sends only
then.
"""

from __future__ import annotations

import math

from player.call.gcc.filled import fill
from player.call.gcc.prober import NOW_SENT, ask_cluster
from player.call.gcc.state import CLUSTERS, Floats
from player.simulated.batch.compiled import compiled

FIRST_FACTOR, SECOND_FACTOR = 3.0, 6.0
"""WebRTC `first_exponential_probe_scale`, `second_exponential_probe_scale`: of the start rate."""
FURTHER_FACTOR, FURTHER_SHARE = 2.0, 0.7
"""WebRTC `further_exponential_probe_scale`, `further_probe_threshold`: a target over 0.7 of the last probe
is followed by one at twice the target."""
LONGEST_WAIT_S = 1.0
"""WebRTC `kMaxWaitingTimeForProbingResult`."""
PROBE_S, PROBE_PACKETS = 0.015, 5.0
"""WebRTC `min_probe_duration`, `min_probe_packets_sent`; its 100 ms are for probes before media flows."""

WAITING, FURTHER_KBPS, ASKED_AT_S, ALLOWED = range(2, 6)
"""Places in a row of `GccState.probes`, after those of `prober.py`: whether a result is waited for, the
target over which one more follows, when the last was asked for, and whether this GCC may probe at all."""


@compiled
def _ask(probes: Floats, clusters: Floats, kbps: float, most_kbps: float, now_s: float) -> None:
    """One probe; more may follow it unless it reaches the most that is wanted."""
    asked_kbps = min(kbps, most_kbps)
    ask_cluster(probes, clusters, asked_kbps, asked_kbps * 1000.0 / 8.0 * PROBE_S, PROBE_PACKETS, now_s)
    probes[ASKED_AT_S] = now_s
    probes[WAITING] = 0.0 if kbps >= most_kbps else 1.0
    probes[FURTHER_KBPS] = math.inf if kbps >= most_kbps else FURTHER_SHARE * asked_kbps


@compiled
def begin_probes(
    probes: Floats, clusters: Floats, start_kbps: float, most_kbps: float, allowed: bool, now_s: float
) -> None:
    """A call begins."""
    fill(probes, 0.0)
    probes[NOW_SENT] = 1.0  # number 0 says that a packet belongs to no probe
    for row in range(CLUSTERS):
        fill(clusters[row], 0.0)
    probes[ALLOWED] = 1.0 if allowed else 0.0
    probes[ASKED_AT_S] = now_s
    if allowed:
        _ask(probes, clusters, FIRST_FACTOR * start_kbps, most_kbps, now_s)
        _ask(probes, clusters, SECOND_FACTOR * start_kbps, most_kbps, now_s)


@compiled
def update_probes(
    probes: Floats, clusters: Floats, target_kbps: float, most_kbps: float, may_follow: bool, now_s: float
) -> None:
    """The target is so much now.

    Args:
        may_follow: False while delay grows or shrinks, or the round trip is too long.
    """
    if probes[WAITING] == 0.0:
        return
    if now_s - probes[ASKED_AT_S] > LONGEST_WAIT_S:
        probes[WAITING] = 0.0
    elif target_kbps > probes[FURTHER_KBPS] and may_follow:
        _ask(probes, clusters, FURTHER_FACTOR * target_kbps, most_kbps, now_s)
