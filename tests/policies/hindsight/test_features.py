"""The network's view of a client is the same in a batch and for one observation, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.observation import Observation, PastChunk
from player.qoe import QoE
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from player.video.video import Video
from policies.hindsight import features
from traces.families.catalogue import resolve_many
from traces.trace import Trace

CHUNKS = 14
LADDER = features.LADDER_KBPS


class Watcher:
    """Takes the levels of a list, and keeps the vector of every observation."""

    def __init__(self, levels: list[int]) -> None:
        self.levels = levels
        self.vectors: list[features.Vectors] = []

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self.vectors = []

    def select(self, observation: Observation) -> int:
        self.vectors.append(features.of(observation))
        return self.levels[observation.chunk - 1]


@settings(max_examples=15, deadline=None)
@given(
    member=st.integers(0, 3),
    start=st.integers(1, 100),
    levels=st.lists(st.integers(0, 5), min_size=CHUNKS - 1, max_size=CHUNKS - 1),
)
def test_a_batch_and_one_client_see_the_same(member: int, start: int, levels: list[int]) -> None:
    trace, video = resolve_many("3g[0:4]")[member], load_video("envivio")
    watcher = Watcher(levels)
    simulate(video, trace, watcher, seed=0, qoe=QoE(), link=PublishedLink(), start_index=start, chunks=CHUNKS)
    sessions = Sessions(
        Library([trace], [video]), Setup.of(1, start_index=start), chunks=CHUNKS, first_level=0
    )
    assert len(watcher.vectors) == CHUNKS - 1
    for vector, level in zip(watcher.vectors, levels, strict=True):
        np.testing.assert_array_equal(features.fill(sessions)[0], vector)
        sessions.step([level])
    assert not features.fill(sessions).any(), "a session that is over"


def past(mbps: float, level: int = 0, seconds: float = 1.0) -> PastChunk:
    return PastChunk(level, int(mbps * seconds * 125_000), seconds, mbps, 80.0, 0.0, 8.0)


def test_every_number_stands_where_the_docstring_says() -> None:
    sizes = tuple(tuple(int(kbps * 500 * (1 + step / 10)) for kbps in LADDER) for step in range(8))
    history = tuple(past(mbps, level=2, seconds=0.5 + mbps) for mbps in (1.0, 3.0))
    vector = features.of(Observation(2, history, 12.5, sizes, 24, 10.0))
    logs = np.log1p([1.0, 3.0])
    assert vector.shape == (features.WIDTH,)
    assert not vector[:8].any()
    np.testing.assert_allclose(vector[8:10], logs, rtol=1e-6)
    np.testing.assert_allclose(vector[18:20], np.log1p([1.5, 3.5]), rtol=1e-6)
    np.testing.assert_allclose(vector[20:26], np.array(sizes[0]) / 1e6, rtol=1e-6)
    np.testing.assert_allclose(vector[44:50], np.array(sizes[4]) / 1e6, rtol=1e-6)
    harmonic = 2 / (1 / 1 + 1 / 3)
    slack = (np.array(sizes[0]) * 8e-6 / harmonic - 12.5) / 10
    np.testing.assert_allclose(vector[features.SLACK_AT : features.LAST_AT], slack, rtol=1e-5)
    assert vector[features.LAST_AT : features.REST_AT].tolist() == [0, 0, 1, 0, 0, 0]
    robust = harmonic / (1 + abs(1 - 3) / 3)
    rest = [1.25, 0.5, 1.0, np.log1p(robust), np.log1p(harmonic), logs.mean(), logs.std(), logs.min()]
    np.testing.assert_allclose(vector[features.REST_AT :], rest, rtol=1e-5)


def test_other_ladders_and_chunk_lengths_are_refused() -> None:
    assert features.unfit(LADDER, 4.0) == ""
    assert "trained for (300," in features.unfit((300, 750), 4.0)
    assert "chunks of 2 s" in features.unfit(LADDER, 2.0)
    sessions = Sessions(
        Library([Trace("t", (0.0, 9.0), (2.0, 2.0))], [load_video("uhd")]), Setup.of(1), first_level=0
    )
    with pytest.raises(ValueError, match="uhd: ladder"):
        features.fill(sessions)
