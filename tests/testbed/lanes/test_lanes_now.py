"""Before a run streams: how many lanes at once, what is said of it, and what an interrupt leaves."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from testbed.lanes import lanes_now, side_by_side
from testbed.lanes.lanes_now import Noise, in_words, noise_of
from testbed.lanes.side_by_side import Interrupt, Interrupted
from testbed.machine.lateness import Lateness, Look
from testbed.machine.readings import MachineChange, read_machine
from testbed.session.plan import RunPlan, describe
from testbed.session.videos import VIDEOS
from tests.testbed.session.test_run_summary import QOE, result

QUIET = MachineChange(10.0, 2, 0.001, 0.001, 0.2, 0.799, 0.01, 0.1)
STOLEN = replace(QUIET, steal=0.3, busy=0.1)
"""Of four tenths that were wanted, three were taken."""


def seen(others: float = 0.0, p99_ms: float = 0.1) -> Look:
    return Look(Lateness(0.05, p99_ms, 2 * p99_ms, True), QUIET, others)


def a_plan(sessions: int, **changes: Any) -> RunPlan:
    plans = tuple(result("bba", f"bba-{index}").plan for index in range(sessions))
    return replace(
        RunPlan(sessions=plans, out=Path("/out"), qoe=QOE, named=True, begun=read_machine()), **changes
    )


def test_a_quiet_machine_streams_all_at_once_and_says_nothing() -> None:
    noise = noise_of(seen(), QUIET)
    assert noise.lanes >= 5 and in_words(noise, 5) == ""


def test_the_greater_of_who_waits_and_who_worked_counts() -> None:
    assert noise_of(seen(others=8.0), QUIET).others == 8.0
    assert noise_of(seen(), replace(QUIET, others_cores=1.5)).others == 1.5
    assert noise_of(seen(), replace(QUIET, others_cores=None)).others == 0.0


def test_a_machine_that_others_use_is_said_to_hold_fewer_and_why() -> None:
    noise = noise_of(seen(others=8.0), STOLEN)
    assert noise.lanes == 1
    line = in_words(noise, 5)
    assert line.startswith(
        "this machine holds about 1 lane now: 8.0 threads of others want its 2 processors,"
    )
    assert "75.0 % of the time that is wanted is stolen" in line
    assert "5 sessions stream in 5 turns (--lanes 5: all at once" in line
    assert "\n" not in line


def test_who_asks_for_a_number_gets_it_without_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_now, "look", lambda seconds: pytest.fail("nothing was to be decided"))
    assert lanes_now.lanes_now(a_plan(5, lanes=2)) == (2, "")
    assert lanes_now.lanes_now(a_plan(2, lanes=5)) == (2, "")
    assert lanes_now.lanes_now(a_plan(1)) == (1, "")
    assert lanes_now.lanes_now(a_plan(5, begun=None)) == (5, "")


def test_a_busy_machine_is_looked_at_and_gets_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_now, "look", lambda seconds: seen(p99_ms=50.0))
    count, why = lanes_now.lanes_now(a_plan(5))
    assert count == 1 and "timers are 50.0 ms late" in why
    assert Noise(2, 0.0, 0.0, 50.0).lanes == 1


def test_a_plan_says_how_many_at_once_where_it_was_asked() -> None:
    assert describe(a_plan(5, lanes=2)).endswith("5 lanes, 2 at once")
    assert describe(a_plan(5, lanes=5)).endswith("5 lanes")
    assert describe(a_plan(1)).endswith("1 lane")


class NoServers:
    """Nothing has to be started."""

    def __init__(self, *_: object) -> None: ...

    async def __aenter__(self) -> NoServers:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def start(self) -> None: ...


def streamed(
    monkeypatch: pytest.MonkeyPatch, plan: RunPlan, signal_in_turn: int = 0, before_start: bool = False
) -> tuple[list[list[str]], list[str], str]:
    """The records of each turn, those of the results, and what was printed; a signal may come in a turn."""
    turns: list[list[str]] = []
    printed = io.StringIO()

    async def run() -> list[str]:
        interrupt = Interrupt()

        async def turn(plans: Sequence[Any], medium: object, first: int, *_: object) -> list[Any]:
            if len(turns) + 1 == signal_in_turn:
                interrupt.heard.set()
                if before_start:
                    raise Interrupted
            assert first == sum(map(len, turns))
            turns.append([one.name for one in plans])
            return [replace(result("bba", one.name), plan=one) for one in plans]

        monkeypatch.setattr(side_by_side, "_turn", turn)
        monkeypatch.setattr(side_by_side, "PolicyServers", NoServers)
        results = await side_by_side.side_by_side(plan, VIDEOS, Console(file=printed, width=200), interrupt)
        return [one.plan.name for one in results]

    results = asyncio.run(run())
    return turns, results, printed.getvalue()


def test_sessions_take_turns_and_come_back_as_one_list(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, results, printed = streamed(monkeypatch, a_plan(5, lanes=2))
    assert turns == [["bba-0", "bba-1"], ["bba-2", "bba-3"], ["bba-4"]]
    assert results == [f"bba-{index}" for index in range(5)]
    assert printed == ""


@pytest.mark.parametrize(
    ("turn", "before_start", "results", "said"),
    [
        (2, False, 4, "1 session had not begun and left no record"),
        (2, True, 2, "3 sessions had not begun and left no record"),
        (3, False, 5, ""),
    ],
)
def test_an_interrupt_ends_the_turns_and_keeps_what_there_is(
    monkeypatch: pytest.MonkeyPatch, turn: int, before_start: bool, results: int, said: str
) -> None:
    _, found, printed = streamed(monkeypatch, a_plan(5, lanes=2), turn, before_start)
    assert len(found) == results
    assert printed.strip() == said


def test_an_interrupt_before_the_first_start_is_nobodys_result(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Interrupted):
        streamed(monkeypatch, a_plan(5, lanes=2), 1, before_start=True)
