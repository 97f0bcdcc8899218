"""exp and log from the four operations."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from traces.families.portable import exp, log


@given(st.floats(-600.0, 600.0))
def test_exp_is_that_of_the_library(value: float) -> None:
    assert math.isclose(float(exp(value)), math.exp(value), rel_tol=1e-12)


@given(st.floats(1e-300, 1e300))
def test_log_is_that_of_the_library(value: float) -> None:
    assert math.isclose(float(log(value)), math.log(value), rel_tol=1e-13, abs_tol=1e-13)


def test_arrays_keep_their_shape() -> None:
    assert exp(np.zeros((2, 3))).tolist() == [[1.0] * 3] * 2
    assert log(np.ones(4)).tolist() == [0.0] * 4
