"""APC for calls: facts, who decides at which feedback, what is played out, and its commands."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from player.call.observation import CallObservation, Interval
from player.call.path import CallPath
from player.call.policy import Rate
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from player.call.simulated.playing import play_policies
from player.registry import PolicyError
from policies.apc.call_facts import NAMES, WINDOW, CallFacts, facts_of, inputs, window_of
from policies.apc.calls import moments
from policies.apc.calls.__main__ import main
from policies.apc.calls.arms import Arm, Played
from policies.apc.calls.policy import APC, light_rule
from policies.apc.calls.rehearsed import rehearse
from policies.apc.calls.study import choose, ship
from policies.apc.rule import Condition, Rule, SchedulerError, Thresholds, read_rule
from policies.apc.scheduler import Always, Never, RandomShare
from policies.call.small.score import Scored
from policies.llm.engine.engine import Engine
from policies.llm.model.tiny import tiny_adapter
from policies.llm.tasks.call.policy import NetLLM
from policies.llm.tasks.call.task import TASK
from traces.trace import Trace

CALL = CallSettings(duration_s=4.0, warm_up_s=1.0)
LINK = Trace("steps", (0.0, 1.0, 1.7, 4.0), (0.0, 2.0, 0.4, 1.0))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_adapter(TASK, tmp_path_factory.mktemp("apc") / "adapter")


def interval(number: int, **changed: Any) -> Interval:
    plain = Interval(
        number, 0.05 * (number + 1), 0.05, 1.0, 0.9, 1.1, 1.2, 0.0, 0, 20.0, 10.0, 100.0, 85.0, 80.0, True,
        5.0, 25.0, 0,
    )  # fmt: skip
    return plain._replace(**changed)


def test_facts_by_hand() -> None:
    past = tuple(interval(n, gradient_ms_per_s=100.0 * (-1) ** n, target_mbps=2.4) for n in range(4))
    now = interval(4, heard=False, loss_ratio=0.5, receive_mbps=0.0, queue_ms=60.0)
    window = window_of(CallObservation(now, (), past))
    assert window.shape == (1, WINDOW, len(Interval._fields))
    row = facts_of(window, np.array([0.5]), np.array([625.0]), 2500.0)[0]
    found = CallFacts(*row.tolist())
    assert (found.overuse, found.queue_ms, found.pacer_ms) == (0.5, 60.0, 5.0)
    assert found.gap == pytest.approx(0.9 / 1.2)
    assert found.loss == pytest.approx(0.5 / WINDOW) and found.unheard == pytest.approx(1 / WINDOW)
    assert found.fallen == pytest.approx(math.log(2.0)) and found.room == pytest.approx(math.log(4.0))
    assert found.turns == pytest.approx(4 / (WINDOW - 1))
    assert found.apart == pytest.approx(abs(math.log(0.635 / 0.91)))
    logs = np.log([1.01] * (WINDOW - 1) + [0.01])
    assert found.variation == pytest.approx(logs.std())
    assert inputs(found)[NAMES.index("queue_ms")] == pytest.approx(math.log(61.0))


def test_a_batch_s_facts_are_each_call_s_own() -> None:
    random = np.random.default_rng(1)
    rows, overuse, light = random.uniform(0.1, 2.0, (3, WINDOW, 18)), random.normal(size=3), np.full(3, 500.0)
    whole = facts_of(rows, overuse, light, 2500.0)
    for n in range(3):
        part = slice(n, n + 1)
        assert np.array_equal(facts_of(rows[part], overuse[part], light[part], 2500.0)[0], whole[n])


def played(policy: APC, calls: int = 2) -> Any:
    links = SimulatedCalls(CALL, [LINK] * calls, CallPath(), range(calls), 0.0, 1)
    return play_policies(links, [policy.another() for _ in range(calls)], one_spec=True)


def apc(tiny: Path, light: str = "gcc", **options: Any) -> APC:
    return APC(light, server="none", adapter=str(tiny), device="cpu", **options)


def who(made: Any, decisions: bool) -> set[str]:
    return {by for (at, _), (by, _) in made.said.items() if ((at + 1) % 4 == 0) == decisions}


def test_the_light_policy_alone_is_gcc(tiny: Path) -> None:
    made = played(apc(tiny, scheduler="never"))
    links = SimulatedCalls(CALL, [LINK] * 2, CallPath(), range(2), 0.0, 1)
    alone = play_policies(links, [light_rule("gcc") for _ in range(2)])
    assert np.array_equal(made.kbps, alone.kbps)
    assert who(made, True) == who(made, False) == {"light"}


def test_the_model_decides_each_200_ms_and_its_rate_holds_but_for_the_guard(tiny: Path) -> None:
    made = played(apc(tiny, scheduler="always"))
    assert who(made, True) == {"llm"}
    assert who(made, False) <= {"llm", "light", "guard"} and "llm" in who(made, False)
    for (at, n), (by, _) in made.said.items():
        if by == "llm" and (at + 1) % 4 and at > 4:
            assert made.kbps[at, n] == made.kbps[at - 1, n]
        if by == "guard":
            assert made.kbps[at, n] <= made.kbps[at - 1, n]


def test_random_routing_asks_its_share_and_alone_and_together_are_the_same(tiny: Path) -> None:
    policy = apc(tiny, scheduler="random", share=0.5)
    made = played(policy, calls=3)
    asked = [by == "llm" for (at, _), (by, _) in made.said.items() if (at + 1) % 4 == 0]
    assert 0.2 < np.mean(asked) < 0.8
    links = SimulatedCalls(CALL, [LINK] * 3, CallPath(), range(3), 0.0, 1)
    alone = play_policies(links, [policy.another() for _ in range(3)])
    assert np.array_equal(made.kbps, alone.kbps) and made.said == alone.said


def test_a_server_that_does_not_answer_costs_nothing_but_the_question(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from policies.llm.serving.conversation import ServerError

    def no_answer(self: NetLLM, observation: CallObservation) -> Rate:
        self.note(observation)
        raise ServerError("policy server: no answer within 90 ms")

    monkeypatch.setattr(NetLLM, "decide", no_answer)
    policy = apc(tiny, scheduler="always")
    policy.reset(CALL, 0, None)
    rates = [policy.decide(CallObservation(interval(n), (), ())) for n in range(8)]
    assert {rate.by for rate in rates} == {"light"}
    assert "always; but policy server: no answer" in rates[3].reason and rates[4].reason == ""


def test_what_is_no_light_rule_is_refused(tiny: Path) -> None:
    with pytest.raises(PolicyError, match="no rule that acts on every feedback"):
        light_rule("oracle")
    with pytest.raises(PolicyError, match="lies in a file"):
        light_rule("mine.py:Rule")
    with pytest.raises(ValueError, match="scheduler 'best'; there are rule, random, always, never"):
        apc(tiny, scheduler="best")
    with pytest.raises(ValueError, match="budget_ms 0"):
        apc(tiny, scheduler="never", budget_ms=0.0)


def test_thresholds_are_said_to_be_missing_and_how_to_make_them(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match=r"make one with: python -m policies.apc.calls train --write"):
        apc(tiny, thresholds=str(tmp_path / "none.json"))
    file = tmp_path / "rule.json"
    ship("gcc", Thresholds((Condition("queue_ms", above=5.0),)), file)
    with pytest.raises(SchedulerError, match="no thresholds beside the light policy small; it has gcc"):
        apc(tiny, light="small", thresholds=str(file))
    ship("small", Thresholds((Condition("loss", above=0.1),)), file)
    assert {str(each) for each in read_rule("gcc", file).conditions} == {"queue_ms above 5"}
    assert (
        apc(tiny, light="small", thresholds=str(file)).weights_sha256
        != NetLLM(adapter=str(tiny)).weights_sha256
    )


def test_what_a_choice_is_worth_is_counted_from_it_on() -> None:
    """A link of 1 Mbit/s: of two rates the one over it costs stalls, the one under it bitrate."""
    steady = Trace("steady", (0.0, 60.0), (0.0, 1.0))
    calls = SimulatedCalls(CALL, [steady] * 3, CallPath(), 0, 0.0, 1)
    for _ in range(20):
        calls.to_next_feedback()
        calls.set_rates(500.0)
    before = moments.Window.of(calls)
    calls.set_rates([200.0, 800.0, 2500.0])
    for _ in range(40):
        calls.to_next_feedback()
        calls.set_rates([200.0, 800.0, 2500.0])
    low, good, high = before.worth(calls)
    assert good > low > high
    assert low == pytest.approx(0.2 - 0.08, abs=0.12)


def test_moments_are_played_out_and_fitted_by_the_command(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("policies.apc.calls.moments.AHEAD_S", 1.0)
    monkeypatch.setattr("policies.apc.calls.study.CallSettings", lambda: CALL)
    words = [
        "train",
        "--adapter",
        str(tiny),
        "--traces",
        "3g[0:5]",
        "--choose",
        "3g[7:9]",
        "--json",
        "--light",
        "gcc",
    ]
    words += ["--duration-s", "6", "--shares", "0.5", "--out", str(tmp_path)]
    assert main(words) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["decisions"] == 5 * 4 and report["light"] == "gcc"
    assert set(report["shares"]) == {"llm only", "light only", "rule 0.5"}
    assert report["shares"]["llm only"] == 1.0 and report["shares"]["light only"] == 0.0
    conditions = Thresholds.from_json(report["rules"]["rule 0.5"]).conditions
    assert {each.fact for each in conditions} <= set(NAMES)
    file = tmp_path / "rule.json"
    ship("gcc", Thresholds((Condition("queue_ms", above=5.0),)), file)
    words = [
        "test",
        "--light",
        "gcc",
        "--adapter",
        str(tiny),
        "--traces",
        "3g[7:9]",
        "--thresholds",
        str(file),
        "--json",
    ]
    assert main(words) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["sets"]["3g[7:9]"]
    assert [each["policy"] for each in rows][:3] == ["llm only", "apc rule", "gcc only"]
    assert rows[0]["more_mbps"] == 0.0 and 0.0 <= rows[1]["llm_share"] <= 1.0


def a_played(name: str, share: float, mbps: float) -> Played:
    rule = Rule(Thresholds((Condition("queue_ms", above=share),)))
    scheduler = {"llm": Always(), "light": Never(), "random": RandomShare(0.5)}.get(name, rule)
    return Played(Arm(name, scheduler), Scored(np.array([mbps]), np.zeros(1), np.zeros(1)), share)


def test_the_rule_that_asks_least_and_loses_nothing_is_chosen() -> None:
    played = [a_played("llm", 1.0, 2.0), a_played("random", 0.3, 9.0), a_played("a", 0.5, 1.9)]
    played += [a_played("b", 0.3, 1.895), a_played("c", 0.25, 1.7), a_played("d", 0.1, 1.99)]
    assert choose(played) == "b"
    assert choose(played[:2]) is None


def test_an_engine_gets_its_slots_back(tiny: Path) -> None:
    engine = Engine(TASK, tiny, device="cpu", slots=moments.GROUP, threads=1)
    found = moments.collect(engine, [LINK] * 3, "gcc", duration_s=6.0, seed=0)
    assert engine.book.free == moments.GROUP
    assert found.facts.shape == (len(found), len(NAMES)) and len(found) == 3 * 2
    assert isinstance(found.row(0), CallFacts)
    assert not found.gains[~found.differ].any()


# ---- load ----------------------------------------------------------------------------------------


def test_a_rehearsal_has_a_step_and_facts_for_each_decision() -> None:
    (first, second) = rehearse([LINK, LINK], "gcc", 4.0, seed=1)
    assert len(first.steps) == len(first.facts) == (80 - 8 - 1) // 4
    assert [round(step.elapsed_s / 0.2) for step in first.steps] == list(range(1, len(first.steps) + 1))
    assert first.steps != second.steps, "they begin at other moments"
    assert all(np.isfinite(list(inputs(each))).all() for each in first.facts)


def test_calls_are_loaded_by_command(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ship("gcc", Thresholds((Condition("queue_ms", above=0.001),), 1.0), tmp_path / "rule.json")
    words = [
        "load",
        "--light",
        "gcc",
        "--adapter",
        str(tiny),
        "--traces",
        "3g[0:2]",
        "--sessions",
        "2",
        "--duration-s",
        "1.6",
    ]
    words += ["--ramp-s", "0.4", "--ways", "apc", "light", "--thresholds", str(tmp_path / "rule.json")]
    assert main([*words, "--budget-ms", "2000", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    routed, light = report["rows"]
    assert routed["way"] == "apc" and routed["sessions"] == 2 and routed["qoe"] is None
    assert set(routed["by"]) <= {"llm", "light"} and routed["asked"] > 0
    assert light["by"] == {"light": light["decisions"]} and light["asked"] == 0
    assert main([*words, "--ramp-s", "2"]) == 2
    assert "--ramp-s 2, --duration-s 1.6" in capsys.readouterr().err
