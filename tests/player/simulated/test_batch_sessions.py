"""The compiled batch equals the simulated player, bit for bit, and says what it cannot do."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.compiled.threads import share
from player.qoe import QoE
from player.simulated.batch.features import Features
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.video import Video
from tests.support.batch_worlds import LADDER_KBPS, QOES, Script, traces, videos
from traces.trace import Trace, TraceError

CHUNKS = 30
FLAT = Trace("flat", (0.0, 10.0, 20.0), (8.0, 8.0, 4.0))
CBR = Video("cbr", 4.0, LADDER_KBPS, ((150_000, 375_000, 600_000),) * CHUNKS)


@st.composite
def delayed_traces(draw: st.DrawFn) -> Trace:
    trace = draw(traces())
    points = len(trace.time_s)
    return replace(
        trace, delay_ms=tuple(draw(st.lists(st.floats(0.0, 900.0), min_size=points, max_size=points)))
    )


levels = st.lists(st.integers(0, 2), min_size=CHUNKS, max_size=CHUNKS)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_number_is_the_simulated_players(data: st.DataObject) -> None:
    """Two sessions in one batch, against two sessions one after the other."""
    library = Library(
        [data.draw(traces()), data.draw(delayed_traces())],
        [data.draw(videos(CHUNKS)), data.draw(videos(CHUNKS))],
        data.draw(st.sampled_from(QOES)),
    )
    which = data.draw(st.tuples(st.integers(0, 1), st.integers(0, 1)))
    starts = [data.draw(st.integers(1, len(library.traces[each].time_s) - 1)) for each in which]
    setup = Setup.of(
        2,
        trace=which,
        start_index=starts,
        video=data.draw(st.tuples(st.integers(0, 1), st.integers(0, 1))),
        seed=data.draw(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40))),
        rtt_ms=data.draw(st.tuples(st.floats(0.1, 900.0), st.just(80.0))),
        cap_ms=data.draw(st.tuples(st.floats(1.0, 70_000.0), st.just(60_000.0))),
    )
    noise = data.draw(st.booleans())
    first_level = data.draw(st.sampled_from((0, 2, None)))
    plans = [data.draw(levels), data.draw(levels)]
    batch = Sessions(library, setup, chunks=CHUNKS, first_level=first_level, noise=noise)
    features = Features(levels=3, chunks=CHUNKS, history=4, ahead=3)
    facts, vectors = [[], []], []
    if first_level is not None:
        _note(batch, facts)
    while not batch.done.all():
        vectors.append(features.fill(batch))
        batch.step([plan[batch.state.chunk[0]] for plan in plans])
        _note(batch, facts)

    for session, (plan, fact) in enumerate(zip(plans, facts, strict=True)):
        script = Script(plan)
        rows, end = simulate(
            library.videos[setup.video[session]],
            library.traces[setup.trace[session]],
            script,
            seed=int(setup.seed[session]),
            qoe=library.qoe,
            link=PublishedLink(noise, float(setup.rtt_ms[session])),
            start_index=int(setup.start_index[session]),
            chunks=CHUNKS,
            first_level=first_level,
            cap_ms=float(setup.cap_ms[session]),
        )
        assert [each["delay_ms"] / 1000.0 for each in fact] == [row.download_s for row in rows]
        assert [each["stall_ms"] / 1000.0 for each in fact] == [row.stall_s for row in rows]
        assert [each["after_ms"] / 1000.0 for each in fact] == [row.buffer_after_s for row in rows]
        assert [each["buffer_ms"] / 1000.0 for each in fact[:-1]] == [row.buffer_before_s for row in rows[1:]]
        assert [each["wait_ms"] / 1000.0 for each in fact] == [*(row.wait_s for row in rows[1:]), 0.0]
        assert [each["size_bytes"] for each in fact] == [row.size_bytes for row in rows]
        assert [each["level"] for each in fact] == [row.level for row in rows]
        assert batch.state.past_mbps[session].tolist() == [row.throughput_mbps for row in rows]
        assert batch.state.past_s[session].tolist() == [row.download_s for row in rows]
        values = library.qoe.per_chunk(
            [row.level for row in rows], [row.stall_s for row in rows], LADDER_KBPS
        )
        assert [each["reward"] for each in fact] == [0.0, *values]
        state = batch.state
        assert state.startup_ms[session] / 1000.0 == end.startup_s
        assert state.stalled_ms[session] / 1000.0 == end.stall_s
        assert (state.played_ms[session] + state.buffer_ms[session]) / 1000.0 == end.played_s
        assert (state.elapsed_ms[session] + state.buffer_ms[session]) / 1000.0 == end.elapsed_s
        for vector, observation in zip(vectors, script.seen, strict=True):
            assert vector[session].tolist() == features.of(observation).tolist()


def _note(batch: Sessions, facts: list[list[dict[str, Any]]]) -> None:
    names = ("delay_ms", "stall_ms", "after_ms", "buffer_ms", "wait_ms", "size_bytes", "level", "reward")
    for session, fact in enumerate(facts):
        fact.append({name: getattr(batch.state, name)[session].item() for name in names})


def random_run(sessions: int, threads: int) -> Sessions:
    dice = np.random.default_rng(5)
    setup = Setup.of(
        sessions, start_index=dice.integers(1, 3, sessions), seed=np.arange(sessions), rtt_ms=20.0
    )
    batch = Sessions(Library([FLAT], [CBR]), setup, chunks=CHUNKS, noise=True, threads=threads)
    while not batch.done.all():
        batch.step(dice.integers(0, 3, sessions))
    return batch


def test_threads_change_nothing() -> None:
    one, three = random_run(4000, 1), random_run(4000, 3)
    for name in one.state._fields:
        assert np.array_equal(getattr(one.state, name), getattr(three.state, name)), name
    assert len(np.unique(one.state.elapsed_ms)) > 3900


def test_every_session_is_in_exactly_one_part() -> None:
    for items in (0, 1, 7, 100):
        parts = share(lambda begin, end: list(range(begin, end)), items, threads=4, smallest=2)
        assert len(parts) == max(min(4, items // 2), 1)
        assert list(itertools.chain(*parts)) == list(range(items))
    with pytest.raises(ZeroDivisionError):
        share(lambda begin, end: 1 // begin, 10, threads=2)


def test_sessions_begin_anew_one_by_one_and_those_that_are_over_stay() -> None:
    batch = Sessions(Library([FLAT], [CBR]), Setup.of(3), chunks=3)
    batch.step([0, 1, 2])
    batch.reset(np.array([1]), Setup.of(1, start_index=2))
    assert batch.state.chunk.tolist() == [2, 1, 2]
    alone = Sessions(Library([FLAT], [CBR]), Setup.of(1, start_index=2), chunks=3)
    batch.step([0, 2, 2])
    alone.step([2])
    assert batch.done.tolist() == [True, False, True]
    before = batch.state.elapsed_ms.tolist()
    batch.step([99, 1, -7])  # of those that are over, any level
    alone.step([1])
    assert batch.done.all()
    assert [batch.state.elapsed_ms[0], batch.state.elapsed_ms[2]] == [before[0], before[2]]
    for name in alone.state._fields:
        assert np.array_equal(getattr(batch.state, name)[1], getattr(alone.state, name)[0]), name


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda lib: Sessions(lib, Setup.of(2, start_index=[1, 3]), chunks=3),
            "session 1 has start_index 3; expected 1",
        ),
        (lambda lib: Sessions(lib, Setup.of(1, trace=1), chunks=3), "session 0 has trace 1; expected 0 to 0"),
        (
            lambda lib: Sessions(lib, Setup.of(1, video=-1), chunks=3),
            "session 0 has video -1; expected 0 to 0",
        ),
        (lambda lib: Sessions(lib, Setup.of(1, cap_ms=0.0), chunks=3), "session 0 has cap_ms 0.0"),
        (lambda lib: Sessions(lib, Setup.of(1, rtt_ms=float("nan")), chunks=3), "session 0 has rtt_ms nan"),
        (lambda lib: Sessions(lib, Setup.of(1), chunks=31), "31 chunks; the longest video has 30"),
        (
            lambda lib: Sessions(lib, Setup.of(1), first_level=3, chunks=3),
            "first level 3; the shortest ladder",
        ),
        (
            lambda lib: Sessions(lib, Setup.of(2), chunks=3).step([0, 3]),
            "session 1: level 3; the ladder has 0",
        ),
        (lambda lib: Sessions(lib, Setup.of(2), chunks=3).step([0, -1]), "session 1: level -1"),
        (
            lambda lib: Sessions(lib, Setup.of(2), chunks=3).step([0]),
            r"levels of shape \(1,\); expected \(2,\)",
        ),
        (lambda lib: Library([], [CBR]), "0 traces and 1 videos"),
        (lambda lib: Features(3, 30, ahead=9), "ahead 9; a client is shown 1 to 8 chunks ahead"),
        (lambda lib: Features(3, 30, history=0), "every number must be 1 or more"),
    ],
)
def test_what_cannot_be_is_named(act: Callable[[Library], object], message: str) -> None:
    library = Library([FLAT], [CBR], QoE())
    with pytest.raises(ValueError, match=message):
        act(library)


def test_a_dark_trace_is_named() -> None:
    dark = Trace("dark", (0.0, 1.0), (0.0, 1e-12))
    with pytest.raises(TraceError, match="dark: a chunk never arrives"):
        Sessions(Library([FLAT, dark], [CBR]), Setup.of(2, trace=[0, 1]), chunks=3)


def test_ladders_may_differ() -> None:
    other = Video("two levels", 2.0, (500, 900), ((50_000, 90_000),) * 12)
    batch = Sessions(Library([FLAT], [CBR, other]), Setup.of(2, video=[0, 1]), chunks=12)
    assert batch.state.after_ms.tolist() == [4000.0, 2000.0]
    with pytest.raises(ValueError, match="session 1: level 2; the ladder has 0 to 1"):
        batch.step([2, 2])
    assert batch.state.chunk.tolist() == [1, 1]
    batch.step([2, 1])
    assert batch.state.size_bytes.tolist() == [600_000.0, 90_000.0]
    vectors = Features(levels=3, chunks=12, history=1, ahead=1).fill(batch)
    assert vectors[:, 2:5].tolist() == pytest.approx(np.array([[0.15, 0.375, 0.6], [0.05, 0.09, 0.0]]))


def test_a_library_takes_no_trace_that_loses_frames() -> None:
    with pytest.raises(TraceError, match=r"^flat: loses up to 1 %"):
        Library([replace(FLAT, loss_pct=(0.0, 1.0, 0.0))], [CBR])
