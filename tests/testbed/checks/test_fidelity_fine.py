"""What fidelity tells of moments: delays that vary, bursts, credit after idle; no link is needed."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.checks.fidelity.burst import RATE_MBPS, bound_bytes, credit_bytes, excesses, of_arrivals
from testbed.checks.fidelity.delay import Trip, asked_ms, errors_ms
from testbed.checks.fidelity.figures import bounds, windows
from testbed.link.log import LinkRow
from testbed.link.tbf import FRAME_BYTES
from traces import formats
from traces.trace import Trace, TraceError

BYTES_PER_S = RATE_MBPS * 1e6 / 8
FRAME_S = FRAME_BYTES / BYTES_PER_S


def varying(*delays_ms: float) -> Trace:
    """A second for each delay."""
    times = tuple(float(second) for second in range(len(delays_ms) + 1))
    return Trace("t", times, (1.0,) * len(times), delay_ms=(0.0, *delays_ms))


def test_a_delay_that_rises_holds_from_its_moment_on() -> None:
    assert asked_ms(varying(10, 50), 20.0, [0.5, 0.999, 1.0, 1.5]) == [30, 30, 70, 70]


def test_where_a_delay_falls_packets_wait_for_those_before_them() -> None:
    found = asked_ms(varying(100, 20), 0.0, [0.9, 1.0, 1.05, 1.08, 1.5])
    assert found == pytest.approx([100, 100, 50, 20, 20])


def test_an_error_has_no_sign() -> None:
    trips = [Trip(0.1, 31.0), Trip(0.2, 29.5), Trip(0.3, 30.0)]
    assert errors_ms(trips, varying(10), 20.0) == pytest.approx([1.0, 0.5, 0.0])


def test_an_even_link_is_a_frame_ahead_at_most() -> None:
    arrivals = [(FRAME_S * number, FRAME_BYTES) for number in range(1000)]
    assert max(excesses(arrivals, 0.01)) <= FRAME_BYTES
    assert credit_bytes(arrivals) == pytest.approx(0.0, abs=1e-6)


@given(st.integers(1, 20))
def test_frames_that_come_at_once_are_credit_and_excess(together: int) -> None:
    arrivals = [(1.0, FRAME_BYTES)] * (together + 1)
    assert credit_bytes(arrivals) == together * FRAME_BYTES
    found = of_arrivals(arrivals, arrivals)
    assert found.excess_bytes[0] == pytest.approx((together + 1) * FRAME_BYTES - 0.01 * BYTES_PER_S)
    assert found.within_bounds() == (together * FRAME_BYTES <= 1562)
    assert f"{found.idle_credit_bytes:.0f} bytes came at once" in found.words()


def test_no_frames_are_no_burst() -> None:
    assert of_arrivals([], []).within_bounds()
    assert bound_bytes(0.05) > bound_bytes(0.01)


def row(step: int, sent_bytes: int) -> LinkRow:
    """A tenth of a second at 8 Mbit/s, backlogged."""
    return LinkRow(
        step=step,
        start_s=step / 10,
        duration_s=0.1,
        late_ms=0.0,
        rate_mbps=8.0,
        applied_bytes_per_s=1_000_000,
        kernel_bytes_per_s=1_000_000,
        measured_s=0.1,
        sent_bytes=sent_bytes,
        backlog_start_bytes=9000,
        backlog_min_bytes=9000,
        backlog_end_bytes=9000,
        drops=0,
        read_s=step / 10,
    )


def test_windows_are_as_long_as_asked_and_the_first_second_is_left_out() -> None:
    rows = [row(step, 100_000) for step in range(40)]
    assert len(list(windows(rows, 0.1))) == 30
    assert len(list(windows(rows))) == 3
    assert all(window.error == pytest.approx(0.0, abs=1e-9) for window in windows(rows, 0.1))


def test_what_a_late_reading_takes_in_is_no_error() -> None:
    """Read 10 ms late, with what passed by then: the next row begins there."""
    rows = [row(step, 100_000) for step in range(40)]
    late = list(rows)
    late[20] = _changed(rows[20], measured_s=0.11, sent_bytes=110_000)
    late[21] = _changed(rows[21], read_s=2.11, measured_s=0.09, sent_bytes=90_000)
    assert max(window.error for window in windows(late, 0.1)) == pytest.approx(0.0, abs=1e-9)


def _changed(one: LinkRow, **values: float) -> LinkRow:
    return dataclasses.replace(one, **values)  # type: ignore[arg-type]


def test_bounds_are_those_of_a_second_or_of_moments() -> None:
    assert bounds(1, 1.0) == bounds(16, 1.0) == (0.003, 0.01)
    assert bounds(48, 1.0) == (0.003, 0.02)
    assert bounds(1, 0.1) == (0.02, 0.06)


def test_mahimahi_is_read_in_bins_of_any_length() -> None:
    text = "".join(f"{ms}\n" for ms in range(10, 1001, 10))
    fine = formats.parse(text, "log.down", "mahimahi:bin_ms=20")
    assert fine.time_s[1:4] == pytest.approx((0.02, 0.04, 0.06))
    assert fine.rate_mbps[1:] == pytest.approx([1.2] * 50)
    assert len(formats.parse(text, "log.down").time_s) == 3


@pytest.mark.parametrize("name", ["mahimahi:bin_ms=0", "mahimahi:bin_ms=x", "mahimahi:bins=20"])
def test_other_bins_are_refused(name: str) -> None:
    with pytest.raises(TraceError):
        formats.format_named(name)


def test_a_trace_goes_to_another_process_and_comes_back() -> None:
    for trace in (Trace("t", (0.0, 1.0), (0.0, 2.0), "4g"), varying(1, 2)):
        assert Trace.from_json(trace.as_json()) == trace
