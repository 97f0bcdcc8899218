"""`delay_ms`, the key that every policy has: the same decision, so much later."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from player.decide import Decider
from player.observation import Observation
from player.policy import BY_FALLBACK, BY_POLICY
from player.qoe import QoE
from player.registry import PolicyError, load_policy
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from traces.trace import Trace

STEADY = Trace("steady", (0.0, 1000.0), (3.0, 3.0))
OWN = """
class Own:
    def __init__(self, delay_ms: int = 3): self.delay_ms = delay_ms
    def reset(self, video, seed, qoe): pass
    def select(self, observation): return 0
"""


def test_the_key_is_every_policys_and_in_its_parameters() -> None:
    assert load_policy("bba").delay_ms == 0.0
    assert "delay_ms" not in load_policy("bba").parameters
    slow = load_policy("bba:reservoir_s=5:delay_ms=200")
    assert (slow.delay_ms, slow.parameters["delay_ms"], slow.parameters["reservoir_s"]) == (200.0, 200.0, 5.0)


def test_a_policys_own_key_of_that_name_stays_its_own(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    own = load_policy(f"{tmp_path / 'own.py'}:Own:delay_ms=7")
    assert own.delay_ms == 0.0 and own.policy.delay_ms == 7  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "soon"])
def test_a_delay_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(PolicyError, match="delay_ms"):
        load_policy(f"bba:delay_ms={value}")


def test_simulated_every_decision_that_a_policy_makes_costs_the_buffer_its_delay() -> None:
    video = load_video("envivio")
    fixed, qoe = load_policy("fixed:1").policy, QoE()
    rows, end = simulate(video, STEADY, fixed, seed=0, qoe=qoe, link=PublishedLink(), chunks=6)
    late, late_end = simulate(
        video, STEADY, fixed, seed=0, qoe=qoe, link=PublishedLink(), chunks=6, delay_ms=500.0
    )
    assert [row.decision_s for row in late] == [0.0, *[0.5] * 5]  # the first level is nobody's decision
    assert [row.download_s for row in late] == pytest.approx([row.download_s for row in rows])
    for number, (before, after) in enumerate(zip(rows, late, strict=True)):
        assert after.request_s == pytest.approx(before.request_s + 0.5 * number)
        assert after.buffer_after_s == pytest.approx(before.buffer_after_s - 0.5 * number)
    assert end.stall_s == late_end.stall_s == 0.0


def test_simulated_a_delay_longer_than_the_buffer_is_a_stall() -> None:
    video = load_video("envivio")
    rows, end = simulate(
        video,
        STEADY,
        load_policy("fixed:0").policy,
        seed=0,
        qoe=QoE(),
        link=PublishedLink(),
        chunks=3,
        delay_ms=6000.0,
    )
    lacking_s = 6.0 + rows[1].download_s - video.chunk_s
    assert rows[1].stall_s == pytest.approx(lacking_s) and rows[1].buffer_before_s == video.chunk_s
    assert end.stall_s == pytest.approx(rows[1].stall_s + rows[2].stall_s)


def test_played_the_decision_is_heard_later_and_may_miss_its_deadline() -> None:
    video = load_video("envivio")
    loaded = load_policy("fixed:2:delay_ms=50")
    seen = Observation(0, (), 0.0, video.sizes_bytes[:8], video.chunks, 0.0)

    async def ask(deadline_s: float) -> tuple[str, int, float]:
        decider = Decider(loaded.policy, load_policy("bba").policy, video.levels, deadline_s, delay_s=0.05)
        await decider.reset(video, 0, QoE())
        timed = await decider.select(seen)
        decider.close()
        return timed.decision.by, timed.decision.level, timed.decision_s

    by, level, decision_s = asyncio.run(ask(5.0))
    assert (by, level) == (BY_POLICY, 2) and decision_s >= 0.05
    assert asyncio.run(ask(0.01))[0] == BY_FALLBACK
