"""The bound is one: just above the optimum where that can be computed, and above every policy."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest

from player.qoe import QoE
from player.video.built_in import load_video
from player.video.video import Video
from policies.knowable.__main__ import main
from policies.knowable.laws import Floats
from policies.knowable.planner import best_paid_plan
from policies.knowable.played import paid_session
from policies.knowable.study import BoundStudy, decided, figures
from policies.knowable.terms import Terms
from policies.knowable.worth import Worth, fit_chain
from traces.families.catalogue import load_family

STAYS = 0.7
CHANCES = np.array([[STAYS, 1 - STAYS], [1 - STAYS, STAYS]])
PAYLOAD = np.array([300_000.0, 1_200_000.0])
"""Bytes in a step of 2 s, of a slow and of a fast node."""
STEPS = 7


def tiny() -> Terms:
    """Four chunks of 2 s at two levels, over a link of two nodes."""
    video = Video("tiny", 2.0, (1000, 3000), ((300_000, 900_000),) * 4)
    return Terms.of(video, QoE(mu=3.0), 2.0, 4, rtt_ms=0.0, cap_ms=12_000.0)


def optimum(terms: Terms, node: int) -> float:
    """The best causal controller that sees the node, by trying all: mean QoE from the first chunk on.

    Sizes are whole shares of what a step carries, so there is nothing to round.
    """

    @cache
    def asked(chunk: int, used: float, buffer: float, node: int, before: int) -> float:
        if chunk == 4:
            return 0.0
        return max(
            terms.quality[level]
            - abs(terms.quality[level] - terms.quality[before])
            + flies(chunk, level, float(terms.sizes[chunk, level]), used, buffer, node)
            for level in range(2)
        )

    @cache
    def flies(chunk: int, level: int, left: float, used: float, buffer: float, node: int) -> float:
        carries = (1.0 - used) * PAYLOAD[node]
        took = min(left / PAYLOAD[node], 1.0 - used) * 2.0
        stall, rest = max(took - buffer, 0.0), max(buffer - took, 0.0)
        if carries > left:
            share = round(used + left / PAYLOAD[node], 9)
            return -3.0 * stall + asked(chunk + 1, share, rest + 2.0, node, level)
        nexts = (
            flies(chunk, level, left - carries, 0.0, rest, other)
            if left > carries
            else asked(chunk + 1, 0.0, rest + 2.0, other, level)
            for other in range(2)
        )
        return -3.0 * stall + sum(CHANCES[node, other] * each for other, each in enumerate(nexts))

    def first(left: float, node: int) -> float:
        if PAYLOAD[node] > left:
            return asked(1, left / PAYLOAD[node], 2.0, node, 0)
        rest = left - PAYLOAD[node]
        nexts = (first(rest, other) if rest else asked(1, 0.0, 2.0, other, 0) for other in range(2))
        return sum(CHANCES[node, other] * each for other, each in enumerate(nexts))

    return first(float(terms.sizes[0, 0]), node) / 3


def expected_bound(terms: Terms, worth: Worth | None, start: int) -> float:
    """The mean of the best plan, paid for, over all futures of the link."""
    total = 0.0
    for rest in product(range(2), repeat=STEPS - 1):
        path = (start, *rest)
        chance = float(np.prod([CHANCES[now, then] for now, then in pairwise(path)]))
        total += chance * best_paid_plan(PAYLOAD[list(path)], terms, worth, surprises_of(path), 0.1)
    return total


def surprises_of(path: tuple[int, ...]) -> Floats:
    return np.eye(2)[list(path[1:])] - CHANCES[list(path[:-1])]


@pytest.mark.parametrize("start", [0, 1])
def test_on_a_tiny_problem_the_bound_is_just_above_the_optimum(start: int) -> None:
    terms = tiny()
    best = optimum(terms, start)
    bound = expected_bound(terms, fit_chain(CHANCES, PAYLOAD, 0.0, terms), start)
    clairvoyant = expected_bound(terms, None, start)
    assert best <= bound <= best + 0.02 * abs(best)
    assert clairvoyant > best + 0.03 * abs(best)  # to know the future would be worth something here


def test_what_sessions_pay_has_mean_zero() -> None:
    terms = tiny()
    worth = fit_chain(CHANCES, PAYLOAD, 0.0, terms)
    total = spread = 0.0
    for rest in product(range(2), repeat=STEPS - 1):
        path = (1, *rest)
        chance = float(np.prod([CHANCES[now, then] for now, then in pairwise(path)]))
        paid = paid_session(
            PAYLOAD[list(path)], terms, worth, surprises_of(path), np.array([0, 1, 1, 1])
        ).paid
        total += chance * paid
        spread += chance * abs(paid)
    assert abs(total) < 1e-6 < spread


def study(members: int) -> BoundStudy:
    video = load_video("envivio")
    return BoundStudy(load_family("3g"), tuple(range(400, 400 + members)), video, QoE(), 10, slot_s=0.1)


def test_on_members_it_is_above_policies() -> None:
    these = study(4)
    found = figures(these, {name: decided(these, name) for name in ("robustmpc", "bba", "genet")})
    for each in found:
        assert all(each.bound >= freed for freed in each.freed.values())
        assert -1e-9 <= each.clairvoyant - each.oracle < 0.03


def test_paying_nothing_it_is_the_clairvoyants_plan_and_comes_near_it_with_finer_slots() -> None:
    these = study(1)
    terms = these.terms
    payload = np.array(these.traces()[0].rate_mbps[1:]) * 125_000.0 * 0.95
    rough, fine = (best_paid_plan(payload, terms, None, np.zeros((0, 1)), slot) for slot in (0.2, 0.025))
    oracle = figures(these, {})[0].oracle
    assert oracle <= fine <= rough
    assert fine - oracle < 0.25 * (rough - oracle) + 0.01


def test_the_command_says_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bounds.json"
    words = ["--family", "3g", "--members", "400:402", "--chunks", "4", "--policy", "bba", "--out", str(out)]
    assert main(words) == 0
    assert "no controller can pass this" in capsys.readouterr().out
    (said,) = json.loads(out.read_text())["bounds"]
    assert said["family"], said["members"] == ("3g", [400, 402])
    assert set(said["policies"]) == {"robustmpc", "bba"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--family", "3g", "--members", "4:4"], "write A:B"),
        (["--family", "3x"], "3x"),
        (["--family", "3g", "--chunks", "1"], "two are needed"),
    ],
)
def test_what_cannot_be_bounded_is_said(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err
