"""Who is waited for before a forward begins."""

from __future__ import annotations

import pytest

from policies.llm.serving.batch_by_arrival import ArrivalQueue
from policies.llm.serving.batch_by_deadline import DeadlineQueue
from policies.llm.serving.batcher import BatchQueue, WaitingSteps
from policies.llm.serving.returning import Returning
from policies.llm.task import NextSteps

WORTH_S = 0.010


def work(slot: int, at_s: float, allows_s: float = 60.0) -> WaitingSteps:
    asked = NextSteps((None,), (), None)
    return WaitingSteps(slot, asked, 1, at_s, at_s + allows_s, None)  # type: ignore[arg-type]


def paused(pauses_s: dict[int, float]) -> Returning:
    """Sessions answered at 0 that asked again after so long, and were answered again at 1."""
    returning = Returning(0.002)
    returning.answered(pauses_s, 0.0)
    for slot, pause_s in pauses_s.items():
        returning.asked(slot, pause_s)
    returning.answered(pauses_s, 1.0)
    returning.free(1.0)
    return returning


def test_who_came_back_soon_is_waited_for_as_long_again_and_who_did_not_is_not() -> None:
    returning = paused({0: 0.003, 1: 0.004, 2: 2.5})
    assert returning.begins_s(1.0005, WORTH_S) == pytest.approx(1.008)
    returning.asked(1, 1.0041)
    assert returning.begins_s(1.0005, WORTH_S) == pytest.approx(1.006)
    returning.asked(0, 1.0042)
    assert returning.begins_s(1.0005, WORTH_S) == 1.0005, "only the player who downloads a chunk is away"


def test_a_machine_stands_idle_no_longer_than_sharing_a_forward_saves() -> None:
    assert paused({0: 0.009}).begins_s(1.0005, WORTH_S) == pytest.approx(1.0 + WORTH_S)
    assert paused({0: 0.003}).begins_s(1.0005, 0.002) == 1.0005, "they take longer than that"
    assert paused({0: 0.003}).reads_until_s(1.0005, WORTH_S) == pytest.approx(1.0 + WORTH_S)


def test_who_asks_an_idle_machine_waits_for_others_a_moment_only() -> None:
    assert paused({0: 0.003}).begins_s(2.0, WORTH_S) == pytest.approx(2.002)
    assert Returning(0.0).begins_s(2.0, WORTH_S) == 2.0


def test_who_is_over_or_never_came_back_is_not_expected() -> None:
    returning = paused({0: 0.003})
    returning.left(0)
    returning.answered([5], 1.0)
    assert returning.begins_s(1.0005, WORTH_S) == 1.0005


def test_where_many_take_longer_to_come_back_than_sharing_saves_halves_take_turns() -> None:
    slow = dict.fromkeys(range(15), 0.005) | {15: 2.5}
    assert paused(slow).largest(0.002) == 8, "the one that downloads does not go round"
    assert paused(slow).largest(0.009) is None, "all are worth to be waited for"
    assert paused({0: 0.005}).largest(0.002) is None and Returning(0.0).largest(0.0) is None


def test_they_come_back_one_after_the_other_so_that_all_take_longer_than_half() -> None:
    returning, others = Returning(0.002), range(8, 16)
    returning.answered(range(8), 0.0)
    returning.answered(others, 0.1)
    for place in range(8):
        returning.asked(place, 0.0002 * (place + 1))
        returning.asked(8 + place, 0.1 + 0.0002 * (place + 1))
    assert returning.largest(0.0020) == 8, "all sixteen would take 3 ms"
    assert returning.largest(0.0035) is None


def test_forwards_that_are_all_as_large_are_known_by_what_a_small_one_took_before() -> None:
    queue = DeadlineQueue(sessions=lambda: 16)
    for _ in range(3):
        queue.learn(1, 0.001)
        queue.learn(16, 0.007)
    for _ in range(100):
        queue.took([work(slot, 0.0) for slot in range(16)], 0.007)
    assert queue.step_time.fixed_s == pytest.approx(0.001, rel=0.05)


@pytest.mark.parametrize("queue_of", [DeadlineQueue, ArrivalQueue])
def test_a_batch_is_half_of_those_that_go_round(queue_of: type[DeadlineQueue]) -> None:
    queue = queue_of(sessions=lambda: 16)
    for _ in range(40):
        queue.took([work(0, 0.0)], 0.001)
        queue.took([work(slot, 0.0) for slot in range(16)], 0.016)
    for begin_s, expected in ((0.0, 16), (1.0, 16), (2.0, 8)):
        for slot in range(16):
            queue.push(work(slot, begin_s + 0.005))
        batch, _ = queue.take(begin_s + 0.005)
        assert len(batch) == expected
        queue.answered(batch, begin_s + 1.0)


@pytest.mark.parametrize("queue", [DeadlineQueue(sessions=lambda: 3), ArrivalQueue(sessions=lambda: 3)])
def test_a_queue_waits_for_closed_loops_and_begins_when_the_last_is_there(queue: BatchQueue) -> None:
    for slot in range(3):
        queue.push(work(slot, 0.0))
    for begin_s in (0.0, 1.0):
        batch, _ = queue.take(begin_s)
        queue.took(batch, 0.01)
        queue.answered(batch, begin_s + 0.01)
        for slot in range(2):
            queue.push(work(slot, begin_s + 0.0105 + 0.001 * slot))
        learned = begin_s == 1.0
        assert queue.due_s() == pytest.approx(begin_s + (0.0145 if learned else 0.0105), abs=1e-3)
        queue.push(work(2, begin_s + 0.0125))
        assert queue.due_s() <= begin_s + 0.0125, "all are there"


def test_one_session_alone_never_waits() -> None:
    queue = DeadlineQueue(sessions=lambda: 1)
    for begin_s in (0.0, 1.0, 2.0):
        queue.push(work(0, begin_s))
        assert queue.due_s() <= begin_s
        batch, _ = queue.take(begin_s)
        queue.took(batch, 0.01)
        queue.answered(batch, begin_s + 0.01)


def test_no_deadline_is_waited_away() -> None:
    queue = DeadlineQueue(sessions=lambda: 3)
    for slot in range(3):
        queue.push(work(slot, 0.0, 0.1))
    batch, _ = queue.take(0.0)
    queue.took(batch, 0.01)
    queue.answered(batch, 0.01)
    for slot in range(3):
        queue.push(work(slot, 0.012, 0.1))
    queue.answered(queue.take(0.012)[0], 0.02)
    one = work(0, 0.0205, 0.02)
    queue.push(one)
    assert queue.due_s() + queue.step_time.bound_s(1) <= queue.deadline_s(one) + 1e-9


def test_forwards_may_be_as_long_as_the_hastiest_open_session_allows() -> None:
    queue = DeadlineQueue(budget_s=0.1, sessions=lambda: 64)
    for _ in range(60):
        queue.step_time.took(1, 0.03)
        queue.step_time.took(16, 0.06)
    for slot in range(32):
        queue.push(work(slot, 0.0, 60.0))
    assert len(queue.take(0.0)[0]) == 32, "nobody is in haste"
    for slot in range(32):
        queue.push(work(slot, 1.0, 60.0 if slot else 0.15))
    batch, _ = queue.take(1.0)
    assert batch[0].slot == 0 and len(batch) < 32
    assert queue.step_time.bound_s(len(batch)) <= 0.075
    queue.take(1.1)
    queue.left(0)
    for slot in range(1, 33):
        queue.push(work(slot, 2.0, 60.0))
    assert len(queue.take(2.0)[0]) == 32, "the hasty one has left"


def test_a_machine_too_slow_for_half_of_the_budget_still_forms_batches() -> None:
    queue = DeadlineQueue(budget_s=0.1, sessions=lambda: 64)
    for _ in range(60):
        queue.step_time.took(1, 0.055)
        queue.step_time.took(8, 0.065)
    for slot in range(6):
        queue.push(work(slot, 0.0, 0.1))
    assert len(queue.take(0.0)[0]) == 6
