"""The guard around a policy: whatever it does, a legal level comes back, and a reason."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from player.decide import Decider
from player.faults import one_line
from player.observation import Observation
from player.policy import Decision
from player.qoe import QoE
from tests.support.player_fakes import Chooses, a_video

LEVELS = 3
OBSERVATION = Observation(7, (), 8.0, ((1, 2, 3),), 1, 30.0)


def always(level: object) -> Chooses:
    return Chooses(lambda observation: level)


async def decide(policy: Any, fallback: Any = None, **deadlines: float) -> Decision:
    decider = Decider(policy, fallback or always(2), LEVELS, **deadlines)
    await decider.reset(a_video(), 5, QoE())
    timed = await decider.select(OBSERVATION)
    decider.close()
    assert timed.decision_s >= 0
    return timed.decision


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 30))


def test_a_good_answer_passes() -> None:
    policy, fallback = always(Decision(1, "llm", "why not")), always(2)
    assert run(decide(policy, fallback)) == Decision(1, "llm", "why not")
    assert policy.seen == [OBSERVATION]
    assert policy.told == fallback.told == (a_video(), 5, QoE())
    assert fallback.seen == []
    assert run(decide(always(0))) == Decision(0, "policy")


@pytest.mark.parametrize(
    "answer", [3, -1, None, "1", 1.0, True, Decision(9), Decision(1, by=None), Decision(1, reason=b"")]
)
def test_nonsense_goes_to_the_fallback(answer: object) -> None:
    decision = run(decide(always(answer)))
    assert (decision.level, decision.by) == (2, "fallback")
    assert decision.reason.startswith("answered ")


@pytest.mark.parametrize("error", [ValueError("two\nlines"), SystemExit(3), StopIteration(), KeyError("k")])
def test_an_exception_goes_to_the_fallback(error: BaseException) -> None:
    def raises(observation: Observation) -> int:
        raise error

    decision = run(decide(Chooses(raises)))
    assert (decision.level, decision.by) == (2, "fallback")
    assert decision.reason.startswith(f"policy raised {type(error).__name__}")
    assert "chunk 7" in decision.reason
    assert "\n" not in decision.reason


def test_long_reasons_are_cut() -> None:
    def raises(observation: Observation) -> int:
        raise ValueError("x" * 10_000)

    assert len(run(decide(Chooses(raises))).reason) < 500
    assert len(run(decide(always(Decision(0, reason="y" * 10_000)))).reason) < 500


def test_a_missed_deadline_then_busy_then_asked_again() -> None:
    release = threading.Event()
    answers = iter([0, 1])

    def slow_at_first(observation: Observation) -> int:
        answer = next(answers)
        if answer == 0:
            release.wait(20)
        return answer

    async def session() -> list[Decision]:
        decider = Decider(Chooses(slow_at_first), always(2), LEVELS, deadline_s=0.05)
        await decider.reset(a_video(), 0, QoE())
        decisions = [(await decider.select(OBSERVATION)).decision for _ in range(2)]
        release.set()
        while True:  # the late answer is thrown away; as soon as it is in, the policy is asked again
            decision = (await decider.select(OBSERVATION)).decision
            if decision.by == "policy":
                return [*decisions, decision]
            await asyncio.sleep(0.01)

    late, busy, again = run(session())
    assert (late.level, late.by, late.reason) == (2, "fallback", "policy took over 0.05 s for chunk 7")
    assert (busy.level, busy.by, busy.reason) == (2, "fallback", "policy is still busy with chunk 7")
    assert again == Decision(1)


def test_a_stuck_policy_stops_neither_the_loop_nor_the_exit() -> None:
    ticks = 0

    async def session() -> Decision:
        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticker = asyncio.create_task(tick())
        decision = await decide(Chooses(lambda observation: threading.Event().wait()), deadline_s=0.3)
        ticker.cancel()
        return decision

    assert run(session()).by == "fallback"
    assert ticks > 2


def test_a_reset_that_raises_costs_the_whole_session() -> None:
    class Unready(Chooses):
        def reset(self, video: Any, seed: int, qoe: Any) -> None:
            raise OSError("no weights")

    policy = Unready()
    decision = run(decide(policy))
    assert (decision.level, decision.by) == (2, "fallback")
    assert decision.reason.startswith("policy raised OSError: no weights at reset (test_decide.py:")
    assert policy.seen == []


def test_a_reset_that_hangs_costs_the_whole_session() -> None:
    class Hangs(Chooses):
        def reset(self, video: Any, seed: int, qoe: Any) -> None:
            threading.Event().wait()

    decision = run(decide(Hangs(), reset_deadline_s=0.05))
    assert (decision.level, decision.reason) == (2, "policy took over 0.05 s for reset")


def test_when_even_the_fallback_fails_level_0() -> None:
    class Unready(Chooses):
        def reset(self, video: Any, seed: int, qoe: Any) -> None:
            raise OSError("gone")

    for fallback, reason in (
        (
            always(99),
            "answered level 9; the ladder has 0 to 2; fallback raised IllegalDecision: answered level 99",
        ),
        (Unready(), "answered level 9; the ladder has 0 to 2; fallback's reset raised OSError: gone"),
    ):
        decision = run(decide(always(9), fallback))
        assert (decision.level, decision.by) == (0, "fallback")
        assert decision.reason.startswith(reason)


@pytest.mark.parametrize("deadline_s", [0.0, -1.0, float("inf"), float("nan")])
def test_a_deadline_must_be_one(deadline_s: float) -> None:
    with pytest.raises(ValueError, match="decision deadline"):
        Decider(always(0), always(0), LEVELS, deadline_s)


def test_an_exception_that_cannot_be_shown_is_named_by_its_type() -> None:
    class WordlessError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert one_line(WordlessError()) == "WordlessError"
