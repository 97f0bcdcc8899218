"""The statistics behind comparisons: against values computed by hand, by scipy, and by known truths."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
from scipy import stats

from analysis.bootstrap import expanded_tail, mean_interval
from analysis.clusters import ClusterRule
from analysis.significance import holm, wilcoxon_p


def test_the_tail_is_hesterbergs() -> None:
    # t(0.975, 4 degrees) = 2.776445, times sqrt(5 / 4), is 3.104160; the normal's tail beyond is 0.00095408
    assert expanded_tail(5) == pytest.approx(0.00095408, rel=1e-4)
    assert expanded_tail(100_000) == pytest.approx(0.025, rel=1e-3)
    assert expanded_tail(30) == pytest.approx(stats.norm.cdf(-((30 / 29) ** 0.5) * stats.t.ppf(0.975, 29)))


def test_with_many_draws_the_interval_is_the_percentile_interval() -> None:
    values = np.random.default_rng(1).gamma(2.0, size=400)
    mine = mean_interval(list(values), list(range(400)))
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(2)
    ).confidence_interval
    assert mine.mean == pytest.approx(values.mean())
    width = theirs.high - theirs.low
    assert mine.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert mine.high == pytest.approx(theirs.high, abs=0.05 * width)


def covered(draw_clusters: int, per_cluster: int, resample_clusters: bool, repetitions: int = 300) -> float:
    """How often the interval holds the true mean, 0, when sessions of a cluster share most of their luck."""
    random = np.random.default_rng(7)
    hits = 0
    for repetition in range(repetitions):
        common = random.normal(size=(draw_clusters, 1))
        values = (common + 0.3 * random.normal(size=(draw_clusters, per_cluster))).ravel()
        names = (
            np.repeat(np.arange(draw_clusters), per_cluster) if resample_clusters else np.arange(values.size)
        )
        interval = mean_interval(values.tolist(), names.tolist(), resamples=800, seed=repetition)
        hits += interval.holds_zero
    return hits / repetitions


@pytest.mark.parametrize("clusters", [6, 25])
def test_the_interval_keeps_its_promise_over_clusters(clusters: int) -> None:
    assert 0.90 <= covered(clusters, 4, resample_clusters=True) <= 0.99


def test_sessions_taken_for_independent_would_promise_too_much() -> None:
    assert covered(25, 4, resample_clusters=False) < 0.80


def test_equal_sessions_of_a_trace_add_nothing() -> None:
    values = [0.1, 0.5, -0.2, 0.9, 0.4]
    once = mean_interval(values, list("abcde"))
    thrice = mean_interval(values * 3, list("abcde" * 3))
    assert thrice.bounds == pytest.approx(once.bounds) and thrice.clusters == once.clusters == 5


def test_the_order_of_sessions_does_not_matter() -> None:
    values, names = [0.1, 0.5, -0.2, 0.9, 0.4, 0.4], list("abcdef")
    assert mean_interval(values, names) == mean_interval(values[::-1], names[::-1])


def test_clusters_weigh_by_their_sessions() -> None:
    interval = mean_interval([1.0, 1.0, 1.0, 0.0], list("aaab"))
    assert interval.mean == 0.75 and interval.bounds == [0.0, 1.0]


def test_one_cluster_gives_no_interval_and_no_verdict() -> None:
    interval = mean_interval([1.0, 2.0], ["a", "a"])
    assert interval.mean == 1.5 and interval.bounds is None and interval.holds_zero and not interval.known


@pytest.mark.parametrize(
    ("values", "clusters", "what"),
    [([], [], "no values"), ([1.0], [], "1 values but 0"), ([1.0, float("nan")], [1, 2], "not finite")],
)
def test_what_has_no_mean_is_refused(values: list[float], clusters: list[int], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        mean_interval(values, clusters)


def test_wilcoxon_by_hand_and_by_scipy() -> None:
    assert wilcoxon_p([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) == pytest.approx(2 / 2**6)  # all on one side
    # ranks of |d| are 1, 2, 3; W- = 1, and 2 of the 8 sign patterns have W- <= 1: p = 2 * 2 / 8
    assert wilcoxon_p([-0.1, 0.2, 0.3]) == pytest.approx(0.5)
    values = np.random.default_rng(3).normal(0.3, size=80)
    assert wilcoxon_p(list(values)) == pytest.approx(stats.wilcoxon(values).pvalue)


def test_wilcoxon_of_nothing_and_of_no_difference() -> None:
    assert wilcoxon_p([]) is None
    assert wilcoxon_p([0.0, 1e-12, -1e-12]) == 1.0
    # two zeros take ranks 1 and 2; W- = 3 + 4, and 6 of the 16 sign patterns have W- <= 7: {}, 3, 4, 5, 6, 34
    assert wilcoxon_p([0.0, 0.0, -0.1, -0.2, 0.3, 0.4]) == pytest.approx(2 * 6 / 16)
    # without them W- = 1 + 2, and 5 patterns have W- <= 3: {}, 1, 2, 3, 12
    assert wilcoxon_p([-0.1, -0.2, 0.3, 0.4]) == pytest.approx(2 * 5 / 16)


def test_holm_by_hand() -> None:
    # 0.005 x 4, 0.01 x 3, 0.03 x 2, then 0.04 x 1 raised to the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_holm_keeps_the_share_of_false_alarms() -> None:
    random = np.random.default_rng(5)
    alarms = sum(min(p for p in holm(list(random.random(6))) if p is not None) < 0.05 for _ in range(2000))
    assert 0.03 <= alarms / 2000 <= 0.07


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("trace_806330_http---www.amazon.com", "test_fcc_trace_806330_http---www.ebay.com_120_0"),
        ("trace_942154_http___www.amazon.com", "trace_942154_https___www.ebay.com_120"),
        (f"trace{'0aB+-_' * 7}x=_0", f"trace{'0aB+-_' * 7}x=_12"),
        ("wifi_cafe_231115-151422.txt", "wifi_cafe_231115-152113.txt"),
        ("000_trace_942154_http---www.ebay.com", "017_trace_942154_http---www.msn.com_320"),
        ("003_trace_942154_http---www.ebay.com", "trace_942154_https---www.ebay.com"),
        ("bus.a-b-report.2010-09-30_1058CEST.log_0", "bus.a-b-report.2010-09-30_1058CEST.log_320"),
        ("bus.a-b-report.2010-09-30_1058CEST.log_0", "012_bus.a-b-report.2010-09-30_1058CEST.log_320"),
        ("drive.csv_1", "drive.csv.2"),
        ("trip.log_0.txt", "trip.log_300.txt"),
    ],
)
def test_traces_of_one_line_are_one_cluster(name: str, same: str) -> None:
    assert ClusterRule().key(name) == ClusterRule().key(same) != name


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("4g/1", "4g/11"),
        ("norway_bus_1", "norway_bus_2"),
        ("wifi_cafe_231115-151422.txt", "wifi_cafe_231116-151422.txt"),
        ("trace_806330_http---www.amazon.com", "trace_80633_http---www.amazon.com"),
        ("bus.a-b-report.2010-09-30_1058CEST.log", "bus.a-b-report.2010-09-30_1158CEST.log"),
        ("000_driving", "001_driving"),
        ("report_bus_0001.log", "report_bus_0003.log"),
    ],
)
def test_other_traces_are_clusters_of_their_own(name: str, other: str) -> None:
    assert ClusterRule().key(name) != ClusterRule().key(other)


def test_how_many_clusters_were_made_and_how_is_said() -> None:
    names = [f"{number:03}_trace_{number // 2}_http---www.a.com" for number in range(10)]
    assert ClusterRule().counted(names) == "10 traces are 5 clusters: 5 by FCC line"
    more = [*names, "a.log_0", "a.log_320", "4g/0", "4g/0"]
    assert ClusterRule().counted(more) == (
        "13 traces are 7 clusters: 5 by FCC line, 1 by trip, 1 of one trace each, whose names tell no line or"
        " trip"
    )
    assert ClusterRule("trace_(.)").counted(["trace_1_a", "trace_1_b", "x"]) == (
        "3 traces are 2 clusters: 1 by the pattern, 1 of one trace each, whose names tell no line or trip"
    )
    assert ClusterRule().counted(["4g/0"]).startswith("1 trace is 1 cluster: ")


def test_names_that_share_a_stem_are_doubted_where_each_is_alone() -> None:
    drives = ["norway_bus_1", "norway_bus_2", "norway_tram_7"]
    assert "though 2 names share 'norway_bus'" in ClusterRule().doubt(drives)
    assert "though 2 names share '4g_trace_walking'" in ClusterRule().doubt(
        ["4g_trace_walking_50008_a", "4g_trace_walking_50012_a", "4g_trace_driving_50015_dr"]
    )
    assert ClusterRule("norway_[a-z]+").doubt(drives) == ""
    assert ClusterRule().doubt([f"4g/{number}" for number in range(9)]) == ""
    assert ClusterRule().doubt(["home", "office", "4g/1", "4g/2"]) == ""
    assert ClusterRule().doubt(["a.log_0", "a.log_320", *drives]) == ""


def test_a_users_pattern_replaces_the_rule() -> None:
    rule = ClusterRule(r"^norway_(\w+)_\d+")
    assert rule.key("norway_bus_1") == rule.key("norway_bus_22") == "bus"
    assert rule.key("4g/0") == "4g/0"
    assert ClusterRule("norway|fcc").key("a_norway_1") == "norway"
    with pytest.raises(ValueError, match="no regular expression"):
        ClusterRule("(")


def test_the_pattern_that_a_doubt_advises_makes_groups() -> None:
    days = [f"norway.bus.2010-09-{day}_{hour}00CEST.log" for day in (28, 29) for hour in (10, 11, 12)]
    names = [*days, "norwayxbus.2010-09-28_1000CEST.log", "4g/0", "4g/1"]
    said = ClusterRule().doubt(names)
    _, _, command = said.partition("--cluster ")
    rule = ClusterRule(shlex.split(command)[0])
    assert "makes 2 of them" in said
    assert [len({rule.key(name) for name in part}) for part in (days, days[:3], names)] == [2, 1, 5]
    said = ClusterRule().doubt(["a+b_bus_1", "a+b_bus_2"])
    assert said.endswith(r"--cluster '^(?:\d+[_-])?(a\+b_bus)' takes all of them as one")
