"""The published measure of viewports, and those beside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.viewport.errors import errors_of, great_circle
from traces.heads.angles import off

ANGLE = st.floats(-180.0, 180.0)


def published(predicted: float, true: float) -> float:
    """As published, by hand: of three differences the least."""
    return min(abs(true - predicted), abs(true + 360.0 - predicted), abs(true - 360.0 - predicted))


@given(st.floats(-900.0, 900.0), ANGLE)
def test_off_is_the_published_one(predicted: float, true: float) -> None:
    assert float(off(np.array(predicted), np.array(true))) == pytest.approx(published(predicted, true))


def test_a_turn_too_far_counts_beyond_a_turn_and_a_half() -> None:
    assert off(np.array([175.0, 540.0, 730.0]), np.array([-175.0, 180.0, 0.0])).tolist() == [10.0, 0.0, 370.0]


def test_means_are_over_axes_and_samples() -> None:
    true = np.zeros((2, 20, 3))
    predicted = true.copy()
    predicted[0, :, 2] = 30.0
    predicted[1, 4, 0] = 6.0
    found = errors_of(predicted, true)
    assert found.mae.tolist() == pytest.approx([10.0, 0.1])
    assert found.yaw.tolist() == [30.0, 0.0]
    assert found.axis0.tolist() == pytest.approx([0.0, 0.3])
    assert found.at_1s.tolist() == pytest.approx([10.0, 2.0])
    assert found.at_2s.tolist() == pytest.approx([10.0, 0.0])
    assert found.inside.tolist() == pytest.approx([0.7, 1.0])
    assert found.great_circle.tolist() == pytest.approx([30.0, 0.0])


def test_great_circle_by_hand() -> None:
    """Up by 90 degrees the direction does not depend on where one turned."""
    first = np.array([[0.0, 90.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 179.0], [0.0, 45.0, 0.0]])
    second = np.array([[0.0, 90.0, 120.0], [0.0, 60.0, 0.0], [0.0, 0.0, -179.0], [0.0, 45.0, 90.0]])
    assert great_circle(first, second).tolist() == pytest.approx([0.0, 60.0, 2.0, 60.0], abs=1e-6)
