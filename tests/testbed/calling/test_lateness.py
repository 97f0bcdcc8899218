"""Lateness is counted in steps of 10 us; quantiles are never less than what they stand for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.calling.ends.lateness import BINS, Lateness, lateness_of, note_late


def counted(late_s: list[float]) -> Lateness:
    counts, most_s = np.zeros(BINS, np.int64), np.zeros(1)
    for each in late_s:
        note_late(counts, most_s, each)
    return lateness_of(counts, float(most_s[0]))


def test_of_nothing_there_is_none() -> None:
    assert counted([]) == Lateness(0, 0.0, 0.0, 0.0)


def test_quantiles_by_hand() -> None:
    found = counted([0.0001] * 98 + [0.003, 0.0405])
    assert (found.count, found.max_ms) == (100, 40.5)
    assert found.p50_ms == pytest.approx(0.1, abs=0.011)
    assert found.p99_ms == pytest.approx(3.0, abs=0.011)


@given(st.lists(st.floats(0.0, 0.3), min_size=1, max_size=200))
@settings(deadline=None)
def test_quantiles_are_those_of_the_values_to_a_step(late_s: list[float]) -> None:
    found, ordered = counted(late_s), sorted(late_s)
    assert found.max_ms == round(1000 * ordered[-1], 3)
    for share, told in ((0.5, found.p50_ms), (0.99, found.p99_ms)):
        exact = 1000 * ordered[math.ceil(share * len(ordered)) - 1]
        if exact < 90.0:
            assert exact - 0.001 <= told <= exact + 0.0101
