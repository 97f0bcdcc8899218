"""One client and a batch see the same, on any ladder, chunk length, cap, round trip and weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.observation import Observation, PastChunk
from player.qoe import QoE
from player.simulated.batch.library import KINDS, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from player.video.video import Video
from policies.view import layout
from policies.view.asked import Asked
from policies.view.batch import View
from policies.view.layout import PLACES, options_of
from policies.view.one import rate, view_of
from traces.families.catalogue import resolve_many
from traces.trace import Trace


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


LADDER = (300, 750, 1200, 1850, 2850, 4300)
PUBLISHED = Asked(LADDER, 4.0, tuple(kbps / 1000 for kbps in LADDER), 4.3, 1.0)


def past(mbps: float, level: int = 0, seconds: float = 1.0, rtt_ms: float = 80.0) -> PastChunk:
    return PastChunk(level, round(mbps * seconds * 125_000), seconds, mbps, rtt_ms, 0.0, 8.0)


def observed(history: tuple[PastChunk, ...], buffer_s: float = 12.5, left: int = 24) -> Observation:
    sizes = tuple(tuple(int(kbps * 500) for kbps in LADDER) for _ in range(min(left, 8)))
    return Observation(len(history), history, buffer_s, sizes, left, 10.0, 60.0)


def test_numbers_stand_where_the_layout_says() -> None:
    vector = view_of(observed((past(1.0, 2, 1.5), past(3.0, 2, 3.5))), PUBLISHED)
    assert vector.shape == (layout.WIDTH,)
    np.testing.assert_allclose(vector[PLACES["throughput"]][-3:], [0.0, rate(1.0), rate(3.0)], rtol=1e-6)
    np.testing.assert_allclose(vector[PLACES["download"]][-2:], np.log1p([1.5, 3.5]), rtol=1e-6)
    np.testing.assert_allclose(vector[PLACES["size"]][-1], 3.0 * 3.5 / 4.0 / 4.3, rtol=1e-5)
    playback = [1.25, 12.5 / 60, 12.5 / 40, 1.0, 0.5, 0.5, 24 / 64, 1 / 24, 0.0, 0.0]
    np.testing.assert_allclose(vector[PLACES["playback"]], playback, rtol=1e-6)
    asked = [math.log1p(4.3), 0.5, 1.0, 1.0, 0.0, math.log1p(0.8)]
    np.testing.assert_allclose(vector[PLACES["asked"]], asked, rtol=1e-6)
    rows = options_of(vector)
    assert rows[:, layout.EXISTS].tolist() == [1.0] * 6 + [0.0] * 6
    assert not rows[6:].any()
    np.testing.assert_allclose(rows[:6, layout.QUALITY], (np.array(LADDER) - 300) / 4000, rtol=1e-6)
    assert rows[:6, layout.IS_LAST].tolist() == [0, 0, 1, 0, 0, 0]
    assert rows[:6, layout.IS_TOP].tolist() == [0, 0, 0, 0, 0, 1]
    planned = rows[:6, layout.PLANNED : layout.SLACK]
    assert (planned.max(axis=0) == 0.0).all() and planned.min() >= layout.WORST_VALUE
    harmonic = 2 / (1 / 1 + 1 / 3)
    slack = np.clip((12.5 - np.array(LADDER) * 4e-3 / harmonic) / 10, -3, 3)
    np.testing.assert_allclose(rows[:6, layout.SLACK], slack, rtol=1e-5)


def test_the_same_ladder_twice_as_high_over_twice_the_link_looks_the_same() -> None:
    def seen(times: int, mu: float) -> layout.Vectors:
        ladder = tuple(times * kbps for kbps in LADDER)
        sizes = tuple(tuple(kbps * 500 for kbps in ladder) for _ in range(8))
        history = tuple(past(times * mbps, 1, 2.0) for mbps in (1.0, 2.0, 0.5))
        observation = Observation(3, history, 9.0, sizes, 30, 20.0, 60.0)
        return view_of(observation, Asked(ladder, 4.0, tuple(kbps / 1000 for kbps in ladder), mu, 1.0))

    once, twice = seen(1, 4.3), seen(2, 8.6)
    top = PLACES["ladder"].start + 5
    assert twice[top] - once[top] == pytest.approx(math.log(2.0), rel=1e-5)
    once[top] = twice[top] = 0.0
    np.testing.assert_allclose(once, twice, rtol=1e-5, atol=1e-6)
    assert np.abs(once - seen(2, 4.3)).max() > 0.1, "a stall that costs half is seen"


def test_one_fast_short_download_does_not_wipe_out_an_outage() -> None:
    before = tuple(past(3.0, 3, 2.0) for _ in range(10))
    vector = view_of(observed((*before, past(0.6, 3, 29.0), past(3.3, 0, 0.4)), buffer_s=14.0), PUBLISHED)
    guesses = dict(zip(layout.GUESSES, np.expm1(vector[PLACES["guesses"]]) / 10.0, strict=True))
    assert guesses["last"] == pytest.approx(3.3, rel=1e-5)
    assert guesses["fast average"] < 1.0 and guesses["slow average"] < 1.5
    assert guesses["lowest lately"] == pytest.approx(0.6, rel=0.01)


def test_a_small_chunk_over_a_long_round_trip_is_no_slow_link() -> None:
    history = tuple(past(1.2, 0, 0.5, rtt_ms=400.0) for _ in range(4))  # 0.1 s besides the trip
    vector = view_of(observed(history), PUBLISHED)
    guesses = dict(zip(layout.GUESSES, np.expm1(vector[PLACES["guesses"]]) / 10.0, strict=True))
    assert guesses["mean"] == pytest.approx(1.2, rel=1e-5)
    assert guesses["slow average"] == pytest.approx(6.0, rel=1e-3)


def test_a_longer_ladder_is_no_batch() -> None:
    ladder = tuple(300 + 100 * place for place in range(13))
    video = Video("long", 4.0, ladder, (tuple(kbps * 500 for kbps in ladder),) * 4)
    sessions = Sessions(Library([Trace("t", (0.0, 9.0), (2.0, 2.0))], [video]), Setup.of(1), chunks=4)
    with pytest.raises(ValueError, match="long: 13 levels"):
        View(sessions)


def test_what_was_known_before_the_first_chunk() -> None:
    trace, video = resolve_many("3g[0:2]")[1], load_video("envivio")
    watcher = Watcher([0] * 6)
    simulate(video, trace, watcher, seed=0, qoe=QoE(), link=PublishedLink(), chunks=6, first_level=None)
    sessions = Sessions(Library([trace], [video], QoE()), Setup.of(1), chunks=6, first_level=0)
    np.testing.assert_allclose(View(sessions).before_first()[0], watcher.vectors[0], rtol=1e-6)
