"""What each of those who shared a lane got, by hand."""

from __future__ import annotations

import pytest

from testbed.lanes.members import Arrivals, Member, sharing, time_of_all
from traces.trace import Trace

TRACE = Trace("four", (0.0, 10.0, 20.0), (0.0, 4.0, 2.0))


def a_member(
    name: str, begin_s: float | None, end_s: float | None, *spans: tuple[float, float, float]
) -> Member:
    return Member("call", name, begin_s, end_s, Arrivals(spans))


def test_bytes_of_a_span_that_lies_across_the_edge() -> None:
    arrivals = Arrivals(((0.0, 2.0, 100.0), (2.0, 3.0, 10.0)))
    assert arrivals.within(1.0, 2.5) == pytest.approx(50.0 + 5.0)
    assert Arrivals.by_second([8, 0, 4], 10.0).within(10.5, 13.0) == pytest.approx(8.0)


def test_rates_are_of_the_time_when_all_were_there() -> None:
    # from 5 s after the second one began, 7 s, to when the first one ended, 12 s
    one = a_member("one", 0.0, 12.0, (0.0, 12.0, 12 * 125_000.0))
    other = a_member("other", 2.0, 20.0, (2.0, 20.0, 18 * 250_000.0))
    told = sharing([one, other], TRACE, 0.0)
    assert (told["from_s"], told["until_s"]) == (7.0, 12.0)
    assert [member["mbps"] for member in told["members"]] == [1.0, 2.0]
    carried = (3 * 4.0 + 2 * 2.0) / 5
    assert told["carried_mbps"] == pytest.approx(carried)
    assert told["members"][1]["share"] == pytest.approx(2.0 / carried, abs=1e-6)
    assert told["jain"] == pytest.approx(9 / (2 * 5))


def test_where_the_lane_began_later_in_its_trace() -> None:
    one, other = (a_member(name, 0.0, 10.0, (0.0, 10.0, 1e6)) for name in ("a", "b"))
    assert sharing([one, other], TRACE, 10.0)["carried_mbps"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    "members",
    [
        [a_member("a", 0.0, 4.0), a_member("b", 0.0, 30.0)],  # over before it had settled
        [a_member("a", 0.0, 30.0), a_member("b", None, None)],  # one never came
        [],
    ],
)
def test_who_never_were_there_together_have_no_rates(members: list[Member]) -> None:
    assert time_of_all(members) is None
    told = sharing(members, TRACE, 0.0)
    assert told["jain"] is None and all(member["mbps"] is None for member in told["members"])
