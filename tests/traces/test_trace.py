"""Trace against a brute-force replay of its intervals."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.trace import Trace, TraceError

rates = st.floats(0, 100).map(lambda rate: round(rate, 3))
delays_ms = st.floats(0, 10_000)
losses_pct = st.floats(0, 99.9)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Traces whose times are multiples of 1/8 s, so that sums are exact."""
    eighths = draw(st.lists(st.integers(1, 80), min_size=1, max_size=12))
    times = [0.0]
    for step in eighths:
        times.append(times[-1] + step / 8)
    values = draw(st.lists(rates, min_size=len(times), max_size=len(times)).filter(lambda v: any(v[1:])))
    return Trace("t", tuple(times), tuple(values))


@st.composite
def whole_traces(draw: st.DrawFn) -> Trace:
    """Traces with delay, loss, both or neither."""
    trace = draw(traces())
    points = len(trace.time_s)
    delay_ms = draw(st.none() | st.lists(delays_ms, min_size=points, max_size=points).map(tuple))
    loss_pct = draw(st.none() | st.lists(losses_pct, min_size=points, max_size=points).map(tuple))
    return replace(trace, delay_ms=delay_ms, loss_pct=loss_pct)


offsets = st.integers(0, 4000).map(lambda sixteenths: sixteenths / 16)


def brute_rate(trace: Trace, time_s: float) -> float:
    """The rate just after a time, by walking the definition."""
    rest = time_s
    while rest >= trace.duration_s:
        rest -= trace.duration_s
    for index in range(1, len(trace.time_s)):
        if trace.time_s[index - 1] <= rest < trace.time_s[index]:
            return trace.rate_mbps[index]
    raise AssertionError(f"{rest} lies in no interval")


@settings(deadline=None)
@given(traces(), offsets)
def test_rate_at_is_that_of_the_interval_that_begins_or_runs(trace: Trace, time_s: float) -> None:
    assert trace.rate_at(time_s) == brute_rate(trace, time_s)


@settings(deadline=None)
@given(traces(), offsets)
def test_megabits_are_the_sum_over_sixteenths_of_a_second(trace: Trace, time_s: float) -> None:
    sixteenths = round(time_s * 16)
    carried = math.fsum(brute_rate(trace, number / 16) / 16 for number in range(sixteenths))
    assert trace.megabits_until(time_s) == pytest.approx(carried, abs=1e-6)


@settings(deadline=None)
@given(traces(), offsets)
def test_steps_follow_each_other_without_gap_and_carry_what_the_trace_carries(
    trace: Trace, start_s: float
) -> None:
    elapsed, carried = 0.0, 0.0
    for step in islice(trace.steps(start_s), 3 * len(trace.time_s)):
        assert step.start_s == pytest.approx(elapsed, abs=1e-9)
        assert step.duration_s > 0
        assert step.rate_mbps == brute_rate(trace, start_s + step.start_s)
        elapsed += step.duration_s
        carried += step.duration_s * step.rate_mbps
    expected = trace.megabits_until(start_s + elapsed) - trace.megabits_until(start_s)
    assert carried == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(whole_traces(), offsets)
def test_delay_and_loss_hold_over_the_interval_of_their_rate(trace: Trace, start_s: float) -> None:
    for step in islice(trace.steps(start_s), 2 * len(trace.time_s)):
        at_s = start_s + step.start_s
        assert (step.delay_ms, step.loss_pct) == (trace.delay_at(at_s), trace.loss_at(at_s))
        place = next(
            index for index, end_s in enumerate(trace.time_s) if end_s > math.fmod(at_s, trace.duration_s)
        )
        assert step.rate_mbps == trace.rate_mbps[place]
        assert step.delay_ms == (0.0 if trace.delay_ms is None else trace.delay_ms[place])
        assert step.loss_pct == (0.0 if trace.loss_pct is None else trace.loss_pct[place])


@settings(deadline=None)
@given(traces())
def test_wrapping_repeats_the_same_pass(trace: Trace) -> None:
    steps = len(trace.time_s) - 1
    twice = list(islice(trace.steps(), 2 * steps))
    assert [step.rate_mbps for step in twice[:steps]] == list(trace.rate_mbps[1:])
    assert [step.rate_mbps for step in twice[steps:]] == list(trace.rate_mbps[1:])
    assert twice[steps].start_s == pytest.approx(trace.duration_s)


@pytest.mark.parametrize(
    ("times", "values", "fragment"),
    [
        ((0.0,), (1.0,), "at least two"),
        ((0.0, 1.0), (1.0,), "2 times but 1 rates"),
        ((1.0, 2.0), (1.0, 1.0), "start at 0"),
        ((0.0, 2.0, 2.0), (1.0, 1.0, 1.0), "must increase"),
        ((0.0, 2.0, 1.0), (1.0, 1.0, 1.0), "must increase"),
        ((0.0, math.inf), (1.0, 1.0), "must increase"),
        ((0.0, math.nan), (1.0, 1.0), "must increase"),
        ((0.0, 1.0), (1.0, -0.5), "-0.5"),
        ((0.0, 1.0), (1.0, math.nan), "nan"),
        ((0.0, 1.0), (1.0, 0.0), "every rate is 0"),
    ],
)
def test_what_no_link_can_be_is_refused(
    times: tuple[float, ...], values: tuple[float, ...], fragment: str
) -> None:
    with pytest.raises(TraceError, match=fragment):
        Trace("bad", times, values)


@settings(deadline=None)
@given(whole_traces())
def test_a_trace_comes_back_from_what_records_are_told_of_it(trace: Trace) -> None:
    told = json.loads(json.dumps(trace.columns))
    assert ("delay_ms" in told, "loss_pct" in told) == (
        trace.delay_ms is not None,
        trace.loss_pct is not None,
    )
    assert Trace.of(trace.name, told) == trace


@pytest.mark.parametrize(
    ("columns", "fragment"),
    [
        ({"delay_ms": (1.0,)}, "2 times but 1 delays"),
        ({"loss_pct": (1.0, 1.0, 1.0)}, "2 times but 3 losses"),
        ({"delay_ms": (1.0, -1.0)}, "point 1: delay -1 ms; write milliseconds from 0 to 10000"),
        ({"delay_ms": (1.0, 10_001.0)}, "point 1: delay 10001 ms"),
        ({"delay_ms": (math.nan, 1.0)}, "point 0: delay nan ms"),
        ({"loss_pct": (0.0, -0.1)}, "point 1: loss -0.1 %; write per cent from 0 to under 100"),
        ({"loss_pct": (0.0, 100.0)}, "point 1: loss 100 %: nothing arrives; write rate 0"),
        ({"loss_pct": (0.0, math.inf)}, "point 1: loss inf %"),
    ],
)
def test_a_delay_or_loss_that_no_link_has_is_refused(
    columns: dict[str, tuple[float, ...]], fragment: str
) -> None:
    with pytest.raises(TraceError, match=fragment):
        Trace("bad", (0.0, 1.0), (1.0, 1.0), **columns)


def test_the_hash_of_rates_alone_stays_and_that_of_more_tells_the_columns_apart() -> None:
    rates = Trace("t", (0.0, 1.0), (2.0, 3.0))
    assert rates.sha256 == hashlib.sha256(struct.pack("<4d", 0.0, 1.0, 2.0, 3.0)).hexdigest()
    zeros = (0.0, 0.0)
    hashes = {
        replace(rates, delay_ms=delay_ms, loss_pct=loss_pct).sha256
        for delay_ms in (None, zeros, (0.0, 5.0))
        for loss_pct in (None, zeros, (0.0, 5.0))
    }
    assert len(hashes) == 9
    assert replace(rates, delay_ms=zeros, loss_pct=zeros).without_delay_loss.sha256 == rates.sha256


def test_the_hash_is_of_the_values_and_not_of_the_name() -> None:
    one, other = Trace("a", (0.0, 1.0), (2.0, 3.0)), Trace("b", (0.0, 1.0), (2.0, 3.0))
    assert one.sha256 == other.sha256
    assert one.sha256 != Trace("a", (0.0, 1.0), (2.0, 3.5)).sha256
