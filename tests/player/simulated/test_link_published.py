"""The `published` link model equals the public simulators' arithmetic, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.observation import Observation
from player.qoe import QoE
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.video import Video
from policies.rules.fixed import Fixed
from traces.trace import Trace, TraceError

LADDER_KBPS = (300, 750, 1200)

gaps_s = st.floats(0.05, 12.0)
rates_mbps = st.one_of(st.just(0.0), st.floats(0.01, 60.0))


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    gaps = draw(st.lists(gaps_s, min_size=1, max_size=12))
    rates = draw(st.lists(rates_mbps, min_size=len(gaps) + 1, max_size=len(gaps) + 1))
    if max(rates[1:]) < 0.5:
        rates[-1] = 0.5
    times = np.cumsum([0.0, *gaps])
    return Trace("random", tuple(map(float, times)), tuple(rates))


@st.composite
def videos(draw: st.DrawFn) -> Video:
    size = st.integers(1, 3_000_000)
    rows = draw(st.lists(st.tuples(size, size, size), min_size=1, max_size=40))
    return Video("random", 4.0, LADDER_KBPS, tuple(rows))


class Dice:
    """Any level, by the session's seed: what is chosen does not matter here."""

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self._random = np.random.default_rng(seed)

    def select(self, observation: Observation) -> int:
        return int(self._random.integers(len(LADDER_KBPS)))


def published_session(
    trace: Trace, sizes: list[int], start_index: int, factors: list[float] | None = None
) -> list[dict[str, Any]]:
    """The published accounting, one chunk after the other, in numpy floats and its own words."""
    times, rates = np.array(trace.time_s), np.array(trace.rate_mbps)
    index, clock, buffer_ms = start_index, times[start_index - 1], np.float64(0.0)
    facts = []
    for number, size in enumerate(sizes):
        seconds, got = np.float64(0.0), np.float64(0.0)
        while got + rates[index] * 1e6 / 8.0 * (times[index] - clock) * 0.95 <= size:
            got += rates[index] * 1e6 / 8.0 * (times[index] - clock) * 0.95
            seconds += times[index] - clock
            index, clock = (index + 1, times[index]) if index + 1 < len(times) else (1, np.float64(0.0))
        part = (size - got) / (rates[index] * 1e6 / 8.0) / 0.95
        seconds, clock = seconds + part, clock + part
        delay_ms = seconds * 1000.0 + 80
        if factors is not None:
            delay_ms = delay_ms * factors[number]
        stall_ms = np.maximum(delay_ms - buffer_ms, 0.0)
        buffer_ms = np.maximum(buffer_ms - delay_ms, 0.0) + 4000.0
        after_ms = buffer_ms
        sleep_ms = np.float64(0.0)
        if buffer_ms > 60_000.0:
            sleep_ms = rest_ms = np.ceil((buffer_ms - 60_000.0) / 500.0) * 500.0
            buffer_ms = buffer_ms - sleep_ms
            while times[index] - clock <= rest_ms / 1000.0:
                rest_ms = rest_ms - (times[index] - clock) * 1000.0
                index, clock = (index + 1, times[index]) if index + 1 < len(times) else (1, np.float64(0.0))
            clock = clock + rest_ms / 1000.0
        facts.append(
            {
                "delay_s": delay_ms / 1000.0,
                "stall_s": stall_ms / 1000.0,
                "after_s": after_ms / 1000.0,
                "asked_s": buffer_ms / 1000.0,
                "sleep_s": sleep_ms / 1000.0,
            }
        )
    return facts


@settings(max_examples=150, deadline=None)
@given(trace=traces(), video=videos(), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_every_number_is_the_published_one(
    trace: Trace, video: Video, seed: int, data: st.DataObject
) -> None:
    start_index = data.draw(st.integers(1, len(trace.time_s) - 1))
    noise = data.draw(st.booleans())
    rows, end = simulate(
        video,
        trace,
        Dice(),
        seed=seed,
        qoe=QoE(),
        link=PublishedLink(noise=noise),
        start_index=start_index,
        chunks=video.chunks,
    )
    generator = np.random.RandomState(seed)
    factors = [generator.uniform(0.9, 1.1) for _ in rows] if noise else None
    expected = published_session(trace, [row.size_bytes for row in rows], start_index, factors)

    assert [row.download_s for row in rows] == [fact["delay_s"] for fact in expected]
    assert [row.stall_s for row in rows[1:]] == [fact["stall_s"] for fact in expected[1:]]
    assert [row.buffer_after_s for row in rows] == [fact["after_s"] for fact in expected]
    assert [row.wait_s for row in rows[1:]] == [fact["sleep_s"] for fact in expected[:-1]]
    assert [row.buffer_before_s for row in rows[1:]] == [fact["asked_s"] for fact in expected[:-1]]
    # the first chunk's whole delay is its published stall; here it is the startup
    assert end.startup_s == expected[0]["stall_s"] == expected[0]["delay_s"]
    assert rows[0].stall_s == 0.0


def exact_arrival_s(trace: Trace, start_s: Fraction, size_bytes: int) -> Fraction:
    """When `size_bytes` that begin to flow at `start_s` are through, in exact arithmetic."""
    left = Fraction(size_bytes)
    at = start_s
    while True:
        within = at % Fraction(trace.time_s[-1])
        index = next(i for i, time in enumerate(trace.time_s) if Fraction(time) > within)
        speed = Fraction(trace.rate_mbps[index]) * 1_000_000 / 8 * Fraction(95, 100)
        span = Fraction(trace.time_s[index]) - within
        if speed * span >= left:
            return at + left / speed
        left -= speed * span
        at += span


@settings(max_examples=60, deadline=None)
@given(trace=traces(), sizes=st.lists(st.integers(1, 2_000_000), min_size=1, max_size=14))
def test_the_model_is_right_and_not_only_the_same(trace: Trace, sizes: list[int]) -> None:
    video = Video("one level", 4.0, (300,), tuple((size,) for size in sizes))
    rows, _ = simulate(video, trace, Fixed(0), seed=0, qoe=QoE(), link=PublishedLink(), chunks=len(sizes))
    at = Fraction(0)
    for row, size in zip(rows, sizes, strict=True):
        assert row.wait_s == 0.0  # 14 chunks of 4 s stay under the cap
        arrival = exact_arrival_s(trace, at, size)
        assert row.download_s == pytest.approx(float(arrival - at) + 0.08, rel=1e-6, abs=1e-6)
        at += Fraction(row.download_s) - Fraction(80, 1000)  # the round trip takes none of the trace


def test_a_start_index_begins_at_the_time_before_it() -> None:
    trace = Trace("steps", (0.0, 10.0, 20.0), (99.0, 8.0, 80.0))
    video = Video("flat", 4.0, (300,), ((950_000,),))
    starts = {
        start: simulate(
            video, trace, Fixed(0), seed=0, qoe=QoE(), link=PublishedLink(), start_index=start, chunks=1
        )[0][0].download_s
        for start in (1, 2)
    }
    assert starts == {1: pytest.approx(1.08), 2: pytest.approx(0.18)}
    with pytest.raises(ValueError, match="steps: start index 3; expected 1 to 2"):
        PublishedLink().open(trace, 3, 0)
    with pytest.raises(ValueError, match="start index 0"):
        PublishedLink().open(trace, 0, 0)


@settings(max_examples=60, deadline=None)
@given(trace=traces(), video=videos(), noise=st.booleans())
def test_columns_of_zeros_are_as_none_to_the_last_bit(trace: Trace, video: Video, noise: bool) -> None:
    zeros = (0.0,) * len(trace.time_s)
    plain, same = (
        simulate(video, one, Dice(), seed=4, qoe=QoE(), link=PublishedLink(noise=noise), chunks=video.chunks)
        for one in (trace, replace(trace, delay_ms=zeros, loss_pct=zeros))
    )
    assert plain == same


@settings(max_examples=60, deadline=None)
@given(trace=traces(), sizes=st.lists(st.integers(1, 2_000_000), min_size=1, max_size=10), data=st.data())
def test_the_delay_in_force_at_the_request_is_added(
    trace: Trace, sizes: list[int], data: st.DataObject
) -> None:
    points = len(trace.time_s)
    delays = data.draw(st.lists(st.floats(0, 2000), min_size=points, max_size=points))
    plain = PublishedLink().open(trace, 1, 0)
    delayed = PublishedLink().open(replace(trace, delay_ms=tuple(delays)), 1, 0)
    for size in sizes:
        added_ms = delays[plain._index]
        before, after = plain.download(size), delayed.download(size)
        assert after.delay_ms == pytest.approx(before.delay_ms + added_ms)
        assert after.rtt_ms == 80.0 + added_ms


def test_a_trace_that_loses_frames_is_refused() -> None:
    lossy = Trace("lossy", (0.0, 1.0), (5.0, 5.0), loss_pct=(0.0, 2.5))
    with pytest.raises(TraceError, match=r"^lossy: loses up to 2.5 % .*; take the tcp link, or drop"):
        PublishedLink().open(lossy, 1, 0)
    PublishedLink().open(replace(lossy, loss_pct=(2.5, 0.0)), 1, 0)


def test_a_trace_that_never_delivers_is_an_error_and_not_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("player.simulated.link_published.MAX_INTERVALS", 1000)
    with pytest.raises(TraceError, match="dark: 5000 bytes are not through after 1000 intervals"):
        PublishedLink().open(Trace("dark", (0.0, 1.0), (0.0, 1e-12)), 1, 0).download(5000)
