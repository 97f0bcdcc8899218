"""The generator and its families: the same everywhere, playable, and like the logs they were fitted to."""

from __future__ import annotations

import hashlib
import itertools
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.families import catalogue, fit
from traces.families.generator import interpolate, member, pick_class, r2_point
from traces.families.logs import chosen, cut, line_of, on_grid, origin, split
from traces.families.model import FamilyModel, parse_model
from traces.families.statistics import Statistics, outage_lengths_s
from traces.formats import FORMATS
from traces.prng import SplitMix64
from traces.trace import Trace, TraceError

PINNED = {
    "3g/0": "bebb04ba44448856",
    "3g/17": "754169b10ed54e14",
    "3g/1000": "844ab642a8f1fab7",
    "4g/0": "e330f8306c3159a9",
    "4g/17": "c1fe7e32e3526b1e",
    "4g/1000": "54721ea7ba34b8bb",
    "lte/0": "195f451494c2947f",
    "lte/17": "f184f6502cab6bed",
    "lte/1000": "6459a84b537ec65b",
    "5g/0": "07f60bca3c2fe4c9",
    "5g/17": "50285a2ecec6446e",
    "5g/1000": "ff1d3867ee84d41b",
    "fcc/0": "865490027f2f4e96",
    "fcc/17": "b1d3f5f323330029",
    "fcc/1000": "e5bba39a09721004",
    "wifi/0": "e16f6bab69c35aec",
    "wifi/17": "579153daef5f878f",
    "wifi/1000": "d44be7db36dc62b3",
    "rural/0": "feea231d545f8678",
    "rural/17": "b0e9a2b2a8a07512",
    "rural/1000": "2dff5e6627cd914a",
    "bursty/0": "141fb555c5150828",
    "bursty/17": "bdf23222ff9a75e7",
    "bursty/1000": "7f2bac753c86e94b",
}
"""Of `Trace.sha256`: a change here changes every result that anyone has published with these families."""


def test_splitmix_draws_are_the_published_ones() -> None:
    random = SplitMix64(1234567)  # the reference values of the Rosetta Code task
    assert [random.bits() for _ in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_draws_are_uniform_and_normal() -> None:
    random = SplitMix64("test")
    uniform = np.array([random.uniform() for _ in range(20_000)])
    normal = np.array([random.normal() for _ in range(20_000)])
    assert uniform.min() >= 0 and uniform.max() < 1
    assert uniform.mean() == pytest.approx(0.5, abs=0.01)
    assert normal.mean() == pytest.approx(0, abs=0.03)
    assert normal.std() == pytest.approx(1, abs=0.02)
    assert np.quantile(normal, 0.975) == pytest.approx(1.96, abs=0.06)


@pytest.mark.parametrize("spec", PINNED)
def test_members_are_the_same_on_every_machine(spec: str) -> None:
    assert catalogue.resolve(spec).sha256[:16] == PINNED[spec]


def test_a_member_depends_on_family_and_index_alone() -> None:
    alone = catalogue.resolve("lte/7")
    among = catalogue.resolve_many("lte[5:9]")[2]
    assert alone == among and alone.name == "lte/7" and alone.family == "lte"
    model = catalogue.load_family("lte")
    assert member(replace(model, family="other"), 7).sha256 != alone.sha256
    with pytest.raises(TraceError, match="counted from 0"):
        member(model, -1)


@cache
def members(family: str) -> tuple[Trace, ...]:
    return tuple(catalogue.resolve_many(f"{family}[0:80]"))


@pytest.mark.parametrize("family", catalogue.families())
def test_members_differ_and_are_playable(family: str) -> None:
    model = catalogue.load_family(family)
    assert len({trace.sha256 for trace in members(family)}) == 80
    for trace in members(family):
        assert trace.duration_s == model.length_s >= 320
        assert trace.mean_mbps >= model.min_mean_mbps > 0.3
        assert all(rate == round(rate, 3) for rate in trace.rate_mbps)
        assert {round(b - a, 9) for a, b in itertools.pairwise(trace.time_s)} == {model.step_s}


def test_the_showcase_moves_across_the_ladder() -> None:
    first = catalogue.resolve("4g").rate_mbps[1:193]
    assert 1.5 <= sum(first) / len(first) <= 5
    assert min(first) < 2 and max(first) > 4.3


BOUNDS = {
    "mean_mbps": 0.12,
    "deviation_mbps": 0.2,
    "p50_mbps": 0.15,
    "p95_mbps": 0.15,
}
"""Relative distance of 80 members from the logs that were fitted."""
CHOSEN_FOR_SWINGS_OR_OUTAGES = ("rural", "bursty")


@pytest.mark.parametrize("family", catalogue.families())
def test_members_are_like_the_logs_that_were_fitted(family: str) -> None:
    model = catalogue.load_family(family)
    made = fit.measured(members(family), model.piece_s)
    for name, bound in BOUNDS.items():
        assert getattr(made, name) == pytest.approx(getattr(model.fitted, name), rel=bound), name
    assert made.p5_mbps == pytest.approx(model.fitted.p5_mbps, rel=0.2, abs=0.03 * model.fitted.mean_mbps)
    assert made.share_below_0_3 == pytest.approx(model.fitted.share_below_0_3, rel=0.15, abs=0.01)
    if family in CHOSEN_FOR_SWINGS_OR_OUTAGES:
        assert made.swings_2s == pytest.approx(model.fitted.swings_2s, rel=0.15)
    for name in ("autocorrelation_1s", "autocorrelation_5s", "autocorrelation_20s"):
        wanted = getattr(model.fitted, name)
        assert wanted is None or getattr(made, name) == pytest.approx(wanted, abs=0.13), name
    assert made.outage_mean_s == pytest.approx(model.fitted.outage_mean_s, rel=0.4)


def held_out_distance(model: FamilyModel) -> list[float]:
    assert model.held_out is not None
    names = ("mean_mbps", "p50_mbps", "p95_mbps")
    return [abs(getattr(model.fitted, n) / getattr(model.held_out, n) - 1) for n in names]


@pytest.mark.parametrize("family", catalogue.families())
def test_every_family_was_judged_on_logs_left_out(family: str) -> None:
    model = catalogue.load_family(family)
    assert model.held_out is not None
    assert model.held_out_logs >= 0.8 * model.fitted_logs - 1  # lines that are held out whole differ in logs
    assert max(held_out_distance(model)) < 0.5


def test_fitting_its_own_members_gives_the_family_back() -> None:
    logs = members("4g")[:40]
    model = fit.fit(logs, "again", classes=1)
    made, wanted = fit.generated(model, 600.0, 40), fit.measured(logs, 600.0)
    assert made.mean_mbps == pytest.approx(wanted.mean_mbps, rel=0.1)
    assert made.p95_mbps == pytest.approx(wanted.p95_mbps, rel=0.15)
    assert made.autocorrelation_5s == pytest.approx(wanted.autocorrelation_5s, abs=0.1)
    assert made.share_below_0_3 == pytest.approx(wanted.share_below_0_3, abs=0.01)
    assert parse_model(model.to_json(), "x").classes == model.classes


def test_classes_tell_slow_links_from_fast_ones() -> None:
    slow = [Trace(f"s{i}", *_line([1.0 + 0.1 * ((i + k) % 5) for k in range(100)])) for i in range(4)]
    fast = [Trace(f"f{i}", *_line([50.0 + (i + k) % 7 for k in range(100)])) for i in range(2)]
    groups = fit.group([fast[0], *slow, fast[1]], 2)
    assert [[log.name for log in part] for part in groups] == [["s0", "s1", "s2", "s3"], ["f0", "f1"]]
    assert len(fit.group(slow, 9)) == 4


def _line(rates: list[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(float(i) for i in range(len(rates) + 1)), (rates[0], *rates)


def test_a_split_leaves_no_log_and_no_block_on_both_sides() -> None:
    logs = [Trace(f"log{i}", *_line([1.0 + i] * 90)) for i in range(5)]
    whole = split(logs, 2)
    assert [log.name for log in whole.held_out] == ["log1", "log3"]
    assert [log.name for log in whole.fitted] == ["log0", "log2", "log4"]
    blocks = split(logs[:2], 2, 30.0)
    names = [block.name for block in (*blocks.fitted, *blocks.held_out)]
    assert len(set(names)) == 6
    assert {origin(block) for block in blocks.held_out} == {"log0", "log1"}


def test_a_line_is_held_out_whole() -> None:
    names = ("a_1", "a_2", "b_1", "c.up", "a_3", "c.down", "d")
    logs = [Trace(name, *_line([1.0] * 9)) for name in names]
    parts = split(logs, 2, line=re.compile(r"^([ab])_|^(.*)[.](?:up|down)$"))
    assert [log.name for log in parts.held_out] == ["b_1", "d"]
    assert [log.name for log in parts.fitted] == ["a_1", "a_2", "c.up", "a_3", "c.down"]
    assert line_of("x-17.log", re.compile(r"\d+")) == "17"


def test_logs_are_chosen_by_how_dark_they_are_and_how_they_swing() -> None:
    steady = Trace("steady", *_line([2.0] * 40))
    swinging = Trace("swinging", *_line([1.0, 1.0, 4.0, 4.0] * 10))
    dark = Trace("dark", *_line([2.0] * 30 + [0.1] * 10))
    logs = [steady, swinging, dark]
    assert [log.name for log in chosen(logs, 0.0, 0.0)] == ["steady", "swinging", "dark"]
    assert [log.name for log in chosen(logs, 0.25, 0.0)] == ["dark"]
    assert [log.name for log in chosen(logs, 0.0, 0.9)] == ["swinging"]
    with pytest.raises(TraceError, match=r"none of 3 logs is below 0.3 Mbit/s for a share of 0.25 and"):
        chosen(logs, 0.25, 0.9)


LONG_AND_DARK = ([2.0] * 12 + [0.2] + [3.0] * 7 + [0.0] * 12) * 12
"""Short outages that carry something and long ones that carry nothing, 32 s a turn."""


def test_long_outages_are_as_dark_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "_SIMULATED_STEPS", 4000)
    monkeypatch.setattr(fit, "_LAST_SIMULATED_STEPS", 4000)
    model = fit.fit([Trace("log", *_line(LONG_AND_DARK))], "x", classes=1, long_outage_s=10.0)
    assert model.classes[0].long_outage_steps == 10
    assert set(model.classes[0].long_outage_mbps) == {0.0} and set(model.classes[0].outage_mbps) == {0.2}
    runs = [
        set(run)
        for dark, group in itertools.groupby(member(model, 0).rate_mbps[1:], lambda rate: rate < 0.3)
        if dark and (run := list(group))
    ]
    assert runs.count({0.0}) and runs.count({0.2}) and len(runs) == runs.count({0.0}) + runs.count({0.2})
    assert parse_model(model.to_json(), "x").classes == model.classes


def test_without_long_outages_a_family_is_as_before() -> None:
    text = catalogue.load_family("3g").to_json()
    assert "long_outage" not in text
    part = catalogue.load_family("rural").classes[0]
    assert part.long_outage_steps == 20 and max(part.long_outage_mbps) < 0.3
    broken = (
        catalogue.load_family("rural")
        .to_json()
        .replace('"long_outage_mbps": [', '"long_outage_mbps": [1, ', 1)
    )
    with pytest.raises(TraceError, match="f: class 0: long_outage_mbps has 11 values, not 10"):
        parse_model(broken, "f")


def test_a_schema_of_two_lines_is_refused_in_one() -> None:
    with pytest.raises(TraceError) as refused:
        parse_model('{"schema": "a\\nb"}', "f")
    assert str(refused.value) == 'f: schema "a\\nb", not 1; make the file anew with `fit`'


def test_rural_links_go_dark_for_long_and_bursty_ones_swing() -> None:
    rural = members("rural")
    assert max(trace.mean_mbps for trace in rural) <= 5.0
    longest = [max(outage_lengths_s(trace), default=0.0) for trace in rural]
    assert sorted(longest)[len(longest) // 2] >= 8 and max(longest) >= 45
    swings = {family: fit.measured(members(family), 600.0).swings_2s for family in ("4g", "lte", "bursty")}
    assert swings["bursty"] > 0.4 > 2 * max(swings["4g"], swings["lte"])


def test_cut_keeps_all_but_dark_pieces() -> None:
    log = Trace("log", *_line([1.0] * 30 + [0.0] * 10 + [2.0] * 14))
    pieces = cut(log, 10.0)
    assert [piece.duration_s for piece in pieces] == [10, 10, 10, 14]
    assert sum(piece.mean_mbps * piece.duration_s for piece in pieces) == pytest.approx(58)


def test_logs_that_can_not_be_fitted_are_refused() -> None:
    with pytest.raises(TraceError, match="none of 1 logs"):
        fit.fit([Trace("slow", *_line([0.1] * 50))], "x")
    with pytest.raises(TraceError, match="shorter than one step"):
        on_grid(Trace("short", (0.0, 0.5), (1.0, 1.0)), 1.0)


def test_a_class_that_never_leaves_an_outage_is_refused() -> None:
    dim = [Trace(f"d{i}", *_line([0.05 + 0.01 * ((i + k) % 3) for k in range(60)])) for i in range(2)]
    fast = [Trace(f"f{i}", *_line([5.0 + (i + k) % 7 for k in range(60)])) for i in range(2)]
    with pytest.raises(TraceError, match=r"d0 and 1 like it: never reaches 0.3 Mbit/s; .*--classes"):
        fit.fit([*fast, *dim], "x", classes=2, min_mean_mbps=0.01)


def test_a_class_with_a_single_step_of_service_can_be_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "_SIMULATED_STEPS", 4000)
    monkeypatch.setattr(fit, "_LAST_SIMULATED_STEPS", 4000)
    log = Trace("dark", *_line([0.1] * 60 + [2.0] + [0.1] * 60))
    model = fit.fit([log], "x", min_mean_mbps=0.01)
    assert max(model.classes[0].rate_mbps) == 2.0


def test_constant_logs_give_constant_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "_SIMULATED_STEPS", 4000)
    monkeypatch.setattr(fit, "_LAST_SIMULATED_STEPS", 4000)
    model = fit.fit([Trace(f"l{i}", *_line([5.0] * 120)) for i in range(3)], "x", classes=1)
    assert set(member(model, 0).rate_mbps) == {5.0}


def test_members_out_of_bounds_are_drawn_anew_and_never_without_end() -> None:
    model = catalogue.load_family("4g")
    assert model.max_mean_mbps is not None
    assert all(trace.mean_mbps <= model.max_mean_mbps for trace in members("4g"))
    with pytest.raises(TraceError, match="100 draws"):
        member(replace(model, min_mean_mbps=1e6, length_s=20.0), 0)


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_r2_points_lie_in_the_unit_square(index: int) -> None:
    assert all(0 <= share < 1 for share in r2_point(index))


def test_classes_come_in_their_shares() -> None:
    model = catalogue.load_family("wifi")
    drawn = [pick_class(model.classes, r2_point(index)[0]) for index in range(200)]
    for part in model.classes:
        assert drawn.count(part) / 200 == pytest.approx(part.weight, abs=0.02)


@settings(deadline=None)
@given(st.floats(-5, 5), st.lists(st.floats(0, 100), min_size=4, max_size=4))
def test_interpolation_is_numpys(position: float, values: list[float]) -> None:
    grid = (-2.0, -1.0, 0.5, 3.0)
    assert interpolate(position, grid, values) == pytest.approx(float(np.interp(position, grid, values)))


@pytest.mark.parametrize("family", catalogue.families())
def test_data_files_are_small_and_read_back(family: str) -> None:
    model = catalogue.load_family(family)
    text = model.to_json()
    assert len(text) < 6000
    assert parse_model(text, "x") == model
    assert isinstance(model.fitted, Statistics) and model.about


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_broken_data_file_is_refused_or_still_a_model(data: st.DataObject) -> None:
    text = catalogue.load_family("4g").to_json()
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(begin + 40, len(text))))
    try:
        parse_model(text[:begin] + data.draw(st.text('0,]}"a', max_size=2)) + text[end:], "f.json")
    except TraceError as error:
        assert str(error).startswith("f.json")


def test_generated_files_are_the_same_bytes() -> None:
    text = FORMATS["text"].write(catalogue.resolve("3g"))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "fb93947f7347349a"
