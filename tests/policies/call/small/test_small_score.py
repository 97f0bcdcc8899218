"""Scores of calls over a set: several a trace, in parts, and what is gained."""

import numpy as np
import pytest

from player.call.path import CallPath
from player.call.settings import CallSettings
from policies.call.fixed import Fixed
from policies.call.small import score
from policies.call.small.score import (
    POOLED,
    HowScored,
    Scored,
    in_words,
    plays_rule,
    plays_teacher,
    row,
    score_sets,
    scored,
)
from traces.trace import Trace

CALL = CallSettings(duration_s=3.0, warm_up_s=1.0)
LINKS = [
    Trace("first good", (0.0, 4.0, 8.0), (0.0, 3.0, 0.2)),
    Trace("steady", (0.0, 8.0), (0.0, 1.0)),
]


def played(starts=1):
    return scored(LINKS, plays_rule(Fixed(600.0).compiled_rule(), False), CALL, CallPath(), 1, starts)


def test_a_trace_is_played_from_places_that_divide_it():
    found = played(starts=2)
    assert found.lines == ("first good", "first good", "steady", "steady")
    assert found.bitrate_mbps[1] < 0.5 * found.bitrate_mbps[0], "its second half is bad"
    assert found.bitrate_mbps[2] == pytest.approx(found.bitrate_mbps[3], rel=0.1)


def test_in_parts_it_is_the_same(monkeypatch):
    whole = played(starts=2)
    monkeypatch.setattr(score, "TOGETHER", 3)
    parts = played(starts=2)
    for name in ("bitrate_mbps", "stall_pct", "frame_delay_p95_ms"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))


def test_intervals_draw_whole_traces():
    lines = ("a", "a", "b", "b")
    base = Scored(np.zeros(4) + 1.0, np.zeros(4), np.zeros(4) + 100.0, lines)
    mine = Scored(np.array([2.0, 2.0, 1.0, 1.0]), np.zeros(4), np.zeros(4) + 100.0, lines)
    found = row("mine", mine, base)
    assert found["more_mbps"] == 0.5 and found["more_mbps_ci95"] == pytest.approx([0.0, 1.0])
    assert found["more_qoe"] == pytest.approx(0.5)
    assert "+0.500 [+0.000, +1.000] (+50.0 %)" in in_words(found)


def test_linear_qoe_by_hand():
    found = Scored(np.array([1.0]), np.array([2.0]), np.array([100.0])).qoe
    assert found == pytest.approx([1.0 - 12.5 * 0.02 - 0.1])


def test_sets_are_one_besides_and_intervals_draw_whole_sets():
    players = {"base": plays_rule(Fixed(300.0).compiled_rule(), False), "teacher": plays_teacher}
    how, said = HowScored(CALL, CallPath(), pooled=True), []
    found = score_sets({trace.name: [trace, trace] for trace in LINKS}, players, how, said.append)
    assert list(found) == [*(trace.name for trace in LINKS), POOLED]
    each = [found[trace.name][1]["more_mbps"] for trace in LINKS]
    whole = found[POOLED][1]
    assert whole["policy"] == "teacher" and whole["more_mbps"] == pytest.approx(sum(each) / 2)
    assert whole["more_mbps_ci95"] == pytest.approx(sorted(each))
    assert said[0].startswith("first good: 2 calls of 3 s; more than base [95 % over 2 traces]")
    assert "all sets: 4 calls of 3 s; more than base [95 % over 2 sets]" in said
