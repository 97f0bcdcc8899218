"""Giving a request up: when the rule says so, and what a session makes of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from player.abandon.rule import FEWEST_SAMPLES, RequestWatch
from player.buffer import USUAL_THRESHOLDS, BufferThresholds
from player.real.session import play
from player.real.settings import PlayerSettings, Timeouts
from player.video.video import Video
from tests.support.player_fakes import Chooses, Facts, Fault, Origin, a_video, loaded, serving

VIDEO = Video("v", 4.0, (300, 1200, 4300), ((150_000, 600_000, 2_150_000),))


def looked(
    kbps: float, *, level: int = 2, times: int = 20, buffer_s: float = 5.0, from_s: float = 0.1
) -> tuple[int, int] | None:
    """At which look a request that comes at that rate is given up, and for which level; None: never."""
    watch = RequestWatch(VIDEO, 0, level, 60.0)
    for number in range(times):
        since_s = from_s + 0.1 * number
        lower = watch.look(min(round(kbps * since_s * 125), VIDEO.sizes_bytes[0][level]), since_s, buffer_s)
        if lower is not None:
            return number, lower
    return None


def test_a_chunk_that_would_take_too_long_is_given_up_for_what_fits() -> None:
    assert looked(2000) == (
        5,
        1,
    )  # 8.6 s of 4: six samples, over half a second; 1200 is within 0.9 * 2000
    assert looked(1000) == (5, 0)
    assert looked(2400) is None  # 7.17 s are under 1.8 * 4


def test_it_takes_samples_and_half_a_second() -> None:
    assert looked(1000, times=FEWEST_SAMPLES - 1) is None
    assert looked(1000, from_s=0.01) == (5, 0)  # 0.51 s
    watch = RequestWatch(VIDEO, 0, 2, 60.0)
    assert {watch.look(1000, 0.01 * number, 5.0) for number in range(1, 50)} == {None}


def test_nothing_is_given_up_where_enough_is_buffered_or_there_is_nothing_lower() -> None:
    assert looked(1000, buffer_s=18.1) is None
    assert looked(100, level=0) is None


def test_what_is_nearly_there_is_waited_for() -> None:
    watch = RequestWatch(VIDEO, 0, 2, 60.0)
    said = [watch.look(2_100_000, 9.0 + number, 5.0) for number in range(10)]
    assert said == [None] * 10  # 50 kB are missing; the lowest level has 150


# ---------------------------------------------------------------- sessions over loopback


def session(abandon: bool, *faults: Fault) -> tuple[Facts, Origin, Chooses]:
    """Two chunks of 0.3 s; the highest level is asked for."""
    origin = Origin(a_video(chunks=2, chunk_s=0.3, size_bytes=200_000), list(faults))
    facts, policy = Facts(), Chooses(lambda seen: 2)
    settings = PlayerSettings(
        timeouts=Timeouts(connect_s=5.0, read_s=10.0, give_up_s=20.0),
        thresholds=replace(USUAL_THRESHOLDS, abandon=abandon),
    )

    async def work() -> None:
        async with serving(origin):
            end = await play(origin.presentation(), loaded(policy), settings, facts)
            assert end.outcome == "finished"

    asyncio.run(asyncio.wait_for(work(), 60))
    return facts, origin, policy


SLOW = Fault(pause_after=10_000, pause_s=1.5)


def test_a_request_that_hangs_is_given_up_recorded_and_told() -> None:
    facts, origin, policy = session(True, SLOW)
    first, second = facts.rows
    assert (first.level, first.size_bytes, first.retries) == (0, 200_000, 1)
    assert first.reason == "level 2 given up after 10000 bytes" and first.by == "policy"
    assert (second.level, second.retries, second.reason) == (2, 0, "")
    assert origin.ranges == [None] * 3 and len(origin.peers) == 2
    (past,) = policy.seen[1].history
    assert (past.level, past.given_up_level, past.given_up_bytes) == (0, 2, 10_000)


def test_off_by_default_it_waits_and_the_policy_sees_what_it_saw() -> None:
    facts, origin, policy = session(False, SLOW)
    assert [(row.level, row.retries) for row in facts.rows] == [(2, 0), (2, 0)]
    assert len(origin.peers) == 1
    assert policy.seen[1].history[0].given_up_level is None


def test_a_fault_of_the_origin_is_no_reason() -> None:
    facts, _, _ = session(True, Fault(status=503))
    assert [(row.level, row.retries, row.reason) for row in facts.rows] == [(2, 1, ""), (2, 0, "")]


@pytest.mark.parametrize(("on", "said"), [(False, {}), (True, {"abandon": True})])
def test_a_record_says_so_only_where_it_is_on(on: bool, said: dict[str, Any]) -> None:
    assert BufferThresholds(abandon=on).recorded == {"buffer_cap_s": 60.0, **said}
    assert BufferThresholds(abandon=on).unusual == said
