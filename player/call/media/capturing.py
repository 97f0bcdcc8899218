"""A frame is captured: encoded, counted, and handed to the pacer."""

from __future__ import annotations

from player.call.media.encoder import encode
from player.call.media.pacer import enqueue
from player.call.media.sender_state import Record, Ring
from player.compiled.compiled import compiled


@compiled
def capture(s: Record, media: Ring, seconds: Ring, now_s: float) -> int:
    """A frame is captured, encoded and handed to the pacer; its size in bytes, 0 where it was dropped."""
    frame = s.frames
    size, key = encode(s, now_s)
    second = seconds[min(int(now_s), len(seconds) - 1)]
    if size == 0:
        second.frames_dropped += 1
        return 0
    second.frames += 1
    second.key_frames += 1 if key else 0
    enqueue(s, media, frame, size, key, now_s)
    return size
