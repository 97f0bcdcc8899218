"""What happened over time, rebuilt from records: exact on a session worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import curves
from analysis.sessions import RateSeries
from player.buffer import BufferThresholds
from player.record import ChunkRow, EndRow

CHUNK_S = 4.0


def played(
    downloads_s: Sequence[float],
    gaps_s: Sequence[float] | None = None,
    *,
    startup_s: float = 0.0,
    resume_s: float = 0.0,
) -> list[ChunkRow]:
    """Rows of a session whose chunks take this long, asked for at once or after a gap, by the real buffer."""
    thresholds = BufferThresholds(startup_s=startup_s, resume_s=resume_s)
    buffer, now_s, rows = thresholds.buffer_of(CHUNK_S), 0.0, []
    for chunk, download_s in enumerate(downloads_s):
        gap_s = gaps_s[chunk] if gaps_s else 0.0
        before_s = buffer.level_ms / 1000
        stall_s = (buffer.drain(gap_s * 1000) + buffer.drain(download_s * 1000)) / 1000
        buffer.add_chunk()
        rows.append(
            ChunkRow(
                chunk=chunk,
                level=chunk % 2,
                bitrate_kbps=(300, 750)[chunk % 2],
                size_bytes=150_000,
                request_s=now_s + gap_s,
                ttfb_s=0.1,
                download_s=download_s,
                throughput_mbps=1.2 / download_s,
                buffer_before_s=before_s,
                buffer_after_s=buffer.level_ms / 1000,
                wait_s=0.0,
                stall_s=stall_s,
                decision_s=0.0,
                by="policy",
            )
        )
        now_s += gap_s + download_s
    return rows


def ended(rows: Sequence[ChunkRow], elapsed_s: float, stall_s: float, outcome: str = "finished") -> EndRow:
    return EndRow(outcome, "", len(rows), 1.0, stall_s, 0.0, elapsed_s)


def at(curve: curves.Curve, time_s: float) -> float:
    """The curve's value at a time that is no jump."""
    points = list(zip(curve.time_s, curve.value, strict=True))
    for (begin_s, begin), (end_s, end) in pairwise(points):
        if begin_s <= time_s <= end_s and end_s > begin_s:
            return begin + (end - begin) * (time_s - begin_s) / (end_s - begin_s)
    raise AssertionError(f"{time_s} s is beyond the curve")


def test_buffer_of_a_worked_session() -> None:
    """Startup of 1 s; the second chunk takes 6 s, 4 of which are buffered; the third takes 1 s."""
    rows = played([1.0, 6.0, 1.0])
    curve = curves.buffer_curve(rows, ended(rows, 15.0, 2.0))
    assert list(zip(curve.time_s, curve.value, strict=True)) == [
        (0.0, 0.0),
        (1.0, 0.0),
        (1.0, 4.0),
        (5.0, 0.0),
        (7.0, 0.0),
        (7.0, 4.0),
        (8.0, 3.0),
        (8.0, 7.0),
        (15.0, 0.0),
    ]
    assert curves.stalls(rows, ended(rows, 15.0, 2.0)) == (curves.Stall(5.0, 7.0),)


def test_the_level_holds_while_the_player_waits_for_enough() -> None:
    """It begins with 8 s; runs dry at 10 s, and goes on with 8 s again at 13 s."""
    rows = played([1.0, 1.0, 9.0, 2.0, 1.0], startup_s=8.0, resume_s=8.0)
    curve = curves.buffer_curve(rows, ended(rows, 25.0, 3.0), startup_s=8.0, resume_s=8.0)
    assert list(zip(curve.time_s, curve.value, strict=True)) == [
        (0.0, 0.0),
        (1.0, 0.0),
        (1.0, 4.0),
        (2.0, 4.0),
        (2.0, 8.0),
        (10.0, 0.0),
        (11.0, 0.0),
        (11.0, 4.0),
        (13.0, 4.0),
        (13.0, 8.0),
        (14.0, 7.0),
        (14.0, 11.0),
        (25.0, 0.0),
    ]
    left = curves.buffer_curve(rows[:1], ended(rows[:1], 9.0, 0.0, "interrupted"), startup_s=8.0)
    assert left.value[-1] == 4.0


@given(st.lists(st.tuples(st.floats(0.01, 20.0), st.floats(0.0, 10.0)), min_size=1, max_size=12))
def test_buffer_agrees_with_the_players_own(pairs: list[tuple[float, float]]) -> None:
    """Half way between arrivals it is the level that the buffer had; stalls last as long as recorded."""
    rows = played([download_s for download_s, _ in pairs], [gap_s for _, gap_s in pairs])
    stall_s = sum(row.stall_s for row in rows)
    end_s = curves.arrival_s(rows[-1]) + rows[-1].buffer_after_s
    curve = curves.buffer_curve(rows, ended(rows, end_s, stall_s))
    assert curve.time_s[-1] == pytest.approx(end_s)
    assert curve.value[-1] == pytest.approx(0.0, abs=1e-6)
    assert list(curve.time_s) == sorted(curve.time_s)
    for before, row in pairwise(rows):
        half_s = (curves.arrival_s(row) - curves.arrival_s(before)) / 2
        level_s = max(before.buffer_after_s - half_s, 0.0)
        assert at(curve, curves.arrival_s(before) + half_s) == pytest.approx(level_s, abs=1e-6)
    found = curves.stalls(rows, ended(rows, end_s, stall_s))
    assert sum(stall.end_s - stall.begin_s for stall in found) == pytest.approx(stall_s, abs=1e-4)
    for stall in found:
        assert at(curve, (stall.begin_s + stall.end_s) / 2) == pytest.approx(0.0, abs=1e-6)


def test_the_chunk_that_never_came_stalls_to_the_end() -> None:
    rows = played([1.0, 1.0])
    end = ended(rows, 30.0, 21.0, "origin-lost")
    assert curves.stalls(rows, end) == (curves.Stall(9.0, 30.0),)
    assert curves.buffer_curve(rows, end).value[-1] == 0.0


def test_a_session_without_a_chunk_is_all_startup() -> None:
    end = ended([], 12.0, 0.0, "origin-lost")
    assert curves.buffer_curve([], end) == curves.Curve((0.0, 12.0), (0.0, 0.0))
    assert curves.stalls([], end) == ()
    assert curves.chosen_level([]) == curves.Curve((), ())


def test_level_steps_from_request_to_request() -> None:
    rows = played([1.0, 2.0], [0.0, 0.5])
    assert curves.chosen_level(rows) == curves.Curve((0.0, 1.5, 1.5, 3.5), (0.3, 0.3, 0.75, 0.75))


def test_throughput_spans_the_download_and_leaves_a_gap() -> None:
    rows = played([1.0, 2.0], [0.0, 0.5])
    curve = curves.throughput(rows)
    assert curve.time_s == (0.0, 1.0, 1.0, 1.5, 3.5, 3.5)
    assert curve.value[:2] == (1.2, 1.2) and curve.value[3:5] == (0.6, 0.6)
    assert math.isnan(curve.value[2]) and math.isnan(curve.value[5])


TRACE = RateSeries("t", 0.0, (0.0, 1.0, 3.0), (9.0, 2.0, 5.0))
"""2 Mbit/s over (0, 1], 5 over (1, 3]; the value at index 0 belongs to no interval."""


@pytest.mark.parametrize(
    ("start_s", "times_s", "rates_mbps"),
    [
        (0.0, (0, 1, 1, 3, 3, 4, 4, 4.5), (2, 2, 5, 5, 2, 2, 5, 5)),
        (1.0, (0, 2, 2, 3, 3, 4.5), (5, 5, 2, 2, 5, 5)),
        (2.5, (0, 0.5, 0.5, 1.5, 1.5, 3.5, 3.5, 4.5), (5, 5, 2, 2, 5, 5, 2, 2)),
        (3.0, (0, 1, 1, 3, 3, 4, 4, 4.5), (2, 2, 5, 5, 2, 2, 5, 5)),
        (32.5, (0, 0.5, 0.5, 1.5, 1.5, 3.5, 3.5, 4.5), (5, 5, 2, 2, 5, 5, 2, 2)),
    ],
)
def test_link_rate_holds_up_to_its_time_and_wraps(
    start_s: float, times_s: tuple[float, ...], rates_mbps: tuple[float, ...]
) -> None:
    trace = RateSeries("t", start_s, TRACE.time_s, TRACE.rate_mbps)
    assert curves.link_rate(trace, 4.5) == curves.Curve(times_s, rates_mbps)


def test_of_chunks_in_parts_the_buffer_is_what_the_record_tells() -> None:
    rows = played([1.0, 2.0], [0.0, 0.5])
    end = EndRow("finished", "", 2, 1.0, 0.0, 8.0, 9.0)
    told = curves.told_buffer(rows, end)
    assert told.time_s == (0.0, 0.0, 1.0, 1.5, 3.5, 9.0)
    assert told.value == (0.0, 0.0, 4.0, 4.0, rows[1].buffer_after_s, 0.0)
