"""Whole sessions in real time against a real server: the books balance, and every end is an end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from player.buffer import BufferThresholds
from player.faults import PolicyFault
from player.observation import Observation
from player.qoe import QoE
from player.real.fetch import Fetcher
from player.real.session import Session, play
from player.real.settings import PlayerSettings, Timeouts
from player.record import EndRow
from tests.support.player_fakes import Chooses, Facts, Fault, Origin, a_video, loaded, serving

SETTINGS = PlayerSettings(timeouts=Timeouts(connect_s=5.0, read_s=10.0, give_up_s=20.0))
HASTY = replace(SETTINGS, timeouts=Timeouts(connect_s=0.5, read_s=0.3, give_up_s=0.8))


def session(
    origin: Origin,
    policy: Any,
    settings: PlayerSettings = SETTINGS,
    *,
    sink: Facts | None = None,
    stop_after_s: float | None = None,
) -> tuple[Facts, EndRow]:
    """Play against that origin to whatever end."""
    facts = sink or Facts()

    async def work() -> EndRow:
        stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if stop_after_s is not None:
            asyncio.get_running_loop().call_later(stop_after_s, stop.set_result, "the test")
        async with serving(origin):
            return await play(
                origin.presentation(),
                loaded(policy),
                settings,
                facts,
                fallback=Chooses(lambda o: 0),
                stop=stop,
            )

    end = asyncio.run(asyncio.wait_for(work(), 60))
    check_books(facts, end)
    return facts, end


def check_books(facts: Facts, end: EndRow) -> None:
    """What holds for every session."""
    assert facts.ends == [end]
    assert end.chunks == len(facts.rows)
    assert facts.states[-1].phase == "ended"
    accounted_s = end.startup_s + end.played_s + end.stall_s
    in_rows_s = sum(row.stall_s for row in facts.rows)
    if end.outcome == "finished":
        assert in_rows_s == pytest.approx(end.stall_s, abs=1e-6)
        assert accounted_s <= end.elapsed_s + 1e-6
    else:
        assert in_rows_s <= end.stall_s + 1e-6
        assert accounted_s == pytest.approx(end.elapsed_s, abs=1e-6)
    for before, after in zip(facts.rows, facts.rows[1:], strict=False):
        drained_s = after.buffer_before_s + after.wait_s
        assert drained_s <= before.buffer_after_s + 1e-6
        assert before.request_s + before.download_s <= after.request_s
    for row in facts.rows:
        assert 0 <= row.ttfb_s <= row.download_s


def test_a_session_by_the_book() -> None:
    origin = Origin(a_video(chunks=5))
    policy = Chooses(lambda observation: observation.chunk % 3)
    settings = replace(SETTINGS, chunks=4, seed=9, qoe=QoE("log", 2.66))
    facts, end = session(origin, policy, settings)
    assert (end.outcome, end.reason, end.chunks) == ("finished", "", 4)
    assert end.played_s == pytest.approx(0.8)
    assert end.elapsed_s >= end.startup_s + 0.8 - 1e-6
    assert policy.told == (origin.video, 9, QoE("log", 2.66)), "the whole video, as `simulate` tells it"
    assert [len(each.next_sizes_bytes) for each in policy.seen] == [4, 3, 2, 1]
    assert [row.level for row in facts.rows] == [0, 1, 2, 0]
    assert [row.size_bytes for row in facts.rows] == [20_000, 40_001, 60_002, 20_003]
    assert [row.bitrate_kbps for row in facts.rows] == [300, 750, 1200, 300]
    assert {row.by for row in facts.rows} == {"policy"}
    assert facts.rows[0].stall_s == 0
    assert end.startup_s == pytest.approx(facts.rows[0].request_s + facts.rows[0].download_s, abs=0.5)


def test_the_policy_sees_what_a_client_knows() -> None:
    origin = Origin(a_video(chunks=10, chunk_s=0.1))
    policy = Chooses()
    facts, _ = session(origin, policy)
    for chunk, seen in enumerate(policy.seen):
        assert isinstance(seen, Observation)
        assert (seen.chunk, len(seen.history), seen.chunks_left) == (chunk, chunk, 10 - chunk)
        assert seen.next_sizes_bytes == origin.video.sizes_bytes[chunk : chunk + 8]
        assert seen.buffer_s == facts.rows[chunk].buffer_before_s
        for past, row in zip(seen.history, facts.rows, strict=False):
            for name in ("level", "size_bytes", "download_s", "throughput_mbps", "rtt_ms", "stall_s"):
                assert getattr(past, name) == getattr(row, name)
            assert past.buffer_s == row.buffer_after_s
            assert past.throughput_mbps == pytest.approx(8e-6 * past.size_bytes / past.download_s)


class Listens(Chooses):
    """A policy that wants to know the end; like `Chooses` else."""

    def __init__(self, choose: Callable[[Any], Any] = lambda observation: 1) -> None:
        super().__init__(choose)
        self.last: list[Any] = []

    def ended(self, observation: Any) -> None:
        self.last.append(observation)
        if self.told[1] == FAULTY_SEED:
            raise KeyError("nobody")


FAULTY_SEED = 13


def test_the_policy_is_told_the_end_as_the_simulated_player_tells_it() -> None:
    policy = Listens()
    facts, _ = session(Origin(a_video(chunks=5)), policy, replace(SETTINGS, chunks=4))
    (last,) = policy.last
    assert (last.chunk, last.chunks_left, last.next_sizes_bytes) == (4, 0, ())
    assert [past.size_bytes for past in last.history] == [row.size_bytes for row in facts.rows]
    assert last.buffer_s > 0, "before the buffer has played out"


def test_a_session_cut_short_is_not_told() -> None:
    policy = Listens()
    _, end = session(Origin(a_video(), [Fault()], then=Fault(status=404)), policy)
    assert (end.outcome, policy.last) == ("origin-error", [])


def test_an_error_at_the_end_is_logged_and_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    policy = Listens()
    _, end = session(Origin(a_video()), policy, replace(SETTINGS, seed=FAULTY_SEED))
    assert (end.outcome, len(policy.last)) == ("finished", 1)
    assert "KeyError" in caplog.text


def test_the_policys_time_drains_the_buffer() -> None:
    def thinks(observation: Observation) -> int:
        if observation.chunk == 2:
            time.sleep(1.0)
        return 1

    facts, end = session(Origin(a_video()), Chooses(thinks))
    slow = facts.rows[2]
    assert slow.decision_s >= 1.0
    assert slow.by == "policy"
    # What was in the buffer played meanwhile; the rest of the time is stall.
    assert slow.stall_s >= 1.0 - slow.buffer_before_s - 1e-6
    assert slow.stall_s > 0.5
    assert end.outcome == "finished"
    assert any(state.phase == "stalled" for state in facts.states)


def test_a_policy_that_misses_its_deadline_costs_no_more_than_that() -> None:
    held = threading.Event()
    settings = replace(SETTINGS, decision_deadline_s=0.2)
    facts, end = session(Origin(a_video()), Chooses(lambda observation: held.wait(30) and 1), settings)
    held.set()
    assert end.outcome == "finished"
    assert [(row.level, row.by) for row in facts.rows] == [(0, "fallback")] * 4
    assert facts.rows[0].decision_s >= 0.2
    assert "took over 0.2 s" in facts.rows[0].reason
    assert "still busy" in facts.rows[1].reason


def test_nonsense_is_recorded_and_survived() -> None:
    facts, end = session(Origin(a_video()), Chooses(lambda observation: 7 if observation.chunk == 1 else 2))
    assert end.outcome == "finished"
    assert [(row.level, row.by) for row in facts.rows][:3] == [(2, "policy"), (0, "fallback"), (2, "policy")]
    assert facts.rows[1].reason == "answered level 7; the ladder has 0 to 2"


def test_a_broken_connection_is_resumed_and_counted() -> None:
    origin = Origin(a_video(size_bytes=200_000), [Fault(), Fault(break_after=100_000)])
    facts, end = session(origin, Chooses())
    assert end.outcome == "finished"
    assert [row.retries for row in facts.rows] == [0, 1, 0, 0]
    assert facts.rows[1].size_bytes == origin.video.sizes_bytes[1][1]
    assert str(origin.ranges[2]).startswith("bytes=")


def test_a_dark_while_is_stall_and_no_end() -> None:
    origin = Origin(a_video(), [Fault(), Fault(pause_after=5_000, pause_s=1.2)])
    facts, end = session(origin, Chooses())
    assert end.outcome == "finished"
    assert facts.rows[1].stall_s > 0.6
    assert facts.rows[1].retries == 0
    assert any(state.downloaded_bytes == 5_000 and state.phase == "stalled" for state in facts.states)


def test_an_origin_that_goes_ends_the_session_with_its_stall() -> None:
    origin = Origin(a_video(), [Fault(), Fault()], then=Fault(pause_after=0, pause_s=30))
    facts, end = session(origin, Chooses(), HASTY)
    assert (end.outcome, end.chunks) == ("origin-lost", 2)
    assert "no byte for 0.8 s" in end.reason
    assert end.stall_s > sum(row.stall_s for row in facts.rows) + 0.3
    assert end.played_s == pytest.approx(0.4)


def test_a_session_whose_first_chunk_never_comes_is_all_startup() -> None:
    facts, end = session(Origin(a_video(), then=Fault(status=503)), Chooses(), HASTY)
    assert (end.outcome, end.chunks, end.stall_s, end.played_s) == ("origin-lost", 0, 0.0, 0.0)
    assert "503" in end.reason
    assert end.startup_s == pytest.approx(end.elapsed_s)
    assert facts.states[0].phase == "startup"


def test_a_chunk_that_is_not_there() -> None:
    _, end = session(Origin(a_video(), [Fault(), Fault(status=404)]), Chooses())
    assert (end.outcome, end.chunks) == ("origin-error", 1)
    assert "404 Not Found" in end.reason


def test_the_cap_is_waited_for() -> None:
    settings = replace(SETTINGS, thresholds=BufferThresholds(0.5))
    policy = Chooses()
    facts, end = session(Origin(a_video(chunks=5, chunk_s=0.3)), policy, settings)
    assert end.outcome == "finished"
    assert {seen.buffer_cap_s for seen in policy.seen} == {0.5}
    assert any(row.wait_s >= 0.5 for row in facts.rows)
    for row in facts.rows:
        assert row.buffer_before_s <= 0.5 + 1e-6
        assert row.buffer_after_s <= 0.8 + 1e-6
    assert any(state.phase == "waiting" for state in facts.states)


def test_stopped_from_outside() -> None:
    origin = Origin(a_video(), [Fault()], then=Fault(pause_after=1_000, pause_s=30))
    _, end = session(origin, Chooses(), stop_after_s=0.7)
    assert (end.outcome, end.reason, end.chunks) == ("interrupted", "the test", 1)


def test_stopped_while_the_policy_gets_ready() -> None:
    class Hangs(Chooses):
        def reset(self, video: Any, seed: int, qoe: Any) -> None:
            threading.Event().wait()

    _, end = session(Origin(a_video()), Hangs(), stop_after_s=0.1)
    assert (end.outcome, end.chunks) == ("interrupted", 0)


def with_session(sink: Facts, use: Callable[[Session], Awaitable[Any]], origin: Origin | None = None) -> Any:
    async def work() -> Any:
        async with serving(origin or Origin(a_video())) as served, Fetcher() as fetcher:
            parts = (served.presentation(), loaded(Chooses()), SETTINGS, sink, fetcher, Chooses())
            with Session(*parts) as made:
                await made.prepare()
                return await use(made)

    return asyncio.run(asyncio.wait_for(work(), 60))


def test_cancelled() -> None:
    facts = Facts()

    async def use(made: Session) -> None:
        task = asyncio.create_task(made.run())
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with_session(facts, use, Origin(a_video(), then=Fault(pause_after=0, pause_s=30)))
    assert [(end.outcome, end.reason) for end in facts.ends] == [("interrupted", "cancelled")]
    check_books(facts, facts.ends[0])


def test_it_begins_when_it_is_told_to() -> None:
    facts = Facts()

    async def use(made: Session) -> float:
        begin_s = time.monotonic() + 0.6
        await made.run(begin_s=begin_s)
        return time.monotonic() - begin_s

    took_s = with_session(facts, use)
    assert facts.rows[0].request_s >= 0
    assert 0.8 - 1e-6 <= facts.ends[0].elapsed_s <= took_s
    assert all(state.t_s >= 0 for state in facts.states)
    check_books(facts, facts.ends[0])


def test_a_fault_of_our_own_still_has_an_end(caplog: pytest.LogCaptureFixture) -> None:
    class Wrong(Origin):
        def presentation(self, sizes_exact: bool = True) -> Any:
            made = super().presentation(sizes_exact)
            return replace(made, urls=made.urls[:2])

    _, end = session(Wrong(a_video()), Chooses())
    assert (end.outcome, end.chunks) == ("player-error", 2)
    assert end.reason.startswith("IndexError")
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("method", ["chunk", "state", "end"])
def test_a_sink_that_fails_ends_the_session_and_says_so(method: str) -> None:
    def full(fact: object) -> None:
        raise OSError("No space left on device")

    sink = Facts()
    setattr(sink, method, full)
    with pytest.raises(OSError, match="No space left"):
        with_session(sink, lambda made: made.run())


@pytest.mark.parametrize(("named", "levels"), [(None, [0, 2, 2, 2]), ("bba", [0] * 4), ("fixed:1", [1] * 4)])
def test_robustmpc_stands_in_by_itself_or_whom_the_policy_names(named: str | None, levels: list[int]) -> None:
    class Mute(Chooses):
        fallback = named

    async def work() -> Facts:
        facts = Facts()
        async with serving(Origin(a_video())) as origin:
            await play(origin.presentation(), loaded(Mute(lambda observation: None)), SETTINGS, facts)
        return facts

    facts = asyncio.run(asyncio.wait_for(work(), 60))
    assert [row.by for row in facts.rows] == ["fallback"] * 4
    assert [row.level for row in facts.rows] == levels


def test_a_strict_session_ends_at_the_first_fault() -> None:
    class Twice(Chooses):
        def select(self, observation: Observation) -> int:
            if observation.chunk == 2:
                raise RuntimeError("no idea")
            return 1

    async def work() -> tuple[Facts, PolicyFault | None]:
        facts, settings = Facts(), replace(SETTINGS, strict=True)
        async with serving(Origin(a_video())) as origin, Fetcher(settings.timeouts) as fetcher:
            with Session(origin.presentation(), loaded(Twice()), settings, facts, fetcher) as session:
                await session.prepare()
                await session.run()
                return facts, session.fault

    facts, fault = asyncio.run(asyncio.wait_for(work(), 60))
    assert [row.level for row in facts.rows] == [1, 1]
    assert facts.ends[0].outcome == "policy-fault"
    assert fault is not None and "RuntimeError: no idea at chunk 3 (test_session.py:" in fault.said
    assert fault.shown.startswith("Traceback") and fault.shown.endswith("RuntimeError: no idea")


@pytest.mark.parametrize("bad", [{"reset_deadline_s": 0}, {"decision_deadline_s": float("nan")}])
def test_settings_are_checked(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        PlayerSettings(**bad)
