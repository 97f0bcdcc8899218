"""The generator's law one step on, as computed, against the generator itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from policies.knowable.accepted import changed_means
from policies.knowable.hidden import (
    HiddenNodes,
    Unveiled,
    between_nodes,
    mean_next_weights,
    outage_chance,
    surprises,
    weights,
)
from policies.knowable.laws import mean_hat_weights, outage_lasts, ramp_of_two
from policies.knowable.walker import FIELDS, LEVEL, OUTAGE_STEP, RATE, SCORE, WANDER, PackedClass, advance
from traces.families.catalogue import load_family
from traces.families.generator import draw, interpolate, states
from traces.families.model import OUTAGE_SHARES
from traces.prng import SplitMix64

DRAWS = 40_000


def test_ramps_are_means_over_the_generators_normal() -> None:
    random = SplitMix64("ramps")
    first, second = (np.array([random.normal() for _ in range(DRAWS)]) for _ in range(2))
    for edge in (-1.5, -0.2, 0.0, 0.4, 1.1):
        drawn = np.maximum(0.4 * first + 0.3 * second - edge, 0.0)
        mean = ramp_of_two(np.array(edge), 0.4, 0.3)
        assert mean == pytest.approx(drawn.mean(), abs=5 * drawn.std() / DRAWS**0.5)


def test_weights_of_a_mean_sum_to_one_and_keep_the_mean() -> None:
    nodes = np.linspace(-30.0, 30.0, 61)
    found = mean_hat_weights(np.array([0.3, -2.0]), 0.5, 0.2, nodes)
    assert found.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert found @ nodes == pytest.approx([0.3, -2.0])


def test_outages_last_as_the_generator_draws_them() -> None:
    quantiles = (1.0, 2.0, 3.0, 4.5, 6.5, 9.0, 12.0, 12.5, 13.4, 14.0)
    random = SplitMix64("outages")
    shares = [random.uniform() for _ in range(DRAWS)]
    lengths = np.array([max(int(interpolate(each, OUTAGE_SHARES, quantiles) + 0.5), 1) for each in shares])
    lasts = outage_lasts(quantiles, 15)
    assert [(lengths >= steps).mean() for steps in range(16)] == pytest.approx(lasts.tolist(), abs=0.015)


@pytest.mark.parametrize("family", ["3g", "fcc", "lte", "rural"])
def test_what_the_link_does_next_has_the_mean_that_is_computed(family: str) -> None:
    """Over many steps surprises sum to nothing, within what chance allows: else a planner pays too little or
    too much."""
    for place, part in enumerate(load_family(family).classes):
        offset = part.offset[3]
        nodes = HiddenNodes.of(part, offset)
        walked = tuple(islice(states(part, offset, SplitMix64(f"{family}/{place}")), 12_000))
        found = surprises(nodes, Unveiled.of(offset, walked))
        assert found.sum(axis=1) == pytest.approx(0.0, abs=1e-9)
        levels, split = len(nodes.levels), nodes.ups
        up = found[:, :split].reshape(len(found), levels, -1)
        dark = found[:, split:].reshape(len(found), levels, -1)
        on_levels = (up.sum(axis=2) + dark.sum(axis=2)) @ nodes.levels
        for each in (on_levels, up.sum(axis=1) @ nodes.deviations, dark.sum(axis=(1, 2))):
            assert abs(each.mean()) <= 5.0 * each.std() / len(each) ** 0.5 + 1e-9


def test_an_outage_that_is_long_goes_on_for_longer() -> None:
    part = replace(
        load_family("3g").classes[0],
        outage_steps=(1.0, 2.0, 3.0, 4.5, 6.5, 9.0, 12.0, 12.5, 13.4, 14.0),
        long_outage_steps=9,
        long_outage_mbps=(0.01,) * 10,
    )
    three = np.full(3, 0.0)
    ages, is_long = np.array([2.0, 8.0, 2.0]), np.array([0.0, 0.0, 1.0])
    chance = outage_chance(part, Unveiled(0.0, three, three, three, ages, is_long))
    assert 0.5 < chance[0] < 1.0  # some that are not long end at two steps
    assert chance[1:] == pytest.approx([0.0, 1.0])


def test_the_compiled_walk_has_the_generators_law() -> None:
    part = load_family("3g").classes[0]
    walked = list(islice(states(part, 0.0, SplitMix64("walk")), DRAWS))
    state, words, seen = np.zeros(FIELDS), np.array([7], np.uint64), np.empty((DRAWS, FIELDS))
    packed = PackedClass.of(part)
    for step in range(DRAWS):
        advance(packed, 0.0, state, words)
        seen[step] = state
    assert seen[:, RATE].mean() == pytest.approx(np.mean([each.mbps for each in walked]), rel=0.06)
    dark = np.mean([each.outage_step > 0 for each in walked])
    assert (seen[:, OUTAGE_STEP] > 0).mean() == pytest.approx(dark, rel=0.2)
    assert seen[:, SCORE].std() == pytest.approx(np.std([each.score for each in walked]), rel=0.1)
    assert np.abs(seen[:, [LEVEL, WANDER]].mean(axis=0)).max() < 0.3


def test_members_that_are_drawn_anew_change_the_law_and_others_do_not() -> None:
    model = load_family("4g")
    drawn = draw(model, 5)
    nodes = HiddenNodes.of(drawn.part, drawn.offset)
    free = replace(model, max_mean_mbps=None, min_mean_mbps=1e-6)
    assert not changed_means(free, nodes, drawn, 4, seed=1).any()
    close = replace(model, max_mean_mbps=1.05 * float(np.mean(drawn.rates)))
    changed = changed_means(close, nodes, drawn, 4, seed=1, pairs=400)
    assert changed.sum(axis=1) == pytest.approx(0.0, abs=1e-9)
    level = (changed[:, : nodes.ups].reshape(4, len(nodes.levels), -1).sum(axis=2) @ nodes.levels).mean()
    assert level < 0.0  # of those that fit, fewer are fast


def test_the_next_weights_are_those_of_a_state_that_cannot_change() -> None:
    part = replace(
        load_family("4g").classes[0],
        level_hold_steps=1e12,
        wander_sd=0.0,
        noise_sd=0.0,
        outage_hazard=(0.0,) * 5,
    )
    walked = tuple(islice(states(part, 0.0, SplitMix64("still")), 3))
    nodes = HiddenNodes.of(part, 0.0)
    seen = Unveiled.of(0.0, walked)
    assert mean_next_weights(nodes, seen) == pytest.approx(weights(nodes, seen), abs=1e-9)


def test_no_outage_goes_on_for_longer_than_any() -> None:
    short = replace(load_family("lte").classes[0], outage_steps=(1.0,) * 10, long_outage_steps=None)
    ages = np.array([1.0, 2.0, 5.0])
    chance = outage_chance(short, Unveiled(0.0, ages, ages, ages, ages, np.zeros(3, bool)))
    assert chance.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("family", ["3g", "4g", "5g", "lte", "fcc", "wifi", "rural", "bursty"])
def test_from_every_node_of_every_family_the_link_goes_on(family: str) -> None:
    for part in load_family(family).classes:
        nodes = HiddenNodes.of(part, 0.0)
        assert between_nodes(nodes, 0.0).sum(axis=1) == pytest.approx(np.ones(len(nodes)))
