"""Jain's index by hand."""

from __future__ import annotations

import pytest

from analysis.together.jain import jain


def test_jains_index_by_hand() -> None:
    assert jain([3.0, 3.0, 3.0]) == 1.0 and jain([4.0, 0.0]) == 0.5
    assert jain([1.0, 2.0]) == pytest.approx(9 / (2 * 5)) and jain([0.0, 0.0]) == 1.0
    with pytest.raises(ValueError, match="no values"):
        jain([])
