"""Giving requests up in the simulated player: the same rule, and nothing changes where it is off."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from player.qoe import QoE
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.simulated.tcp.link import TcpLink
from player.video.built_in import load_video
from tests.support.player_fakes import Chooses
from traces.trace import Trace

VIDEO = load_video("envivio")
FALLING = Trace("falling", (0.0, 20.0, 120.0), (0.0, 6.0, 0.8))
"""Fast for 20 s, then slow."""


class HearsTheEnd(Chooses):
    ended_with: Any = None

    def ended(self, observation: Any) -> None:
        self.ended_with = observation


def played(trace: Trace = FALLING, level: int = 5, **options: Any) -> tuple[Any, Any, HearsTheEnd]:
    policy = HearsTheEnd(lambda seen: level)
    rows, end = simulate(
        VIDEO, trace, policy, seed=0, qoe=QoE(), link=PublishedLink(), chunks=8, first_level=None, **options
    )
    return rows, end, policy


def test_off_it_is_what_it_was_and_on_it_changes_nothing_on_a_fast_link() -> None:
    fast = Trace("fast", (0.0, 1000.0), (0.0, 20.0))
    assert played(fast)[0] == played(fast, abandon=True)[0]
    assert all(row.retries == 0 for row in played()[0])


def test_a_chunk_that_would_take_too_long_is_given_up_recorded_and_told() -> None:
    rows, end, policy = played(abandon=True)
    usual, usual_end, _ = played()
    given = [row for row in rows if row.retries]
    assert given and all(row.level < 5 and "level 5 given up after" in row.reason for row in given)
    assert end.stall_s < usual_end.stall_s
    assert sum(row.stall_s for row in rows) == pytest.approx(end.stall_s)
    last = policy.ended_with.history[given[0].chunk]
    assert last.given_up_level == 5 and 0 < last.given_up_bytes < VIDEO.sizes_bytes[given[0].chunk][5]
    for before, after in pairwise(rows):
        assert before.request_s + before.download_s <= after.request_s + 1e-9
    assert end.elapsed_s == pytest.approx(end.startup_s + end.played_s + end.stall_s)
    assert [row.chunk for row in usual] == [row.chunk for row in rows]


def test_a_link_that_goes_dark_is_no_endless_look() -> None:
    dark = Trace("dark", (0.0, 3.0, 5000.0), (0.0, 6.0, 0.0))
    rows, _, _ = played(dark, abandon=True)
    assert len(rows) == 8


def test_a_link_whose_downloads_cannot_be_watched_is_refused() -> None:
    with pytest.raises(ValueError, match="downloads whole"):
        simulate(VIDEO, FALLING, Chooses(), seed=0, qoe=QoE(), link=TcpLink(), chunks=2, abandon=True)
