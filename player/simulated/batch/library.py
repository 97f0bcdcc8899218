"""Traces and videos, packed into flat arrays that compiled code reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from player.defaults import MU
from player.observation import HORIZON
from player.qoe import QoE, Scoring, ladder_mu
from player.simulated.batch.feature_units import SIZE_UNIT_BYTES
from player.simulated.link_published import PAYLOAD, refuse_loss
from player.video.video import Video
from traces.trace import Trace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KINDS = tuple(MU)
"""The kinds of QoE; a session's `kind` is a place in this, and so in the first axis of `quality`."""
LINEAR, LOG, HD = (KINDS.index(name) for name in ("linear", "log", "hd"))

INTERVAL = np.dtype([("begin_s", "f8"), ("end_s", "f8"), ("bytes_per_s", "f8"), ("payload_bytes", "f8")])
"""The time up to a point of a trace: from the point before (from 0, where the trace begins anew), and how
many bytes of video come through while it lasts."""

_BITS_PER_MBIT = 1_000_000.0
_BITS_PER_BYTE = 8.0
_MS_PER_S = 1000.0


class PackedLibrary(NamedTuple):
    """What compiled code is given; read only."""

    time_s: Floats
    """(points of all traces,)"""
    bytes_per_s: Floats
    """(points of all traces,) of whole frames, as `player/simulated/link_published.py` computes it."""
    intervals: NDArray[np.void]
    """(points of all traces,) of `INTERVAL`: what a download looks up, side by side."""
    delay_ms: Floats
    """(points of all traces,) what the trace adds to the round trip; 0 where it says nothing of that."""
    delayed: bool
    """Whether any trace adds to the round trip."""
    trace_begin: Ints
    """(traces,) where each begins in the two above."""
    trace_end: Ints
    """(traces,) one past its last point."""
    sizes_bytes: Floats
    """(videos, most chunks, most levels); 0 where a video has no such chunk or level."""
    sizes_shown: NDArray[np.float32]
    """(videos, (most chunks + `HORIZON`) x most levels) the same in 10^6 bytes, 0 after the last chunk."""
    quality: Floats
    """(kinds, videos, most levels) q of each kind of `KINDS`; NaN where `hd` does not know the ladder."""
    mu: Floats
    """(kinds, videos) the stall weight of a session that nobody gives another."""
    smooth: float
    """The weight of changes of a session that nobody gives another."""
    kind: int
    """The kind of a session that nobody gives another."""
    levels: Ints
    """(videos,)"""
    chunks: Ints
    """(videos,)"""
    chunk_ms: Floats
    """(videos,)"""


class Library:
    """The traces and videos that a batch draws from, and the QoE of sessions whose setup names none.

    Args:
        traces: at least one.
        videos: at least one; ladders, chunk lengths and numbers of chunks may differ.
        qoe: kind and weights of all that a setup leaves open. None: `linear` and smooth 1. Without a mu a
            second of stall costs what the top level of the session's ladder brings (8 in `hd`, as published).

    Raises:
        ValueError: no trace, no video, or `hd` with a ladder that its table does not know.
        TraceError: a trace loses frames.
    """

    def __init__(
        self, traces: Sequence[Trace], videos: Sequence[Video], qoe: QoE | Scoring | None = None
    ) -> None:
        if not traces or not videos:
            raise ValueError(f"{len(traces)} traces and {len(videos)} videos; a batch needs one of each")
        for trace in traces:
            refuse_loss(trace)
        self.traces = tuple(traces)
        self.videos = tuple(videos)
        self.qoe = qoe
        self.packed = _pack(self.traces, self.videos, qoe)

    @property
    def levels(self) -> int:
        """Levels of the longest ladder."""
        return max(video.levels for video in self.videos)

    @property
    def chunks(self) -> int:
        """Chunks of the shortest video."""
        return min(video.chunks for video in self.videos)

    @property
    def most_chunks(self) -> int:
        """Chunks of the longest video."""
        return max(video.chunks for video in self.videos)

    def points(self) -> Ints:
        """(traces,) how many points each trace has; a start index goes from 1 to one less."""
        return self.packed.trace_end - self.packed.trace_begin


def _pack(traces: tuple[Trace, ...], videos: tuple[Video, ...], qoe: QoE | Scoring | None) -> PackedLibrary:
    asked = Scoring() if qoe is None else Scoring(qoe.kind, qoe.mu, qoe.smooth)
    ends = np.cumsum([len(trace.time_s) for trace in traces])
    rates = np.concatenate([np.array(trace.rate_mbps) for trace in traces])
    sizes = np.zeros((len(videos), max(each.chunks for each in videos), max(each.levels for each in videos)))
    for place, video in enumerate(videos):
        sizes[place, : video.chunks, : video.levels] = video.sizes_bytes
    shown = np.zeros((sizes.shape[0], sizes.shape[1] + HORIZON, sizes.shape[2]), np.float32)
    shown[:, : sizes.shape[1]] = sizes / SIZE_UNIT_BYTES
    quality = _quality(videos)
    for video in videos:
        asked.on(video.ladder_kbps)
    time_s = np.concatenate([np.array(trace.time_s) for trace in traces])
    bytes_per_s = rates * _BITS_PER_MBIT / _BITS_PER_BYTE
    begin = np.concatenate(([0], ends[:-1])).astype(np.int64)
    return PackedLibrary(
        time_s=time_s,
        bytes_per_s=bytes_per_s,
        intervals=_intervals(time_s, bytes_per_s, begin),
        delay_ms=np.concatenate([trace.delay_ms or np.zeros(len(trace.time_s)) for trace in traces]),
        delayed=any(trace.delay_ms is not None for trace in traces),
        trace_begin=begin,
        trace_end=ends.astype(np.int64),
        sizes_bytes=sizes,
        sizes_shown=shown.reshape(len(videos), -1),
        quality=quality,
        mu=_stall_weights(videos) if asked.mu is None else np.full(quality.shape[:2], asked.mu),
        smooth=float(asked.smooth),
        kind=KINDS.index(asked.kind),
        levels=np.array([video.levels for video in videos], dtype=np.int64),
        chunks=np.array([video.chunks for video in videos], dtype=np.int64),
        chunk_ms=np.array([video.chunk_s * _MS_PER_S for video in videos]),
    )


def _intervals(time_s: Floats, bytes_per_s: Floats, begin: Ints) -> NDArray[np.void]:
    intervals = np.zeros(len(time_s), INTERVAL)
    begin_s = np.concatenate(([0.0], time_s[:-1]))
    begin_s[begin] = begin_s[begin + 1] = 0.0
    intervals["begin_s"], intervals["end_s"], intervals["bytes_per_s"] = begin_s, time_s, bytes_per_s
    intervals["payload_bytes"] = bytes_per_s * (time_s - begin_s) * PAYLOAD
    return intervals


def _quality(videos: tuple[Video, ...]) -> Floats:
    """(kinds, videos, most levels) as `PackedLibrary.quality`."""
    quality = np.zeros((len(KINDS), len(videos), max(video.levels for video in videos)))
    for kind, name in enumerate(KINDS):
        for place, video in enumerate(videos):
            try:
                quality[kind, place, : video.levels] = QoE(name).quality(video.ladder_kbps)
            except ValueError:
                quality[kind, place] = np.nan
    return quality


def _stall_weights(videos: tuple[Video, ...]) -> Floats:
    """(kinds, videos) of each ladder its own."""
    return np.array([[ladder_mu(name, video.ladder_kbps) for video in videos] for name in KINDS])
