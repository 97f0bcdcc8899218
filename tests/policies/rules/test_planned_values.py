"""What plans bring, held against trying every one of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from policies.rules.batch_planned_values import fill_planned_values
from policies.rules.planned_values import planned_values

LADDERS_KBPS = ((300, 750, 1200, 1850, 2850, 4300), (500, 2000, 9000))


def gains_of(ladder_kbps: tuple[int, ...]) -> NDArray[np.float64]:
    quality = np.array(ladder_kbps) / 1000
    return np.asarray(quality[None, :] - np.abs(quality[None, :] - quality[:, None]))


def brute_value(
    ladder_kbps: tuple[int, ...],
    sizes: list[list[int]],
    mbps: float,
    buffer_s: float,
    chunk_s: float,
    last: int,
    first: int,
) -> float:
    """The best plan that begins with `first`, one plan after another."""
    best = -np.inf
    for plan in itertools.product(range(len(ladder_kbps)), repeat=len(sizes)):
        if plan[0] != first:
            continue
        left_s, worth, before = buffer_s, 0.0, last
        for row, level in zip(sizes, plan, strict=True):
            download_s = 8 * row[level] / 1e6 / mbps
            worth += ladder_kbps[level] / 1000 - 4.3 * max(download_s - left_s, 0.0)
            worth -= abs(ladder_kbps[level] - ladder_kbps[before]) / 1000
            left_s, before = max(left_s - download_s, 0.0) + chunk_s, level
        best = max(best, worth)
    return best


@pytest.mark.parametrize("ladder_kbps", LADDERS_KBPS)
@settings(max_examples=20, deadline=None)
@given(
    data=st.data(),
    mbps=st.floats(0.1, 20.0),
    buffer_s=st.floats(0.0, 60.0),
    chunk_s=st.floats(1.0, 10.0),
)
def test_planned_values_are_those_of_trying_every_plan(
    ladder_kbps: tuple[int, ...], data: st.DataObject, mbps: float, buffer_s: float, chunk_s: float
) -> None:
    levels = len(ladder_kbps)
    row = st.lists(st.integers(10_000, 3_000_000), min_size=levels, max_size=levels)
    sizes = data.draw(st.lists(row, min_size=1, max_size=3))
    last = data.draw(st.integers(0, levels - 1))
    gains = gains_of(ladder_kbps)
    wanted = [
        brute_value(ladder_kbps, sizes, mbps, buffer_s, chunk_s, last, first) for first in range(levels)
    ]
    found = planned_values(sizes, mbps, buffer_s, chunk_s, last, gains, 4.3)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    compiled, rooms = np.empty(levels), np.empty((2, 2, levels ** (len(sizes) - 1)))
    download_s = 8.0 * np.asarray(sizes, np.float64) / 1e6 / mbps
    fill_planned_values(download_s, buffer_s, chunk_s, last, gains, 4.3, rooms[0], rooms[1], compiled)
    np.testing.assert_array_equal(compiled, found)
