"""What a decision tree is told: a few numbers of an observation that a person can picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from player.observation import Observation
from player.video.video import Video
from policies.rules.throughput import WINDOW, harmonic_mean_mbps, observed_mbps, robust_mbps

NAMES = (
    "buffer (s)",
    "last level",
    "last throughput (Mbit/s)",
    "mean throughput of the last 5 (Mbit/s)",
    "lowest throughput of the last 5 (Mbit/s)",
    "careful throughput (Mbit/s)",
    "mean throughput of the session (Mbit/s)",
    "chunks left",
    "highest level that the mean throughput keeps up with",
    "highest level that the careful throughput keeps up with",
    "highest level that arrives within the buffer at the mean throughput",
    "highest level that arrives within the buffer at the careful throughput",
    "buffer after the next chunk at the last level (s)",
    "buffer after the next chunk one level up (s)",
    "buffer after five chunks at the last level (s)",
    "buffer after five chunks one level up (s)",
    "last throughput over the last level's bitrate",
    "last throughput over the bitrate one level up",
    "mean throughput over the last level's bitrate",
    "mean throughput over the bitrate one level up",
    "careful throughput over the last level's bitrate",
    "careful throughput over the bitrate one level up",
    "session's throughput over the last level's bitrate",
    "session's throughput over the bitrate one level up",
)
"""*Careful* is RobustMPC's throughput: the harmonic mean over one plus the worst recent error; *the mean* is
the harmonic mean of the last five. A level is kept up with whose next chunk arrives in its own length; -1:
none."""

LAST_LEVEL = NAMES.index("last level")

Inputs = NDArray[np.float64]


def named_inputs(seen: Observation, video: Video) -> Inputs:
    """(len(NAMES),) of an observation with a history."""
    chunk_s = video.chunk_s
    past, sizes = seen.history, 8.0 * np.asarray(seen.next_sizes_bytes, np.float64) / 1e6  # (shown, levels)
    mean, careful = harmonic_mean_mbps(past), robust_mbps(past)
    last = past[-1].level
    above = min(last + 1, sizes.shape[1] - 1)
    total_s = sum(each.download_s for each in past)
    session = sum(8.0 * each.size_bytes for each in past) / 1e6 / max(total_s, 1e-9)
    steps = sizes[:WINDOW]

    rates = [each / 1000.0 for each in (video.ladder_kbps[last], video.ladder_kbps[above])]
    throughputs = (observed_mbps(past[-1]), mean, careful, session)

    def highest(mbps: float, within_s: float) -> int:
        fits = np.flatnonzero(sizes[0] <= mbps * within_s)
        return int(fits[-1]) if len(fits) else -1

    def after(level: int, chunks: int) -> float:
        took_s = float(steps[:chunks, level].sum()) / mean
        return seen.buffer_s + chunk_s * len(steps[:chunks]) - took_s

    return np.array([
        seen.buffer_s, last, observed_mbps(past[-1]), mean,
        min(observed_mbps(each) for each in past[-WINDOW:]), careful, session, seen.chunks_left,
        highest(mean, chunk_s), highest(careful, chunk_s),
        highest(mean, seen.buffer_s), highest(careful, seen.buffer_s),
        after(last, 1), after(above, 1), after(last, WINDOW), after(above, WINDOW),
        *(mbps / rate for mbps in throughputs for rate in rates),
    ])  # fmt: skip
