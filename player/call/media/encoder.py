"""The encoder: how large a frame is. Fitted to x264 (`player/call/encoder_fit`).

Sizes follow the target with a first-order lag, one way down and another way up, and vary log-normally around
it. A key frame is larger by a ratio; what it was too large, later frames pay back, each a share of its
budget."""

from __future__ import annotations

import math

from player.call.media.draws import normal
from player.call.media.pacer import wait_s
from player.call.media.sender_state import Record
from player.compiled.compiled import compiled

SMALLEST_BYTES = 100
"""Of a frame: headers and a little."""

_LATE_S = 1e-9
"""Multiples of a frame's time are no exact floats."""

KEY_AGAIN_S = 0.3
"""Requests for a key frame that come so soon after one are for it (WebRTC's
kMinKeyFrameRequestIntervalMs)."""


@compiled
def encode(s: Record, now_s: float) -> tuple[int, bool]:
    """A frame is captured: its size in bytes, 0 where it is dropped for the pacer's sake, and whether it is a
    key frame."""
    gap_kbps = s.target_kbps - s.size_kbps
    s.size_kbps += gap_kbps * (s.follow_down if gap_kbps < 0 else s.follow_up)
    if wait_s(s, now_s) > s.limit_s:
        s.frames_dropped += 1
        s.dropped_since += 1
        return 0, False
    key = s.frames == 0 or s.key_wanted > 0
    if s.key_every_s > 0 and now_s - s.last_key_s >= s.key_every_s - _LATE_S:
        key = True
    budget = s.size_kbps * 1000.0 / 8.0 * s.frame_s
    size = budget * math.exp(s.sigma * normal(s) - s.sigma * s.sigma / 2.0)
    if key:
        size *= s.key_ratio
        s.debt_bytes += size - budget
        s.last_key_s, s.key_wanted = now_s, 0
    else:
        paid = min(s.debt_bytes, budget * s.payback_share)
        size -= paid
        s.debt_bytes -= paid
    s.frames += 1
    return min(max(int(size), SMALLEST_BYTES), s.largest_bytes), key


@compiled
def want_key(s: Record, now_s: float) -> None:
    """The receiver asks for a key frame; one that has just left is what it wants."""
    if now_s - s.last_key_s >= max(KEY_AGAIN_S, s.rtt_s):
        s.key_wanted = 1
