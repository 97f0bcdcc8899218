"""Traces and videos, packed into flat arrays that compiled code reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from player.qoe import QoE
from player.simulated.link_published import refuse_loss
from player.video.video import Video
from traces.trace import Trace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BITS_PER_MBIT = 1_000_000.0
_BITS_PER_BYTE = 8.0
_MS_PER_S = 1000.0


class PackedLibrary(NamedTuple):
    """What compiled code is given; read only."""

    time_s: Floats
    """(points of all traces,)"""
    bytes_per_s: Floats
    """(points of all traces,) of whole frames, as `player/simulated/link_published.py` computes it."""
    delay_ms: Floats
    """(points of all traces,) what the trace adds to the round trip; 0 where it says nothing of that."""
    trace_begin: Ints
    """(traces,) where each begins in the two above."""
    trace_end: Ints
    """(traces,) one past its last point."""
    sizes_bytes: Floats
    """(videos, most chunks, most levels); 0 where a video has no such chunk or level."""
    quality: Floats
    """(videos, most levels) q of the QoE."""
    levels: Ints
    """(videos,)"""
    chunk_ms: Floats
    """(videos,)"""


class Library:
    """The traces and videos that a batch draws from, and the QoE they are scored by.

    Args:
        traces: at least one.
        videos: at least one; ladders and chunk lengths may differ.
        qoe: gives every level its quality.

    Raises:
        ValueError: no trace, no video, or `hd` with a ladder that its table does not know.
        TraceError: a trace loses frames.
    """

    def __init__(self, traces: Sequence[Trace], videos: Sequence[Video], qoe: QoE | None = None) -> None:
        if not traces or not videos:
            raise ValueError(f"{len(traces)} traces and {len(videos)} videos; a batch needs one of each")
        for trace in traces:
            refuse_loss(trace)
        self.traces = tuple(traces)
        self.videos = tuple(videos)
        self.qoe = qoe if qoe is not None else QoE()
        self.packed = _pack(self.traces, self.videos, self.qoe)

    @property
    def levels(self) -> int:
        """Levels of the longest ladder."""
        return max(video.levels for video in self.videos)

    @property
    def chunks(self) -> int:
        """Chunks of the shortest video."""
        return min(video.chunks for video in self.videos)

    def points(self) -> Ints:
        """(traces,) how many points each trace has; a start index goes from 1 to one less."""
        return self.packed.trace_end - self.packed.trace_begin


def _pack(traces: tuple[Trace, ...], videos: tuple[Video, ...], qoe: QoE) -> PackedLibrary:
    ends = np.cumsum([len(trace.time_s) for trace in traces])
    rates = np.concatenate([np.array(trace.rate_mbps) for trace in traces])
    shape = len(videos), max(video.chunks for video in videos), max(video.levels for video in videos)
    sizes, quality = np.zeros(shape), np.zeros((shape[0], shape[2]))
    for place, video in enumerate(videos):
        sizes[place, : video.chunks, : video.levels] = video.sizes_bytes
        quality[place, : video.levels] = qoe.quality(video.ladder_kbps)
    return PackedLibrary(
        time_s=np.concatenate([np.array(trace.time_s) for trace in traces]),
        bytes_per_s=rates * _BITS_PER_MBIT / _BITS_PER_BYTE,
        delay_ms=np.concatenate([trace.delay_ms or np.zeros(len(trace.time_s)) for trace in traces]),
        trace_begin=np.concatenate(([0], ends[:-1])).astype(np.int64),
        trace_end=ends.astype(np.int64),
        sizes_bytes=sizes,
        quality=quality,
        levels=np.array([video.levels for video in videos], dtype=np.int64),
        chunk_ms=np.array([video.chunk_s * _MS_PER_S for video in videos]),
    )
