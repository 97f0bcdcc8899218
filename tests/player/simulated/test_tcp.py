"""The tcp link model: what no link can do, and what a connection of Linux does on one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.qoe import QoE
from player.simulated.session import simulate
from player.simulated.tcp.bottleneck import BURST_S
from player.simulated.tcp.link import HANDLING_MS, HEAD_BYTES, TcpLink
from player.simulated.tcp.state import DROPPED, RING
from player.video.video import Video
from policies.rules.fixed import Fixed
from traces.trace import Trace, TraceError

PAYLOAD = 1448 / 1514
BURST_BYTES = 1600


def steady(mbps: float, duration_s: float = 600.0) -> Trace:
    return Trace("steady", (0.0, duration_s), (mbps, mbps))


def seconds(link: TcpLink, trace: Trace, *sizes_bytes: int, wait_ms: float = 0.0) -> list[float]:
    """Download times of chunks, one after the other with a wait between them."""
    session = link.open(trace, 1)
    times = []
    for size_bytes in sizes_bytes:
        times.append(session.download(size_bytes).delay_ms / 1000)
        session.idle(wait_ms)
    return times


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Steps of 0.1 to 5 s, some dark, with a mean that lets sessions end."""
    gaps_s = draw(st.lists(st.floats(0.1, 5.0), min_size=1, max_size=10))
    rates = draw(
        st.lists(
            st.one_of(st.just(0.0), st.floats(0.2, 60.0)), min_size=len(gaps_s) + 1, max_size=len(gaps_s) + 1
        )
    )
    rates[-1] = max(rates[-1], 1.0)
    return Trace("random", tuple(map(float, np.cumsum([0.0, *gaps_s]))), tuple(rates))


@st.composite
def whole_traces(draw: st.DrawFn) -> Trace:
    """Those, with delays and losses."""
    trace = draw(traces())
    points = len(trace.time_s)
    delays = st.lists(st.sampled_from((0.0, 3.0, 40.0, 900.0)), min_size=points, max_size=points)
    losses = st.lists(st.sampled_from((0.0, 0.5, 5.0)), min_size=points, max_size=points)
    return replace(trace, delay_ms=tuple(draw(delays)), loss_pct=tuple(draw(losses)))


sizes = st.lists(st.integers(1, 1_500_000), min_size=1, max_size=6)
rtts_ms = st.sampled_from((0.0, 5.0, 20.0, 80.0, 200.0))


@settings(max_examples=100, deadline=None)
@given(trace=traces(), sizes_bytes=sizes, rtt_ms=rtts_ms, queue_ms=st.sampled_from((20.0, 200.0, 1000.0)))
def test_nothing_is_faster_than_the_trace_and_the_round_trip(
    trace: Trace, sizes_bytes: list[int], rtt_ms: float, queue_ms: float
) -> None:
    session = TcpLink(rtt_ms=rtt_ms, queue_ms=queue_ms).open(trace, 1)
    fastest = max(trace.rate_mbps) * 1e6 / 8
    now_s = 0.0
    for size_bytes in sizes_bytes:
        download = session.download(size_bytes)
        begun_s = now_s + (rtt_ms + HANDLING_MS) / 1000
        now_s += download.delay_ms / 1000
        carried = 1e6 / 8 * (trace.megabits_until(now_s) - trace.megabits_until(begun_s))
        free_bytes = max(BURST_BYTES, fastest * BURST_S)
        assert size_bytes + HEAD_BYTES <= (carried + free_bytes) * PAYLOAD + 1448
        assert rtt_ms + HANDLING_MS <= download.ttfb_ms + 1e-6
        assert download.ttfb_ms <= download.delay_ms
        assert download.rtt_ms == rtt_ms


@settings(max_examples=60, deadline=None)
@given(trace=traces(), size_bytes=st.integers(1, 1_000_000), more=st.integers(1, 200_000), rtt_ms=rtts_ms)
def test_more_of_a_chunk_within_the_queue_never_comes_sooner(
    trace: Trace, size_bytes: int, more: int, rtt_ms: float
) -> None:
    """With room for all in the queue nothing is lost, and loss is what makes order matter."""
    link = TcpLink(rtt_ms=rtt_ms, queue_bytes=10_000_000)
    assert seconds(link, trace, size_bytes + more)[0] >= seconds(link, trace, size_bytes)[0] - 1e-9


@settings(max_examples=40, deadline=None)
@given(trace=traces(), sizes_bytes=sizes)
def test_the_same_session_comes_out_the_same(trace: Trace, sizes_bytes: list[int]) -> None:
    assert seconds(TcpLink(), trace, *sizes_bytes) == seconds(TcpLink(), trace, *sizes_bytes)


@pytest.mark.parametrize(("segments", "round_trips"), [(10, 1), (30, 2), (70, 3), (150, 4)])
def test_slow_start_doubles_from_ten_segments_on(segments: int, round_trips: int) -> None:
    """Over a link so fast that only round trips count: the request's, and one for each window after it."""
    [took_s] = seconds(TcpLink(handling_ms=0.0), steady(900.0), segments * 1448 - HEAD_BYTES)
    assert took_s == pytest.approx(0.08 * round_trips, abs=0.01)


def test_a_long_chunk_gets_the_payloads_share_of_the_link() -> None:
    [took_s] = seconds(TcpLink(), steady(4.0), 10_000_000)
    assert took_s == pytest.approx(10_000_000 * 8 / 4e6 / PAYLOAD, rel=0.03)


@pytest.mark.parametrize(("after_idle", "slower"), [(True, True), (False, False)])
def test_a_connection_that_was_idle_starts_again(after_idle: bool, slower: bool) -> None:
    link = TcpLink(slow_start_after_idle=after_idle, queue_bytes=2_000_000)
    *_, warm_s = seconds(link, steady(40.0), 1_000_000, 1_000_000, 1_000_000)
    *_, idle_s = seconds(link, steady(40.0), 1_000_000, 1_000_000, 1_000_000, wait_ms=5000.0)
    assert (idle_s > warm_s + 0.1) == slower


def test_a_small_queue_costs_time_by_loss() -> None:
    small, large = (TcpLink(rtt_ms=200.0, queue_bytes=size) for size in (15_140, 400_000))
    assert seconds(small, steady(10.0), 4_000_000)[0] > 1.2 * seconds(large, steady(10.0), 4_000_000)[0]


def test_a_dark_link_delivers_nothing_and_then_goes_on() -> None:
    dark = Trace("dark", (0.0, 1.0, 11.0, 60.0), (4.0, 4.0, 0.0, 4.0))
    [took_s] = seconds(TcpLink(), dark, 1_000_000)
    assert 11.0 < took_s < 20.0  # the sender's backed-off timer may oversleep the return


def test_a_link_that_is_dark_when_asked_answers_after_it() -> None:
    dark = Trace("dark", (0.0, 5.0, 60.0), (4.0, 0.0, 4.0))
    download = TcpLink().open(dark, 1).download(10_000)
    assert download.ttfb_ms == pytest.approx(83, abs=0.1)  # the credit of one frame, then nothing
    assert download.delay_ms > 5000


def test_the_trace_wraps() -> None:
    once = Trace("once", (0.0, 1.0, 2.0), (1.0, 1.0, 6.0))
    many = Trace("many", tuple(map(float, range(41))), (0.0, *(1.0, 6.0) * 20))
    link = TcpLink(queue_bytes=50_000)
    chunks = [400_000] * 8
    assert seconds(link, once, *chunks) == pytest.approx(seconds(link, many, *chunks))


def test_a_session_begins_where_it_is_asked_to() -> None:
    trace = Trace("two", (0.0, 10.0, 600.0), (1.0, 1.0, 20.0))
    link = TcpLink(queue_bytes=100_000)
    early, late = (link.open(trace, index).download(500_000).delay_ms for index in (1, 2))
    assert early > 3000 > late
    with pytest.raises(ValueError, match="start index 3; expected 1 to 2"):
        link.open(trace, 3)


def test_a_trace_too_near_to_dark_is_refused() -> None:
    never = Trace("never", (0.0, 1e-6, 2e-6), (0.0, 0.0, 1e-9))
    with pytest.raises(TraceError, match="never: 1000000 bytes never arrive"):
        TcpLink().open(never, 1).download(1_000_000)


def test_many_megabytes_at_a_gigabit_do_not_overrun_the_rings() -> None:
    """Thousands of segments on the way, lost and sent again."""
    took_s = seconds(TcpLink(rtt_ms=200.0, queue_bytes=500_000), steady(900.0), 80_000_000, 80_000_000)
    assert all(80_000_000 * 8 / 900e6 < one_s < 60.0 for one_s in took_s)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rtt_ms": -1.0}, "RTT -1.0 ms: expected 0 to 10000"),
        ({"rtt_ms": math.nan}, "RTT nan ms"),
        ({"queue_ms": 0.0}, "queue 0.0 ms: must be positive"),
        ({"queue_bytes": 100}, "queue 100 bytes: must hold a frame of 1514"),
        ({"congestion_control": "bbr"}, "'bbr': the tcp link models cubic only; emulate the others"),
        ({"handling_ms": math.inf}, "handling inf ms: expected 0 to 10000"),
        ({"loss_pct": 100.0}, "loss 100.0 %: expected 0 to under 100"),
    ],
)
def test_a_link_that_is_none_is_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TcpLink(**given)  # type: ignore[arg-type]


def test_the_queue_is_the_emulators() -> None:
    assert TcpLink().queue_limit_bytes(steady(4.0)) == 100_000
    assert TcpLink(queue_ms=1.0).queue_limit_bytes(steady(4.0)) == 4 * 1514
    assert TcpLink(queue_bytes=9999).queue_limit_bytes(steady(4.0)) == 9999


@settings(max_examples=100, deadline=None)
@given(trace=traces(), sizes_bytes=sizes, rtt_ms=rtts_ms, wait_ms=st.sampled_from((0.0, 700.0)))
def test_columns_of_zeros_are_as_none_to_the_last_bit(
    trace: Trace, sizes_bytes: list[int], rtt_ms: float, wait_ms: float
) -> None:
    zeros = (0.0,) * len(trace.time_s)
    link, same = TcpLink(rtt_ms=rtt_ms), replace(trace, delay_ms=zeros, loss_pct=zeros)
    assert seconds(link, trace, *sizes_bytes, wait_ms=wait_ms) == seconds(
        link, same, *sizes_bytes, wait_ms=wait_ms
    )


@settings(max_examples=100, deadline=None)
@given(trace=whole_traces(), sizes_bytes=sizes, seed=st.integers(0, 2**32 - 1))
def test_a_request_waits_out_its_delay_and_no_ack_overtakes(
    trace: Trace, sizes_bytes: list[int], seed: int
) -> None:
    session, now_s = TcpLink(rtt_ms=20.0).open(trace, 1, seed), 0.0
    for size_bytes in sizes_bytes:
        download = session.download(size_bytes)
        assert download.ttfb_ms >= 20.0 + trace.delay_at(now_s) + HANDLING_MS - 1e-6
        assert download.rtt_ms == 20.0 + trace.delay_at(now_s)
        now_s += download.delay_ms / 1000
    connection, _, _, acks, _ = session._state
    sent = int(connection[0]["acks_sent"])
    arrivals = [float(acks[number % RING]["arrives_s"]) for number in range(max(sent - RING, 0), sent)]
    assert arrivals == sorted(arrivals)


def test_a_steady_delay_is_a_longer_round_trip() -> None:
    delayed = replace(steady(4.0), delay_ms=(60.0, 60.0))
    chunks = [500_000, 100_000, 2_000_000]
    assert seconds(TcpLink(rtt_ms=20.0), delayed, *chunks) == pytest.approx(
        seconds(TcpLink(rtt_ms=80.0), steady(4.0), *chunks), abs=1e-6
    )


def test_the_delay_in_force_at_the_request_holds_from_the_sessions_start_and_wraps() -> None:
    trace = Trace("two", (0.0, 10.0, 20.0), (8.0, 8.0, 8.0), delay_ms=(0.0, 0.0, 400.0))
    session = TcpLink(rtt_ms=20.0).open(trace, 2)
    seen = []
    for _ in range(4):
        seen.append(session.download(1000).ttfb_ms)
        session.idle(8000.0)
    rtts_ms = [400.0, 400.0, 0.0, 400.0]  # at 10, 18.4, 26.8 and 34.9 s of the trace
    assert seen == pytest.approx([20.0 + rtt_ms + HANDLING_MS for rtt_ms in rtts_ms], abs=3.0)


def lost_share(link: TcpLink, trace: Trace, seed: int = 0) -> float:
    """Of the frames of a chunk that fits into one ring, those that were lost; the queue drops none."""
    session = link.open(trace, 1, seed)
    session.download(9_000_000)
    connection, _, flights, _, _ = session._state
    sent = int(connection[0]["flights"])
    assert 6000 < sent < RING
    return float(np.mean(flights["leaves_s"][:sent] == DROPPED))


@pytest.mark.parametrize(
    ("asked_pct", "trace_pct", "share"),
    [(0.0, 0.0, 0.0), (2.0, 0.0, 0.02), (0.0, 2.0, 0.02), (10.0, 10.0, 0.19)],
)
def test_so_many_frames_are_lost(asked_pct: float, trace_pct: float, share: float) -> None:
    link = TcpLink(rtt_ms=5.0, queue_bytes=20_000_000, loss_pct=asked_pct)
    trace = replace(steady(20.0), loss_pct=(trace_pct, trace_pct))
    for seed in (1, 2, 3):
        bound = 5 * math.sqrt(share / 6000)
        assert lost_share(link, trace, seed) == pytest.approx(share, abs=bound)


def test_losses_are_the_seeds_and_only_where_the_trace_has_them() -> None:
    trace = Trace("two", (0.0, 30.0, 600.0), (20.0, 20.0, 20.0), loss_pct=(0.0, 0.0, 5.0))
    link = TcpLink(queue_bytes=20_000_000)

    def times(seed: int) -> list[float]:
        session = link.open(trace, 1, seed)
        early = session.download(2_000_000).delay_ms
        session.idle(40_000.0)
        return [early, session.download(2_000_000).delay_ms]

    one, other = times(1), times(2)
    assert one == times(1)
    assert one[0] == other[0] and one[1] != other[1]
    assert min(one[1], other[1]) > 1.2 * one[0]


def test_without_loss_the_seed_changes_nothing() -> None:
    delays = [TcpLink().open(steady(4.0), 1, seed).download(3_000_000).delay_ms for seed in (0, 7)]
    assert delays[0] == delays[1]


def test_a_chunk_arrives_even_where_most_frames_are_lost() -> None:
    [took_s] = seconds(TcpLink(loss_pct=70.0), steady(4.0), 20_000)
    assert 1.0 < took_s < 36_000.0


def test_a_session_of_the_simulated_player() -> None:
    video = Video("v", 4.0, (300, 750), tuple((150_000, 375_000) for _ in range(6)))
    rows, end = simulate(
        video, steady(2.0), Fixed(1), seed=0, qoe=QoE(), link=TcpLink(), chunks=6, first_level=None
    )
    assert [row.level for row in rows] == [1] * 6
    assert end.played_s == pytest.approx(24.0)
    assert all(row.download_s > 375_000 * 8 / 2e6 for row in rows)
