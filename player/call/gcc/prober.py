"""The pacer's side of probing: when the next packet of a probe is due, and what was sent for it.

As WebRTC's `bitrate_prober.cc`. A probe is a cluster of packets sent at its rate, whatever the pacer would
do: media if there is some, else padding. It ends with its least bytes and its least packets.
"""

from __future__ import annotations

import math

from player.call.gcc.filled import fill
from player.call.gcc.state import CLUSTERS, Floats, GccState
from player.simulated.batch.compiled import compiled

MOST_LATE_S = 0.010
"""WebRTC `max_probe_delay`: a cluster whose next packet is later is given up."""
GIVEN_UP_S = 5.0
"""WebRTC `kProbeClusterTimeout`: one that has not been sent so long after it was asked for is given up."""

LAST_ASKED, NOW_SENT = 0, 1
"""Places in a row of `GccState.probes`: the number of the last cluster that was asked for, and of the one
that is being sent or comes next; the second is the larger when there is nothing to send."""

(
    NUMBER,
    KBPS,
    LEAST_BYTES,
    LEAST_PACKETS,
    ASKED_S,
    BEGUN_S,
    SENT_BYTES,
    SENT_PACKETS,
) = range(8)
"""Places in a row of `GccState.clusters`; BEGUN_S is NaN until the first packet is sent. The rest belongs to
`probe_result.py`."""

RESULT_PLACES = 8
"""Where those of `probe_result.py` begin."""


@compiled
def ask_cluster(
    probes: Floats, clusters: Floats, kbps: float, least_bytes: float, least_packets: float, now_s: float
) -> None:
    """Have a probe sent after those that are waiting."""
    number = probes[LAST_ASKED] + 1.0
    row = clusters[int(number) % CLUSTERS]
    fill(row, 0.0)
    row[NUMBER] = number
    row[KBPS] = kbps
    row[LEAST_BYTES] = least_bytes
    row[LEAST_PACKETS] = least_packets
    row[ASKED_S] = now_s
    row[BEGUN_S] = math.nan
    probes[LAST_ASKED] = number
    probes[NOW_SENT] = max(probes[NOW_SENT], number - (CLUSTERS - 1.0))


@compiled
def _due_s(row: Floats, now_s: float) -> float:
    if math.isnan(row[BEGUN_S]):
        return now_s
    return row[BEGUN_S] + row[SENT_BYTES] * 8.0 / 1000.0 / row[KBPS]


@compiled
def next_probe_s(state: GccState, call: int, now_s: float) -> float:
    """When the next packet of a probe is due: now_s, or later; infinite when none is wanted.

    A cluster that is too late is given up on the way.
    """
    probes = state.probes[call]
    while probes[NOW_SENT] <= probes[LAST_ASKED]:
        row = state.clusters[call, int(probes[NOW_SENT]) % CLUSTERS]
        due_s = _due_s(row, now_s)
        if now_s - due_s <= MOST_LATE_S and now_s - row[ASKED_S] <= GIVEN_UP_S:
            return max(due_s, now_s)
        probes[NOW_SENT] += 1.0
    return math.inf


@compiled
def probe_sent(state: GccState, call: int, now_s: float, size_bytes: float) -> int:
    """A packet was sent because it was due: the number of its cluster, to be written into it."""
    probes = state.probes[call]
    row = state.clusters[call, int(probes[NOW_SENT]) % CLUSTERS]
    if math.isnan(row[BEGUN_S]):
        row[BEGUN_S] = now_s
    row[SENT_BYTES] += size_bytes
    row[SENT_PACKETS] += 1.0
    if row[SENT_BYTES] >= row[LEAST_BYTES] and row[SENT_PACKETS] >= row[LEAST_PACKETS]:
        probes[NOW_SENT] += 1.0
    return int(row[NUMBER])
