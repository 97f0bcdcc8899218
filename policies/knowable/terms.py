"""The terms of a session: video, QoE and player, as compiled code takes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from player.buffer import CAP_MS
from player.defaults import RTT_MS
from player.qoe import QoE
from player.simulated.batch.library import Ints
from player.video.video import Video
from policies.knowable.laws import Floats

LEFT = 20
"""Parts of a chunk at whose ends V is told, by what is still to come."""
FINE = 240
"""Cells of the buffer, from empty to the cap; V is told at some of their edges."""
_EDGE_CHUNKS = 0.25
"""V is told so close, in chunk lengths of buffer: where a step of the link is as long, or a multiple, the
buffer falls from figure to figure, and nothing is blurred between them."""


class Terms(NamedTuple):
    """What is streamed, and how it is scored; times in seconds."""

    sizes: Floats
    """(chunks, levels) bytes."""
    quality: Floats
    """(levels,)"""
    mu: float
    smooth: float
    chunk_s: float
    rtt_s: float
    cap_s: float
    step_s: float
    """Of the link's trace."""
    left: Floats
    """(figures,) shares of a chunk that are still to come at which V is told, from 0 to the whole."""
    buffers: Floats
    """(buffers,) where V is told, from 0 to the cap."""
    below: Ints
    """(FINE + 1,) for each cell the last of `buffers` at or below it."""

    @classmethod
    def of(
        cls,
        video: Video,
        qoe: QoE,
        step_s: float,
        chunks: int,
        rtt_ms: float = RTT_MS,
        cap_ms: float = CAP_MS,
    ) -> Terms:
        """The first `chunks` of a video over the `published` link.

        Raises:
            ValueError: the video has fewer chunks, the QoE has no value for a level, or the cap holds no
                two chunks.
        """
        if not 2 <= chunks <= video.chunks:
            raise ValueError(f"{chunks} chunks; {video.name} has {video.chunks}, and two are needed")
        cap_s = cap_ms / 1000.0
        if cap_s < 2.0 * video.chunk_s:
            raise ValueError(f"a cap of {cap_s:g} s; two chunks of {video.chunk_s:g} s need more")
        edges = _edges(video.chunk_s, cap_s)
        return cls(
            sizes=np.array(video.sizes_bytes[:chunks], np.float64),
            quality=np.array(qoe.quality(video.ladder_kbps)),
            mu=qoe.mu,
            smooth=qoe.smooth,
            chunk_s=video.chunk_s,
            rtt_s=rtt_ms / 1000.0,
            cap_s=cap_s,
            step_s=step_s,
            left=np.arange(LEFT + 1) / LEFT,
            buffers=edges * cap_s / FINE,
            below=np.minimum(np.searchsorted(edges, np.arange(FINE + 1), side="right") - 1, len(edges) - 2),
        )


def _edges(chunk_s: float, cap_s: float) -> Ints:
    """Cells at whose edges V is told."""
    edges_s = np.append(np.arange(0.0, cap_s, _EDGE_CHUNKS * chunk_s), cap_s)
    return np.unique(np.round(edges_s / cap_s * FINE).astype(np.int64))
