"""What the planner with the true future says is what playing the best plan brings."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.video.video import Video
from policies.hindsight import values
from tests.support.batch_worlds import traces, videos
from traces.trace import Trace

CHUNKS = 6


def world(trace: Trace, video: Video, levels: tuple[int, ...] = (), cap_ms: float = 60_000.0) -> Sessions:
    """A session that has streamed its first chunk and then `levels`."""
    sessions = Sessions(
        Library([trace], [video]), Setup.of(1, cap_ms=cap_ms), chunks=CHUNKS, first_level=0, threads=1
    )
    for level in levels:
        sessions.step([level])
    return sessions


def brute_values(trace: Trace, video: Video, before: int, horizon: int, cap_ms: float) -> list[float]:
    """Play every plan in the batch core itself."""
    best = [-np.inf] * video.levels
    for plan in itertools.product(range(video.levels), repeat=horizon):
        sessions = world(trace, video, (before,), cap_ms)
        worth = 0.0
        for level in plan:
            sessions.step([level])
            worth += sessions.state.reward[0]
        unit = 4.0 / (video.ladder_kbps[-1] - video.ladder_kbps[0]) * 1000.0
        a_second = 0.12 * (sessions.state.mu[0] * unit / 4.3) ** 0.5 / unit
        worth += a_second * min(sessions.state.buffer_ms[0] / 1000, 20.0)
        best[plan[0]] = max(best[plan[0]], worth)
    return best


@settings(max_examples=25, deadline=None)
@given(
    trace=traces(),
    video=videos(CHUNKS),
    before=st.integers(0, 2),
    cap_ms=st.sampled_from((60_000.0, 9_000.0)),
)
def test_a_wide_beam_finds_the_best_of_all_plans(
    trace: Trace, video: Video, before: int, cap_ms: float
) -> None:
    found = values.planned_values(world(trace, video, (before,), cap_ms), horizon=3, slots=10_000)[0]
    wanted = brute_values(trace, video, before, 3, cap_ms)
    np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(trace=traces(), video=videos(CHUNKS))
def test_a_narrow_beam_never_promises_more(trace: Trace, video: Video) -> None:
    narrow = values.planned_values(world(trace, video, (1,)), horizon=4, slots=2)
    wide = values.planned_values(world(trace, video, (1,)), horizon=4, slots=2_000)
    assert (narrow <= wide + 1e-9).all()


def test_the_end_of_the_video_ends_the_plan() -> None:
    video = Video("flat", 4.0, (300, 750, 1200), ((150_000, 375_000, 600_000),) * CHUNKS)
    sessions = world(Trace("fast", (0.0, 10.0), (50.0, 50.0)), video, (2, 2, 2, 2))
    worth = values.planned_values(sessions)[0]
    np.testing.assert_allclose(np.diff(worth), [2 * 0.45, 2 * 0.45], atol=0.03)


def test_advantages_are_clipped_differences_to_the_best() -> None:
    found = values.advantages(np.array([[1.0, 3.0, -9.0]]), -5.0)
    assert found.tolist() == [[-2.0, 0.0, -5.0]]


@settings(max_examples=25, deadline=None)
@given(trace=traces())
def test_future_windows_are_the_traces_means(trace: Trace) -> None:
    video = Video("flat", 4.0, (300, 750, 1200), ((1, 2, 3),) * CHUNKS)
    sessions = world(trace, video)
    windows = np.empty((1, 5))
    values.future_mbps(sessions.library.packed, sessions.state, 4.0, windows)
    begin_s = sessions.state.at_s[0]
    carried = [trace.megabits_until(begin_s + 4.0 * edge) for edge in range(6)]
    np.testing.assert_allclose(windows[0], np.diff(carried) / 4.0, rtol=1e-6, atol=1e-6)
