"""How schedulers are made: what a choice is worth over futures, which lines are for what, what is fitted."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from player.policy import Decision
from player.qoe import Scoring
from player.simulated.link_published import PublishedLink
from player.simulated.session import SimulatedSession
from policies.apc import __main__ as command
from policies.apc.facts import NAMES, Facts
from policies.apc.learned import inputs
from policies.apc.light import Light
from policies.apc.rule import SchedulerError
from policies.apc.study import fit
from policies.apc.study.futures import AlikePlaces, Choice, FutureGains, StudySession
from policies.apc.study.moments import Moments
from policies.apc.study.starts import (
    ALL,
    CHOOSE,
    FIT,
    MEASURE,
    StudySetting,
    StudyStart,
    chunks_of,
    purpose_of,
    sets_of,
    starts_of,
)
from policies.hindsight.data import held_out
from policies.llm.model.tiny import tiny_adapter
from policies.llm.tasks.ladder.task import TASK
from tests.support.llm_server_fakes import VIDEO
from traces.trace import Trace

CHUNKS = 12


def swinging(name: str = "swinging", seed: int = 0) -> Trace:
    rates = np.exp(np.random.default_rng(seed).normal(0.3, 0.7, 300))
    return Trace(name, tuple(map(float, range(301))), (1.0, *rates.tolist()))


def session_of(trace: Trace, levels: tuple[int, ...], start_index: int = 1) -> SimulatedSession:
    session = SimulatedSession(VIDEO.first(CHUNKS), PublishedLink().open(trace, start_index, 0), 60_000.0)
    for level in levels:
        session.fetch(Decision(level), session.wait())
    return session


@pytest.mark.parametrize("then", ["hindsight", "robustmpc"])
def test_the_future_that_came_is_played_as_the_player_plays_it(then: str) -> None:
    """One future: the same as two copies of the single session, to the last digits."""
    trace, levels = swinging(), (0, 2, 4, 1, 3, 2, 2, 5, 1, 0, 2, 3)
    choices = [Choice(0, chunk, (5, 1)) for chunk in (3, 7, 11)]
    judge = FutureGains(
        [trace], [VIDEO], [StudySession(0, 0, 5, levels)], Scoring("linear", 8.0, 0.5), then, futures=1
    )
    gains, qoe = judge.of(choices), Scoring("linear", 8.0, 0.5).on(VIDEO.ladder_kbps)
    for choice, gain in zip(choices, gains, strict=True):
        worth = []
        for level in choice.levels:
            session, light = session_of(trace, levels[: choice.chunk], 5), Light(then)
            light.reset(VIDEO, 0, qoe)
            session.fetch(Decision(level), session.wait())
            while len(session.rows) < CHUNKS:
                wait_ms = session.wait()
                session.fetch(Decision(light.decide(session.observation()).level), wait_ms)
            rows = session.rows[choice.chunk - 1 :]
            worth.append(
                sum(qoe.per_chunk([r.level for r in rows], [r.stall_s for r in rows], VIDEO.ladder_kbps))
            )
        assert gain == pytest.approx(worth[0] - worth[1], abs=1e-6)


def test_other_futures_are_the_same_for_both_levels_and_take_luck_away() -> None:
    """Of a link that never changes all futures are one; of one that swings the mean moves less."""
    steady = Trace("steady", tuple(map(float, range(301))), (2.0,) * 301)
    one, many = (
        FutureGains([steady], [VIDEO], [StudySession(0, 0, 1, (1,) * CHUNKS)], Scoring(), futures=number).of(
            [Choice(0, 4, (4, 2))]
        )
        for number in (1, 5)
    )
    assert many == pytest.approx(one, abs=1e-3)
    sessions = [StudySession(0, 0, 1 + 10 * number, (1,) * CHUNKS) for number in range(24)]
    choices = [Choice(number, 5, (5, 2)) for number in range(24)]
    spread = [
        FutureGains([swinging()], [VIDEO], sessions, Scoring(), futures=number).of(choices).std()
        for number in (1, 8)
    ]
    assert spread[1] < 0.8 * spread[0]


def test_futures_begin_where_the_link_had_been_alike() -> None:
    rates = np.where(np.arange(400) // 100 % 2 == 0, 4.0, 0.3)
    places = AlikePlaces(Trace("halves", tuple(map(float, range(401))), (4.0, *rates.tolist())))
    random = np.random.default_rng(0)
    for at_s, slow in ((60.5, False), (160.5, True), (390.0, True), (0.0, False)):
        drawn = places.draw(at_s, 40, random)
        assert drawn.min() >= 1 and drawn.max() <= 400
        before = (drawn - 2) // 100 % 2  # the interval before the one that begins there
        assert ((before == 1) == slow).mean() >= 0.9


def test_every_line_is_for_one_purpose(tmp_path: Path) -> None:
    lines = [swinging(f"trace_{number}_http---{cut}.csv", number) for number in range(60) for cut in range(2)]
    for trace in lines:
        rows = zip(trace.time_s, trace.rate_mbps, strict=True)
        (tmp_path / trace.name).write_text(
            "time_s,rate_mbps\n" + "".join(f"{at},{mbps:.6f}\n" for at, mbps in rows)
        )
    found = {
        purpose: {start.line for start in starts_of([str(tmp_path)], purpose=purpose)}
        for purpose in (FIT, CHOOSE, MEASURE)
    }
    assert sum(map(len, found.values())) == len(set().union(*found.values())) == 60
    assert all(len(each) >= 5 for each in found.values())
    assert {trace.name.split("_")[1] for trace in lines if held_out(trace)} == found[MEASURE]
    assert len(starts_of([str(tmp_path)], starts=3, purpose=ALL)) == 3 * 120
    (only,) = [trace for trace in lines if purpose_of(trace) == CHOOSE][:1]
    kept = tmp_path / only.name
    with pytest.raises(ValueError, match="none of the lines of its 1 traces is one to measure by"):
        starts_of([str(kept)], purpose=MEASURE)


def test_a_setting_brings_the_video_and_says_how_much_is_streamed() -> None:
    starts = starts_of(["fcc[0:2]", "3g[0:1]"], StudySetting("envivio", [300, 1200, 4300], 2.0), starts=2)
    assert [start.start_index for start in starts[:2]] != [1, 1]
    assert starts[0].video.ladder_kbps == (300, 1200, 4300) and starts[0].video.chunk_s == 2.0
    assert chunks_of(starts) > 48 and chunks_of(starts, 20) == 20
    assert chunks_of([StudyStart(swinging(), VIDEO)]) == 48
    assert {word: len(places) for word, places in sets_of(starts).items()} == {"fcc[0:2]": 4, "3g[0:1]": 2}


def made_moments(count: int = 4000) -> Moments:
    """They differ everywhere alike; where much is at risk asking gains, elsewhere it loses a little."""
    random = np.random.default_rng(3)
    facts = np.abs(random.standard_normal((count, len(NAMES)))) + 0.1
    risk = facts[:, NAMES.index("risk")]
    differ = random.random(count) < 0.3
    gains = np.where(differ, np.where(risk > 1.2, 3.0, -0.4) + random.standard_normal(count), 0.0)
    return Moments(facts, gains, differ, random.integers(40, size=count))


def test_what_is_asked_is_what_a_wrong_choice_costs_not_where_the_two_differ() -> None:
    moments = made_moments()
    fitted = fit.fit_net(moments, 10.0, share=0.25)
    predicted = fitted.net.gains(np.array([inputs(moments.row(at)) for at in range(len(moments))]))
    risky = moments.facts[:, NAMES.index("risk")] > 1.2
    asked = predicted >= np.quantile(predicted, 0.8)
    assert risky[asked].mean() > 0.9
    assert fitted.held_out["net_25"] > 2.0 * fitted.held_out["random_25"]
    rule = fit.fit_rule(moments, 0.3)
    assert rule.conditions[0].fact == "risk" and 0.9 < (rule.conditions[0].above or 0.0) < 1.5


def test_the_networks_gradients_are_those_of_its_loss() -> None:
    moments = made_moments(60)
    rows = np.array([inputs(moments.row(at)) for at in range(60)])
    lesson = fit._Lesson(rows, moments.differ.astype(float), moments.gains)
    random = np.random.default_rng(1)
    weights = [random.standard_normal(shape) * 0.3 for shape in ((rows.shape[1], 5), (5,), (5, 2), (2,))]
    decayed = {0: fit.DECAY, 2: fit.DECAY}
    for place, gradient in enumerate(lesson.gradients(weights)):
        for at in np.ndindex(weights[place].shape):
            moved = [[each.copy() for each in weights] for _ in range(2)]
            moved[0][place][at] += 1e-5
            moved[1][place][at] -= 1e-5
            slope = (lesson.loss(moved[0]) - lesson.loss(moved[1])) / 2e-5
            expected = gradient[at] - decayed.get(place, 0.0) * weights[place][at]
            assert slope == pytest.approx(expected, abs=1e-4)


def test_moments_of_other_facts_are_refused(tmp_path: Path) -> None:
    made = dataclasses.replace(made_moments(10), made_with="this")
    made.save(tmp_path / "kept.npz")
    kept = Moments.load(tmp_path / "kept.npz")
    assert np.array_equal(kept.facts, made.facts) and kept.made_with == "this" and kept.names == NAMES
    assert isinstance(kept.row(3), Facts)
    dataclasses.replace(made, names=("weather", *NAMES[1:])).save(tmp_path / "old.npz")
    with pytest.raises(SchedulerError, match="other facts"):
        Moments.load(tmp_path / "old.npz")


def test_refit_makes_writes_and_measures_for_an_adapter_of_any_ladder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("rule", "learned"):
        monkeypatch.setattr(f"policies.apc.{name}.SHIPPED", tmp_path / f"{name}.json")
    words = (
        "refit",
        "--adapter",
        str(tiny_adapter(TASK, tmp_path / "tiny")),
        "--light",
        "bba",
        "--no-members",
    )
    words += ("--ladder", "300,1200,4300", "--mu", "10", "--chunks", "10", "--futures", "2", "--json")
    out = ("--out", str(tmp_path / "out"))
    assert command.main([*words, "--traces", "3g[300:306]", "--shares", "0.3", "0.5", *out]) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert report["train"]["decisions"] == 6 * 9 and 0.0 < report["train"]["agree"] < 1.0
    assert "mu 10" in report["test"]["weights"] and report["test"]["lines"] == 6
    assert set(json.loads((tmp_path / "out" / "test-bba.json").read_text())["differences"]) >= {
        "bba only - llm only", "apc rule - llm only", "apc learned - random of its share"
    }  # fmt: skip
    assert "bba" in json.loads((tmp_path / "rule.json").read_text())["rules"]
