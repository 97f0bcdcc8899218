"""The playback buffer, whatever comes: time is conserved and the level stays where it may be."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from player.buffer import USUAL_THRESHOLDS, WAIT_STEP_MS, BufferThresholds, PlaybackBuffer

TIMES_MS = st.floats(0, 100_000, allow_nan=False)
CHUNKS_MS = st.floats(10, 20_000)


def close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-6)


class BufferMachine(RuleBasedStateMachine):
    """A player that obeys `wait_ms`, driven at random, with its own books."""

    @initialize(chunk_ms=CHUNKS_MS, cap_ms=st.floats(WAIT_STEP_MS, 100_000))
    def begin(self, chunk_ms: float, cap_ms: float) -> None:
        self.buffer = PlaybackBuffer(chunk_ms, cap_ms)
        self.time_ms = self.idle_ms = 0.0
        self.chunks = 0

    def pass_time(self, elapsed_ms: float) -> float:
        if self.buffer.ended and self.buffer.started:
            self.idle_ms += max(elapsed_ms - self.buffer.level_ms, 0.0)
        self.time_ms += elapsed_ms
        return self.buffer.drain(elapsed_ms)

    @rule(elapsed_ms=TIMES_MS)
    def drain(self, elapsed_ms: float) -> None:
        before_ms = self.buffer.stall_ms
        stall_ms = self.pass_time(elapsed_ms)
        assert 0 <= stall_ms <= elapsed_ms
        assert close(self.buffer.stall_ms, before_ms + stall_ms)

    @precondition(lambda self: not self.buffer.ended)
    @rule()
    def wait_and_add(self) -> None:
        wait_ms = self.buffer.wait_ms()
        assert wait_ms % 500 == 0
        assert self.pass_time(wait_ms) == 0, "waiting for a full buffer to fall cannot stall"
        assert self.buffer.level_ms <= self.buffer.cap_ms + 1e-6
        self.buffer.add_chunk()
        self.chunks += 1
        assert self.buffer.level_ms <= self.buffer.cap_ms + self.buffer.chunk_ms + 1e-6

    @rule()
    def end(self) -> None:
        self.buffer.end()

    @invariant()
    def time_is_conserved(self) -> None:
        if not hasattr(self, "buffer"):
            return
        buffer = self.buffer
        assert close(buffer.startup_ms + buffer.played_ms + buffer.stall_ms + self.idle_ms, self.time_ms)

    @invariant()
    def video_is_conserved(self) -> None:
        if not hasattr(self, "buffer"):
            return
        assert self.buffer.level_ms >= 0
        assert close(self.buffer.played_ms + self.buffer.level_ms, self.chunks * self.buffer.chunk_ms)


BufferMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestBufferMachine = BufferMachine.TestCase


@given(
    chunks=st.integers(0, 4),
    ended=st.booleans(),
    parts_ms=st.lists(TIMES_MS, min_size=1, max_size=8),
)
def test_splitting_a_drain_changes_nothing(chunks: int, ended: bool, parts_ms: list[float]) -> None:
    whole, split = PlaybackBuffer(4000), PlaybackBuffer(4000)
    for buffer in (whole, split):
        for _ in range(chunks):
            buffer.add_chunk()
        if ended:
            buffer.end()
    stall_ms = whole.drain(sum(parts_ms))
    assert close(sum(split.drain(part_ms) for part_ms in parts_ms), stall_ms)
    for name in ("level_ms", "startup_ms", "stall_ms", "played_ms"):
        assert close(getattr(whole, name), getattr(split, name)), name


def test_a_short_life_by_hand() -> None:
    buffer = PlaybackBuffer(4000)
    assert buffer.drain(700) == 0  # startup
    buffer.add_chunk()
    assert buffer.drain(1500) == 0
    assert buffer.level_ms == 2500
    assert buffer.drain(3000) == 500
    buffer.add_chunk()
    buffer.end()
    assert buffer.drain(5000) == 0
    assert (buffer.startup_ms, buffer.played_ms, buffer.stall_ms) == (700, 8000, 500)


@pytest.mark.parametrize(("level_ms", "wait_ms"), [(60_000, 0), (60_001, 500), (60_500, 500), (64_000, 4000)])
def test_wait_is_a_whole_number_of_half_seconds(level_ms: float, wait_ms: float) -> None:
    buffer = PlaybackBuffer(level_ms)
    buffer.add_chunk()
    assert buffer.wait_ms() == wait_ms


@pytest.mark.parametrize(
    ("chunk_ms", "cap_ms"), [(0, 1), (-1, 1), (math.nan, 1), (math.inf, 1), (1, 0), (1, math.nan)]
)
def test_bad_measures_are_refused(chunk_ms: float, cap_ms: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        PlaybackBuffer(chunk_ms, cap_ms)


@pytest.mark.parametrize("elapsed_ms", [-1, math.nan])
def test_time_cannot_run_backwards(elapsed_ms: float) -> None:
    with pytest.raises(ValueError, match="backwards"):
        PlaybackBuffer(4000).drain(elapsed_ms)


def test_nothing_arrives_after_the_end() -> None:
    buffer = PlaybackBuffer(4000)
    buffer.end()
    with pytest.raises(ValueError, match="after the end"):
        buffer.add_chunk()


@pytest.mark.parametrize(
    "bad",
    [
        {"buffer_cap_s": 0.0},
        {"buffer_cap_s": 0.4},
        {"buffer_cap_s": math.inf},
        {"startup_s": -1.0},
        {"startup_s": 61.0},
        {"buffer_cap_s": 10.0, "resume_s": 12.0},
        {"resume_s": math.nan},
    ],
)
def test_thresholds_that_cannot_be(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=list(bad)[-1]):
        BufferThresholds(**bad)


def test_unusual_thresholds_are_recorded_and_the_usual_ones_are_not() -> None:
    assert BufferThresholds().recorded == {"buffer_cap_s": 60.0} and BufferThresholds().unusual == {}
    found = BufferThresholds(30.0, startup_s=8.0)
    assert found.recorded == found.unusual == {"buffer_cap_s": 30.0, "startup_s": 8.0}
    with pytest.raises(ValueError, match=r"buffer_cap_s 30: a chunk of 30\.5 s doesn't fit"):
        found.check_holds(30.5)
    found.check_holds(30.0)
    assert BufferThresholds() == USUAL_THRESHOLDS


def test_playback_begins_and_goes_on_at_its_thresholds() -> None:
    buffer = PlaybackBuffer(4000.0, startup_ms=8000.0, resume_ms=6000.0)
    buffer.drain(1000.0)
    buffer.add_chunk()
    assert not buffer.started and buffer.drain(500.0) == 0.0
    assert (buffer.startup_ms, buffer.level_ms) == (1500.0, 4000.0)
    buffer.add_chunk()
    assert buffer.started
    assert buffer.drain(9000.0) == 1000.0 and buffer.stalled
    buffer.add_chunk()
    assert buffer.stalled and buffer.drain(250.0) == 250.0 and buffer.level_ms == 4000.0
    buffer.add_chunk()
    assert not buffer.stalled and buffer.drain(100.0) == 0.0
    assert (buffer.stall_ms, buffer.played_ms, buffer.level_ms) == (1250.0, 8100.0, 7900.0)


def test_what_is_left_of_a_video_is_played_whatever_the_thresholds() -> None:
    buffer = PlaybackBuffer(4000.0, startup_ms=8000.0, resume_ms=8000.0)
    buffer.add_chunk()
    buffer.end()
    buffer.drain(buffer.level_ms)
    assert (buffer.played_ms, buffer.stall_ms, buffer.level_ms) == (4000.0, 0.0, 0.0)
