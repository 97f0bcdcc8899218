"""What no network may take: levels that what was seen of the link speaks against."""

from __future__ import annotations

import numpy as np
import pytest

from player.observation import Observation, PastChunk
from policies.view import layout
from policies.view.asked import Asked, options
from policies.view.guard import sane
from policies.view.one import view_of
from policies.view.thinned import thinned

LADDER = (300, 750, 1200, 1850, 2850, 4300)


def asked(mu: float = 4.3) -> Asked:
    return Asked(LADDER, 4.0, tuple(kbps / 1000 for kbps in LADDER), mu, 1.0)


def past(mbps: float, seconds: float, level: int = 0) -> PastChunk:
    return PastChunk(level, round(mbps * seconds * 125_000), seconds, mbps, 80.0, 0.0, 8.0)


def allowed(history: tuple[PastChunk, ...], buffer_s: float, mu: float = 4.3) -> list[int]:
    sizes = tuple(tuple(int(kbps * 500) for kbps in LADDER) for _ in range(8))
    observation = Observation(len(history), history, buffer_s, sizes, 24, 10.0, 60.0)
    return np.flatnonzero(sane(view_of(observation, asked(mu))[None])[0]).tolist()


def test_nothing_jumps_after_one_fast_short_download() -> None:
    history = (*(past(2.0, 2.0, 2) for _ in range(6)), past(0.6, 29.0, 4), past(3.3, 0.4, 0))
    assert max(allowed(history, 14.0)) == 4, "the top takes 21 s at what those 29 s have shown"
    assert max(allowed(history, 9.0)) <= 3


def test_a_steady_fast_link_bars_nothing() -> None:
    assert {2, 3, 4, 5} <= set(allowed(tuple(past(8.0, 1.0, 3) for _ in range(8)), 12.0))


def test_a_dark_link_leaves_the_lowest() -> None:
    assert allowed((past(0.05, 24.0),) * 3, 4.0) == [0]


@pytest.mark.parametrize("buffer_s", [0.0, 4.0, 20.0])
def test_more_is_barred_the_more_a_stall_costs(buffer_s: float) -> None:
    history = tuple(past(mbps, 3.0, 3) for mbps in (3.0, 1.0, 2.0, 1.5, 0.7, 2.5))
    cheap, usual, dear = (set(allowed(history, buffer_s, mu)) for mu in (0.5, 4.3, 60.0))
    assert dear <= usual <= cheap and dear


def test_a_long_ladder_is_thinned_around_the_last_level() -> None:
    assert options(12, 4) == tuple(range(12))
    for levels in (13, 20, 51):
        for last in (None, 0, 1, levels // 2, levels - 1):
            chosen = options(levels, last)
            assert len(chosen) == layout.MAX_LEVELS and list(chosen) == sorted(set(chosen))
            centre = last or 0
            near = {place for place in range(centre - 2, centre + 3) if 0 <= place < levels}
            assert {0, levels - 1} | near <= set(chosen)
            assert np.diff(chosen).max() <= levels / 4


def test_a_thinned_observation_counts_other_levels_as_the_next_lower() -> None:
    row = tuple(range(100, 120))
    history = tuple(past(2.0, 1.0, level) for level in (0, 7, 19))
    seen = thinned(Observation(3, history, 8.0, (row, row), 2, 9.0), (0, 5, 10, 19))
    assert [each.level for each in seen.history] == [0, 1, 3]
    assert seen.next_sizes_bytes == ((100, 105, 110, 119),) * 2
