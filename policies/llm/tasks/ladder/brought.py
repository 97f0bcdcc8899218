"""A video brought to other rates and other chunks, whose sizes vary as its own do."""

from __future__ import annotations

import numpy as np

from player.video.video import Video
from policies.llm.tasks.ladder.sets import MOST_CHUNKS


def brought(video: Video, ladder_kbps: list[int] | None, chunk_s: float | None) -> Video:
    """The video itself where neither is asked for.

    Raises:
        ValueError: rates that do not rise.
    """
    if ladder_kbps is None and chunk_s is None:
        return video
    ladder, length = np.asarray(ladder_kbps or video.ladder_kbps), chunk_s or video.chunk_s
    if ladder[0] < 1 or (np.diff(ladder) <= 0).any():
        raise ValueError(f"--ladder {','.join(map(str, ladder))}: rates must be 1 or more and rise")
    ratios = np.asarray(video.sizes_bytes) / (np.asarray(video.ladder_kbps) * video.chunk_s * 125.0)
    columns = np.round(np.linspace(0, video.levels - 1, len(ladder))).astype(int)
    chunks = int(np.clip(round(video.chunks * video.chunk_s / length), 2, MOST_CHUNKS))
    sizes = ratios[np.arange(chunks) % video.chunks][:, columns] * (ladder * length * 125.0)
    rows = tuple(tuple(max(int(size), 1) for size in row) for row in sizes)
    return Video(f"{video.name}-brought", length, tuple(map(int, ladder)), rows)
