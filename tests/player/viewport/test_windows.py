"""Windows of recordings: as published, and without the viewer's own future."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from player.viewport.policy import IllegalPrediction, checked_prediction
from player.viewport.windows import FUTURE, HISTORY, moments_of, windows_of
from policies.viewport.net import Crowd, Small
from traces.heads.generator import member
from traces.heads.head import HeadTrace, WatchedVideo


def test_windows_begin_where_the_published_ones_do() -> None:
    """Of 300 samples: from 30 to 239, every 15."""
    assert moments_of(300) == tuple(range(30, 240, 15)) and len(moments_of(300)) == 14
    assert moments_of(90) == () and moments_of(91) == (30,)


def test_a_window_is_what_was_and_what_comes() -> None:
    degrees = np.arange(300.0)[:, None] * [0.1, 0.2, 0.3]
    trace = HeadTrace("1", "7", np.arange(300) / 5.0, degrees)
    found = windows_of(WatchedVideo("1", (trace,), ()), 0)
    assert found.seen.history.shape == (14, HISTORY, 3) and found.future.shape == (14, FUTURE, 3)
    assert found.seen.history[0, -1].tolist() == pytest.approx(degrees[29].tolist())
    assert found.future[0, 0].tolist() == pytest.approx(degrees[30].tolist())
    assert found.seen.earlier.shape == (14, 0, HISTORY + FUTURE, 3)


def test_others_are_seen_at_the_same_moments_until_their_recordings_end() -> None:
    one, other, short = (
        HeadTrace("1", name, np.arange(length) / 5.0, np.full((length, 3), value))
        for name, length, value in (("a", 300, 1.0), ("b", 300, 2.0), ("c", 40, 3.0))
    )
    seen = windows_of(WatchedVideo("1", (one, other), (short,)), 0).seen
    assert seen.earlier.shape[1] == 1  # who is judged is known to nobody where there are earlier viewers
    assert seen.earlier[0, 0, :20, 0].tolist() == [3.0] * 20
    assert np.isnan(seen.earlier[0, 0, 20:]).all()
    alone = windows_of(WatchedVideo("1", (one, other), ()), 0).seen
    assert set(np.unique(alone.earlier)) == {2.0}


@pytest.mark.parametrize("policy", [Small(), Crowd()], ids=["small", "crowd"])
def test_no_prediction_sees_the_viewers_own_future(policy: Small | Crowd) -> None:
    video = member(3)
    whole = windows_of(video, 0)
    trace = video.viewers[0]
    for place in (0, 5):
        cut = trace.degrees.copy()
        cut[whole.at[place] :] = 77.0
        changed = dataclasses.replace(
            video, viewers=(dataclasses.replace(trace, degrees=cut), *video.viewers[1:])
        )
        again = windows_of(changed, 0)
        one, two = policy.predict(whole.seen)[place], policy.predict(again.seen)[place]
        assert np.array_equal(one, two)


def test_what_is_no_prediction_is_refused() -> None:
    for answer, said in [
        (np.zeros((2, 20)), "shape"),
        ("north", "array of degrees"),
        (np.full((2, 20, 3), np.nan), "no numbers"),
    ]:
        with pytest.raises(IllegalPrediction, match=said):
            checked_prediction(answer, 2)
