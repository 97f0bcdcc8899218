"""Statistics against figures worked out by hand, and their invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.families.statistics import (
    autocorrelation,
    join,
    outage_lengths_s,
    resample,
    summarise,
    swing_share,
)
from traces.trace import Trace


def even(rates: list[float], step_s: float = 1.0) -> Trace:
    return Trace("t", tuple(i * step_s for i in range(len(rates) + 1)), (rates[0], *rates))


def test_a_rate_counts_as_long_as_it_holds() -> None:
    trace = Trace("t", (0.0, 1.0, 10.0), (99.0, 10.0, 0.2))
    figures = summarise([trace])
    assert figures.mean_mbps == pytest.approx(1.18)
    assert figures.share_below_0_3 == pytest.approx(0.9)
    assert figures.deviation_mbps == pytest.approx(9.8 * 0.3)
    assert (figures.p5_mbps, figures.p50_mbps, figures.p95_mbps) == (0.2, 0.2, 10.0)
    assert (figures.outages, figures.outage_mean_s) == (1, 9.0)


def test_sets_are_weighted_by_time_and_means_by_trace() -> None:
    figures = summarise([even([1.0] * 30), even([4.0] * 10)])
    assert figures.mean_mbps == pytest.approx(1.75)
    assert figures.deviation_of_means_mbps == pytest.approx(1.5)
    assert figures.traces == 2 and figures.autocorrelation_1s is None


def test_blocks_of_one_log_share_its_mean() -> None:
    blocks = [even([1.0, 1.1] * 10), even([3.0, 3.1] * 10)]
    apart, together = summarise(blocks), summarise(blocks, origins=["log", "log"])
    assert apart.autocorrelation_1s is not None and apart.autocorrelation_1s < -0.9
    assert together.autocorrelation_1s is not None and together.autocorrelation_1s > 0.9
    assert together.traces == 1 and together.deviation_of_means_mbps == 0


def test_outages_end_where_the_rate_returns_and_at_the_end() -> None:
    assert outage_lengths_s(even([1, 0, 0.29, 0.3, 0, 1, 0.1, 0.1])) == [2.0, 1.0, 2.0]
    assert outage_lengths_s(even([1.0, 2.0])) == []


def test_autocorrelation_of_an_alternating_and_of_a_slow_series() -> None:
    assert autocorrelation(np.array([1.0, 2.0] * 50), 1) == pytest.approx(-1.0)
    slow = np.repeat([1.0, 5.0, 2.0, 7.0], 50)
    value = autocorrelation(slow, 1)
    assert value is not None and value > 0.95
    assert autocorrelation(np.ones(10), 1) is None
    assert autocorrelation(np.arange(5.0), 5) is None


def test_swings_are_twofold_changes_after_two_seconds() -> None:
    assert summarise([even([1.0, 1.0, 2.0, 2.0] * 10)]).swings_2s == 1.0
    assert summarise([even([1.0, 1.9] * 10)]).swings_2s == 0.0  # the same again after 2 s
    assert summarise([even([0.0, 0.1, 0.29, 0.5] * 10)]).swings_2s == 0.0  # under 0.3 counts as 0.3
    assert summarise([even([1.0, 9.0] * 10, 5.0)]).swings_2s is None
    assert swing_share(np.array([1.0, 1.0, 1.0, 1.0, 3.0, 3.0]), 0.5) == 1.0
    assert swing_share(np.ones(4), 0.5) is None


def test_pairs_across_a_gap_do_not_count() -> None:
    joined = join([np.array([0.0, 1.0]), np.array([0.0, 1.0])], gap=3)
    assert len(joined) == 7 and np.isnan(joined[2:5]).all()
    assert autocorrelation(joined, 1) == pytest.approx(-1.0)


def test_a_lag_shorter_than_the_steps_is_unknown() -> None:
    figures = summarise([even([1.0, 2.0, 3.0, 2.0] * 20, step_s=5.0)])
    assert figures.autocorrelation_1s is None
    assert figures.autocorrelation_5s == pytest.approx(0.0, abs=0.1)


@settings(deadline=None)
@given(
    st.lists(st.floats(0.01, 100), min_size=4, max_size=40),
    st.sampled_from([0.25, 0.5, 0.7, 2.0]),
)
def test_resampling_keeps_what_is_carried(rates: list[float], step_s: float) -> None:
    trace = even(rates)
    steps = resample(trace, step_s)
    assert float(steps.sum()) * step_s == pytest.approx(trace.megabits_until(len(steps) * step_s), rel=1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(0, 100).map(lambda x: round(x, 3)), min_size=2, max_size=30).filter(any))
def test_halving_the_steps_changes_no_share(rates: list[float]) -> None:
    whole = summarise([even(rates)])
    halved = summarise([even([rate for rate in rates for _ in range(2)], 0.5)])
    for name in ("mean_mbps", "deviation_mbps", "p5_mbps", "p50_mbps", "p95_mbps", "share_below_0_3"):
        assert getattr(whole, name) == pytest.approx(getattr(halved, name), abs=1e-6)
    assert whole.outages == halved.outages


def test_no_traces_is_an_error() -> None:
    with pytest.raises(ValueError, match="no traces"):
        summarise([])


def test_a_gap_of_days_among_microseconds_is_summarised() -> None:
    figures = summarise([Trace("t", (0.0, 1e-6, 2e-6, 3e-6, 1e7), (1.0, 1.0, 2.0, 3.0, 4.0))])
    assert figures.mean_mbps == pytest.approx(4.0) and figures.autocorrelation_1s is None
