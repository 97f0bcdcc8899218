"""Seconds of a call are put together of what two processes say, in whatever order it comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.calling.record import Seconds

LINES = [(kind, second) for kind in ("sent", "came") for second in range(6)]


@given(st.permutations(LINES))
def test_all_seconds_come_once_and_in_order(lines: list[tuple[str, int]]) -> None:
    seconds = Seconds()
    given_rows = [row for kind, second in lines for row in seconds.add(kind, {"second": second, "who": kind})]
    assert list(seconds.rest()) == []
    assert given_rows == seconds.whole
    assert seconds.whole == [
        {"second": second, "sent": {"who": "sent"}, "came": {"who": "came"}} for second in range(6)
    ]


def test_what_only_one_end_lived_to_tell_is_there_with_nothing_from_the_other() -> None:
    seconds = Seconds()
    for second in range(3):
        assert list(seconds.add("sent", {"second": second, "packets": second})) == []
    assert list(seconds.add("came", {"second": 0, "packets": 9})) == [
        {"second": 0, "sent": {"packets": 0}, "came": {"packets": 9}}
    ]
    assert list(seconds.rest()) == [
        {"second": 1, "sent": {"packets": 1}, "came": None},
        {"second": 2, "sent": {"packets": 2}, "came": None},
    ]
