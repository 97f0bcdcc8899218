"""Sessions to learn from: varied traces and videos, among them ladders that nobody has published.

Sources, variation and who is held out are those of `policies/hindsight/data.py`; but where no measured line
is held out, members of generated families are, by the same rule. A drawn ladder has six levels at random up
to 2 to 50 Mbit/s, the chunk sizes of a real video brought to it, and traces brought to its rates, so that an
adapter meets other ladders than the one that its teacher knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from player.defaults import CHUNKS
from player.qoe import QoE
from player.simulated.batch.library import Ints, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.video.video import Video
from policies.hindsight.data import (
    DataError,
    TraceSource,
    draw_library,
    generated,
    held_out,
    read_source,
    read_videos,
)
from policies.llm.tasks.abr import features as abr

LADDER_TOP_KBPS = (2_000, 50_000)
LADDER_SPAN = (8.0, 40.0)
"""Top over lowest level; 14 in the published ladder, 40 in `uhd`."""
LADDER_JITTER = 0.35
"""Of the steps between levels, as a share of an even one in the logarithm."""
CHUNK_S = (2.0, 4.0, 4.0, 4.0, 6.0)
"""Lengths of drawn videos' chunks."""
LADDERS = 8
"""Drawn ladders at a time."""
LADDER_TRACES = 64
"""Traces for each drawn ladder."""


@dataclass(frozen=True)
class VideoMix:
    """Where sessions come from."""

    sources: tuple[TraceSource, ...]
    videos: tuple[Video, ...]
    shares: np.ndarray
    """(videos,) of the sessions."""
    ladders: float = 0.0
    """Share of the sessions that are of drawn ladders."""

    @classmethod
    def of(cls, words: dict[str, Any]) -> VideoMix:
        """From a command line or a manifest: `traces`, `rescaled`, `video` and `ladders`.

        Raises:
            DataError, TraceError, VideoError: something is not there.
        """
        sources = [read_source(word, False) for word in words["traces"]]
        sources += [read_source(word, True) for word in words["rescaled"]]
        if not any(source.validation for source in sources):
            sources = [_with_members_held_out(source) for source in sources]
        videos, shares = read_videos(words["video"])
        return cls(tuple(sources), videos, shares, float(words["ladders"]))


@dataclass(frozen=True)
class DrawnSessions:
    """Sessions that have not begun."""

    library: Library
    setup: Setup

    def __len__(self) -> int:
        return len(self.setup)

    def sessions(self, threads: int) -> Sessions:
        return Sessions(self.library, self.setup, chunks=CHUNKS, first_level=None, threads=threads)


def draw(mix: VideoMix, count: int, seed: Sequence[int]) -> Iterator[DrawnSessions]:
    """About `count` sessions in a few batches, each of the published ladder only or of one drawn ladder.

    Args:
        seed: decides everything.
    """
    random = np.random.default_rng(list(seed))
    others = round(count * mix.ladders)
    if count > others:
        library = draw_library(mix.sources, mix.videos, random)
        video = random.choice(len(mix.videos), count - others, p=mix.shares)
        yield DrawnSessions(library, _anywhere(library, video, random))
    ladders = min(LADDERS, others)
    for place in range(ladders):
        each = others * (place + 1) // ladders - others * place // ladders
        other = drawn_video(mix.videos[random.integers(len(mix.videos))], random)
        factor = other.ladder_kbps[-1] / 1000.0 / abr.TOP_MBPS
        varied = draw_library(mix.sources, [other], random).traces[:LADDER_TRACES]
        traces = [
            replace(trace, rate_mbps=tuple(rate * factor for rate in trace.rate_mbps)) for trace in varied
        ]
        library = Library(traces, [other], QoE())
        yield DrawnSessions(library, _anywhere(library, np.zeros(each, np.int64), random))


def _with_members_held_out(source: TraceSource) -> TraceSource:
    """A generated source, some of its members for validation; any other as it is.

    Raises:
        DataError: none would be left to learn from.
    """
    if not generated(source.spec):
        return source
    training = tuple(trace for trace in source.training if not held_out(trace))
    if not training:
        raise DataError(f"{source.spec}: all of its {len(source.training)} traces are held out; name more")
    return replace(source, training=training, validation=tuple(filter(held_out, source.training)))


def drawn_video(like: Video, random: np.random.Generator) -> Video:
    """A video of a random ladder whose chunk sizes vary as those of `like`."""
    top = np.exp(random.uniform(*np.log(LADDER_TOP_KBPS)))
    span = np.log(np.exp(random.uniform(*np.log(LADDER_SPAN))))
    steps = 1.0 + LADDER_JITTER * random.uniform(-1.0, 1.0, abr.LEVELS - 1)
    below = np.concatenate((np.cumsum((steps / steps.sum() * span)[::-1])[::-1], [0.0]))
    ladder = np.round(top * np.exp(-below)).astype(int)
    chunk_s = float(random.choice(CHUNK_S))
    nominal = np.asarray(like.ladder_kbps) * like.chunk_s
    sizes = np.asarray(like.sizes_bytes) / nominal * ladder * chunk_s
    return Video(
        "drawn",
        chunk_s,
        tuple(int(kbps) for kbps in ladder),
        tuple(tuple(max(int(size), 1) for size in row) for row in sizes),
    )


def _anywhere(library: Library, video: Ints, random: np.random.Generator) -> Setup:
    """A setup of sessions on random traces, begun at random places of them."""
    count = len(video)
    trace = random.integers(len(library.traces), size=count)
    start = 1 + random.integers(1 << 40, size=count) % (library.points()[trace] - 1)
    return Setup.of(count, trace=trace, start_index=start, video=video)
