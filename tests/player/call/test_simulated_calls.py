"""Simulated calls keep count of every byte, play in order, and come out the same however they are driven."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from player.call.checks import CallError
from player.call.feedback_batch import FeedbackBatch
from player.call.packets import OVERHEAD_BYTES
from player.call.path import CallPath, PathLoss
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from tests.support.driven_call import DrivenCall
from traces.trace import Trace

CALL = CallSettings(duration_s=6.0, warm_up_s=1.0, key_every_s=2.0)
PATHS = (
    CallPath(),
    CallPath(rtt_ms=30.0, media_delay_ms=20.0, media_jitter_ms=8.0, jitter_ms=5.0, grant_ms=10.0),
    CallPath(loss=PathLoss("uniform", 3.0), queue_ms=60.0),
    CallPath(loss=PathLoss("gemodel", 2.0, 30.0, 80.0, 0.5), feedback_lost_s=((2.0, 3.0),)),
)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    steps = draw(st.integers(2, 12))
    lengths = draw(st.lists(st.sampled_from([0.02, 0.1, 0.5, 1.0, 2.0]), min_size=steps, max_size=steps))
    rates = draw(st.lists(st.sampled_from([0.0, 0.3, 0.8, 2.0, 5.0]), min_size=steps, max_size=steps))
    delays = draw(st.none() | st.lists(st.sampled_from([0.0, 5.0, 40.0]), min_size=steps, max_size=steps))
    losses = draw(st.none() | st.lists(st.sampled_from([0.0, 2.0]), min_size=steps, max_size=steps))
    return Trace(
        "drawn",
        (0.0, *np.cumsum(lengths).tolist()),
        (0.0, *rates[:-1], 1.0),
        delay_ms=None if delays is None else (0.0, *delays),
        loss_pct=None if losses is None else (0.0, *losses),
    )


def rule(feedback: FeedbackBatch) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A rate that goes up and down with what was heard, and with time."""
    lost = np.isnan(feedback.arrived_s[:, :8]).sum(axis=1)
    return 200.0 + 90.0 * (feedback.interval % 17) - 10.0 * np.minimum(lost, 5) + feedback.packets


def played(calls: SimulatedCalls) -> SimulatedCalls:
    while not calls.finished.all():
        calls.set_rates(rule(calls.to_next_feedback()))
    return calls


def everything(calls: SimulatedCalls, row: int) -> list[bytes]:
    """All that is known of a call in the end, but which trace of its batch it has."""
    record = calls.paths.record[row].copy()
    record["trace"] = 0
    states = [*calls.sender, *calls.receiver, calls.facts, calls.feedback.arrived_s]
    return [record.tobytes(), *(state[row].tobytes() for state in states)]


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(traces(), st.sampled_from(PATHS), st.integers(0, 2**40))
def test_every_byte_is_somewhere(trace: Trace, path: CallPath, seed: int) -> None:
    calls = played(SimulatedCalls(CALL, [trace], path, seed))
    record, flights = calls.paths.record[0], calls.paths.flights[0]
    ring = len(flights) - 1
    on_the_way = sum(
        int(flights[place & ring]["size_bytes"]) + OVERHEAD_BYTES
        for place in range(record["flights_head"], record["flights_tail"])
    )
    sent = calls.sender.seconds[0]
    sent_bytes = sent["bytes"].sum() + OVERHEAD_BYTES * sent["packets"].sum()
    parts = [int(record[name]) for name in ("delivered_bytes", "lost_bytes", "dropped_bytes")]
    assert sent_bytes == sum(parts) + on_the_way
    came = calls.receiver.seconds[0]
    assert came["bytes"].sum() + OVERHEAD_BYTES * came["packets"].sum() == record["delivered_bytes"]
    assert came["media_bytes"].sum() <= came["bytes"].sum()


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(traces(), st.sampled_from(PATHS), st.integers(0, 2**40), st.sampled_from([0.0, 0.73]))
def test_driven_from_outside_it_is_the_same_call(
    trace: Trace, path: CallPath, seed: int, start_s: float
) -> None:
    calls = SimulatedCalls(CALL, [trace], path, seed, start_s)
    heard = []
    while True:
        feedback = calls.to_next_feedback()
        if calls.finished.all():
            break
        packets = int(feedback.packets[0])
        heard.append(
            (
                *calls.facts[0].tolist(),
                *(float(getattr(feedback, name)[0]) for name in ("now_s", "heard", "packets", "rtt_s")),
                *feedback.arrived_s[0, :packets].tolist(),
                *feedback.seq[0, :packets].tolist(),
            )
        )
        calls.set_rates(rule(feedback))
    driven = DrivenCall(CALL, trace, path, seed, start_s)
    driven.run(lambda feedback: float(np.clip(rule(feedback)[0], CALL.min_kbps, CALL.max_kbps)))
    assert np.array_equal(_rows(driven.heard), _rows(heard), equal_nan=True)
    for ours, theirs in ((calls.sender, driven.sender), (calls.receiver, driven.receiver)):
        for name in ours._fields:
            assert getattr(ours, name).tobytes() == getattr(theirs, name).tobytes(), name
    _plays_in_order(driven)


def _rows(heard: list[tuple[Any, ...]]) -> Any:
    return np.concatenate([np.array(row) for row in heard])


def _plays_in_order(driven: DrivenCall) -> None:
    """Moments rise, captures rise, and nothing is seen before its last packet has come."""
    shown = driven.receiver.shown[0][: int(driven.receiver.record[0]["shown"])]
    assert (np.diff(shown["at_s"]) > 0).all()
    assert (np.diff(shown["captured_s"]) > 0).all()
    for frame in shown:
        assert frame["at_s"] >= driven.complete_s[float(frame["captured_s"])]


def test_a_call_of_a_batch_is_the_call_alone_to_the_last_bit() -> None:
    made = [
        Trace("a", (0.0, 1.0, 3.0), (0.0, 1.5, 0.4)),
        Trace("b", (0.0, 2.0), (0.0, 0.9), loss_pct=(0.0, 1.0)),
        Trace("c", (0.0, 0.5, 2.5), (0.0, 0.0, 3.0), delay_ms=(0.0, 10.0, 0.0)),
    ]
    each = [made[place % 3] for place in range(11)]
    seeds, starts = np.arange(11) * 7, np.arange(11) * 0.3
    path = PATHS[1]
    one_thread = played(SimulatedCalls(CALL, each, path, seeds, starts, threads=1))
    three = played(SimulatedCalls(CALL, each, path, seeds, starts, threads=3))
    for row, trace in enumerate(each):
        alone = played(SimulatedCalls(CALL, [trace], path, seeds[row], starts[row]))
        assert everything(alone, 0) == everything(one_thread, row) == everything(three, row)


def test_a_constant_link_gives_back_what_was_sent_in_time() -> None:
    """0.5 Mbit/s over 2: an empty queue, so that each packet takes the delay stage's 40 ms and no more."""
    call = CallSettings(duration_s=10.0, warm_up_s=2.0, size_cv=0.0, key_every_s=0.0)
    calls = SimulatedCalls(call, [Trace("two", (0.0, 10.0), (0.0, 2.0))])
    while not calls.finished.all():
        calls.to_next_feedback()
        calls.set_rates(500.0)
    late = calls.receiver.seconds[0][4:9]
    assert np.allclose(late["delay_most_s"], 0.04)
    assert np.allclose(late["bytes"] * 8 / 1000, 500.0, rtol=0.02)
    assert calls.paths.record[0]["dropped_bytes"] == 0


def test_an_overloaded_link_delivers_its_rate_and_fills_its_queue() -> None:
    call = CallSettings(duration_s=10.0, warm_up_s=2.0, nack_tries=0)
    calls = SimulatedCalls(call, [Trace("one", (0.0, 10.0), (0.0, 1.0))], CallPath(queue_ms=300.0))
    while not calls.finished.all():
        calls.to_next_feedback()
        calls.set_rates(2000.0)
    late = calls.receiver.seconds[0][4:9]
    wire_mbps = (late["bytes"] + OVERHEAD_BYTES * late["packets"]) * 8 / 1e6
    assert np.allclose(wire_mbps, 1.0, atol=0.012)
    most_s = 0.04 + 0.3  # the delay stage, and a queue of 37,500 bytes at 1 Mbit/s
    assert (late["delay_most_s"] <= most_s).all()
    assert (late["delay_most_s"] >= most_s - 0.012).all()


def test_a_dark_link_ends_with_a_frozen_picture() -> None:
    trace = Trace("dark", (0.0, 2.0, 100.0, 101.0), (0.0, 3.0, 0.0, 3.0))
    calls = played(SimulatedCalls(CALL, [trace]))
    shown = calls.receiver.shown[0][: int(calls.receiver.record[0]["shown"])]
    assert 0 < shown["at_s"][-1] < 2.6
    assert calls.feedback.interval[0] == CALL.intervals - 2  # 120, of which the last comes 40 ms too late
    assert calls.feedback.heard[0]
    assert calls.feedback.packets[0] == 0


def test_a_link_that_is_dark_first_ends_with_a_call_that_began_late() -> None:
    trace = Trace("late", (0.0, 4.0, 100.0), (0.0, 0.0, 3.0))
    calls = played(SimulatedCalls(CALL, [trace]))
    shown = calls.receiver.shown[0][: int(calls.receiver.record[0]["shown"])]
    assert shown["at_s"][0] > 4.0
    assert len(shown) > 20


def test_feedback_that_stops_for_a_second_is_told_as_such() -> None:
    path = CallPath(feedback_lost_s=((2.0, 3.0),))
    calls = SimulatedCalls(CALL, [Trace("two", (0.0, 10.0), (0.0, 2.0))], path)
    silent = []
    while not calls.finished.all():
        feedback = calls.to_next_feedback()
        if not feedback.heard[0]:
            silent.append(float(feedback.now_s[0]))
    assert len(silent) == 20
    assert np.allclose(silent, 2.0 + 0.05 * np.arange(20) + 0.04)


def test_probes_are_sent_at_their_rate_and_marked() -> None:
    calls = SimulatedCalls(CALL, [Trace("ten", (0.0, 10.0), (0.0, 10.0))])
    for _ in range(40):
        calls.to_next_feedback()
    calls.set_rates(300.0, 1200.0)
    sent: list[tuple[float, int]] = []
    for _ in range(6):
        feedback = calls.to_next_feedback()
        marked = feedback.probe[0, : feedback.packets[0]] == 1
        sent += zip(
            feedback.sent_s[0, : len(marked)][marked].tolist(),
            feedback.size_bytes[0, : len(marked)][marked].tolist(),
            strict=True,
        )
    assert len(sent) >= 5
    assert sum(size for _, size in sent) >= 1200e3 / 8 * 0.015
    took_s = sent[-1][0] - sent[0][0]
    assert sum(size for _, size in sent[:-1]) * 8 / 1000 / took_s == pytest.approx(1200.0, rel=0.01)


def test_lost_packets_are_sent_again_and_frames_are_seen() -> None:
    """5 % lost with repetition: nearly all frames are seen; without: most wait for the next key frame."""
    trace = Trace("two", (0.0, 10.0), (0.0, 2.0))
    path = CallPath(loss=PathLoss("uniform", 5.0))
    seen = {}
    for tries in (0, 3):
        call = CallSettings(duration_s=10.0, warm_up_s=1.0, nack_tries=tries, start_kbps=800.0)
        calls = SimulatedCalls(call, [trace], path, 5)
        while not calls.finished.all():
            calls.to_next_feedback()
        seen[tries] = int(calls.receiver.record[0]["decoded"])
        resent = calls.sender.seconds[0]["resent_packets"].sum()
        assert (resent > 0) == (tries > 0)
    assert seen[3] > 230
    assert seen[0] < 0.6 * seen[3]


def test_rates_that_are_none_are_refused() -> None:
    calls = SimulatedCalls(CALL, [Trace("two", (0.0, 10.0), (0.0, 2.0))] * 2)
    calls.to_next_feedback()
    with pytest.raises(CallError, match="rate nan kbit/s for call 1"):
        calls.set_rates([300.0, float("nan")])
    with pytest.raises(CallError, match=r"kbps of shape \(3,\)"):
        calls.set_rates([300.0, 300.0, 300.0])
    calls.set_rates([0.0, 1e9])
    assert calls.sender.record["target_kbps"].tolist() == [80.0, 2500.0]


def test_a_rate_that_is_decided_late_comes_into_force_late() -> None:
    calls = SimulatedCalls(CALL, [Trace("two", (0.0, 10.0), (0.0, 2.0))])
    calls.to_next_feedback()
    calls.set_rates(900.0, delay_s=0.12)
    told = [float(calls.to_next_feedback().target_kbps[0]) for _ in range(3)]
    assert told == [300.0, 300.0, 900.0]
