"""Frames of packets, decoded in order.

A frame is decoded when it and all since the last key frame are complete; a complete key frame needs no other,
and what is before it is given up. When the next frame is waited for too long while later ones are here, a key
frame is asked for."""

from __future__ import annotations

import numpy as np

from player.call.media.playout import show
from player.call.media.receiver_state import Record, Ring
from player.call.media.sender_state import NEVER
from player.compiled.compiled import compiled

_BITS = 64


@compiled
def put(r: Record, frames: Ring, shown: Ring, packet: Record, key: int, now_s: float) -> bool:
    """Put a packet of media into its frame, and decode what can be decoded now.

    Returns:
        whether it was new.
    """
    if packet.frame < r.next_frame:
        return False
    if packet.frame - r.next_frame >= len(frames):
        r.wants_key = 1
    frame = frames[packet.frame & (len(frames) - 1)]
    if frame.frame > packet.frame:
        return False
    if frame.frame != packet.frame:
        frame.frame, frame.captured_s, frame.count = packet.frame, packet.captured_s, packet.count
        frame.have, frame.key = 0, key
        for word in range(len(frame.bits)):
            frame.bits[word] = np.uint64(0)
    bit = np.uint64(1) << np.uint64(packet.index % _BITS)
    if frame.bits[packet.index // _BITS] & bit:
        return False
    frame.bits[packet.index // _BITS] |= bit
    frame.have += 1
    r.newest_frame = max(r.newest_frame, packet.frame)
    if frame.have == frame.count:
        _decode(r, frames, shown, frame, now_s)
    _note_blocked(r, now_s)
    return True


@compiled
def _decode(r: Record, frames: Ring, shown: Ring, complete: Record, now_s: float) -> None:
    """A frame is complete: decode it and those that waited for it."""
    if complete.key and complete.frame > r.next_frame:
        r.given_up += complete.frame - r.next_frame
        r.next_frame = complete.frame
        r.blocked_s = NEVER
    while True:
        frame = frames[r.next_frame & (len(frames) - 1)]
        if frame.frame != r.next_frame or frame.have < frame.count or frame.count == 0:
            break
        if frame.key:
            r.wants_key = 0
        r.decoded += 1
        r.next_frame += 1
        r.blocked_s = NEVER
        show(r, shown, frame.captured_s, now_s)


@compiled
def _note_blocked(r: Record, now_s: float) -> None:
    """Since when the next frame is waited for though a later one has begun to come."""
    if r.newest_frame > r.next_frame:
        r.blocked_s = min(r.blocked_s, now_s)


@compiled
def give_up(r: Record, now_s: float) -> bool:
    """Whether a key frame is wanted: the next frame is missed for so long that nobody waits for it."""
    if now_s - r.blocked_s > r.give_up_s:
        r.wants_key = 1
    return r.wants_key > 0
