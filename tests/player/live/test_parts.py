"""Parts of a chunk: how long, how many, and the one place that says so."""

from __future__ import annotations

import pytest

from player.live.parts import LEAST_PART_S, MOST_PART_S, check_part_s, part_end, parts_of
from testbed.server.command_line import parser
from testbed.session.live_plan import LiveAsked


def test_parts_are_equal_and_at_least_one() -> None:
    assert [parts_of(4.0, part_s) for part_s in (None, 0.5, 0.6, 4.0, 60.0)] == [1, 8, 7, 1, 1]
    assert [part_end(10, number, 3) for number in (1, 2, 3)] == [3, 6, 10]


@pytest.mark.parametrize("part_s", [LEAST_PART_S / 2, MOST_PART_S * 2, float("nan")])
def test_the_origin_and_a_run_refuse_the_same_parts(
    part_s: float, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"part_s .*: expected 0\.02 to 60"):
        check_part_s(part_s)
    with pytest.raises(ValueError, match=r"part_s .*: expected 0\.02 to 4"):
        LiveAsked(3.0, part_s).of(4.0)
    with pytest.raises(SystemExit):
        parser().parse_args(["--part-s", str(part_s)])
    assert "expected 0.02 to 60" in capsys.readouterr().err


def test_a_latency_that_no_chunk_keeps_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^latency_s 3: what is made can be asked for after 4 s"):
        LiveAsked(3.0).of(4.0)
    plan = LiveAsked(None, 0.5).of(4.0)
    assert (plan.latency_s, plan.ahead_s(4.0)) == (12.0, 3.5)
