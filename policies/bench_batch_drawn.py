"""Sessions that differ in all that may differ, for `python -m policies.bench_batch --drawn`.

Ladders of 2 to 12 levels up to 1 to 60 Mbit/s over links that bring 0.1 to 2.5 times that, 20 to 120 chunks
of 1 to 10 s, round trips of 5 to 400 ms, buffer caps of 10 to 120 s, QoE linear or log, a second of stall
worth 0.3 to 10 times the ladder's top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from player.simulated.batch.library import LINEAR, LOG, Library
from player.simulated.batch.sessions import Setup
from player.video.video import Video
from traces.trace import Trace

VIDEOS = 32
LINKS = 8
"""Traces of each video, brought to its ladder."""
MEDIA_S = 240.0
"""How long a drawn video is, where its chunks are not so short or long that they would be too many or few."""
LEAST_CHUNKS, MOST_CHUNKS = 20, 120

_BYTES_PER_KBIT = 125.0


def drawn_videos(random: np.random.Generator, count: int = VIDEOS) -> list[Video]:
    """So many, ladders of every length in turn, chunk sizes varying by a third."""
    return [_video(random, f"drawn {place}", 2 + place % 11) for place in range(count)]


def _video(random: np.random.Generator, name: str, levels: int) -> Video:
    top_kbps = 1000.0 * _log_uniform(random, 1.0, 60.0, 1)[0]
    shares = np.linspace(0.0, random.uniform(1.0, 3.0), levels)
    ladder_kbps = tuple(np.round(top_kbps * np.exp(-shares[::-1])).astype(int).tolist())
    chunk_s = float(_log_uniform(random, 1.0, 10.0, 1)[0])
    chunks = int(np.clip(MEDIA_S / chunk_s, LEAST_CHUNKS, MOST_CHUNKS))
    varied = np.exp(0.3 * random.standard_normal((chunks, 1)))
    sizes = np.ceil(np.array(ladder_kbps) * _BYTES_PER_KBIT * chunk_s * varied).astype(int)
    return Video(name, chunk_s, ladder_kbps, tuple(map(tuple, sizes.tolist())))


def drawn_library(traces: Sequence[Trace]) -> Library:
    """The same with every call: of each video `LINKS` traces, one video's after the other's."""
    random = np.random.default_rng(0)
    videos = drawn_videos(random)
    return Library([_brought_to(each, traces, random) for each in videos for _ in range(LINKS)], videos)


def _brought_to(video: Video, traces: Sequence[Trace], random: np.random.Generator) -> Trace:
    trace = traces[int(random.integers(len(traces)))]
    mean_mbps = video.ladder_kbps[-1] / 1000.0 * _log_uniform(random, 0.1, 2.5, 1)[0]
    factor = mean_mbps / trace.mean_mbps
    return replace(trace, rate_mbps=tuple(rate * factor for rate in trace.rate_mbps))


def draw_setup(library: Library, random: np.random.Generator, sessions: int) -> Setup:
    """Setups of so many sessions, everything drawn."""
    video = random.integers(len(library.videos), size=sessions)
    trace = LINKS * video + random.integers(LINKS, size=sessions)
    kind = np.where(random.random(sessions) < 0.25, LOG, LINEAR)
    return Setup.of(
        sessions,
        trace=trace,
        start_index=random.integers(1, library.points()[trace]),
        video=video,
        rtt_ms=_log_uniform(random, 5.0, 400.0, sessions),
        cap_ms=random.uniform(10_000.0, 120_000.0, sessions),
        kind=kind,
        mu=_log_uniform(random, 0.3, 10.0, sessions) * library.packed.mu[kind, video],
        smooth=random.uniform(0.0, 2.0, sessions),
        chunks=library.packed.chunks[video],
    )


def _log_uniform(random: np.random.Generator, low: float, high: float, count: int) -> np.ndarray:
    return np.exp(random.uniform(np.log(low), np.log(high), count))
