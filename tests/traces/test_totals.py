"""Totals are the same on every version of Python, whatever its own `sum` does."""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.qoe import QoE
from player.video.built_in import load_video
from policies import bench_batch
from policies.reference import session_qoe
from tests.support.batch_worlds import Script
from traces.families.catalogue import default_video, resolve
from traces.totals import running_total

WHERE_SUMS_DIFFER = (1e16, 1.0, -1e16)
"""1.0 by exact or compensated addition, 0.0 left to right."""


def test_it_adds_left_to_right() -> None:
    assert running_total(WHERE_SUMS_DIFFER) == 0.0 != math.fsum(WHERE_SUMS_DIFFER)
    assert running_total([]) == 0.0 and isinstance(running_total([1, 2]), float)


@given(st.lists(st.floats(-1e6, 1e6), max_size=50))
def test_it_is_what_a_loop_gives(values: list[float]) -> None:
    total = 0.0
    for value in values:
        total = total + value
    assert running_total(iter(values)) == total


def compensated(values: Iterable[float], start: float = 0) -> float:
    """The built-in `sum` as from 3.12 on: Neumaier's, for floats; else as ever."""
    items = list(values)
    if not any(isinstance(item, float) for item in items):
        return sum_of_here(items, start)
    return float(math.fsum([start, *items]))


sum_of_here = builtins.sum


def figures() -> list[float]:
    """Of eight sessions: what the bare loop gives, what the mean of the record's chunks gives."""
    qoe, video, found = QoE(), load_video(default_video("4g")), []
    for number in range(8):
        trace = resolve(f"4g/{number}")
        levels = [(number + 7 * chunk) % 5 for chunk in range(30)]
        mean = session_qoe(video, trace, Script(levels), qoe, chunks=30)
        found += [mean, bench_batch.bare_loop(trace, video, levels, qoe)]
    return found


def test_figures_do_not_hang_on_the_sum_of_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    here = figures()
    monkeypatch.setattr(builtins, "sum", compensated)
    assert sum([0.1] * 10) == 1.0, "as from 3.12 on"
    assert figures() == here
