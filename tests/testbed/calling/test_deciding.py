"""A policy beside the loop: what it sees, and what its faults cost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from player.call.observation import CallObservation, Interval
from player.call.policy import Rate
from player.call.settings import CallSettings
from testbed.calling.ends.deciding import NOT_YET, Deciding
from testbed.calling.ends.sender_box import ROWS, SenderBox, new_box
from tests.support.emulation import wait_until

CALL = CallSettings()


class Policy:
    """Answers by a function."""

    def __init__(self, answer: Callable[[CallObservation], Any]) -> None:
        self.answer = answer
        self.seen: list[CallObservation] = []

    def reset(self, call: CallSettings, seed: int, qoe: Any) -> None: ...

    def decide(self, observation: CallObservation) -> Any:
        self.seen.append(observation)
        return self.answer(observation)


@contextmanager
def deciding(policy: Any, every: int = 1, unfit: str = "") -> Iterator[tuple[Deciding, SenderBox]]:
    told, wakes = os.eventfd(0), os.eventfd(0)
    box = new_box(CALL, every, False, told)
    found = Deciding(policy, CALL, box, told, wakes, unfit)
    found.start()
    try:
        yield found, box
    finally:
        found.stop()


def hear(box: SenderBox, number: int) -> None:
    """A feedback is here, as the loop writes it: one packet that came, one that was lost."""
    row = number % ROWS
    box.facts[row] = 0.0
    box.facts[row, Interval._fields.index("interval")] = number
    box.facts[row, Interval._fields.index("heard")] = 1.0
    box.feedback.packets[row] = 2
    for place, arrived_s in enumerate((number + 0.5, np.nan)):
        box.feedback.seq[row, place], box.feedback.size_bytes[row, place] = 2 * number + place, 1200
        box.feedback.sent_s[row, place], box.feedback.arrived_s[row, place] = number, arrived_s
    box.control[0]["feedbacks"] = number + 1
    os.eventfd_write(int(box.control[0]["told"]), 1)


def answered(box: SenderBox, count: int) -> tuple[int, float]:
    """The question and the rate of answer number `count`."""
    wait_until(lambda: box.answer[0]["number"] >= count, "an answer")
    return int(box.answer[0]["question"]), float(box.answer[0]["kbps"])


def test_it_sees_each_feedback_once_with_all_that_was_before() -> None:
    policy = Policy(lambda observation: 100.0 + observation.now.interval)
    with deciding(policy) as (_, box):
        for number in range(5):
            hear(box, number)
            assert answered(box, number + 1) == (number, 100.0 + number)
    assert [[one.interval for one in seen.history] for seen in policy.seen] == [
        list(range(number)) for number in range(5)
    ]
    came, lost = policy.seen[3].packets
    assert (came.seq, came.sent_s, came.arrived_s) == (6, 3.0, 3.5)
    assert (lost.seq, lost.arrived_s) == (7, None)


def test_one_that_holds_its_rate_is_asked_every_so_often() -> None:
    policy = Policy(lambda observation: 500.0)
    with deciding(policy, every=4) as (_, box):
        for number in range(9):
            hear(box, number)
            if number % 4 == 3:
                answered(box, number // 4 + 1)
    assert [seen.now.interval for seen in policy.seen] == [3, 7]
    assert len(policy.seen[-1].history) == 7


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda seen: 1 / 0, "policy raised ZeroDivisionError"),
        (lambda seen: float("nan"), "answered nan"),
        (lambda seen: -1, "answered -1"),
        (lambda seen: "fast", "answered 'fast', which is no rate"),
        (lambda seen: None, "answered None"),
        (lambda seen: Rate(float("inf")), "expected 0 kbit/s or more"),
    ],
)
def test_whatever_is_no_rate_is_no_answer_and_said(answer: Callable[..., Any], reason: str) -> None:
    with deciding(Policy(answer)) as (found, box):
        hear(box, 0)
        question, kbps = answered(box, 1)
        assert question == 0 and np.isnan(kbps)
        wait_until(lambda: found.answer_to(0).reason != NOT_YET, "the reason")
        assert reason in found.answer_to(0).reason and found.answer_to(0).by == ""


def test_rates_are_kept_within_the_calls_bounds_and_say_who_chose_them() -> None:
    with deciding(Policy(lambda seen: Rate(1e6, "llm", "steep", probe_kbps=900.0))) as (found, box):
        hear(box, 0)
        assert answered(box, 1) == (0, CALL.max_kbps)
        assert float(box.answer[0]["probe_kbps"]) == 900.0
        assert (found.answer_to(0).by, found.answer_to(0).reason) == ("llm", "steep")


def test_one_whose_reset_failed_is_not_asked() -> None:
    policy = Policy(lambda seen: 500.0)
    with deciding(policy, unfit="policy's reset raised KeyError") as (found, box):
        hear(box, 0)
        assert np.isnan(answered(box, 1)[1])
        assert found.answer_to(0).reason == "policy's reset raised KeyError"
    assert policy.seen == []


def test_a_question_that_nobody_has_answered_is_late() -> None:
    with deciding(Policy(lambda seen: 500.0)) as (found, _):
        assert found.answer_to(7).reason == NOT_YET
