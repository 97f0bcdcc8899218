"""One client and a batch see the same, on any ladder, chunk length, cap, round trip and weights."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from player.observation import Observation
from player.qoe import QoE
from player.simulated.batch.library import KINDS, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.video import Video
from policies.view import layout
from policies.view.asked import Asked
from policies.view.batch import View
from policies.view.one import view_of
from traces.families.catalogue import resolve_many


def video_of(random: np.random.Generator, levels: int, chunk_s: float, chunks: int) -> Video:
    """A ladder up to 1 to 60 Mbit/s, sizes that vary."""
    top = np.exp(random.uniform(*np.log([1000.0, 60_000.0])))
    ladder = np.unique(np.round(top * np.geomspace(random.uniform(0.03, 0.3), 1.0, levels)).astype(int))
    sizes = ladder * chunk_s * 125.0 * np.exp(0.2 * random.standard_normal((chunks, 1)))
    rows = tuple(tuple(int(size) + 1 for size in row) for row in sizes)
    return Video("drawn", chunk_s, tuple(map(int, ladder)), rows)


class Watcher:
    """Takes the levels of a list, and keeps what it sees at each chunk."""

    def __init__(self, levels: list[int]) -> None:
        self.levels = levels
        self.vectors: list[layout.Vectors] = []

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self.asked = Asked.of(video, qoe)
        self.vectors = []

    def select(self, observation: Observation) -> int:
        self.vectors.append(view_of(observation, self.asked))
        return self.levels[observation.chunk]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.integers(2, layout.MAX_LEVELS),
    chunk_s=st.sampled_from([1.0, 1.5, 2.0, 4.0, 5.0, 10.0]),
    cap_s=st.floats(10.0, 120.0),
    rtt_ms=st.floats(5.0, 400.0),
    kind=st.sampled_from(["linear", "log"]),
    mu=st.sampled_from([0.0, 0.3, 4.3, 60.0, 1e6]),
    smooth=st.sampled_from([0.0, 1.0, 3.0]),
)
def test_a_batch_and_one_client_see_the_same(
    seed: int, levels: int, chunk_s: float, cap_s: float, rtt_ms: float, kind: str, mu: float, smooth: float
) -> None:
    random, chunks = np.random.default_rng(seed), 26
    video = video_of(random, levels, chunk_s, chunks)
    chosen = random.integers(video.levels, size=chunks).tolist()
    trace, qoe = resolve_many("3g[0:4]")[seed % 4], QoE(kind, mu, smooth)
    watcher = Watcher(chosen)
    link = PublishedLink(rtt_ms=rtt_ms)
    simulate(
        video,
        trace,
        watcher,
        seed=0,
        qoe=qoe,
        link=link,
        chunks=chunks,
        cap_ms=1000.0 * cap_s,
        first_level=None,
    )
    setup = Setup.of(
        1, rtt_ms=rtt_ms, cap_ms=1000.0 * cap_s, kind=KINDS.index(kind), mu=mu, smooth=smooth, chunks=chunks
    )
    sessions = Sessions(Library([trace], [video]), setup, chunks=chunks, first_level=None)
    view = View(sessions)
    assert len(watcher.vectors) == chunks
    for vector, level in zip(watcher.vectors, chosen, strict=True):
        assert np.isfinite(vector).all() and np.abs(vector).max() <= layout.LIMIT
        np.testing.assert_allclose(view.fill()[0], vector, rtol=2e-6, atol=1e-6)
        sessions.step([level])
    assert not view.fill().any(), "a session that is over"
