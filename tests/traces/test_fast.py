"""Variation within the second: the same everywhere, true to the member and to what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.families import catalogue
from traces.families.fast_fit import fit_kind, fit_layer
from traces.families.fast_layer import (
    BINS_A_SECOND,
    GAP_SHARES,
    LAYER_OF,
    SCORES,
    Band,
    Kind,
    fast_families,
    load_layer,
    parse_layer,
)
from traces.families.fast_members import fast_member, gap_length, looked_up, multiples, under_the_peak
from traces.families.fast_noise import autoregression, normals, uniforms, words
from traces.families.fast_statistics import correlations, dark_runs, figures, in_gap, seconds_of
from traces.prng import SplitMix64
from traces.trace import Trace, TraceError

FLAT = Kind("flat", 0.5, 0.8, 0.1, (5.0,) * 7, 50.0, (Band(1.0, 1, 0.0, (1.0,) * 25),))
GAPPED = replace(
    FLAT, gap_bins=(5.0, 6.0, 8.0, 10.0, 12.0, 14.0, 20.0), bands=(Band(1.0, 1, 0.02, (1.0,) * 25),)
)
UNEVEN = replace(
    FLAT,
    bands=(
        Band(1.0, 1, 0.01, (0.0,) * 12 + tuple(index / 4 for index in range(13))),
        Band(9.0, 1, 0.0, tuple(0.5 + index / 24 for index in range(25))),
    ),
)


@settings(max_examples=20)
@given(st.text(max_size=8), st.integers(1, 40))
def test_draws_in_arrays_are_the_draws_one_by_one(label: str, count: int) -> None:
    one_by_one = SplitMix64(label)
    assert words(label, count).tolist() == [one_by_one.bits() for _ in range(count)]
    one_by_one = SplitMix64(label)
    assert normals(label, count).tolist() == [one_by_one.normal() for _ in range(count)]
    one_by_one = SplitMix64(label)
    assert uniforms(label, count).tolist() == [one_by_one.uniform() for _ in range(count)]


def test_an_autoregression_by_hand_and_in_the_long_run() -> None:
    by_hand = autoregression(np.array([1.0, 0.5, -1.0]), 0.6)
    assert by_hand.tolist() == pytest.approx([1.0, 1.0, 0.6 * 1.0 - 0.8])
    long = autoregression(normals("ar", 100_000), 0.8)
    assert long.std() == pytest.approx(1.0, abs=0.03)
    assert np.corrcoef(long[:-1], long[1:])[0, 1] == pytest.approx(0.8, abs=0.01)


def test_tables_are_linear_between_scores_and_constant_beyond() -> None:
    tables = np.asarray([[float(index) for index in range(25)], [2.0 * index for index in range(25)]])
    rows = np.asarray([0, 0, 1, 0, 1])
    score = np.asarray([-9.0, -3.0 + 0.25 * 3.5, 0.0, 9.0, SCORES[-1]])
    assert looked_up(tables, rows, score).tolist() == [0.0, 3.5, 24.0, 24.0, 48.0]


def test_gap_lengths_by_their_quantiles() -> None:
    lengths = GAPPED.gap_bins
    assert [gap_length(lengths, share) for share in GAP_SHARES] == [5, 6, 8, 10, 12, 14, 20]
    assert gap_length(lengths, 0.375) == 7


@settings(max_examples=20)
@given(st.lists(st.floats(0.01, 200.0), min_size=1, max_size=12), st.sampled_from([25, 50]))
def test_each_step_carries_what_it_should_and_is_never_negative(rates: list[float], bins: int) -> None:
    for kind in (FLAT, GAPPED, UNEVEN):
        spread = multiples(kind, np.asarray(rates), bins, "any")
        assert spread.shape == (len(rates), bins)
        assert (spread >= 0).all()
        assert spread.mean(axis=1).tolist() == pytest.approx([1.0] * len(rates))


def test_no_bin_is_over_what_the_radio_can_do() -> None:
    """10 Mbit/s in one bin of four, where 25 are the most: the other 15 go to the three that have room."""
    rates = np.asarray([[40.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 2.0], [200.0, 0.0, 0.0, 0.0]])
    found = under_the_peak(rates, rates.mean(axis=1), 25.0)
    assert found[0].tolist() == pytest.approx([25.0, 5.0, 5.0, 5.0])
    assert found[1].tolist() == rates[1].tolist()
    assert found[2].tolist() == pytest.approx([100.0, 100 / 3, 100 / 3, 100 / 3]), "twice the mean is allowed"
    assert found.mean(axis=1).tolist() == pytest.approx([10.0, 2.0, 50.0])


def test_gaps_begin_as_often_as_asked() -> None:
    """Hazard 0.02 a bin outside gaps: of n bins outside, 0.02 n begin (binomial, 5 standard deviations)."""
    spread = multiples(GAPPED, np.full(2000, 0.5), BINS_A_SECOND, "gaps").ravel()
    begins, lengths = dark_runs(spread == 0)
    outside = (spread > 0).sum()
    assert len(begins) == pytest.approx(0.02 * outside, abs=5 * np.sqrt(0.02 * outside) + 40)
    assert lengths.mean() == pytest.approx(8.9, rel=0.1)


PINNED = {
    "4g-fast/0": "dddd5d03fa3d69a0",
    "4g-fast/17": "6b2e3dffb126b566",
    "3g-fast/3": "5863f13d9574684c",
    "lte-fast/1": "25d12e3101a0b0f9",
    "rural-fast/2": "092b6416be5ca3de",
    "bursty-fast/5": "88ee1cc0b3f15e02",
}


@pytest.mark.parametrize("spec", PINNED)
def test_fast_members_are_the_same_on_every_machine(spec: str) -> None:
    assert catalogue.resolve(spec).sha256[:16] == PINNED[spec]


@pytest.mark.parametrize("family", fast_families())
def test_every_step_of_a_fast_member_is_the_member_s(family: str) -> None:
    slow, fast = catalogue.resolve(f"{family.removesuffix('-fast')}/7"), catalogue.resolve(f"{family}/7")
    assert (fast.name, fast.family, fast.duration_s) == (f"{family}/7", family, slow.duration_s)
    assert fast.time_s[1] == 0.02
    assert fast.time_s[-1] == slow.time_s[-1]
    bins = round(slow.time_s[1] * 50)
    means = np.asarray(fast.rate_mbps[1:]).reshape(-1, bins).mean(axis=1)
    assert np.abs(means - np.asarray(slow.rate_mbps[1:])).max() < 0.0005
    assert fast.mean_mbps == pytest.approx(slow.mean_mbps, abs=1e-4)
    assert all(rate == round(rate, 3) for rate in fast.rate_mbps[:200])


def test_names_work_as_those_of_families(tmp_path: Path) -> None:
    assert [trace.name for trace in catalogue.resolve_many("4g-fast[2:4]")] == ["4g-fast/2", "4g-fast/3"]
    assert catalogue.resolve("3g-fast").name == "3g-fast/0"
    assert catalogue.default_video("lte-fast") == catalogue.default_video("lte")
    assert catalogue.placed("4g-fast/3", tmp_path) == "4g-fast/3"
    with pytest.raises(TraceError, match=r"fcc-fast: no fast layer is over fcc.*there are 3g-fast"):
        catalogue.resolve("fcc-fast/3")
    with pytest.raises(TraceError, match="did you mean '4g-fast'"):
        catalogue.resolve("4g-fst/3")
    with pytest.raises(TraceError, match="1000 at once"):
        catalogue.resolve_many("4g-fast[0:1001]")
    with pytest.raises(TraceError, match="-1; traces are numbered"):
        catalogue.resolve("4g-fast/-1")


def test_the_layers_are_read_as_they_were_written() -> None:
    for name in set(LAYER_OF.values()):
        layer = load_layer(name)
        assert parse_layer(layer.to_json(), "again") == layer
        assert {judged.fitted for judged in layer.judged} == {True, False}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema 2, not 1"),
        ({"kinds": []}, "no kinds"),
        ({"kinds": [{"log": "a"}]}, "not a fast layer: KeyError"),
        ({"kinds": 3}, "not a fast layer: TypeError"),
    ],
)
def test_a_file_that_is_no_layer_is_refused(change: dict[str, object], message: str) -> None:
    body = json.loads(load_layer("lte").to_json()) | change
    with pytest.raises(TraceError, match=message):
        parse_layer(json.dumps(body), "mine.json")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("slow_keep", 1.5, "slow_keep 1.5: expected 0 to 1"), ("gap_bins", [1], "gap_bins must hold 7 numbers")],
)
def test_a_kind_out_of_bounds_is_refused(field: str, value: object, message: str) -> None:
    body = json.loads(load_layer("lte").to_json())
    body["kinds"][0][field] = value
    with pytest.raises(TraceError, match=message):
        parse_layer(json.dumps(body), "mine.json")


def test_figures_by_hand() -> None:
    """Two seconds: one with 25 full bins and 25 empty ones after them, one of alternating bins."""
    halves = np.asarray([[4.0] * 25 + [0.0] * 25, [2.0, 0.0] * 25])
    found = figures(halves)
    assert (found.seconds, found.mean_mbps, found.dark, found.in_gaps) == (2, 1.5, 0.5, 0.25)
    assert (found.p50, found.p95, found.variation) == (1.0, 2.0, 1.0)
    # Products at lag 1: 49 pairs, of which one is -1 in the first second; all are -1 in the second.
    assert found.acf_20ms == pytest.approx((47 - 49) / 98, abs=1e-3)
    assert found.dark_run_ms == pytest.approx(20 * (25 + 25) / 26, abs=0.1)
    assert in_gap(halves)[0].tolist() == [False] * 25 + [True] * 25
    assert not in_gap(halves)[1].any()


def made_log(kind: Kind, seconds: int) -> Trace:
    """A log that serves as the kind does, 1 to 6 Mbit/s."""
    member = Trace(
        "x/0", tuple(range(seconds + 1)), (1.0, *(1.0 + index % 6 for index in range(seconds))), "x"
    )
    spread = multiples(kind, np.asarray(member.rate_mbps[1:]), BINS_A_SECOND, "log")
    rates = (spread * np.asarray(member.rate_mbps[1:])[:, None]).ravel().tolist()
    return Trace("made", tuple(index / 50 for index in range(len(rates) + 1)), (rates[0], *rates), "x")


def test_a_fit_finds_what_a_log_was_made_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traces.families.fast_fit.SLOW_SHARES", (0.0, 0.5, 1.0))
    monkeypatch.setattr("traces.families.fast_fit.QUICK_S", (0.0,))
    table = (0.0,) * 9 + tuple(0.5 + index / 16 for index in range(16))
    made = replace(FLAT, slow_share=1.0, slow_keep=0.7165, bands=(Band(9.0, 1, 0.002, table),))
    log = made_log(replace(made, gap_bins=(9.0,) * 7), 300)
    layer = fit_layer("test", "", [log], [log])
    judged = layer.judged[1]
    assert not judged.fitted
    theirs, ours = judged.measured, judged.generated
    assert ours.dark == pytest.approx(theirs.dark, abs=0.04)
    assert ours.variation == pytest.approx(theirs.variation, rel=0.1)
    assert ours.acf_20ms == pytest.approx(theirs.acf_20ms, abs=0.05)
    assert ours.acf_100ms == pytest.approx(theirs.acf_100ms, abs=0.06)
    assert ours.dark_run_ms == pytest.approx(theirs.dark_run_ms, rel=0.25)


def test_a_log_without_enough_is_refused() -> None:
    with pytest.raises(TraceError, match="3 seconds in which anything passed; 10 needed"):
        fit_kind(made_log(FLAT, 3))
    with pytest.raises(TraceError, match="no logs to fit"):
        fit_layer("test", "", [], [])


def test_seconds_in_which_nothing_passed_are_left_out() -> None:
    log = Trace("gap", (0.0, 1.0, 2.0, 3.0), (1.0, 1.0, 0.0, 2.0))
    assert seconds_of(log).mean(axis=1).tolist() == pytest.approx([1.0, 2.0])
    assert correlations(np.ones((2, 50))) == [0.0, 0.0, 0.0, 0.0]


def test_a_dark_step_stays_dark() -> None:
    member = Trace("x/1", (0.0, 1.0, 2.0), (1.0, 0.0, 1.0), "x")
    fast = fast_member(member, load_layer("lte"))
    assert set(fast.rate_mbps[1:51]) == {0.0}
    assert sum(fast.rate_mbps[51:]) == pytest.approx(50.0, abs=0.03)
