"""An engine whose sessions' answers don't depend on who else is decided with them."""

from __future__ import annotations

import numpy as np
import pytest

from policies.llm.engine.alike import grouped
from policies.llm.engine.engine import Engine
from policies.llm.tasks.ladder.task import TASK

WIDTH = TASK.width


def _engine(dtype: str, slots: int = 40) -> Engine:
    return Engine(TASK, device="cpu", slots=slots, threads=1, dtype=dtype, alike=True)


def _steps(sessions: int, steps: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((sessions, steps, WIDTH)).astype(np.float32)


def _wanted(engine: Engine) -> None:
    if engine.same_together == 1:
        pytest.skip("this machine's libraries do not keep rows apart; sessions are decided one by one")
    assert engine.same_together == 36


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("sessions", [2, 3, 5, 17])
def test_a_session_in_company_is_as_alone_to_the_last_bit(dtype: str, sessions: int) -> None:
    engine, steps = _engine(dtype), _steps(sessions, 6)
    _wanted(engine)
    together = [engine.open() for _ in range(sessions)]
    alone = [engine.open() for _ in range(sessions)]
    for step in range(6):
        rows = steps[:, step : step + 1]
        found = engine.forward(list(zip(together, rows, strict=True)))
        for session, slot in enumerate(alone):
            assert np.array_equal(found[session], engine.forward([(slot, rows[session])])[0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_sessions_of_other_lengths_beside_it_change_nothing_either(dtype: str) -> None:
    engine, steps = _engine(dtype), _steps(6, 40)
    _wanted(engine)
    together = [engine.open() for _ in range(6)]
    alone = [engine.open() for _ in range(6)]
    fed = [0] * 6
    for turn in range(12):
        here = [session for session in range(6) if (turn + session) % 4]
        new = [steps[s, fed[s] : fed[s] + 1 + (s + turn) % 3] for s in here]
        found = engine.forward([(together[s], rows) for s, rows in zip(here, new, strict=True)])
        for place, (session, rows) in enumerate(zip(here, new, strict=True)):
            assert np.array_equal(found[place], engine.forward([(alone[session], rows)])[0])
            fed[session] += len(rows)


def test_an_engine_that_is_not_asked_to_keep_rows_apart_claims_nothing() -> None:
    assert Engine(TASK, device="cpu", slots=8, threads=1).same_together == 1


def test_what_was_tried_out_leaves_no_slot_taken() -> None:
    engine = _engine("float32", slots=9)
    assert engine.same_together in (1, 5)
    assert [engine.open() for _ in range(9)] == list(range(9))


def test_rows_that_differ_in_company_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = _engine("float32", slots=9)
    true = engine.forward

    def forward(work):  # type: ignore[no-untyped-def]
        return true(work) + np.float32(1e-6 * len(work))

    monkeypatch.setattr(engine, "forward", forward)
    assert engine.same_together == 1


def test_sessions_alike_stand_together() -> None:
    groups = grouped([4, 5, 9, 6], [3, 3, 3, 1], [1, 1, 2, 1])
    assert [(group.count, group.held, group.new) for group in groups] == [(2, 3, 1), (1, 3, 2), (1, 1, 1)]
    assert groups[0].slots == slice(4, 6) and groups[1].rows == slice(2, 4)
