"""Routing: what a scheduler sees, says and remembers, and how the price moves."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from player.observation import Observation, PastChunk
from player.qoe import QoE
from policies.apc import facts, learned
from policies.apc.dynamic import HIGHEST, Price
from policies.apc.facts import Facts
from policies.apc.learned import INPUTS, GainNet, Learned
from policies.apc.light import Light
from policies.apc.policy import make_scheduler
from policies.apc.router import Router
from policies.apc.rule import Condition, Rule, SchedulerError, Thresholds, read_rule
from policies.apc.scheduler import RandomShare
from policies.rules.mpc import RobustMPC
from policies.view.asked import Asked
from tests.support.llm_server_fakes import KBPS, VIDEO, observations

CALM = Facts(
    buffer_s=30.0, rate=1.0, variation=0.1, trend=0.0, stall_s=0.0, lead=2.0, rtt_ms=80.0, last=0.6, left=0.5,
    slack_s=26.0, drain=-0.2, falling_s=0.0, risk=0.0, missed=0.0,
)  # fmt: skip
SHAKY = Thresholds((Condition("variation", above=0.4), Condition("buffer_s", below=10.0)))


def seen(**other: float) -> Facts:
    return dataclasses.replace(CALM, **other)


def test_facts_are_what_the_client_saw() -> None:
    past = tuple(
        PastChunk(level, 1_000_000, 4.0, mbps, rtt_ms=70.0 + level, stall_s=stall, buffer_s=8.0)
        for level, mbps, stall in ((0, 4.0, 9.0), *[(2, 2.0, 0.0)] * 7, (5, 1.0, 1.5))
    )
    observation = Observation(9, past, 7.5, ((1,) * 6,), 24, 60.0)
    found = facts.of(observation, Asked.of(VIDEO, QoE()), 2, lead=math.inf)
    mean = 5 / (4 / 2.0 + 1 / 1.0)
    logs = np.log([2.0] * 7 + [1.0])
    assert found.rate == pytest.approx(mean / 4.3)
    assert found.variation == pytest.approx(logs.std())
    assert found.trend == pytest.approx(math.log(1.0 / mean))
    assert (found.stall_s, found.lead, found.rtt_ms) == (1.5, facts.LEAD_LIMIT, 75.0)
    assert (found.buffer_s, found.last, found.left) == (7.5, 1.0, 0.5)


def test_a_rule_names_the_fact_that_made_it_hard() -> None:
    rule = Rule(SHAKY)
    easy = rule.route(CALM)
    assert (
        not easy.to_llm
        and easy.gain == pytest.approx(10 / 30)
        and easy.reason.startswith("easy: buffer_s 30")
    )
    hard = rule.route(seen(variation=0.5))
    assert hard.to_llm and hard.gain == pytest.approx(0.5 / 0.4) and hard.reason == "hard: variation 0.50"
    assert rule.route(seen(variation=0.5, buffer_s=2.0)).reason == "hard: buffer_s 2.00"


def test_a_session_does_not_flap() -> None:
    """Around the threshold it stays with whom it is; only well below does it go back."""
    rule = Rule(SHAKY)
    assert [rule.route(seen(variation=each)).to_llm for each in (0.39, 0.41, 0.39, 0.33, 0.31, 0.39)] == [
        *(False, True, True, True, False, False)
    ]
    assert rule.route(seen(variation=0.41)).to_llm
    assert rule.route(seen(variation=0.35)).reason.startswith("still hard")
    rule.reset(0)
    assert not rule.route(seen(variation=0.35)).to_llm


def test_a_price_moves_a_rules_thresholds() -> None:
    rule = Rule(SHAKY)
    assert not rule.route(seen(variation=0.7), price=2.0).to_llm
    assert rule.route(seen(variation=0.8), price=2.0).to_llm
    assert rule.route(seen(variation=0.65), price=2.0).to_llm  # held


@pytest.mark.parametrize(
    "held",
    [
        {"hold": 0.8, "conditions": []},
        {"hold": 0.8, "conditions": [{"fact": "weather", "above": 1.0}]},
        {"hold": 0.8, "conditions": [{"fact": "rate"}]},
        {"hold": 0.8, "conditions": [{"fact": "rate", "above": 1.0, "below": 2.0}]},
        {"hold": 0.8, "conditions": [{"fact": "rate", "above": -1.0}]},
        {"hold": 1.5, "conditions": [{"fact": "rate", "above": 1.0}]},
        {"conditions": [{"fact": "rate", "above": 1.0}]},
        [],
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, held: object) -> None:
    path = tmp_path / "rule.json"
    path.write_text(json.dumps({"rules": {"bba": held}}))
    with pytest.raises(SchedulerError, match=str(path)):
        read_rule("bba", path)


def test_thresholds_are_of_one_light_policy(tmp_path: Path) -> None:
    path = tmp_path / "rule.json"
    path.write_text(json.dumps({"rules": {"bba": SHAKY.to_json()}}))
    assert read_rule("bba", path) == SHAKY
    with pytest.raises(SchedulerError, match=r"it has bba; make them with: .*--light rate"):
        read_rule("rate", path)
    with pytest.raises(ValueError, match="rule, learned"):
        make_scheduler("best", "bba", 0.5, None)


def test_random_routing_keeps_its_share_and_is_the_seeds() -> None:
    drawn = RandomShare(0.3)
    drawn.reset(7)
    first = [drawn.route(CALM).to_llm for _ in range(2000)]
    drawn.reset(7)
    assert [drawn.route(CALM).to_llm for _ in range(2000)] == first
    assert sum(first) == pytest.approx(600, abs=90)
    assert sum(drawn.route(CALM, price=3.0).to_llm for _ in range(2000)) == pytest.approx(200, abs=60)


def a_net(worth_per_ms: float = 0.01) -> GainNet:
    """Its gain is twice the logistic function of the variation: they differ so often, and gain 2 then."""
    weights = np.zeros((INPUTS, 2))
    weights[2] = (1.0, -1.0)
    return GainNet(
        np.zeros(INPUTS),
        np.ones(INPUTS),
        weights,
        np.zeros(2),
        np.array([[1.0, 0.0], [-1.0, 0.0]]),
        np.array([0.0, 2.0]),
        worth_per_ms,
        10.0,
    )


def test_learned_routes_by_gain_per_millisecond() -> None:
    scheduler = Learned(a_net(worth_per_ms=0.08))
    routing = scheduler.route(seen(variation=0.2))
    gain = 2.0 / (1.0 + math.exp(-0.2))
    assert routing.to_llm and routing.gain == pytest.approx(gain / 10 / 0.08)
    for _ in range(60):
        scheduler.heard(40.0)
    slow = scheduler.route(seen(variation=0.2))
    assert not slow.to_llm and slow.gain == pytest.approx(gain / 40 / 0.08, rel=0.01)
    assert slow.reason == f"gain {gain:+.3f} for 40.0 ms"
    for _ in range(300):  # a busy hour is forgotten
        last = scheduler.route(seen(variation=0.2))
    assert last.to_llm


def test_a_network_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "learned.json"
    path.write_text(json.dumps({"nets": {"bba": a_net().to_json()}}))
    rows = np.random.default_rng(0).standard_normal((5, INPUTS))
    assert np.array_equal(learned.read_net("bba", path).gains(rows), a_net().gains(rows))
    broken = a_net().to_json() | {"out": [1.0]}
    path.write_text(json.dumps({"nets": {"bba": broken}}))
    with pytest.raises(SchedulerError, match="do not fit"):
        learned.read_net("bba", path)


def test_the_price_holds_the_mean_delay_at_its_target() -> None:
    """Scores are drawn evenly from 0 to 4, and the model takes 100 ms: a fifth of the decisions may ask."""
    dice, price, delays = random.Random(1), Price(budget_ms=200.0, target_ms=20.0), []
    for _ in range(4000):
        asked = dice.uniform(0.0, 4.0) >= price.value
        delays.append(100.0 if asked else 0.1)
        price.decided(delays[-1])
    assert np.mean(delays[500:]) == pytest.approx(20.0, rel=0.1)
    assert 2.4 < price.value < 4.5


def test_the_price_of_an_idle_model_is_one() -> None:
    price = Price(budget_ms=100.0)
    for _ in range(20):
        price.decided(90.0, refused=True)
    assert price.value == pytest.approx(HIGHEST)
    for _ in range(40):
        price.decided(8.0)
    assert price.value > 1.0
    for _ in range(40):
        price.decided(0.1)
    assert price.value == 1.0


@pytest.mark.parametrize("name", ["robustmpc", "hindsight", "bba"])
def test_a_light_policy_decides_as_ever_and_tells_its_lead(name: str) -> None:
    from player.registry import load_policy

    light, alone = Light(name), load_policy(name).policy
    light.reset(VIDEO, 0, QoE())
    alone.reset(VIDEO, 0, QoE())
    leads = []
    for observation in observations(2):
        decided = light.decide(observation)
        assert decided.level == alone.select(observation).level
        leads.append(decided.lead)
    assert all(lead == math.inf for lead in leads) if name == "bba" else 0.0 <= min(leads) < max(leads)


def test_the_lead_of_robustmpc_is_what_another_level_would_cost() -> None:
    mpc = RobustMPC(horizon=1)
    mpc.reset(VIDEO, 0, QoE())
    observation = observations(0)[5]
    _, lead = mpc.decide(observation)
    last, q = observation.history[-1].level, QoE().quality(KBPS)
    from policies.rules.throughput import robust_mbps

    late = [
        max(8 * size / 1e6 / robust_mbps(observation.history) - observation.buffer_s, 0.0)
        for size in observation.next_sizes_bytes[0]
    ]
    values = sorted(q[level] - 4.3 * late[level] - abs(q[level] - q[last]) for level in range(6))
    assert lead == pytest.approx(values[-1] - values[-2])


def test_the_router_asks_nobody_before_anything_is_known() -> None:
    router = Router(Light("bba"), make_scheduler("always", "bba", 0.5, None), Price(100.0))
    router.reset(VIDEO, 0, QoE())
    first, later = observations(0)[:2]
    assert not router.consider(first).routing.to_llm
    assert router.consider(later).routing.to_llm
    router.decided(asked=True, by_llm=False, took_ms=3.0)
    assert router.price > 1.2  # a refusal is dear, however quick
