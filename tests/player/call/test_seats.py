"""Calls whose policies are asked at once: the same calls as asked one by one, and whose fault is whose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from player.call.observation import CallObservation
from player.call.policy import CallPolicy, DecidesRatesTogether
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from player.call.simulated.playing import Decisions, play_policies
from traces.trace import Trace

CALL = CallSettings(duration_s=3.0, warm_up_s=1.0)
LINKS = [Trace(f"t{n}", (0.0, 1.0, 1.7, 4.0), (0.0, 2.0, 0.3 + 0.2 * n, 1.0)) for n in range(5)]


class Follows:
    """Asks for a share of what was acknowledged; notes with how many others it was asked."""

    def __init__(self, most: int = 3) -> None:
        self.most, self.company = most, list[int]()

    def another(self) -> CallPolicy:
        made = Follows(self.most)
        made.company = self.company
        return made

    def reset(self, call: CallSettings, seed: int, qoe: Any) -> None:
        if seed == 13:
            raise RuntimeError("this call is not for me")
        self.asked = 0

    def together(self) -> int:
        return 100

    def ready_together(self) -> int:
        return self.most

    def decide(self, observation: CallObservation) -> object:
        self.asked += 1
        return 900.0 * observation.now.acked_mbps + self.asked

    def decide_together(self, asked: Sequence[tuple[CallPolicy, CallObservation]]) -> Sequence[object]:
        self.company.append(len(asked))
        return [policy.decide(seen) for policy, seen in asked]


class Fails(Follows):
    """Can't answer the third question that it is asked for all."""

    def another(self) -> CallPolicy:
        made = Fails(self.most)
        made.company = self.company
        return made

    def decide_together(self, asked: Sequence[tuple[CallPolicy, CallObservation]]) -> Sequence[object]:
        answers = super().decide_together(asked)
        if len(self.company) == 3:
            raise ValueError("out of memory")
        return [ValueError("not this one") if place == 1 else each for place, each in enumerate(answers)]


def played(policy: Follows, one_spec: bool, seeds: Sequence[int] = range(5)) -> Decisions:
    calls = SimulatedCalls(CALL, LINKS, None, seeds, 0.0, 1)
    return play_policies(calls, [policy.another() for _ in LINKS], one_spec=one_spec)


def test_asked_at_once_they_decide_as_one_by_one() -> None:
    together, alone = Follows(), Follows()
    assert isinstance(together, DecidesRatesTogether)
    one, other = played(together, True), played(alone, False)
    for name in ("kbps", "by", "facts"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert one.said == other.said and not alone.company
    assert together.company[:4] == [3, 2, 3, 2], "no more at once than it takes"
    assert not one.took_ms.any(), "what one of many took nobody knows"
    assert other.took_ms.any()


def test_a_policy_that_can_t_do_it_here_is_asked_one_by_one() -> None:
    policy = Follows(most=1)
    played(policy, True)
    assert not policy.company


def test_whose_reset_failed_is_not_asked_and_the_others_are() -> None:
    policy = Follows(most=9)
    made = played(policy, True, seeds=(0, 1, 13, 3, 4))
    assert set(policy.company) == {4}
    by = {n: {who for (_, call), (who, _) in made.said.items() if call == n} for n in range(5)}
    assert by == {0: {"policy"}, 1: {"policy"}, 2: {"fallback"}, 3: {"policy"}, 4: {"policy"}}
    assert "not for me" in next(why for (_, call), (_, why) in made.said.items() if call == 2)


def test_what_is_raised_for_all_is_each_one_s_fault_and_an_answer_may_be_one() -> None:
    made = played(Fails(most=9), True)
    faults = {place: [n for (at, n), (by, _) in made.said.items() if at == place and by == "fallback"]
              for place in sorted({at for at, _ in made.said})}  # fmt: skip
    assert list(faults.values())[:4] == [[1], [1], [0, 1, 2, 3, 4], [1]]
    said = [why for (at, _), (_, why) in made.said.items() if "out of memory" in why]
    assert len(said) == 5 and all(why.startswith("raised ValueError") for why in said)


def test_a_copy_goes_on_as_the_batch_would_and_leaves_it_alone() -> None:
    calls = SimulatedCalls(CALL, LINKS, None, range(5), 0.0, 1)
    for _ in range(10):
        calls.to_next_feedback()
        calls.set_rates(700.0)
    apart, same = calls.copy(), calls.copy()
    for _ in range(20):
        apart.to_next_feedback()
        apart.set_rates(2500.0)
    for batch in (calls, same):
        for _ in range(20):
            batch.to_next_feedback()
            batch.set_rates(600.0)
    assert np.array_equal(calls.facts, same.facts)
    assert not np.array_equal(calls.facts, apart.facts)
    for field in ("record", "seconds", "delays"):
        assert np.array_equal(getattr(calls.receiver, field), getattr(same.receiver, field)), field


def test_alone_nobody_is_asked_at_once() -> None:
    policy = Follows()
    calls = SimulatedCalls(CALL, LINKS[:1], None, 0, 0.0, 1)
    play_policies(calls, [policy.another()], one_spec=True)
    assert not policy.company
