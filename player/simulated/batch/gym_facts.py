"""What the gymnasium environments say of a chunk, and between which bounds their observations lie."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from player.simulated.batch.feature_units import (
    BUFFER_UNIT_S,
    DOWNLOAD_UNIT_S,
    MBPS_UNIT,
    SIZE_UNIT_BYTES,
)
from player.simulated.batch.features import Features, Vectors
from player.simulated.batch.library import Ints, Library
from player.simulated.batch.sessions import Sessions
from player.simulated.link_published import PAYLOAD
from traces.trace import Trace

MOST_RTT_MS, MOST_CAP_MS = 10_000.0, 3_600_000.0
"""Where somebody else draws the setups: more nobody is taken to mean."""

NOISE = 0.1
"""A noisy download takes 0.9 to 1.1 of its time."""
ROUNDING = 1e-5
"""Of a bound, for values that are rounded to 32 bits."""

_MS_PER_S = 1000.0


def chunk_facts(sessions: Sessions, before: Ints) -> dict[str, NDArray[np.float64] | Ints]:
    """(sessions,) of each name: what happened to the chunk that has just come.

    Args:
        before: (sessions,) the level of the chunk before it.

    Returns:
        `chunk` (from 0), `level`, `bitrate_kbps`, `size_bytes`, `download_s`, `throughput_mbps`, `stall_s`,
        `buffer_s` (the chunk added), `wait_s` (after it), `elapsed_s`; and the parts of its QoE: `quality` of
        its level, `stall`, what the stall costs, and `smoothness`, what the change of level costs.
    """
    state, packed = sessions.state, sessions.library.packed
    rows, last = np.arange(len(state.chunk)), state.chunk - 1
    quality = packed.quality[state.kind, state.video, state.level]
    ladders = [video.ladder_kbps for video in sessions.library.videos]
    kbps = [ladders[video][level] for video, level in zip(state.video, state.level, strict=True)]
    return {
        "chunk": last,
        "level": state.level.copy(),
        "bitrate_kbps": np.array(kbps, np.int64),
        "size_bytes": state.size_bytes.copy(),
        "download_s": state.past_s[rows, last],
        "throughput_mbps": state.past_mbps[rows, last],
        "stall_s": state.stall_ms / _MS_PER_S,
        "buffer_s": state.after_ms / _MS_PER_S,
        "wait_s": state.wait_ms / _MS_PER_S,
        "elapsed_s": state.elapsed_ms / _MS_PER_S,
        "quality": quality,
        "stall": state.mu * (state.stall_ms / _MS_PER_S),
        "smoothness": state.smooth * np.abs(quality - packed.quality[state.kind, state.video, before]),
    }


def feature_bounds(
    features: Features, library: Library, chunks: int, rtt_ms: float, cap_ms: float
) -> Vectors:
    """(len(features),) what no observation exceeds.

    Args:
        chunks: streamed in a session.
        rtt_ms, cap_ms: the greatest of any session.
    """
    sizes = [size for video in library.videos for row in video.sizes_bytes[:chunks] for size in row]
    fastest = max(max(trace.rate_mbps) for trace in library.traces) * PAYLOAD / (1.0 - NOISE)
    longest_s = max(_longest_s(trace, max(sizes), rtt_ms) for trace in library.traces)
    past, ahead = features.history, features.ahead * features.levels
    cap_s = cap_ms / _MS_PER_S + max(video.chunk_s for video in library.videos)
    high = [
        *[fastest / MBPS_UNIT] * past,
        *[longest_s / DOWNLOAD_UNIT_S] * past,
        *[max(sizes) / SIZE_UNIT_BYTES] * ahead,
        cap_s / BUFFER_UNIT_S,
    ]
    shares = [1.0, 1.0]
    return np.array([value * (1.0 + ROUNDING) for value in high] + shares, np.float32)


def _longest_s(trace: Trace, size_bytes: int, rtt_ms: float) -> float:
    """What a chunk takes at most, wherever in the trace it begins: whole rounds, and one more."""
    a_round_bytes = trace.mean_mbps * trace.duration_s * 1e6 / 8 * PAYLOAD
    rounds = math.ceil(size_bytes / a_round_bytes) + 1 if a_round_bytes > 0 else 0
    delay_ms = max(trace.delay_ms or (0.0,))
    return (rounds * trace.duration_s + (rtt_ms + delay_ms) / _MS_PER_S) * (1.0 + NOISE)
