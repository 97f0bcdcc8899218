"""Packets in groups by send time, and by how much the delay grew from one group to the next.

As WebRTC's `inter_arrival_delta.cc`. A group is what was sent within 5 ms of its first packet. A packet also
joins when it was sent in the same millisecond, or as part of a *burst*: it came within 5 ms of the group's
last, sooner after it than it was sent after it, and the group began to arrive less than 100 ms ago. The
last condition matters here: a saturated link of 2 Mbit/s spaces frames of 1242 bytes by 4.97 ms, so that a
pacer which sends each 5 ms would never end a group.

WebRTC's times are whole milliseconds when sent and 250 µs steps when they arrive; ours are not rounded.
"""

from __future__ import annotations

import math

from player.call.gcc.filled import fill
from player.call.gcc.state import Floats
from player.compiled.compiled import compiled

GROUP_S = 0.005
"""WebRTC `kSendTimeGroupLength`; the draft's burst time is the same."""
BURST_S = 0.005
"""WebRTC `kBurstDeltaThreshold`."""
LONGEST_BURST_S = 0.100
"""WebRTC `kMaxBurstDuration`; the draft has no such cap."""
REORDERED_RESET = 3
"""WebRTC `kReorderedResetThreshold`: groups out of order in a row after which all is forgotten."""
CLOCK_JUMP_S = 3.0
"""WebRTC `kArrivalTimeOffsetThreshold`: arrival moved so much more than our clock."""

(
    FIRST_SENT_S,
    SENT_S,
    FIRST_ARRIVED_S,
    ARRIVED_S,
    HEARD_S,
    BEFORE_SENT_S,
    BEFORE_ARRIVED_S,
    BEFORE_HEARD_S,
    REORDERED,
) = range(9)
"""Places in a row of `GccState.groups`: the group that is open (NaN: none), and the one before it."""

_MS_PER_S = 1000.0


@compiled
def forget_groups(group: Floats) -> None:
    """No packet has been seen."""
    fill(group, math.nan)
    group[REORDERED] = 0.0


@compiled
def _is_in_burst(group: Floats, sent_s: float, arrived_s: float) -> bool:
    after_sent_s = sent_s - group[SENT_S]
    if math.floor(sent_s * _MS_PER_S) == math.floor(group[SENT_S] * _MS_PER_S):
        return True
    after_arrived_s = arrived_s - group[ARRIVED_S]
    return (
        after_arrived_s < after_sent_s
        and after_arrived_s <= BURST_S
        and arrived_s - group[FIRST_ARRIVED_S] < LONGEST_BURST_S
    )


@compiled
def _open(group: Floats, sent_s: float, arrived_s: float) -> None:
    group[FIRST_SENT_S] = sent_s
    group[SENT_S] = sent_s
    group[FIRST_ARRIVED_S] = arrived_s


@compiled
def _deltas(group: Floats) -> tuple[bool, float, float]:
    """Of the open group, which is complete, against the one before; False where they tell nothing."""
    if math.isnan(group[BEFORE_ARRIVED_S]):
        return False, 0.0, 0.0
    sent_s = group[SENT_S] - group[BEFORE_SENT_S]
    arrived_s = group[ARRIVED_S] - group[BEFORE_ARRIVED_S]
    if arrived_s - (group[HEARD_S] - group[BEFORE_HEARD_S]) >= CLOCK_JUMP_S:
        forget_groups(group)
        return False, 0.0, 0.0
    if arrived_s < 0.0:
        group[REORDERED] += 1.0
        if group[REORDERED] >= REORDERED_RESET:
            forget_groups(group)
        return False, 0.0, 0.0
    group[REORDERED] = 0.0
    return True, sent_s * _MS_PER_S, arrived_s * _MS_PER_S


@compiled
def add_packet(group: Floats, sent_s: float, arrived_s: float, heard_s: float) -> tuple[bool, float, float]:
    """A packet arrived that we hear of at `heard_s`.

    Returns:
        Whether it ended a group, and then by how many ms its last packet was sent, and arrived, after the
        last of the group before.
    """
    known, sent_ms, arrived_ms = False, 0.0, 0.0
    if math.isnan(group[FIRST_SENT_S]):
        _open(group, sent_s, arrived_s)
    elif sent_s < group[FIRST_SENT_S]:
        return False, 0.0, 0.0
    elif sent_s - group[FIRST_SENT_S] > GROUP_S and not _is_in_burst(group, sent_s, arrived_s):
        had_one_before = not math.isnan(group[BEFORE_ARRIVED_S])
        known, sent_ms, arrived_ms = _deltas(group)
        if had_one_before and not known:
            return False, 0.0, 0.0
        group[BEFORE_SENT_S] = group[SENT_S]
        group[BEFORE_ARRIVED_S] = group[ARRIVED_S]
        group[BEFORE_HEARD_S] = group[HEARD_S]
        _open(group, sent_s, arrived_s)
    else:
        group[SENT_S] = max(group[SENT_S], sent_s)
    group[ARRIVED_S] = arrived_s
    group[HEARD_S] = heard_s
    return known, sent_ms, arrived_ms
