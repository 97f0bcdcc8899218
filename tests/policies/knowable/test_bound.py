"""The bound is one: just above the optimum where that can be computed, and above every policy."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest

from analysis.knowable.bound_file import read_bounds
from player.qoe import QoE
from player.simulated.link_published import PublishedLink
from player.video.built_in import load_video
from player.video.video import Video
from policies.knowable.__main__ import main
from policies.knowable.informed import INFORMED, informed_levels
from policies.knowable.kept import held_of
from policies.knowable.laws import Floats
from policies.knowable.planner import best_paid_plan
from policies.knowable.played import paid_session
from policies.knowable.share import SHARES, MemberFigures, best_share, shared_out
from policies.knowable.study import BoundStudy, decided, figures
from policies.knowable.summary import shown, summed_up
from policies.knowable.terms import Terms
from policies.knowable.worth import Worth, fit_chain
from policies.rules.oracle import best_plan
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
        total += chance * best_paid_plan(
            PAYLOAD[list(path)], terms, worth, surprises_of(path), 0.1, allowed_s=10.0
        )
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
    assert clairvoyant > bound + 0.01 * abs(best)  # to know the future would be worth something here


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


def test_who_is_told_the_hidden_state_plays_the_optimum() -> None:
    """So what the bound has more than it has is what V lacks."""
    terms = tiny()
    worth = fit_chain(CHANCES, PAYLOAD, 0.0, terms)
    for start in range(2):
        best, total = optimum(terms, start), 0.0
        for rest in product(range(2), repeat=STEPS - 1):
            path = [start, *rest]
            payload, chance = (
                PAYLOAD[path],
                float(np.prod([CHANCES[now, then] for now, then in pairwise(path)])),
            )
            levels = informed_levels(payload, terms, worth, np.eye(2)[path], CHANCES[path])
            total += chance * paid_session(payload, terms, worth, np.zeros((0, 2)), levels).qoe
        assert total == pytest.approx(best)


def study(family: str, members: int, chunks: int) -> BoundStudy:
    """The first of the members that are kept for comparison."""
    model = load_family(family)
    return BoundStudy(
        model, tuple(range(400, 400 + members)), load_video("envivio"), QoE(), chunks, slot_s=0.2
    )


def test_on_members_it_is_above_policies_and_below_the_oracle() -> None:
    """In the mean: a plan over an unlucky member is repaid, and may then be above the oracle."""
    these = study("4g", 2, 14)
    names = ("robustmpc", "bba")
    found = figures(these, {name: decided(these, name) for name in names} | {INFORMED: None})
    assert all(-1e-9 <= each.clairvoyant - each.oracle < 0.1 for each in found)
    said = summed_up(found, "robustmpc")
    assert said["bound"]["mean"] < said["oracle_freed"]["mean"]
    gap = said["oracle_freed"]["mean"] - said["bound"]["mean"]
    assert said["below_oracle"]["mean"] == pytest.approx(gap)
    for row in said["policies"].values():
        assert row["below_bound"]["mean"] > 0.0


def test_paying_nothing_it_is_the_clairvoyants_plan_and_comes_near_it_with_finer_slots() -> None:
    these = study("3g", 1, 10)
    terms = these.terms
    (trace,) = these.traces()
    payload = np.array(trace.rate_mbps[1:]) * 125_000.0 * 0.95
    rough, fine = (best_paid_plan(payload, terms, None, np.zeros((0, 1)), slot) for slot in (0.2, 0.025))
    oracle = best_plan(these.video, trace, PublishedLink(), these.qoe, chunks=10).mean
    assert oracle <= fine <= rough
    assert fine - oracle < 0.25 * (rough - oracle) + 0.01


WORDS = ["--family", "3g", "--members", "400:402", "--chunks", "3", "--policy", "bba"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the command wrote, as text."""
    out = tmp_path_factory.mktemp("bound") / "bounds.json"
    assert main([*WORDS, "--out", str(out)]) == 0
    return out.read_text()


def test_the_command_writes_each_member_and_what_they_come_to(kept: str, tmp_path: Path) -> None:
    (said,) = json.loads(kept)["bounds"]
    assert (said["family"], said["members"], said["complete"]) == ("3g", [400, 402], True)
    assert set(said["policies"]) == {"robustmpc", "bba"}
    bounds = [each["bound"] for each in said["by_member"]]
    path = tmp_path / "bounds.json"
    path.write_text(kept)
    assert list(read_bounds(path)[0].by_member.values()) == bounds  # a report reads it
    assert said["bound"]["mean"] == pytest.approx(np.mean(bounds))


def test_policies_are_added_without_a_bound_computed_again(
    kept: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "bounds.json"
    out.write_text(kept)
    monkeypatch.setattr("policies.knowable.study.best_paid_plan", None)
    assert main(["--add", "genet,informed", "--chunks", "3", "--out", str(out)]) == 0
    assert "no controller can pass this" in capsys.readouterr().out
    (before,), (said,) = json.loads(kept)["bounds"], json.loads(out.read_text())["bounds"]
    assert set(said["policies"]) == {"robustmpc", "bba", "genet", INFORMED}
    assert said["bound"] == before["bound"]
    assert said["policies"]["bba"] == before["policies"]["bba"]
    assert len(said["decided_by"]["genet"]) == 64


def test_a_killed_run_goes_on_with_the_members_that_it_lacks(
    kept: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = json.loads(kept)
    (entry,) = held["bounds"]
    entry["by_member"], entry["complete"] = entry["by_member"][1:], False
    out = tmp_path / "bounds.json"
    out.write_text(json.dumps(held))
    assert main([*WORDS, "--out", str(out)]) == 0
    told = capsys.readouterr().err
    assert "member 400, 2 of 2" in told
    assert "member 401" not in told
    assert json.loads(out.read_text())["bounds"][0]["bound"] == json.loads(kept)["bounds"][0]["bound"]


def test_adding_to_what_is_not_there_is_refused(
    kept: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bounds.json"
    out.write_text(kept)
    assert main(["--add", "genet", "--chunks", "4", "--out", str(out)]) == 2
    assert "has no whole bound of 3g under what is asked for" in capsys.readouterr().err


def test_a_policy_whose_weights_are_others_now_is_played_anew(kept: str) -> None:
    (entry,) = json.loads(kept)["bounds"]
    held = held_of(entry, {"robustmpc": None, "bba": "0123"})
    assert all(set(each.played) == {"robustmpc"} for each in held.values())


PLAYED = ({"robustmpc": 1.0, "bba": 0.5}, {"robustmpc": 0.7, "bba": 0.5})


def test_a_member_pays_the_share_that_is_the_best_over_the_others() -> None:
    """Over the first and third a half is the closest, over the second the whole; each takes the other's."""
    half, whole = (1.4, 1.1, 1.3, 1.5), (1.4, 1.3, 1.2, 1.1)
    found = [
        MemberFigures(index, bounds, 1.6, 1.6, {"bba": 0.5}, {"bba": 0.0})
        for index, bounds in enumerate((half, whole, half))
    ]
    under = shared_out(found)
    assert [each.share for each in under] == [1.0, 0.5, 1.0]
    assert [each.bound for each in under] == [1.5, 1.3, 1.5]


def test_where_paying_brings_nothing_the_bound_is_the_clairvoyants() -> None:
    found = [MemberFigures(0, (1.7, 1.8, 1.9, 2.0), 1.6, 1.6, {"bba": 0.5}, {"bba": 0.1})]
    assert best_share(found, "bba") == 0.0
    assert best_share([], "bba") == SHARES[-1]


def test_the_oracle_is_given_the_luck_that_the_best_policy_was_repaid() -> None:
    """Members of which one was unlucky by 0.3 for whoever streamed: the oracle is then above the bound."""
    members = [
        MemberFigures(0, (1.6, 1.6, 1.6, 1.5), 1.6, 1.6, PLAYED[0], {"robustmpc": 0.0, "bba": -0.4}),
        MemberFigures(1, (1.6, 1.6, 1.6, 1.5), 1.3, 1.3, PLAYED[1], {"robustmpc": -0.3, "bba": 0.0}),
    ]
    said = summed_up(members, "robustmpc")
    assert said["oracle"]["mean"] == pytest.approx(1.45)
    assert said["oracle_freed"]["mean"] == pytest.approx(1.6)
    assert said["below_oracle"]["mean"] == pytest.approx(0.1)


def test_a_bound_above_the_oracle_is_said_to_be_no_closer(kept: str) -> None:
    (entry,) = json.loads(kept)["bounds"]
    for gap, told in ((0.1, False), (-0.1, True)):
        lines: list[str] = []
        shown(entry | {"below_oracle": {"mean": gap, "ci95": [gap, gap]}}, lines.append)
        assert any("the oracle is the closer bound" in line for line in lines) is told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--family", "3g", "--members", "4:4"], "write A:B"),
        (["--family", "3x"], "3x"),
        ([], "--family is missing"),
        (["--family", "3g", "--out", "/"], "name another --out"),
        (["--family", "3g", "--chunks", "1"], "two are needed"),
    ],
)
def test_what_cannot_be_bounded_is_said(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err
