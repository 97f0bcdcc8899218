"""Live streams: when chunks can be had, how far behind one is, how fast one plays."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.buffer import PlaybackBuffer
from player.live.position import LivePosition
from player.live.stream import LiveSettings, LiveStream, playback_rate
from player.qoe import LiveQoE, QoE, live_qoe, qoe_of_chunks, scored_as
from player.record import ChunkRow


def chunk_row(chunk: int, latency_s: float | None = None) -> ChunkRow:
    times = {"request_s": 0.0, "ttfb_s": 0.1, "download_s": 1.0, "throughput_mbps": 1.0, "decision_s": 0.0}
    buffers = {"buffer_before_s": 4.0, "buffer_after_s": 8.0, "wait_s": 0.0, "stall_s": 0.0}
    return ChunkRow(chunk, 0, 1000, 125_000, **times, **buffers, by="policy", latency_s=latency_s)


def test_a_chunk_can_be_had_once_it_is_made_or_its_first_part_is() -> None:
    whole = LivePosition(LiveStream(1000.0), LiveSettings(6.0), 4.0, 900.0)
    assert [whole.held_s(chunk, 100.0) for chunk in (0, 1)] == [4.0, 8.0]
    assert whole.held_s(0, 107.0) == 0.0 and whole.part_s is None
    parts = LivePosition(LiveStream(1000.0, ahead_s=3.5), LiveSettings(2.0), 4.0, 900.0)
    assert parts.held_s(1, 100.0) == 4.5 and parts.part_s == 0.5


def test_one_is_as_late_as_what_is_shown() -> None:
    position = LivePosition(LiveStream(1000.0), LiveSettings(6.0), 4.0, 900.0)
    assert position.latency_s(107.0, 0.0) == 7.0
    assert position.latency_s(110.0, 4.5) == 5.5


def test_who_is_late_plays_faster_and_who_stalled_waits_first() -> None:
    position = LivePosition(LiveStream(0.0), LiveSettings(6.0), 4.0, 0.0)
    assert 1.049 < position.rate(10.0, 2.0, 5.0) <= 1.05
    assert 0.95 <= position.rate(10.0, 6.0, 5.0) < 0.951
    assert position.rate(10.0, 4.0, 5.0) == 1.0
    assert position.rate(10.0, 2.0, 0.0) == 1.0
    assert position.rate(10.0, 2.0, 3.0) == 1.0  # not yet half of 6 s
    assert position.rate(10.0, 2.0, 3.1) > 1.0


@given(st.floats(-1e6, 1e6), st.floats(0.1, 3600), st.floats(0, 0.5))
def test_the_rate_keeps_its_bounds(latency_s: float, wanted_s: float, most: float) -> None:
    rate = playback_rate(latency_s, wanted_s, most, recovering=False)
    assert 1 - most - 1e-12 <= rate <= 1 + most + 1e-12
    assert (rate - 1) * (latency_s - wanted_s) >= -1e-6


@pytest.mark.parametrize(
    ("latency_s", "ahead_s", "good"),
    [(4.0, 0.0, False), (4.1, 0.0, True), (0.5, 3.5, False), (0.6, 3.5, True)],
)
def test_a_latency_under_what_can_be_had_is_refused(latency_s: float, ahead_s: float, good: bool) -> None:
    live = LiveSettings(latency_s)
    if good:
        live.check_can_be(4.0, ahead_s)
        return
    with pytest.raises(ValueError, match=r"latency_s .*: what is made can be asked for after"):
        live.check_can_be(4.0, ahead_s)


def test_settings_are_checked() -> None:
    for bad in (0.0, -1.0, 1e9, float("nan")):
        with pytest.raises(ValueError, match="latency_s"):
            LiveSettings(bad)
    with pytest.raises(ValueError, match="most_faster"):
        LiveSettings(most_faster=0.6)


def test_a_stream_moves_as_exactly_as_its_urls_say() -> None:
    moved = LiveStream(5.0, clock_ahead_s=0.25, moves_to="5250").beginning(1_764_246_000.12345)
    assert moved.moves_to == "1764246000373" and moved.begins_s == pytest.approx(1_764_246_000.123, abs=1e-6)


@given(st.lists(st.tuples(st.floats(0, 5000), st.floats(0.5, 1.5)), max_size=20))
@settings(max_examples=50)
def test_time_is_conserved_at_any_rate(steps: list[tuple[float, float]]) -> None:
    buffer = PlaybackBuffer(4000.0)
    buffer.add(1500.0)
    buffer.add(2500.0)
    shown = 0.0
    for elapsed_ms, rate in steps:
        before = buffer.played_ms
        buffer.drain(elapsed_ms, rate)
        shown += (buffer.played_ms - before) * rate
    assert buffer.played_ms + buffer.stall_ms == pytest.approx(sum(ms for ms, _ in steps))
    assert buffer.position_ms == pytest.approx(shown, abs=1e-6) and buffer.level_ms >= 0


def test_latency_costs_a_tenth_of_the_top_a_second() -> None:
    ladder, rows = (1000, 4300), [chunk_row(number, latency_s=6.0 + number) for number in range(3)]
    weights = scored_as(QoE(mu=4.3), rows, ladder)
    assert weights == LiveQoE(mu=4.3, latency=0.43)
    assert str(weights) == "linear, mu 4.3, smooth 1, latency 0.43"
    plain = qoe_of_chunks(QoE(mu=4.3), rows, ladder)
    found = qoe_of_chunks(weights, rows, ladder)
    assert [a - b for a, b in zip(plain, found, strict=True)] == pytest.approx([0.43 * 7, 0.43 * 8])
    assert live_qoe(QoE(), ladder, 0.0) == LiveQoE(latency=0.0)
    with pytest.raises(ValueError, match="latency -1"):
        live_qoe(QoE(), ladder, -1.0)


def test_what_is_not_live_is_scored_as_ever() -> None:
    rows = [chunk_row(number) for number in range(3)]
    assert scored_as(QoE(), rows, (1000,)) == QoE()
