"""How a replay keeps its promise: bounded, nothing for idle links, true by the second under stolen time."""

from __future__ import annotations

import io
import json
import statistics
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from link_fakes import Clock, Stall, StallingBucket, stalls

from testbed.correction import (
    CARRIED_SHARE,
    HORIZON_S,
    IGNORED_BYTES,
    KEPT_FRAMES,
    KEPT_S,
    LONG_STEP_S,
    MOST_SHARE,
    Correction,
)
from testbed.link_log import LinkRow
from testbed.shaper import SAMPLE_S, Replay, burst_bytes
from testbed.step_bytes import step_bytes
from testbed.tbf import FRAME_BYTES
from traces.trace import Trace

rates = st.floats(0.05, 1000)
bytes_off = st.floats(-1e9, 1e9)
SECONDS = 60
STOLEN = 0.05
MEAN_STALL_S = 0.005
"""Short stalls, as a hypervisor's that lends a processor to others: two frames of a bucket at 5 Mbit/s."""


def kept_bytes(rate_mbps: float) -> float:
    return max(KEPT_S * rate_mbps * 1e6 / 8, KEPT_FRAMES * FRAME_BYTES)


@given(bytes_off, rates, st.floats(0, 1e6), st.floats(0, 100))
def test_no_more_than_a_share_of_the_rate_is_added_or_taken(
    excess: float, rate_mbps: float, refill: float, over_s: float
) -> None:
    wanted = Correction(excess).rate(rate_mbps, refill, over_s)
    assert (1 - MOST_SHARE) * rate_mbps <= wanted * (1 + 1e-9)
    assert wanted <= (1 + MOST_SHARE) * rate_mbps * (1 + 1e-9)
    assert (wanted - rate_mbps) * (excess + refill) <= 0, "what was too much is taken, what lacks is added"


@given(bytes_off, st.floats(0, 1e6), st.floats(0, 100))
def test_a_dark_link_stays_dark(excess: float, refill: float, over_s: float) -> None:
    assert Correction(excess).rate(0.0, refill, over_s) == 0.0


accounts = st.tuples(st.floats(0, 1e7), st.floats(0, 1e7), st.booleans(), rates)


@given(st.lists(accounts, min_size=1, max_size=30))
def test_an_idle_link_is_owed_nothing_and_no_link_more_than_is_kept(
    passed: Sequence[tuple[float, float, bool, float]],
) -> None:
    correction = Correction()
    for sent, carried, waiting, rate_mbps in passed:
        correction.account(sent, carried, waiting, rate_mbps)
        assert abs(correction.excess_bytes) <= kept_bytes(rate_mbps)
        if not waiting:
            assert correction.excess_bytes >= 0
            assert correction.rate(rate_mbps, 0.0) <= rate_mbps


@given(bytes_off, st.floats(0.002, 1.1), st.one_of(st.just(0.0), rates))
def test_the_end_of_a_long_step_keeps_a_frame_or_a_share(
    excess: float, duration_s: float, next_mbps: float
) -> None:
    correction = Correction(excess)
    correction.end_step(duration_s, next_mbps)
    if duration_s < LONG_STEP_S:
        assert correction.excess_bytes == excess
        return
    most = max(FRAME_BYTES, CARRIED_SHARE * next_mbps * 1e6 / 8)
    assert abs(correction.excess_bytes) == min(abs(excess), most)
    assert correction.excess_bytes * excess >= 0, "what was short is not too much now"


@given(rates, st.floats(-1, 1))
def test_on_a_link_that_does_as_it_is_told_the_difference_goes_and_does_not_swing(
    rate_mbps: float, share: float
) -> None:
    per_horizon = rate_mbps * 1e6 / 8 * HORIZON_S
    correction = Correction(share * kept_bytes(rate_mbps))
    for _ in range(int(kept_bytes(rate_mbps) / (MOST_SHARE * per_horizon)) + 2):
        before = correction.excess_bytes
        sent = correction.rate(rate_mbps, 0.0) * 1e6 / 8 * HORIZON_S
        correction.account(sent, per_horizon, True, rate_mbps)
        after = correction.excess_bytes
        assert abs(after) <= abs(before) + 1e-6
        assert after * before >= 0 or abs(after) < 1e-3
    assert abs(correction.excess_bytes) < 1e-3
    assert not correction.matters


@given(bytes_off)
def test_less_than_a_frame_is_no_difference(excess: float) -> None:
    assert Correction(excess).matters == (abs(excess) > IGNORED_BYTES)


def awake(now: float, away: Sequence[Stall]) -> float:
    """When a process that is due at `now` gets to run."""
    return next((ended for begun, ended in away if begun <= now < ended), now)


def replayed(
    monkeypatch: pytest.MonkeyPatch, trace: Trace, away: Sequence[Stall], corrected: bool = True
) -> list[LinkRow]:
    """The log of `SECONDS` of a saturated link on a processor that is away at these moments."""
    clock, log = Clock(now=0.0), io.StringIO()
    monkeypatch.setattr("testbed.shaper.time", clock)
    bucket = StallingBucket(clock, away)
    replay = Replay("lane", bucket, 100_000, trace.mean_mbps)  # type: ignore[arg-type]
    step_due = replay.begin(trace, 0.0, 0.1, log)
    sample_due = step_due + SAMPLE_S if corrected else 1e9
    while min(step_due, sample_due) < SECONDS:
        clock.now = max(clock.now, awake(min(step_due, sample_due), away))
        if step_due <= sample_due:
            step_due = replay.advance(step_due)
        else:
            replay.sample()
            sample_due = max(sample_due, clock.now) + SAMPLE_S
    replay.write_rows()
    return [LinkRow(**json.loads(line)) for line in log.getvalue().splitlines()]


def beyond_a_frame(rows: Sequence[LinkRow]) -> list[float]:
    """Of each step: what passed more or less than the trace carries, a frame apart, as a share."""
    return [max(abs(step.sent - step.carried) - FRAME_BYTES, 0.0) / step.carried for step in step_bytes(rows)]


def in_seconds(rate_mbps: float) -> Trace:
    """A second at a rate, a second at one and a quarter of it, and so on."""
    return Trace("t", (0.0, 1.0, 2.0), (0.0, rate_mbps, 1.25 * rate_mbps))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("rate_mbps", [0.5, 5.0, 50.0])
def test_seconds_are_true_on_a_processor_that_is_stolen(
    monkeypatch: pytest.MonkeyPatch, rate_mbps: float, seed: int
) -> None:
    """A stall in a second's last moments can't be made up for within it: of sixty seconds, a few."""
    away = stalls(STOLEN, MEAN_STALL_S, SECONDS, seed)
    rows = replayed(monkeypatch, in_seconds(rate_mbps), away)
    errors = beyond_a_frame(rows)
    assert len(errors) > SECONDS - 5
    assert statistics.median(errors) <= 0.003
    assert sorted(errors)[int(0.95 * len(errors))] <= 0.01
    if rate_mbps >= 5.0:
        lost = beyond_a_frame(replayed(monkeypatch, in_seconds(rate_mbps), away, corrected=False))
        assert statistics.median(lost) > 0.01, "without the loop this machine would lose more"


def test_what_was_lost_for_longer_than_is_kept_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """After two seconds of standing still a link catches up by what it keeps in mind, no more."""
    away = [(10.3, 12.3)]
    rows = replayed(monkeypatch, Trace("t", (0.0, 1.0), (0.0, 5.0)), away)
    sent = sum(row.sent_bytes for row in rows)
    whole = sum(row.measured_s for row in rows) * 5e6 / 8
    assert 1.0 * 5e6 / 8 < whole - sent < 2.0 * 5e6 / 8


@pytest.mark.parametrize("step_s", [0.05, 0.2, 1.0])
def test_what_refills_let_through_is_paid_back(monkeypatch: pytest.MonkeyPatch, step_s: float) -> None:
    """Each change of a slow link's rate lets a burst through at once; over seconds none of it is left."""
    count = round(2 / step_s)
    trace = Trace(
        "t",
        tuple(step_s * step for step in range(count + 1)),
        tuple(1.0 + 0.2 * (step % 2) for step in range(count + 1)),
    )
    rows = replayed(monkeypatch, trace, [])
    assert sum(row.refills for row in rows) >= len(rows) - 1
    refilled = sum(row.refills for row in rows) * burst_bytes(1.1)
    sent = sum(row.sent_bytes for row in rows)
    carried = sum(step.carried for step in step_bytes(rows))
    assert refilled > 0.01 * carried
    assert abs(sent - carried) <= max(3 * FRAME_BYTES, 0.003 * carried)
