"""QoE against values worked out by hand, and a session's figures."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.defaults import MU
from player.qoe import QoE, Scoring, published_mu, scored_json, scored_words, summarise
from player.record import ChunkRow, EndRow

LADDER = (300, 750, 1200, 1850, 2850, 4300)
HIGH = (1000, 2500, 5000, 8000, 16000, 40000)
ROW = ChunkRow(0, 0, 300, 1000, 0.0, 0.1, 1.0, 0.008, 0.0, 4.0, 0.0, 0.0, 0.002, "policy")


def rows(levels: list[int], stalls_s: list[float], decisions_s: list[float] | None = None) -> list[ChunkRow]:
    decisions_s = decisions_s or [0.002] * len(levels)
    return [
        replace(ROW, chunk=k, level=level, stall_s=stall_s, decision_s=decision_s)
        for k, (level, stall_s, decision_s) in enumerate(zip(levels, stalls_s, decisions_s, strict=True))
    ]


def an_end(outcome: str = "finished", stall_s: float = 0.0, played_s: float = 12.0) -> EndRow:
    return EndRow(outcome, "", 3, 0.7, stall_s, played_s, 0.7 + stall_s + played_s)


@pytest.mark.parametrize(
    ("qoe", "expected"),
    [
        # levels 1, 5, 2; stalls 9 (startup, never counted), 0.5, 0
        (QoE("linear"), [4.3 - 4.3 * 0.5 - (4.3 - 0.75), 1.2 - (4.3 - 1.2)]),
        (QoE("linear", 10.0), [4.3 - 10 * 0.5 - (4.3 - 0.75), 1.2 - (4.3 - 1.2)]),
        (QoE("linear", 4.3, 0.0), [4.3 - 4.3 * 0.5, 1.2]),
        (
            QoE("log", MU["log"]),
            [
                math.log(4300 / 300) - 2.66 * 0.5 - (math.log(4300 / 300) - math.log(750 / 300)),
                math.log(1200 / 300) - (math.log(4300 / 300) - math.log(1200 / 300)),
            ],
        ),
        (QoE("hd", MU["hd"]), [20 - 8 * 0.5 - (20 - 2), 3 - (20 - 3)]),
    ],
    ids=str,
)
def test_per_chunk_by_hand(qoe: QoE, expected: list[float]) -> None:
    assert qoe.per_chunk([1, 5, 2], [9.0, 0.5, 0.0], LADDER) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "ladder", "mu", "words"),
    [
        ("linear", LADDER, 4.3, "linear, mu 4.3 (the ladder's top), smooth 1"),
        ("linear", HIGH, 40.0, "linear, mu 40 (the ladder's top), smooth 1"),
        ("linear", (500, 900), 0.9, "linear, mu 0.9 (the ladder's top), smooth 1"),
        ("log", LADDER, 2.66, "log, mu 2.66 (the ladder's top), smooth 1"),
        ("log", HIGH, 3.69, "log, mu 3.69 (the ladder's top), smooth 1"),
        ("hd", LADDER, 8.0, "hd, mu 8, smooth 1"),  # as published, though its top is worth 20
        ("hd", LADDER[:2], 8.0, "hd, mu 8, smooth 1"),
    ],
)
def test_without_a_mu_a_stall_costs_the_top_of_the_ladder(
    kind: str, ladder: tuple[int, ...], mu: float, words: str
) -> None:
    qoe = Scoring(kind).on(ladder)
    assert qoe == QoE(kind, mu) and published_mu(kind, ladder) == mu
    assert qoe.in_words(ladder) == words


def test_a_mu_that_is_given_holds_on_every_ladder() -> None:
    for ladder in (LADDER, HIGH):
        assert Scoring("linear", 4.3, 0.5).on(ladder) == QoE("linear", 4.3, 0.5)
    assert QoE(mu=4.3).in_words(HIGH) == "linear, mu 4.3, smooth 1"


def test_what_has_no_stall_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="stalls would cost nothing; give a mu"):
        Scoring("log").on((300,))
    assert Scoring("log", 2.0).on((300,)).mu == 2.0
    with pytest.raises(ValueError, match="hd has no value for 1000"):
        Scoring("hd").on(HIGH)
    with pytest.raises(ValueError, match="mu -1"):
        Scoring(mu=-1.0)


def test_the_weights_of_several_ladders_are_told_apart() -> None:
    tops = [
        (name, ladder, Scoring().on(ladder))
        for name, ladder in (("high", HIGH), ("a", LADDER), ("b", LADDER))
    ]
    assert scored_words(tops) == "linear, mu the top of each ladder (4.3 a, b; 40 high), smooth 1"
    assert scored_words(tops[1:]) == "linear, mu 4.3 (the ladder's top), smooth 1"
    forced = [(name, ladder, QoE(mu=4.3)) for name, ladder, _ in tops]
    assert scored_words(forced) == "linear, mu 4.3, smooth 1"
    assert scored_words([tops[0], forced[1], ("c", HIGH, QoE(mu=5.0))]) == (
        "linear, mu 40, smooth 1; linear, mu 4.3, smooth 1; linear, mu 5, smooth 1"
    )
    assert scored_json(tops[1:]) == {"kind": "linear", "mu": 4.3, "smooth": 1.0}
    several = scored_json(tops)
    assert several["mu"] is None and several["kind"] == "linear"
    assert several["by_video"]["high"] == {"kind": "linear", "mu": 40.0, "smooth": 1.0}
    assert set(scored_json([("v", LADDER, QoE()), ("v", HIGH, QoE(mu=40.0))])["by_video"]) == {
        "v, up to 4300 kbit/s",
        "v, up to 40000 kbit/s",
    }
    many = [(f"v{top}", (100, 1000 * top), Scoring().on((100, 1000 * top))) for top in range(1, 10)]
    assert "6 v6; and 3 more), smooth 1" in scored_words(many)


@pytest.mark.parametrize("levels", [[], [3]])
def test_no_counted_chunk_no_value(levels: list[int]) -> None:
    assert QoE().per_chunk(levels, [0.0] * len(levels), LADDER) == []


def test_hd_refuses_a_ladder_it_does_not_know() -> None:
    with pytest.raises(ValueError, match=r"no value for 500 kbit/s.*use linear or log"):
        QoE("hd", 8.0).quality((300, 500))


@pytest.mark.parametrize(
    ("weights", "message"),
    [(("best",), "kind 'best'"), (("linear", -1.0), "mu -1"), (("linear", 1.0, math.nan), "smooth nan")],
)
def test_bad_weights(weights: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QoE(*weights)


def test_summary_by_hand() -> None:
    chunks = rows([1, 5, 5], [0.0, 0.5, 1.0], [0.001, 0.002, 0.003])
    summary = summarise(chunks, an_end(stall_s=1.5), LADDER, QoE())
    assert summary.qoe == pytest.approx(((4.3 - 4.3 * 0.5 - 3.55) + (4.3 - 4.3 * 1.0)) / 2)
    assert summary.bitrate_mbps == pytest.approx(4.3)
    assert summary.smoothness_mbps == pytest.approx(3.55 / 2)
    assert summary.stall_s == 1.5
    assert summary.stall_s_per_chunk == pytest.approx(0.75)
    assert summary.stall_ratio == pytest.approx(1.5 / 13.5)
    assert summary.switches == 1
    assert summary.startup_s == 0.7
    assert summary.decision_p50_ms == pytest.approx(2.0)
    assert summary.decision_p99_ms == pytest.approx(2.98)
    assert (summary.chunks, summary.decided_by) == (3, {"policy": 3})


def test_a_session_cut_short_pays_for_the_chunk_that_never_came() -> None:
    chunks = rows([2, 2, 2], [0.0, 0.5, 0.0])
    whole = summarise(chunks, an_end(stall_s=0.5), LADDER, QoE())
    cut = summarise(chunks, an_end("origin-lost", stall_s=120.5), LADDER, QoE())
    assert whole.qoe == pytest.approx(1.2 - 4.3 * 0.5 / 2)
    assert cut.qoe == pytest.approx(1.2 - 4.3 * 120.5 / 2)
    assert cut.stall_ratio == pytest.approx(120.5 / 132.5)


def test_a_session_that_never_began() -> None:
    summary = summarise([], EndRow("origin-lost", "", 0, 120.0, 0.0, 0.0, 120.0), LADDER, QoE())
    assert (summary.qoe, summary.bitrate_mbps, summary.decision_p50_ms) == (None, None, None)
    assert (summary.stall_ratio, summary.startup_s) == (0.0, 120.0)


@given(
    chunks=st.lists(st.tuples(st.integers(0, 5), st.floats(0, 50)), min_size=2, max_size=20),
    mu=st.floats(0, 50),
    smooth=st.floats(0, 5),
    cut_s=st.floats(0, 100),
)
def test_linear_qoe_is_the_sum_of_its_parts(
    chunks: list[tuple[int, float]], mu: float, smooth: float, cut_s: float
) -> None:
    stalls_s = [0.0, *(stall_s for _, stall_s in chunks[1:])]
    end = an_end("interrupted", stall_s=sum(stalls_s) + cut_s)
    summary = summarise(
        rows([level for level, _ in chunks], stalls_s), end, LADDER, QoE("linear", mu, smooth)
    )
    assert summary.bitrate_mbps is not None
    assert summary.stall_s_per_chunk is not None
    assert summary.smoothness_mbps is not None
    parts = summary.bitrate_mbps - mu * summary.stall_s_per_chunk - smooth * summary.smoothness_mbps
    assert summary.qoe == pytest.approx(parts, rel=1e-9, abs=1e-7)
