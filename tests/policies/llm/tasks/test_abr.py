"""A decision step's vector: the same from one observation and from a batch, and relative to the ladder."""

from __future__ import annotations

import numpy as np
import pytest

from player.observation import Observation
from player.policy import Decision
from player.qoe import QoE
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from player.video.video import Video
from policies.llm.tasks.abr import features as abr
from policies.llm.tasks.abr.batch import Filler
from policies.rules.throughput import harmonic_mean_mbps, robust_mbps
from traces.families.catalogue import resolve_many

PLAN = np.random.default_rng(5).integers(0, 6, 48)


class Scripted:
    """Plays `PLAN` and keeps every observation."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self.seen.clear()

    def select(self, observation: Observation) -> Decision:
        self.seen.append(observation)
        return Decision(int(PLAN[observation.chunk]))


def scaled(video: Video, factor: int, chunk_s: float) -> Video:
    """Another ladder of the same shape, and another chunk length."""
    sizes = tuple(
        tuple(int(size * factor * chunk_s / video.chunk_s) for size in row) for row in video.sizes_bytes
    )
    return Video("scaled", chunk_s, tuple(kbps * factor for kbps in video.ladder_kbps), sizes)


@pytest.mark.parametrize("name", ["envivio", "uhd", "short"])
def test_a_batch_and_one_client_see_the_same(name: str) -> None:
    video = scaled(load_video("envivio"), 3, 2.0) if name == "short" else load_video(name)
    (trace,) = resolve_many("4g/3")
    policy = Scripted()
    simulate(video, trace, policy, seed=0, qoe=QoE(), link=PublishedLink(), first_level=None)
    sessions = Sessions(Library([trace], [video]), Setup.of(1), first_level=None, threads=1)
    filler = Filler(sessions)
    facts = abr.VideoFacts.of(video)
    for chunk, observation in enumerate(policy.seen):
        alone, batch = abr.features(observation, facts), filler.fill()[0]
        assert np.allclose(alone, batch, rtol=1e-5, atol=1e-6), chunk
        assert np.isfinite(alone).all()
        sessions.step([PLAN[chunk]])
    assert not filler.fill().any()


def test_planned_values_and_slack_are_those_of_the_throughputs_that_are_guessed() -> None:
    video, (trace,) = load_video("envivio"), resolve_many("fcc/2")
    policy = Scripted()
    simulate(video, trace, policy, seed=0, qoe=QoE(), link=PublishedLink(), first_level=None)
    facts = abr.VideoFacts.of(video)
    for observation in policy.seen[1:]:
        past, sizes = observation.history, np.asarray(observation.next_sizes_bytes[: abr.PLAN_CHUNKS], float)
        levels = abr.features(observation, facts)[abr.PLACES["levels"]].reshape(abr.LEVELS, abr.ATTRIBUTES)
        guesses = robust_mbps(past), harmonic_mean_mbps(past), past[-1].throughput_mbps
        for guess, mbps in enumerate(guesses):
            values = abr.plan_values(sizes, mbps, observation.buffer_s, past[-1].level, facts)
            lost = np.maximum(values - values.max(), abr.WORST_VALUE)
            assert np.allclose(levels[:, guess], lost, atol=1e-6)
        slack = (8e-6 * sizes[0] / guesses[1] - observation.buffer_s) / 10.0
        assert np.allclose(levels[:, abr.GUESSES], np.clip(slack, -3.0, 3.0), atol=1e-6)


def test_a_ladder_and_a_link_twice_as_fast_look_alike_but_for_the_weight_of_a_stall() -> None:
    video, (trace,) = load_video("envivio"), resolve_many("4g/1")
    double = scaled(video, 2, 4.0)
    faster = type(trace)("faster", trace.time_s, tuple(2 * rate for rate in trace.rate_mbps))
    seen = []
    for each, over in ((video, trace), (double, faster)):
        policy = Scripted()
        simulate(each, over, policy, seed=0, qoe=QoE(), link=PublishedLink(), first_level=None)
        seen.append(np.stack([abr.features(one, abr.VideoFacts.of(each)) for one in policy.seen]))
    differ = (~np.isclose(*seen, atol=1e-5)).any(axis=0)
    levels, playback = abr.PLACES["levels"], abr.PLACES["playback"]
    planned = {
        levels.start + level * abr.ATTRIBUTES + guess for level in range(6) for guess in range(abr.GUESSES)
    }
    assert set(np.flatnonzero(differ)) <= planned | {playback.stop - 2}
    assert differ[playback.stop - 2]


def test_levels_that_would_stall_for_long_are_never_chosen() -> None:
    vector = np.zeros(abr.WIDTH, np.float32)
    planned = vector[abr.PLACES["levels"]].reshape(abr.LEVELS, abr.ATTRIBUTES)
    planned[3:, :3] = abr.WORST_VALUE
    planned[4, 1] = -1.0  # one of the plans finds it fine
    logits = np.array([0, 1, 2, 9, 5, 7], np.float32)
    assert abr.level(logits, vector) == 4
    assert abr.margin(logits, vector) == 3.0
    planned[1:, :3] = abr.WORST_VALUE
    assert abr.level(logits, vector) == 0
    assert abr.margin(logits, vector) == np.inf


def test_a_ladder_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a ladder of 2 levels; the adapters are made for 6; take robustmpc"):
        abr.VideoFacts((300, 750), 4.0)
