"""Compiled RobustMPC decides as `policies/rules/mpc.py` does, plans of equal worth included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.observation import Observation
from player.qoe import QoE
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.video import Video
from policies.rules.batch_mpc import BatchMPC
from policies.rules.mpc import RobustMPC
from policies.rules.throughput import robust_mbps
from tests.support.batch_worlds import LADDER_KBPS, QOES, traces, videos
from traces.trace import Trace

CHUNKS = 24
CBR = Video("cbr", 4.0, LADDER_KBPS, tuple(tuple(kbps * 500 for kbps in LADDER_KBPS) for _ in range(CHUNKS)))
"""Constant bitrate makes plans of equal worth likely."""


class Noted(RobustMPC):
    """RobustMPC that keeps what it planned with."""

    def __init__(self, horizon: int) -> None:
        super().__init__(horizon)
        self.mbps: list[float] = []

    def select(self, observation: Observation) -> object:  # type: ignore[override]
        self.mbps.append(robust_mbps(observation.history) if observation.history else 0.0)
        return super().select(observation)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), horizon=st.integers(1, 5))
def test_every_decision_is_robustmpcs(data: st.DataObject, horizon: int) -> None:
    library = Library(
        [data.draw(traces()), data.draw(traces())],
        [CBR, data.draw(videos(CHUNKS))],
        data.draw(st.sampled_from(QOES)),
    )
    setup = Setup.of(4, trace=[0, 0, 1, 1], video=[0, 1, 0, 1])
    first_level = data.draw(st.sampled_from((0, None)))
    batch = Sessions(library, setup, chunks=CHUNKS, first_level=first_level)
    mpc = BatchMPC(batch, horizon)
    decisions = []
    while not batch.done.all():
        decisions.append(mpc.decide())
        batch.step(decisions[-1][0])
    for session in range(4):
        policy = Noted(horizon)
        rows, _ = simulate(
            library.videos[setup.video[session]],
            library.traces[setup.trace[session]],
            policy,
            seed=0,
            qoe=library.qoe,
            link=PublishedLink(),
            chunks=CHUNKS,
            first_level=first_level,
        )
        asked = [row.level for row in rows[0 if first_level is None else 1 :]]
        assert [levels[session] for levels, _ in decisions] == asked
        assert [mbps[session] for _, mbps in decisions] == policy.mbps


def test_ladders_of_different_length_in_one_batch() -> None:
    kbps = tuple(range(300, 5100, 400))
    long = Video("twelve", 4.0, kbps, (tuple(each * 500 for each in kbps),) * CHUNKS)
    trace = Trace("steps", (0.0, 20.0, 40.0, 60.0), (2.0, 2.0, 0.7, 5.0))
    batch = Sessions(Library([trace], [CBR, long]), Setup.of(2, video=[0, 1]), chunks=CHUNKS)
    mpc = BatchMPC(batch)
    chosen = []
    while not batch.done.all():
        chosen.append(mpc.select())
        batch.step(chosen[-1])
    for session, video in enumerate((CBR, long)):
        rows, _ = simulate(video, trace, RobustMPC(), seed=0, qoe=QoE(), link=PublishedLink(), chunks=CHUNKS)
        assert np.array(chosen)[:, session].tolist() == [row.level for row in rows[1:]]
    assert mpc.select().tolist() == [0, 0]  # both are over


def test_a_bad_horizon_is_named() -> None:
    trace = Trace("flat", (0.0, 1.0), (1.0, 1.0))
    batch = Sessions(Library([trace], [CBR]), Setup.of(1), chunks=CHUNKS)
    with pytest.raises(ValueError, match="horizon 9; a client is shown 1 to 8"):
        BatchMPC(batch, 9)
