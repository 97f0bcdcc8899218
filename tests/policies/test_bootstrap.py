"""The interval that the cards of learned policies give."""

from __future__ import annotations

import numpy as np

from policies.bootstrap import mean_interval, percentile_interval

VALUES = np.round(np.random.default_rng(7).normal(size=40), 3)


def test_clusters_of_one_value_are_as_none() -> None:
    alone = percentile_interval(VALUES, [f"line {number:02}" for number in range(len(VALUES))])
    assert alone == percentile_interval(VALUES)


def test_it_holds_the_mean_and_its_seed_decides_it() -> None:
    low, high = percentile_interval(VALUES)
    assert low < VALUES.mean() < high
    assert percentile_interval(VALUES, seed=0) == (low, high) != percentile_interval(VALUES, seed=1)


def test_whole_clusters_are_drawn() -> None:
    low, high = percentile_interval(np.array([0.0, 0.0, 3.0]), ["a", "a", "b"])
    assert (low, high) == (0.0, 3.0), "the three means that two draws can have end at both clusters' own"


def test_a_mean_is_told_with_its_interval() -> None:
    mean, low, high = mean_interval(np.array([1.0, 1.0, 5.0]), ["a", "a", "b"])
    assert (round(mean, 9), low, high) == (round(7 / 3, 9), 1.0, 5.0)


def test_values_of_before_stay_to_the_last_bit() -> None:
    """The figures on the cards come of these draws: generator, seed, order, sums."""
    assert percentile_interval(VALUES) == (-0.65577625, -0.1475368750000002)
