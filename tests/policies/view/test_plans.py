"""What plans are said to bring is what playing the best of them brings; compiled and not the same."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.view.batch_plans import fill_plan_values
from policies.view.plans import FEWEST, MOST, REACH, middle, plan_steps, planned_values


def brute(
    download_s: np.ndarray, buffer_s: float, cap_s: float, chunk_s: float, last: int, quality: np.ndarray,
    mu: float, smooth: float,
) -> list[float]:  # fmt: skip
    """Play each plan by itself."""
    steps, levels = download_s.shape
    turn, best = middle(steps), [-math.inf] * levels
    for first in range(levels):
        for second in range(levels):
            for third in range(max(second - REACH, 0), min(second + REACH, levels - 1) + 1):
                plan = [first, *[second] * (turn - 1), *[third] * (steps - turn)][:steps]
                worth, held_s, before = 0.0, buffer_s, last
                for step, level in enumerate(plan):
                    late_s = download_s[step, level] - held_s
                    worth += quality[level] - smooth * abs(quality[level] - quality[before])
                    worth -= mu * max(late_s, 0.0)
                    held_s, before = min(max(-late_s, 0.0) + chunk_s, cap_s), level
                best[first] = max(best[first], worth)
    return best


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 9),
    levels=st.integers(1, 7),
    buffer_s=st.floats(0.0, 40.0),
    cap_s=st.floats(5.0, 60.0),
    mu=st.sampled_from([0.0, 4.3, 60.0]),
    smooth=st.sampled_from([0.0, 1.0, 3.0]),
)
def test_the_best_plan_is_found(
    seed: int, steps: int, levels: int, buffer_s: float, cap_s: float, mu: float, smooth: float
) -> None:
    random = np.random.default_rng(seed)
    download_s = np.sort(random.exponential(4.0, (2, steps, levels)), axis=2)
    quality, last = np.sort(random.uniform(0.0, 4.0, levels)), int(random.integers(levels))
    found = planned_values(download_s, buffer_s, cap_s, 4.0, last, quality, mu, smooth)
    for guess in range(2):
        wanted = brute(download_s[guess], buffer_s, cap_s, 4.0, last, quality, mu, smooth)
        compiled = np.zeros(levels)
        fill_plan_values(
            download_s[guess], steps, levels, buffer_s, cap_s, 4.0, last, quality, mu, smooth, compiled
        )
        np.testing.assert_allclose(found[guess], wanted, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(compiled, wanted, rtol=1e-9, atol=1e-9)


def test_a_plan_spans_seconds_and_ends_with_the_video() -> None:
    assert [plan_steps(chunk_s, 1000) for chunk_s in (1.0, 2.0, 4.0, 6.0, 10.0)] == [MOST, 16, 8, 6, FEWEST]
    assert [plan_steps(4.0, left) for left in (1, 3, 5, 7, 9)] == [1, 3, 5, 7, 8]
