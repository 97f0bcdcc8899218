"""The least of a window, against the true one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.call.least import PLACES, add_least, forget_least

samples = st.lists(st.tuples(st.floats(0.001, 0.5), st.floats(0.01, 10.0)), min_size=1, max_size=80)


@settings(max_examples=200, deadline=None)
@given(samples=samples, window_s=st.floats(0.05, 2.0))
def test_it_is_never_below_the_true_least_and_never_older_than_the_window(
    samples: list[tuple[float, float]], window_s: float
) -> None:
    row = np.zeros(PLACES)
    forget_least(row)
    at_s, seen = 0.0, []
    for gap_s, value in samples:
        at_s += gap_s
        seen.append((at_s, value))
        found = add_least(row, value, at_s, window_s)
        inside = [each for when, each in seen if at_s - when <= window_s]
        assert found in inside and min(inside) <= found <= value


def test_by_hand() -> None:
    row = np.zeros(PLACES)
    forget_least(row)
    assert [add_least(row, value, at_s, 1.0) for at_s, value in [(0, 5), (0.1, 3), (0.4, 4)]] == [5, 3, 3]
    assert add_least(row, 6.0, 0.9, 1.0) == 3
    assert add_least(row, 6.0, 1.11, 1.0) == 4  # 3 has left the window, 4 is the next in line
    assert add_least(row, 6.0, 1.41, 1.0) == 6
    assert add_least(row, 2.0, 1.5, 1.0) == 2
