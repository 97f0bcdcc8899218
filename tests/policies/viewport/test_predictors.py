"""Predictors: by hand, over the seam, and on generated viewers in the order that is measured."""

from __future__ import annotations

import numpy as np
import pytest

from player.viewport.windows import FUTURE, HISTORY, ViewportObservation
from policies.viewport.angles import unwrapped, wrapped
from policies.viewport.features import CROWD, MOVES, crowd, from_residual, moves, residual
from policies.viewport.rules import Damped, Linear, Static, Velocity


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


def test_the_crowd_is_seen_from_where_the_viewer_looks() -> None:
    others = np.zeros((1, 12, HISTORY + FUTURE, 3))
    others[:, :, :, 2] = 120.0  # 30 degrees on; all alike
    found = crowd(ViewportObservation(STEADY.history, others)).reshape(7, 9)
    assert found.size == CROWD
    assert found[0, :3] == pytest.approx([0.5, np.sqrt(0.75), 1.0])
    assert found[0, 3:8] == pytest.approx(np.zeros(5)) and found[0, 8] == 1.0
    assert (crowd(STEADY) == 0.0).all()
