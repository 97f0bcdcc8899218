"""Sessions to learn from: what is drawn, in what shares and within what bounds."""

from __future__ import annotations

import numpy as np
import pytest

from player.simulated.batch.library import KINDS
from policies.hindsight import draws, shapes
from policies.hindsight.data import FLOOR_MBPS, TraceSource, read_source, read_videos
from policies.view.layout import MAX_LEVELS
from traces.trace import Trace


@pytest.fixture(scope="module")
def world() -> draws.World:
    mix = draws.SessionMix(
        (read_source("3g[0:6]", False), read_source("lte[0:4]", True)), *read_videos(["envivio"])
    )
    return draws.draw_world(mix, np.random.default_rng(3))


def test_most_sessions_are_as_published_and_the_others_are_anything(world: draws.World) -> None:
    setup, strata = draws.draw_setup(world, 2000, np.random.default_rng(4)), draws.strata(2000)
    published = setup.part(strata == 0)
    assert len(published) == 800
    assert (
        set(published.rtt_ms) == {80.0}
        and set(published.cap_ms) == {60_000.0}
        and set(published.video) == {0}
    )
    assert set(published.chunks) == {48} and set(published.mu) == {-1.0}
    sessions = draws.draw_sessions(world, 2000, np.random.default_rng(4), 1)
    assert set(sessions.state.mu[strata == 0]) == {4.3}
    varied = setup.part(strata == 1)
    assert set(varied.video) == {0} and {KINDS[kind] for kind in varied.kind} == {"linear", "log", "hd"}
    drawn = setup.part(strata == 2)
    assert drawn.video.min() >= 1 and {KINDS[kind] for kind in drawn.kind} == {"linear", "log"}
    assert 5.0 <= drawn.rtt_ms.min() < 10.0 and 300.0 < drawn.rtt_ms.max() <= 400.0
    assert 10_000.0 <= drawn.cap_ms.min() < 15_000.0 and 100_000.0 < drawn.cap_ms.max() <= 120_000.0
    assert drawn.chunks.min() >= draws.FEWEST_CHUNKS and drawn.chunks.max() <= draws.MOST_CHUNKS
    assert drawn.smooth.min() < 0.3 and drawn.smooth.max() <= 3.0 and np.median(drawn.smooth) == 1.0


def test_a_ladder_has_traces_of_its_own(world: draws.World) -> None:
    setup = draws.draw_setup(world, 2000, np.random.default_rng(4)).part(draws.strata(2000) == 2)
    tops = np.array([video.ladder_kbps[-1] / 1000.0 for video in world.library.videos])
    means = np.array([trace.mean_mbps for trace in world.library.traces])
    relative = means[setup.trace] / tops[setup.video]
    assert 0.1 < np.median(relative) < 2.5
    assert np.corrcoef(np.log(means[setup.trace]), np.log(tops[setup.video]))[0, 1] > 0.5


def test_drawn_videos_are_within_bounds() -> None:
    random, like = np.random.default_rng(5), read_videos(["envivio"])[0][0]
    videos = [draws.drawn_video(like, random) for _ in range(200)]
    assert {video.levels for video in videos} == set(range(2, MAX_LEVELS + 1))
    assert {video.chunk_s for video in videos} == set(draws.CHUNK_S)
    tops = [video.ladder_kbps[-1] for video in videos]
    assert 1000 <= min(tops) < 1500 and 40_000 < max(tops) <= 60_100
    for video in videos:
        nominal = np.array(video.ladder_kbps) * video.chunk_s * 125.0
        assert 0.5 < np.median(np.array(video.sizes_bytes) / nominal) < 1.5


def test_outages_and_bursts_are_put_in() -> None:
    times, rates = np.arange(301.0), np.full(301, 4.0)
    random = np.random.default_rng(6)
    _, dark = shapes.with_outages(times, rates, random)
    assert 2 <= (dark[1:] < 0.05 * 4.0 + 1e-9).sum() < 200 and (rates == 4.0).all()
    _, bursts = shapes.with_bursts(times, rates, random)
    assert len(set(bursts[1:].round(6))) == 2 and bursts[1:].mean() == pytest.approx(4.0, rel=0.15)
    turns = np.flatnonzero(np.diff(bursts[1:]))
    assert np.diff(turns).min() >= 1 and np.diff(turns).max() <= 5


def test_a_trace_that_runs_backwards_and_a_cut_hold_what_was_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shapes, "REVERSED_SHARE", 1.0)
    monkeypatch.setattr(shapes, "JITTER", 0.0)
    trace = Trace("t", (0.0, 1.0, 5.0, 15.0), (9.0, 1.0, 2.0, 4.0))
    nothing = shapes.Shares(0.0, 0.0, 0.0, 0.0)
    source = TraceSource("t", 1.0, False, (trace,), ())
    backwards = shapes.drawn_trace(source, nothing, (300, 4300), False, np.random.default_rng(0))
    assert backwards.time_s == (0.0, 10.0, 14.0, 15.0) and backwards.rate_mbps[1:] == (4.0, 2.0, 1.0)
    long = Trace("l", tuple(map(float, range(3000))), tuple(float(1 + place) for place in range(3000)))
    monkeypatch.setattr(shapes, "REVERSED_SHARE", 0.0)
    source = TraceSource("l", 1.0, False, (long,), ())
    cut = shapes.drawn_trace(source, nothing, (300, 4300), False, np.random.default_rng(1))
    assert cut.time_s[0] == 0.0 and shapes.LONGEST_S - 1 <= cut.time_s[-1] <= shapes.LONGEST_S
    assert set(np.diff(cut.rate_mbps)) == {1.0}


@pytest.mark.parametrize("kind", ["outages", "bursts", "slow", "steady"])
def test_every_shape_is_drawn(kind: str) -> None:
    shares = shapes.Shares(**{name: float(name == kind) for name in ("outages", "bursts", "slow", "steady")})
    source, random = read_source("3g[0:6]", False), np.random.default_rng(7)
    traces = [shapes.drawn_trace(source, shares, (300, 4300), True, random) for _ in range(20)]
    rates = [np.array(trace.rate_mbps[1:]) for trace in traces]
    assert min(rate.min() for rate in rates) >= FLOOR_MBPS
    means = np.array([rate.mean() for rate in rates])
    if kind == "slow":
        assert means.min() > 0.08 and means.max() < 0.7
    if kind == "steady":
        assert all(rate.std() < 0.1 * rate.mean() for rate in rates) and means.min() > 2.5
    if kind == "outages":
        assert all(rate.min() < 0.06 * rate.mean() for rate in rates)
    if kind == "bursts":
        assert np.median([np.abs(np.diff(rate)).mean() / rate.mean() for rate in rates]) > 0.1
