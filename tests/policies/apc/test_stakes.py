"""What is at stake in a decision: the facts that say it, and a policy that is sure while its buffer goes."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import pytest

from player.observation import Observation, PastChunk
from player.qoe import QoE
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.video import Video
from policies.apc import facts, learned, rule
from policies.apc.facts import Facts
from policies.apc.light import Light
from policies.apc.policy import make_scheduler
from policies.apc.router import Router
from policies.apc.rule import Condition, Rule, Thresholds
from policies.apc.scheduler import Routing
from policies.view.asked import Asked
from traces.trace import Trace

KBPS = (300, 750, 1200, 1850, 2850, 4300)
VIDEO = Video("even", 4.0, KBPS, tuple(tuple(kbps * 500 for kbps in KBPS) for _ in range(48)))
ASKED = Asked.of(VIDEO, QoE())


def past(level: int, mbps: float, buffer_s: float) -> PastChunk:
    """A chunk that came in at a link rate, no round trip."""
    size = VIDEO.sizes_bytes[0][level]
    return PastChunk(level, size, 8 * size / 1e6 / mbps, mbps, 0.0, 0.0, buffer_s)


def observed(history: tuple[PastChunk, ...], buffer_s: float) -> Observation:
    chunk = len(history)
    return Observation(chunk, history, buffer_s, VIDEO.sizes_bytes[chunk : chunk + 8], 48 - chunk, 100.0)


def test_stakes_are_counted_by_hand() -> None:
    """Twelve chunks, of which the second worst is the session's bad rate; a mean of 4.3 allows 2.58."""
    rates = (4.3, 4.3, 1.0, 2.0, *[4.3] * 8)
    history = tuple(past(5, mbps, 20.0 - place) for place, mbps in enumerate(rates))
    seen = facts.of(observed(history, 9.0), ASKED, 5, lead=1.0)
    chunk_s = 4.0 * 4.3 / 2.0  # the second worst of twelve is the 10 % quantile
    assert seen.slack_s == pytest.approx(9.0 - chunk_s)
    assert seen.drain == pytest.approx(chunk_s / 4.0 - 1.0)
    assert seen.falling_s == pytest.approx(facts.FALL_WINDOW)
    # at 2 Mbit/s level 3 is the best to hold; level 5 stalls for what five chunks take beyond the buffer
    stall_s = 5 * chunk_s - (9.0 + 4 * 4.0)
    top = 5 * 4.3 - 4.3 * stall_s
    held = 5 * 1.85 - (4.3 - 1.85)
    assert seen.risk == pytest.approx(held - top)
    assert seen.missed == 0.0
    assert facts.of(observed(history, 9.0), ASKED, 0, lead=1.0).missed == pytest.approx(5 * 4.0 + 4.0)
    assert facts.of(observed(history, 9.0), ASKED, 3, lead=1.0).risk == 0.0
    steady = facts.of(observed(tuple(past(5, 4.3, 20.0) for _ in range(12)), 9.0), ASKED, 5, lead=1.0)
    assert steady.drain == pytest.approx(1.0 / facts.BAD_SHARE - 1.0) and steady.risk > 0.0


@pytest.mark.parametrize("factor", [0.5, 8.0])
def test_stakes_are_relative_to_the_ladder_and_count_what_a_stall_is_asked_to_cost(factor: float) -> None:
    ladder = tuple(round(kbps * factor) for kbps in KBPS)
    sizes = tuple(tuple(kbps * 500 for kbps in ladder) for _ in range(48))
    other = Video("other", 4.0, ladder, sizes)
    history = tuple(past(5, mbps, 10.0) for mbps in (4.3, 1.0, 2.0, 4.3))
    scaled = tuple(
        dataclasses.replace(each, size_bytes=round(each.size_bytes * factor),
                            throughput_mbps=each.throughput_mbps * factor)
        for each in history
    )  # fmt: skip
    here = observed(history, 9.0)
    there = dataclasses.replace(here, history=scaled, next_sizes_bytes=sizes[:8])
    qoe = QoE("linear", 4.3 * factor)
    mine, theirs = (
        facts.of(each, asked, 4, 0.5) for each, asked in ((here, ASKED), (there, Asked.of(other, qoe)))
    )
    assert dataclasses.astuple(mine) == pytest.approx(dataclasses.astuple(theirs), rel=1e-6)
    dearer = facts.of(here, Asked.of(VIDEO, QoE("linear", 43.0)), 4, 0.5)
    assert mine.risk < dearer.risk == facts.LOSS_LIMIT


def test_a_fact_below_zero_is_past_every_threshold_below() -> None:
    condition = Condition("slack_s", below=2.0)
    calm = facts.of(observed((past(0, 4.3, 30.0),), 30.0), ASKED, 0, 1.0)
    score = [condition.score(dataclasses.replace(calm, slack_s=slack)) for slack in (20.0, 2.0, 0.0, -9.0)]
    assert score == pytest.approx([0.1, 1.0, 10.0, 10.0])
    assert Condition("drain", above=0.5).score(dataclasses.replace(calm, drain=-0.9)) == 0.0
    assert Condition("trend", above=0.5).score(dataclasses.replace(calm, trend=-1.0)) == 2.0


class Watched:
    """A light policy with a scheduler beside it that is only listened to."""

    def __init__(self, light: str, scheduler: object) -> None:
        self._router = Router(Light(light), scheduler)  # type: ignore[arg-type]
        self.said: list[tuple[Routing, Facts, float]] = []

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self._router.reset(video, seed, qoe)

    def select(self, observation: Observation) -> int:
        considered = self._router.consider(observation)
        if considered.facts is not None:
            self.said.append((considered.routing, considered.facts, observation.buffer_s))
        return considered.light.level


FAILING = Trace(
    "failing",
    tuple(float(second) for second in range(241)),
    (4.0, *[4.0] * 60, *[max(2.2 - 0.02 * second, 0.25) for second in range(180)]),
)
"""A good minute, then a link that fades until next to nothing is left."""


def drained(light: str, scheduler: object) -> list[tuple[Routing, Facts, float]]:
    """The decisions from the moment on that the buffer begins to fall, until it is all but empty."""
    watched = Watched(light, scheduler)
    simulate(VIDEO, FAILING, watched, seed=0, qoe=QoE(), link=PublishedLink(), chunks=40)
    buffers = [buffer_s for _, _, buffer_s in watched.said]
    fullest = buffers.index(max(buffers))
    empty = next((at for at in range(fullest, len(buffers)) if buffers[at] < 4.0), len(buffers))
    return watched.said[fullest:empty]


@pytest.mark.parametrize("light", ["genet", "robustmpc", "hindsight"])
def test_a_draining_buffer_is_at_stake_however_sure_the_light_policy_is(light: str) -> None:
    """What is at stake rises while the buffer falls; how sure a policy is doesn't know."""
    said = drained(light, Rule(Thresholds((Condition("risk", above=2.0),))))
    easy = longest = 0
    for (_, _, before_s), (routing, _, buffer_s) in itertools.pairwise(said):
        easy = easy + 1 if not routing.to_llm and buffer_s < before_s else 0
        longest = max(longest, easy)
    assert len(said) >= 8 and any(routing.to_llm for routing, _, _ in said)
    assert longest <= 3, [(routing.reason, buffer_s) for routing, _, buffer_s in said]


SHIPPED = [
    *(("rule", light) for light in json.loads(rule.SHIPPED.read_text())["rules"]),
    *(("learned", light) for light in json.loads(learned.SHIPPED.read_text())["nets"]),
]


@pytest.mark.parametrize(("kind", "light"), SHIPPED)
def test_the_shipped_schedulers_ask_before_a_draining_buffer_is_gone(kind: str, light: str) -> None:
    said = drained(light, make_scheduler(kind, light, 0.5, None))
    assert any(routing.to_llm for routing, _, _ in said)
    assert all(math.isfinite(routing.gain) for routing, _, _ in said)
