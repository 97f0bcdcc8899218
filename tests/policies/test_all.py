"""What holds for every policy that is registered: legal, repeatable, reset by reset."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.observation import Observation, PastChunk
from player.policy import Policy, as_decision
from player.qoe import QoE
from player.record import ChunkRow
from player.registry import load_policy
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.video import LARGEST_CHUNK_BYTES, Video
from traces.trace import Trace

RULES = ("fixed:0", "rate", "bba", "bola", "panda", "robustmpc", "mpc-published")
CARRIES = "mpc-published"
"""The one whose handicap is that reset does not forget."""


def policy_of(spec: str) -> Policy:
    return load_policy(spec).policy


positive = st.floats(1e-9, 1e9)


@st.composite
def hostile(draw: st.DrawFn) -> tuple[Video, list[Observation], QoE]:
    """Consecutive observations that no sane network would bring about."""
    levels = draw(st.integers(1, 8))
    steps = draw(st.lists(st.integers(1, 50_000), min_size=levels, max_size=levels))
    ladder = tuple(sum(steps[: level + 1]) for level in range(levels))
    size = st.integers(1, LARGEST_CHUNK_BYTES)
    row = st.tuples(*[size] * levels)
    rows = tuple(draw(st.lists(row, min_size=1, max_size=7)))
    video = Video("hostile", draw(st.floats(0.1, 60.0)), ladder, rows)
    history: tuple[PastChunk, ...] = ()
    observations = []
    for chunk in range(len(rows)):
        observations.append(
            Observation(
                chunk,
                history,
                draw(st.one_of(st.just(0.0), positive)),
                rows[chunk : chunk + 8],
                len(rows) - chunk,
                draw(st.floats(0.0, 1e6)),
            )
        )
        level = draw(st.integers(0, levels - 1))
        throughput = draw(st.one_of(st.just(0.0), positive))
        past = PastChunk(level, rows[chunk][level], draw(positive), throughput, 0.0, 0.0, 0.0)
        history = (*history, past)
    return video, observations, QoE(draw(st.sampled_from(["linear", "log"])), draw(st.floats(0.0, 1e3)))


@pytest.mark.parametrize("spec", RULES)
@settings(max_examples=40, deadline=None)
@given(case=hostile())
def test_every_answer_is_legal_and_the_same_again(
    spec: str, case: tuple[Video, list[Observation], QoE]
) -> None:
    video, observations, qoe = case
    answers = []
    for policy in (policy_of(spec), policy_of(spec)):
        policy.reset(video, 3, qoe)
        answers.append([as_decision(policy.select(each), video.levels) for each in observations])
    assert answers[0] == answers[1]
    assert all(each.by == "policy" and each.reason for each in answers[0])


VIDEO = Video(
    "vbr",
    4.0,
    (300, 750, 1200, 1850, 2850, 4300),
    tuple(
        tuple(kbps * (400 + 37 * (chunk * 7 % 9)) for kbps in (300, 750, 1200, 1850, 2850, 4300))
        for chunk in range(49)
    ),
)
GOOD = Trace("good", (0.0, 20.0, 40.0), (5.0, 6.0, 3.0))
BAD = Trace("bad", (0.0, 10.0, 15.0, 40.0), (1.0, 0.5, 0.0, 1.5))


def session(policy: Policy, trace: Trace) -> tuple[ChunkRow, ...]:
    return simulate(VIDEO, trace, policy, seed=5, qoe=QoE(), link=PublishedLink(noise=True))[0]


@pytest.mark.parametrize("spec", [spec for spec in RULES if spec != CARRIES])
def test_reset_forgets_the_session_before(spec: str) -> None:
    used = policy_of(spec)
    session(used, BAD)
    assert session(used, GOOD) == session(policy_of(spec), GOOD)


@pytest.mark.parametrize("spec", [spec for spec in RULES if spec != "fixed:0"])
def test_a_better_link_brings_a_higher_bitrate(spec: str) -> None:
    good, bad = (
        sum(row.bitrate_kbps for row in session(policy_of(spec), trace)) / 48 for trace in (GOOD, BAD)
    )
    assert good > 1.5 * bad


def test_all_rules_are_registered() -> None:
    for spec in RULES:
        assert load_policy(spec).spec == spec
    assert load_policy("bba:reservoir_s=7.5").parameters == {"reservoir_s": 7.5, "cushion_s": 10.0}
    assert load_policy("fixed:2").parameters == {"level": 2}
