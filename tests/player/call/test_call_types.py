"""Settings, path and answers of a call: what is refused, and in which words."""

from __future__ import annotations

import pytest

from player.call.checks import CallError
from player.call.path import CallPath, PathLoss
from player.call.policy import IllegalRate, Rate, as_rate
from player.call.settings import CallSettings
from traces.trace import Trace


def test_a_call_counts_its_frames_and_intervals() -> None:
    call = CallSettings(duration_s=2.0, fps=25.0, feedback_ms=50.0, decide_every_ms=200.0, warm_up_s=0.5)
    assert (call.frames, call.intervals, call.intervals_a_decision) == (50, 40, 4)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"duration_s": float("nan")}, "duration nan s; expected 1 to 3600"),
        ({"start_kbps": 3000.0}, "start_kbps 3000 kbit/s; expected 80 to 2500"),
        ({"decide_every_ms": 120.0}, "decide_every_ms 120; expected a multiple of feedback_ms, 50"),
        ({"warm_up_s": 60.0}, "warm_up_s 60 of 60 s; leave a second to score"),
        ({"max_kbps": 50_000.0, "fps": 5.0}, "Lower max_kbps or key_ratio, or raise fps"),
    ],
)
def test_a_call_that_makes_none_is_refused(changed: dict[str, float], said: str) -> None:
    with pytest.raises(CallError, match="call: ") as error:
        CallSettings(**changed)  # type: ignore[arg-type]
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_feedback_has_what_media_leave_of_the_round_trip() -> None:
    assert CallPath(rtt_ms=100.0, media_delay_ms=30.0).feedback_delay_ms == 70.0
    with pytest.raises(CallError, match="media_delay_ms 101 ms; expected 0 to 100"):
        CallPath(rtt_ms=100.0, media_delay_ms=101.0)
    with pytest.raises(CallError, match="loss p 101 %; expected 0 to 100"):
        PathLoss("uniform", 101.0)


def test_the_queue_is_the_traces_mean_for_so_long() -> None:
    trace = Trace("two", (0.0, 10.0, 20.0), (0.0, 1.0, 3.0))
    assert CallPath(queue_ms=200.0).queue_limit_bytes(trace) == 50_000
    assert CallPath(queue_ms=1.0).queue_limit_bytes(trace) == 4 * 1514
    assert CallPath(queue_bytes=9000).queue_limit_bytes(trace) == 9000


def test_an_answer_is_kept_within_the_calls_bounds() -> None:
    call = CallSettings()
    assert as_rate(1e9, call) == Rate(2500.0)
    assert as_rate(Rate(0.0, "llm", "why", 600.0), call) == Rate(80.0, "llm", "why", 600.0)


@pytest.mark.parametrize("answer", [None, "fast", True, float("nan"), float("inf"), -1.0, Rate(float("nan"))])
def test_what_is_no_rate_is_refused(answer: object) -> None:
    with pytest.raises(IllegalRate):
        as_rate(answer, CallSettings())
