"""Predictors: by hand, over the seam, and on generated viewers in the order that is measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from player.viewport.windows import FUTURE, HISTORY, ViewportObservation
from policies.viewport.__main__ import main
from policies.viewport.examples import Examples, examples_of
from policies.viewport.features import (
    AHEAD,
    CROWD,
    HEAD,
    MOVES,
    crowd,
    from_residual,
    head,
    mirror,
    moves,
    residual,
)
from policies.viewport.learn import LearningSettings, learn
from policies.viewport.net import answer_of, inputs_of, weights_file, weights_sha256
from policies.viewport.rules import Damped, Linear, Static, Velocity
from tests.support.viewers import and_mirrored
from traces.heads.angles import unwrapped, wrapped
from traces.heads.head import HeadError


def seen(yaw: list[float]) -> ViewportObservation:
    history = np.zeros((1, HISTORY, 3))
    history[0, :, 2] = yaw
    return ViewportObservation(history, np.full((1, 0, HISTORY + FUTURE, 3), np.nan))


STEADY = seen([10.0 * step for step in range(HISTORY)])
SEAM = seen([float(wrapped(np.array(100.0 + 10.0 * step))) for step in range(HISTORY)])


def test_a_steady_head_goes_on() -> None:
    ahead = 90.0 + 10.0 * np.arange(1, FUTURE + 1)
    for policy in (Velocity(), Linear(), Velocity(True), Linear(True)):
        assert policy.predict(STEADY)[0, :, 2] == pytest.approx(ahead)
    assert (Static().predict(STEADY)[0, :, 2] == 90.0).all()
    assert Damped(0.5).predict(STEADY)[0, -1, 2] == pytest.approx(100.0, abs=1e-3)


def test_over_the_seam_only_the_unwrapped_go_on() -> None:
    """100, 110, … 170, 180 = -180, -170: the published velocity takes it for 30 degrees a step back."""
    ahead = -170.0 + 10.0 * np.arange(1, FUTURE + 1)
    assert Velocity(True).predict(SEAM)[0, :, 2] == pytest.approx(ahead)
    assert Linear(True).predict(SEAM)[0, :, 2] == pytest.approx(ahead)
    assert Velocity().predict(SEAM)[0, 0, 2] == pytest.approx(-200.0)


def test_unwrapping_keeps_the_newest_sample_and_goes_by_small_steps() -> None:
    found = unwrapped(SEAM.history)[0, :, 2]
    assert found[-1] == SEAM.history[0, -1, 2]
    assert np.diff(found) == pytest.approx(np.full(HISTORY - 1, 10.0))


def test_residuals_go_the_shorter_way_and_back() -> None:
    future = np.full((1, FUTURE, 3), 5.0)
    future[:, :, 2] = 175.0
    target = residual(SEAM, future)
    again = from_residual(SEAM, target)
    assert again[0, :, :2] == pytest.approx(future[0, :, :2])
    assert wrapped(again[0, :, 2] - 175.0) == pytest.approx(np.zeros(FUTURE))
    assert abs(target).max() * 30.0 == pytest.approx(15.0)


def test_moves_do_not_say_where_the_head_is() -> None:
    turned = ViewportObservation(STEADY.history + np.array([0.0, 0.0, 50.0]), STEADY.earlier)
    assert moves(STEADY).shape == (1, MOVES)
    assert moves(turned) == pytest.approx(moves(STEADY))
    assert head(turned) == pytest.approx(head(STEADY)) and head(STEADY).shape == (1, HEAD)


def test_the_head_is_told_by_steps_places_and_posture() -> None:
    held = ViewportObservation(STEADY.history + np.array([6.0, -3.0, 0.0]), STEADY.earlier)
    places = head(held)[0, MOVES : 2 * MOVES].reshape(HISTORY - 1, 3)
    assert places[:, 2] * 30.0 == pytest.approx([-10.0 * (HISTORY - 1 - step) for step in range(HISTORY - 1)])
    assert head(held)[0, -2:] * 30.0 == pytest.approx([6.0, -3.0])


def companies(values: np.ndarray) -> np.ndarray:
    """(companies, ahead, 6) of the crowd's inputs."""
    return values[:CROWD_MEANS].reshape(4, len(AHEAD), 6)


CROWD_MEANS = 4 * len(AHEAD) * 6


def test_the_crowd_is_seen_from_where_the_viewer_looks() -> None:
    others = np.zeros((1, 12, HISTORY + FUTURE, 3))
    others[:, :, :, 2] = 120.0  # 30 degrees on; all alike
    found = crowd(ViewportObservation(STEADY.history, others))[0]
    assert found.size == CROWD
    assert companies(found)[0, :, 2] == pytest.approx(np.full(len(AHEAD), 12.0 / 12.5))
    near = 12.0 * np.exp(-0.5 * (30.0 / 25.0) ** 2)
    assert companies(found)[2, :, 2] == pytest.approx(np.full(len(AHEAD), near / (near + 0.5)))
    assert companies(found)[0, :, 3:] == pytest.approx(np.zeros((len(AHEAD), 3)))
    agree, median = found[CROWD_MEANS + 4 :][: len(AHEAD)], found[-3 * len(AHEAD) :].reshape(-1, 3)
    assert agree == pytest.approx(np.ones(len(AHEAD))) and median[:, 2] == pytest.approx(np.ones(len(AHEAD)))
    assert (crowd(STEADY) == 0.0).all()


def test_others_who_came_another_way_or_stopped_count_for_little() -> None:
    others = np.zeros((1, 2, HISTORY + FUTURE, 3))
    others[:, :, :, 2] = 90.0  # where the viewer is now, who came from 50 a second ago: they did not
    others[:, 1] = np.nan
    found = companies(crowd(ViewportObservation(STEADY.history, others))[0])
    counts = crowd(ViewportObservation(STEADY.history, others))[0, CROWD_MEANS : CROWD_MEANS + 4]
    unlike = np.exp(-0.5 * (50.0 / 20.0) ** 2)
    assert counts == pytest.approx(np.log1p([1.0, 1.0, 1.0, unlike]))
    assert found == pytest.approx(np.zeros(found.shape), abs=1e-9)


@pytest.mark.parametrize("axis", [0, 2])
def test_a_mirrored_viewer_among_mirrored_others_has_mirrored_inputs(axis: int) -> None:
    for name, crowded in (("small", False), ("crowd", True)):
        plain, turned = (inputs_of(name, seen) for seen in and_mirrored([axis]))
        assert turned == pytest.approx(mirror(axis, crowded) * plain)


def test_a_net_learns_what_there_is_to_learn() -> None:
    """Steps go on for a while: half of the error of the head that stays is gone."""
    random = np.random.default_rng(0)
    inputs = random.normal(0.0, 1.0, (800, HEAD)).astype(np.float32)
    targets = np.tile(inputs[:, MOVES - 3 : MOVES], 20)
    weights = learn(Examples(inputs, targets), False, 1, LearningSettings(epochs=12, batch=64, hidden=32))
    off = np.abs(answer_of(weights, inputs.astype(np.float64)) - targets).mean()
    assert off < 0.5 * np.abs(targets).mean()


def test_nets_are_trained_and_judged_by_their_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--train", "heads[0:2]", "--epochs", "1"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert {path.stem for path in tmp_path.iterdir()} == {"small", "crowd", "ridge"}
    capsys.readouterr()
    assert main([*words, "--net", "small", "--folds", "2"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["net"] == "small" and 0.5 < report["of_static"] < 1.5
    assert main([*words, "--folds", "3"]) == 2
    assert "there are 2 videos" in capsys.readouterr().err


def test_the_shipped_weights_are_the_card_s() -> None:
    text = Path(str(weights_file("card"))).with_name("card.md").read_text(encoding="utf-8")
    for name in ("small", "crowd", "ridge", "track"):
        assert f"`{name}.safetensors` | `{weights_sha256(name)[:12]}…`" in text


def test_recordings_too_short_for_a_window_teach_nothing() -> None:
    with pytest.raises(HeadError, match="recordings too short for a window"):
        examples_of("small", [], every=True)
