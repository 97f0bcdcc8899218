"""What a probe measured, of the packets of its cluster that arrived.

As WebRTC's `probe_bitrate_estimator.cc`: the rate at which the cluster arrived, at most that at which it was
sent; 0.95 of it where it arrived clearly slower, for that is the link's own.
"""

from __future__ import annotations

import math

from player.call.gcc.filled import fill
from player.call.gcc.state import CLUSTERS, Floats
from player.compiled.compiled import compiled

CLUSTER_S, CLUSTER_PACKETS = 0.015, 5.0
"""WebRTC `min_probe_duration`, `min_probe_packets_sent`: what the pacer sends of a cluster at least."""
NEEDED_SHARE = 0.80
"""WebRTC `kMinReceivedProbesRatio`, `kMinReceivedBytesRatio`."""
MOST_RATIO = 2.0
"""WebRTC `kMaxValidRatio`: of arriving to sent."""
UNSATURATED_RATIO = 0.9
"""WebRTC `kMinRatioForUnsaturatedLink`."""
USED_SHARE = 0.95
"""WebRTC `kTargetUtilizationFraction`."""
LONGEST_S = 1.0
"""WebRTC `kMaxProbeInterval`, and `kMaxClusterHistory` after the last arrival."""

(
    NUMBER,
    LEAST_BYTES,
    FIRST_SENT_S,
    LAST_SENT_S,
    LAST_SENT_BYTES,
    FIRST_ARRIVED_S,
    LAST_ARRIVED_S,
    FIRST_ARRIVED_BYTES,
    ARRIVED_BYTES,
    ARRIVED_PACKETS,
) = range(10)
"""Places in a row of `GccState.clusters`."""

_BYTES_A_KBIT = 1000.0 / 8.0


@compiled
def expect_cluster(clusters: Floats, number: int, kbps: float) -> None:
    """A cluster is sent; it takes the place of an old one."""
    row = clusters[number % CLUSTERS]
    fill(row, 0.0)
    row[NUMBER] = number
    row[LEAST_BYTES] = kbps * _BYTES_A_KBIT * CLUSTER_S


@compiled
def _take(row: Floats, sent_s: float, arrived_s: float, size_bytes: float) -> None:
    fresh = row[ARRIVED_PACKETS] == 0.0 or arrived_s - row[LAST_ARRIVED_S] > LONGEST_S
    if fresh:
        row[ARRIVED_BYTES] = 0.0
        row[ARRIVED_PACKETS] = 0.0
    if fresh or sent_s < row[FIRST_SENT_S]:
        row[FIRST_SENT_S] = sent_s
    if fresh or sent_s > row[LAST_SENT_S]:
        row[LAST_SENT_S] = sent_s
        row[LAST_SENT_BYTES] = size_bytes
    if fresh or arrived_s < row[FIRST_ARRIVED_S]:
        row[FIRST_ARRIVED_S] = arrived_s
        row[FIRST_ARRIVED_BYTES] = size_bytes
    if fresh or arrived_s > row[LAST_ARRIVED_S]:
        row[LAST_ARRIVED_S] = arrived_s
    row[ARRIVED_BYTES] += size_bytes
    row[ARRIVED_PACKETS] += 1.0


@compiled
def probed_kbps(clusters: Floats, number: int, sent_s: float, arrived_s: float, size_bytes: float) -> float:
    """A packet of a cluster arrived: what the probe measured, kbit/s; NaN as long as that isn't known."""
    row = clusters[number % CLUSTERS]
    if row[NUMBER] != number:
        return math.nan
    _take(row, sent_s, arrived_s, size_bytes)
    if row[ARRIVED_PACKETS] < math.floor(NEEDED_SHARE * CLUSTER_PACKETS):
        return math.nan
    if row[ARRIVED_BYTES] < math.floor(NEEDED_SHARE * row[LEAST_BYTES]):
        return math.nan
    sent_for_s = row[LAST_SENT_S] - row[FIRST_SENT_S]
    arrived_for_s = row[LAST_ARRIVED_S] - row[FIRST_ARRIVED_S]
    if not (0.0 < sent_for_s <= LONGEST_S and 0.0 < arrived_for_s <= LONGEST_S):
        return math.nan
    sent_kbps = (row[ARRIVED_BYTES] - row[LAST_SENT_BYTES]) / _BYTES_A_KBIT / sent_for_s
    arrived_kbps = (row[ARRIVED_BYTES] - row[FIRST_ARRIVED_BYTES]) / _BYTES_A_KBIT / arrived_for_s
    if arrived_kbps > MOST_RATIO * sent_kbps:
        return math.nan
    if arrived_kbps < UNSATURATED_RATIO * sent_kbps:
        return USED_SHARE * arrived_kbps
    return min(sent_kbps, arrived_kbps)
