"""How a replay keeps its promise: bounded, nothing for idle links, true by the second under stolen time."""

from __future__ import annotations

import io
import json
import statistics
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.link.bucket import bucket_bytes
from testbed.link.correction import (
    ANOTHER_SHARE,
    CARRIED_SHARE,
    HORIZON_S,
    KEPT_FRAMES,
    KEPT_S,
    LONG_STEP_S,
    MOST_SHARE,
    SHORT_S,
    TOLERATED_BYTES,
    Ledger,
)
from testbed.link.log import LinkRow
from testbed.link.shaper import SAMPLE_S, Replay
from testbed.link.step_bytes import step_bytes
from testbed.link.tbf import FRAME_BYTES
from tests.support.link_fakes import Clock, Stall, StallingBucket, stalls
from traces.trace import Trace

rates = st.floats(6_000, 1.25e8)
"""Bytes a second: 0.05 Mbit/s to a gigabit."""
SECONDS = 60
STOLEN = 0.05
MEAN_STALL_S = 0.005
"""Short stalls, as a hypervisor's that lends a processor to others: two frames of a bucket at 5 Mbit/s."""


def kept_bytes(rate: float) -> float:
    return max(KEPT_S * rate, KEPT_FRAMES * FRAME_BYTES)


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    """In any state that a replay may come into."""
    bucket = draw(st.integers(1500, 50_000))
    tokens = draw(st.floats(0, bucket))
    return Ledger(draw(st.one_of(st.just(0.0), rates)), bucket, tokens, draw(st.floats(-1e7, 1e7)))


def left_alone(ledger: Ledger, true_rate: float, left_s: float) -> float:
    """Bytes ahead after `left_s` in which frames wait and nothing is changed."""
    return ledger.ahead_bytes + (ledger.rate - true_rate) * left_s


buckets = st.integers(1500, 50_000)


@given(ledgers(), rates, buckets, st.floats(0.004, 1.1), st.booleans(), st.booleans())
def test_no_more_than_a_share_of_the_rate_is_added_or_taken(
    ledger: Ledger, true_rate: float, bucket: int, left_s: float, short: bool, begins: bool
) -> None:
    """A step so short that no queue notices may stand still for its rest, and goes no faster."""
    wanted = ledger.wanted(true_rate, bucket, left_s, short, begins)
    if wanted is None:
        return
    least = 0.0 if short and left_s < SHORT_S else (1 - MOST_SHARE) * true_rate
    assert least * (1 - 1e-9) <= wanted <= (1 + MOST_SHARE) * true_rate * (1 + 1e-9)


@given(ledgers(), buckets, st.floats(0.004, 1.1), st.booleans(), st.booleans())
def test_a_dark_link_is_made_dark_and_stays_so(
    ledger: Ledger, bucket: int, left_s: float, short: bool, begins: bool
) -> None:
    assert ledger.wanted(0.0, bucket, left_s, short, begins) in (None, 0.0)
    ledger.rate = 0.0
    if left_s >= SHORT_S:
        assert ledger.wanted(0.0, bucket, left_s, short, begins) is None
        ledger.rate = 1000.0
        assert ledger.wanted(0.0, bucket, left_s, short, begins) == 0.0


@given(ledgers(), rates, buckets, st.floats(0.001, SHORT_S, exclude_max=True), st.booleans(), st.booleans())
def test_before_a_near_end_a_change_is_made_only_where_it_brings_the_link_nearer(
    ledger: Ledger, true_rate: float, bucket: int, left_s: float, short: bool, begins: bool
) -> None:
    wanted = ledger.wanted(true_rate, bucket, left_s, short, begins)
    kept = left_alone(ledger, true_rate, left_s)
    if wanted is None:
        return
    ledger.changed(wanted, bucket)
    assert abs(left_alone(ledger, true_rate, left_s)) < abs(kept)


@given(rates, st.integers(1500, 50_000), st.floats(0, 1), st.floats(-1, 1))
def test_a_link_that_is_true_to_half_a_frame_is_left_alone(
    true_rate: float, bucket: int, full: float, share: float
) -> None:
    ledger = Ledger(true_rate, bucket, full * bucket, share * TOLERATED_BYTES)
    assert ledger.wanted(true_rate, bucket, 1.0, False, False) is None
    ledger.ahead_bytes = 1.01 * TOLERATED_BYTES if share > 0 else -1.01 * TOLERATED_BYTES - bucket
    assert ledger.wanted(true_rate, bucket, 1.0, False, False) is not None


accounts = st.tuples(st.floats(0, 1.0), st.floats(0, 1e7), st.floats(0, 1e7), st.booleans(), rates)


@given(ledgers(), st.lists(accounts, min_size=1, max_size=30))
def test_an_idle_link_is_owed_nothing_and_no_link_more_than_is_kept(
    ledger: Ledger, passed: Sequence[tuple[float, float, float, bool, float]]
) -> None:
    for elapsed_s, sent, carried, waiting, true_rate in passed:
        ledger.account(elapsed_s, sent, carried, waiting, true_rate)
        assert 0 <= ledger.tokens_bytes <= ledger.bucket_bytes
        assert abs(ledger.ahead_bytes) <= kept_bytes(true_rate)
        if not waiting:
            assert ledger.ahead_bytes >= 0
            wanted = ledger.wanted(true_rate, ledger.bucket_bytes, 1.0, False, True)
            assert wanted is None or wanted <= true_rate, "what it did not use is gone"


@given(rates, rates, st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_what_a_saturated_bucket_granted_is_its_rates_and_its_refills(
    rate: float, true_rate: float, frames: Sequence[int]
) -> None:
    """However its frames fall between the readings: bytes that passed and tokens that wait are one sum."""
    ledger = Ledger(rate, 2000, 0.0)
    elapsed_s, tokens = 0.0, 0.0
    for count in frames:
        took_s = count * FRAME_BYTES / 3 / rate
        elapsed_s, tokens = elapsed_s + took_s, tokens + count * FRAME_BYTES / 3
        sent = int(tokens // FRAME_BYTES) * FRAME_BYTES
        tokens -= sent
        ledger.account(took_s, sent, true_rate * took_s, True, 1e12)
    assert ledger.ahead_bytes == pytest.approx((rate - true_rate) * elapsed_s, abs=1, rel=1e-6)
    before = ledger.ahead_bytes + 2000 - ledger.tokens_bytes
    ledger.changed(true_rate, 2000)
    assert ledger.ahead_bytes == pytest.approx(before)
    assert (ledger.tokens_bytes, ledger.rate) == (2000, true_rate)


@given(ledgers(), st.floats(0.002, 1.1), st.one_of(st.just(0.0), rates))
def test_the_end_of_a_long_step_keeps_a_little(ledger: Ledger, duration_s: float, next_rate: float) -> None:
    before = ledger.ahead_bytes
    ledger.end_step(duration_s, next_rate)
    if duration_s < LONG_STEP_S:
        assert ledger.ahead_bytes == before
        return
    most = max(TOLERATED_BYTES, CARRIED_SHARE * next_rate)
    assert abs(ledger.ahead_bytes) == min(abs(before), most)
    assert ledger.ahead_bytes * before >= 0, "what was short is not too much now"


@given(rates, st.floats(-1, 1))
def test_on_a_link_that_does_as_it_is_told_the_difference_goes(true_rate: float, share: float) -> None:
    """Within about as long as the bound on the rate allows; what is left is less than another correction."""
    bucket = bucket_bytes(true_rate * 8 / 1e6)
    ledger = Ledger(true_rate, bucket, bucket / 2, share * kept_bytes(true_rate))
    needed_s = (abs(ledger.ahead_bytes) + 2 * bucket) / (MOST_SHARE * true_rate)
    for _ in range(int(needed_s / SAMPLE_S) + 5):
        wanted = ledger.wanted(true_rate, bucket, 1.0, False, False)
        if wanted is not None:
            ledger.changed(wanted, bucket)
        sent = max(ledger.tokens_bytes + ledger.rate * SAMPLE_S - bucket / 2, 0.0)
        ledger.account(SAMPLE_S, sent, true_rate * SAMPLE_S, True, true_rate)
    assert abs(ledger.ahead_bytes) <= 2 * (FRAME_BYTES + ANOTHER_SHARE * true_rate * HORIZON_S)


def awake(now: float, away: Sequence[Stall]) -> float:
    """When a process that is due at `now` gets to run."""
    return next((ended for begun, ended in away if begun <= now < ended), now)


def replayed(
    monkeypatch: pytest.MonkeyPatch, trace: Trace, away: Sequence[Stall], corrected: bool = True
) -> list[LinkRow]:
    """The log of `SECONDS` of a saturated link on a processor that is away at these moments."""
    clock, log = Clock(now=0.0), io.StringIO()
    monkeypatch.setattr("testbed.link.shaper.time", clock)
    if not corrected:
        monkeypatch.setattr(Ledger, "wanted", lambda _, true_rate, *__: true_rate)
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
    sent = sum(row.sent_bytes for row in rows)
    carried = sum(step.carried for step in step_bytes(rows))
    assert sum(row.refills for row in rows) * bucket_bytes(1.1) > 0.005 * carried
    assert abs(sent - carried) <= max(3 * FRAME_BYTES, 0.003 * carried)
