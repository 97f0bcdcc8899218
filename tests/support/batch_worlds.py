"""Random traces and videos for tests of what is compiled, and a policy that follows a script."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from player.observation import Observation
from player.qoe import QoE
from player.video.video import Video
from traces.trace import Trace

LADDER_KBPS = (300, 750, 1200)
QOES = (QoE(), QoE(mu=43.0), QoE("log", 2.66), QoE("hd", 8.0), QoE(smooth=0.0))


@st.composite
def traces(draw: st.DrawFn, most_points: int = 12) -> Trace:
    """Dark stretches, short and long intervals."""
    gaps = draw(st.lists(st.floats(0.05, 12.0), min_size=1, max_size=most_points))
    rate = st.one_of(st.just(0.0), st.floats(0.01, 60.0))
    rates = draw(st.lists(rate, min_size=len(gaps) + 1, max_size=len(gaps) + 1))
    if max(rates[1:]) < 0.5:
        rates[-1] = 0.5
    times = np.cumsum([0.0, *gaps])
    return Trace("random", tuple(map(float, times)), tuple(rates))


@st.composite
def videos(draw: st.DrawFn, chunks: int, most_bytes: int = 3_000_000) -> Video:
    size = st.integers(1, most_bytes)
    rows = draw(st.lists(st.tuples(size, size, size), min_size=chunks, max_size=chunks))
    chunk_s = draw(st.sampled_from((4.0, 2.0, 1.7)))
    return Video("random", chunk_s, LADDER_KBPS, tuple(rows))


class Script:
    """Takes the levels of a list, one a decision, and keeps what it was shown."""

    def __init__(self, levels: Sequence[int]) -> None:
        self._levels = list(levels)
        self.seen: list[Observation] = []

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self.seen = []

    def select(self, observation: Observation) -> int:
        self.seen.append(observation)
        return self._levels[observation.chunk]
