"""What a batch is fed is made in one compiled call: the same as for one client, in any company."""

from __future__ import annotations

import numpy as np

from player.observation import Observation, PastChunk
from player.qoe import QoE
from policies.llm.task import NextSteps, Task
from policies.llm.tasks.ladder.seen import FIRST_ROOM, SeenChunks
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import VideoStep
from policies.view.asked import Asked
from tests.support.llm_server_fakes import KBPS, VIDEO, observations

STEPS = [[VideoStep.of(seen) for seen in observations(number)] for number in range(3)]
PUBLISHED = Asked.of(VIDEO, QoE())
THREE = Asked(KBPS[::2], 4.0, tuple(kbps / 1000 for kbps in KBPS[::2]), 20.0, 0.5)


def of_three(step: VideoStep) -> VideoStep:
    """The same on a ladder of three levels."""
    past = step.past
    if past is not None:
        past = PastChunk(past.level // 2, *(getattr(past, name) for name in PastChunk.__slots__[1:]))
    sizes = tuple(row[::2] for row in step.next_sizes_bytes)
    return VideoStep(past, step.buffer_s, sizes, step.chunks_left, step.elapsed_s, 20.0)


def questions() -> list[NextSteps]:
    """Three sessions' first steps."""
    three = [of_three(step) for step in STEPS[1]]
    asked = ((STEPS[0], PUBLISHED), (three, THREE), (STEPS[2], PUBLISHED))
    return [NextSteps(steps, TASK.empty, context) for steps, context in asked]


def test_a_batch_is_fed_what_one_client_is() -> None:
    asked = questions()
    for fed, alone in zip(TASK.fill(asked), Task.fill(TASK, asked), strict=True):
        np.testing.assert_allclose(fed, alone, rtol=2e-6, atol=1e-6)


def test_it_is_the_same_to_the_last_bit_in_any_company_and_step_by_step() -> None:
    asked = questions()
    together = TASK.fill(asked)
    for session, each in enumerate(asked):
        assert np.array_equal(TASK.fill([each])[0], together[session])
    past = [TASK.empty] * 3
    for place in range(len(STEPS[0])):
        now = [
            NextSteps(each.steps[place : place + 1], seen, each.context)
            for each, seen in zip(asked, past, strict=True)
        ]
        for session, row in enumerate(TASK.fill(now)):
            assert np.array_equal(row[0], together[session][place])
        past = [TASK.after(seen, each.steps[0]) for seen, each in zip(past, now, strict=True)]


def test_answers_of_a_batch_are_those_of_each() -> None:
    vectors = np.concatenate(TASK.fill(questions()))
    outputs = np.random.default_rng(3).normal(size=(len(vectors), TASK.head.width)).astype(np.float32)
    alone = [TASK.answer(output, vector) for output, vector in zip(outputs, vectors, strict=True)]
    assert TASK.answers(outputs, vectors) == alone
    assert any(each.margin is not None for each in alone)


def test_what_was_seen_is_shared_until_it_parts() -> None:
    history = observations(0, chunks=30)[-1].history
    assert len(history) > FIRST_ROOM
    seen = [SeenChunks()]
    for chunk in history:
        seen.append(seen[-1].grown(chunk))
    for count, each in enumerate(seen):
        assert each.chunks == history[:count] and len(each) == len(each.numbers) == count
    numbers = seen[5].numbers.copy()
    other = seen[5].grown(history[7])
    again = seen[5].grown(history[5])
    assert other.chunks == (*history[:5], history[7]) and again == seen[6] and hash(again) == hash(seen[6])
    assert np.array_equal(seen[5].numbers, numbers) and seen[-1].chunks == history
    assert other.last_level == history[7].level and SeenChunks().last_level == -1


def test_a_session_begins_where_nothing_was_seen() -> None:
    first = Observation(0, (), 0.0, VIDEO.sizes_bytes[:8], 48, 0.0, 60.0)
    (row,) = TASK.fill([NextSteps([VideoStep.of(first)], TASK.empty, PUBLISHED)])
    np.testing.assert_allclose(row[0], TASK.seen(first, PUBLISHED), rtol=2e-6, atol=1e-6)
