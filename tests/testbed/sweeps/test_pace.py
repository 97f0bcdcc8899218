"""When a sweep takes fewer lanes, and when more again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.lanes.pace import GOOD_BEFORE_MORE, IN_A_ROW, OF_THE_LAST, Pace
from testbed.sweeps.folder import Attempt
from testbed.sweeps.lanes import Lanes
from testbed.sweeps.state import DONE, FAILED, INVALID


def told(pace: Pace, links: Sequence[bool]) -> list[tuple[int, str]]:
    """Each change: lanes and why."""
    return [(pace.lanes, why) for valid in links if (why := pace.ended(pace.lanes, valid))]


def test_three_invalid_links_in_a_row_leave_three_quarters() -> None:
    assert told(Pace(16), [True, False, False]) == []
    assert told(Pace(16), [True, False, False, False]) == [(12, "3 invalid links in a row")]


def test_half_of_the_last_eight_do_so_too() -> None:
    mixed = [False, False, True, False, True, True]
    assert told(Pace(8), mixed) == []
    assert told(Pace(8), [*mixed, True, False]) == [(6, "4 of the last 8 links invalid")]
    assert told(Pace(8), [True, True, False] * 40) == []  # a third is borne: they are tried again


def test_one_invalid_link_now_and_then_is_borne() -> None:
    assert told(Pace(4), ([True] * 19 + [False]) * 20) == []


def test_it_goes_on_down_to_one_and_stays_there() -> None:
    pace = Pace(4)
    assert [lanes for lanes, _ in told(pace, [False] * 30)] == [3, 2, 1]


def test_sessions_that_began_on_more_lanes_tell_nothing_of_fewer() -> None:
    pace = Pace(8)
    told(pace, [False] * IN_A_ROW)
    assert pace.lanes == 6
    assert [pace.ended(8, False) for _ in range(8)] == [""] * 8
    assert pace.lanes == 6


def test_after_a_long_good_stretch_there_is_one_more_up_to_what_was_asked() -> None:
    pace = Pace(4)
    told(pace, [False] * IN_A_ROW)
    assert told(pace, [True] * (GOOD_BEFORE_MORE - 1)) == []
    assert told(pace, [True]) == [(4, f"{GOOD_BEFORE_MORE} valid links in a row")]
    assert told(pace, [True] * 3 * GOOD_BEFORE_MORE) == []


@given(st.integers(1, 64), st.lists(st.booleans(), max_size=400))
def test_never_more_than_asked_never_none_and_every_change_has_a_reason(
    asked: int, links: list[bool]
) -> None:
    pace = Pace(asked)
    for valid in links:
        before = pace.lanes
        why = pace.ended(before, valid)
        assert 1 <= pace.lanes <= asked
        assert bool(why) == (pace.lanes != before)
        assert pace.lanes <= before or valid


@given(st.lists(st.booleans(), max_size=OF_THE_LAST))
def test_one_lane_is_never_too_many(links: list[bool]) -> None:
    assert told(Pace(1), links) == []


class ByHand:
    """As much of a sweep's work as its lanes touch: each unit is how its attempt ends."""

    def __init__(self, statuses: Sequence[str]) -> None:
        self.folder = SimpleNamespace(plan=SimpleNamespace(file=SimpleNamespace(task="video"), units=()))
        self._left = list(statuses)
        self.flying = self.most = 0
        self.said: list[tuple[int, str]] = []

    @property
    def finished(self) -> bool:
        return not self._left and not self.flying

    def take(self) -> tuple[Any, int] | None:
        if not self._left:
            return None
        self.flying += 1
        self.most = max(self.most, self.flying)
        return self._left.pop(0), 1

    def end(self, unit: Any, attempt: Attempt) -> None:
        self.flying -= 1

    def paced(self, lanes: int, why: str) -> None:
        self.said.append((lanes, why))
        self.most = 0


def streamed(monkeypatch: pytest.MonkeyPatch, statuses: Sequence[str], lanes: int) -> ByHand:
    """A sweep's lanes over attempts that end as told, nothing being streamed."""

    async def attempt(self: Lanes, unit: Any, number: int, name: str) -> Attempt:
        await asyncio.sleep(0)
        return Attempt(unit)

    monkeypatch.setattr(Lanes, "_attempt", attempt)
    monkeypatch.setattr("testbed.sweeps.lanes.LOOK_AGAIN_S", 0.0)
    work = ByHand(statuses)

    async def run() -> None:
        mine = Lanes(work, lanes, "relay", "cpu", ())  # type: ignore[arg-type]
        await asyncio.gather(*(mine._lane(number) for number in range(lanes)))

    asyncio.run(run())
    return work


def test_lanes_above_the_number_wait_and_every_session_is_streamed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = streamed(monkeypatch, [INVALID] * 4 + [DONE] * 30, 4)
    assert work.finished
    assert work.said[0] == (3, "3 invalid links in a row")
    assert work.most == 3


def test_sessions_that_were_cut_short_say_nothing_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert streamed(monkeypatch, [FAILED] * 20, 4).said == []
