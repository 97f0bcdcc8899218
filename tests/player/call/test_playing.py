"""Calls that are played by rules and by policies: who decides, what is recorded, what it is worth."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from player.call.compiled_rule import CompiledRule
from player.call.decide import BY_FALLBACK, BY_GUARD, BY_HELD, BY_POLICY, decided
from player.call.observation import CallObservation
from player.call.path import CallPath
from player.call.policy import Rate
from player.call.record import CallWriter, DecisionRow, read_call
from player.call.scored.outcomes import call_outcomes, of_record, scored_mbit, second_means_kbps
from player.call.scored.qoe import CallQoE
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from player.call.simulated.playing import play_policies, play_rule
from player.call.simulated.told import end_of, seconds_of
from player.record import RecordError, read_record
from traces.trace import Trace

CALL = CallSettings(duration_s=8.0, warm_up_s=2.0, start_kbps=600.0)
TWO = Trace("two", (0.0, 10.0), (0.0, 2.0))
HALVED = Trace("halved", (0.0, 4.0, 20.0), (0.0, 2.0, 0.5))


class Asked:
    """Answers with what it is given, one after the other, and notes what it saw."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.seen = list(answers), list[CallObservation]()

    def reset(self, call: CallSettings, seed: int, qoe: Any) -> None:
        self.seen.clear()

    def decide(self, observation: CallObservation) -> Any:
        self.seen.append(observation)
        answer = self.answers[(len(self.seen) - 1) % len(self.answers)]
        if isinstance(answer, Exception):
            raise answer
        return answer


def as_steps(kbps: float) -> CompiledRule:
    """A rule that always says the same."""

    def step_all(state: Any, feedback: Any, rates: Any, probes: Any) -> None:
        rates[:] = kbps

    def nothing(*_: Any) -> float:
        return 0.0

    return CompiledRule(nothing, nothing, nothing, nothing, step_all)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((700.0, True, 300.0, True, 500.0), (700.0, BY_POLICY)),
        ((1.0, True, 300.0, True, 500.0), (80.0, BY_POLICY)),
        ((9e9, True, 300.0, False, 500.0), (2500.0, BY_POLICY)),
        ((math.nan, True, 300.0, False, 500.0), (300.0, BY_FALLBACK)),
        ((math.inf, True, 300.0, False, 500.0), (300.0, BY_FALLBACK)),
        ((-1.0, True, 9e9, False, 500.0), (2500.0, BY_FALLBACK)),
        ((700.0, False, 300.0, False, 500.0), (500.0, BY_HELD)),
        ((700.0, False, 300.0, True, 500.0), (300.0, BY_GUARD)),
        ((700.0, False, 600.0, True, 500.0), (500.0, BY_HELD)),
    ],
)
def test_who_decides(given: tuple[Any, ...], expected: tuple[float, int]) -> None:
    assert decided(*given, 80.0, 2500.0) == expected


def test_a_policy_is_asked_every_200_ms_and_sees_what_lies_between() -> None:
    policy = Asked(900.0)
    made = play_policies(SimulatedCalls(CALL, [TWO]), [policy])
    rows = made.rows(0)
    assert len(policy.seen) == 39  # 159 feedbacks are heard: the last comes 40 ms after the call's end
    assert [row.by for row in rows if row.by != "guard"] == ["policy"] * 39
    assert np.allclose(np.diff([seen.now.elapsed_s for seen in policy.seen]), 0.2)
    late = policy.seen[-1]
    assert len(late.history) == 64
    assert [each.interval for each in late.history[-3:]] == [152, 153, 154]
    assert late.now.interval == 155
    assert late.now.heard
    assert late.now.rtt_ms == pytest.approx(80.0, abs=15.0)
    assert sum(packet.size_bytes for packet in late.packets) * 8 / 1e6 / 0.05 == pytest.approx(
        late.now.receive_mbps
    )


def test_what_is_no_rate_is_gccs_and_says_why() -> None:
    answers = [500.0, math.nan, ValueError("no idea"), "fast", Rate(700.0, "llm", "sure")]
    made = play_policies(SimulatedCalls(CALL, [TWO]), [Asked(*answers)])
    rows = [row for row in made.rows(0) if row.by != "guard"][:5]
    assert [row.by for row in rows] == ["policy", "fallback", "fallback", "fallback", "llm"]
    assert "nan" in rows[1].reason
    assert rows[2].reason == "raised ValueError: no idea"
    assert rows[3].reason == "answered 'fast', which is no rate; expected kbit/s"
    assert (rows[4].kbps, rows[4].reason) == (700.0, "sure")


def test_a_reset_that_fails_leaves_the_call_to_gcc() -> None:
    class Broken(Asked):
        def reset(self, call: CallSettings, seed: int, qoe: Any) -> None:
            raise OSError("no weights")

    made = play_policies(SimulatedCalls(CALL, [TWO]), [Broken(1.0)])
    assert {row.by for row in made.rows(0)} == {"fallback"} | {row.by for row in made.rows(0)} & {"guard"}
    assert made.rows(0)[0].reason == "reset raised OSError: no weights"


def test_overuse_cuts_a_rate_that_holds() -> None:
    """1.5 Mbit/s held over a link that falls to 0.5: GCC cuts between the policy's decisions."""
    made = play_policies(SimulatedCalls(CALL, [HALVED]), [Asked(1500.0)])
    guarded = [row for row in made.rows(0) if row.by == "guard"]
    assert guarded
    assert all(row.at_s > 4.0 and row.kbps < 1500.0 for row in guarded[:3])


def test_a_late_answer_leaves_the_old_rate_in_force() -> None:
    """Decided each 200 ms, in force 120 ms later: told of at the third feedback after the question."""
    policy = Asked(900.0)
    play_policies(SimulatedCalls(CALL, [TWO]), [policy], delay_s=0.12)
    seen = policy.seen[1]
    assert [each.target_mbps for each in seen.history[-3:]] == [0.6, 0.6, 0.9]


def test_calls_are_decided_apart() -> None:
    alone = play_policies(SimulatedCalls(CALL, [HALVED], seeds=[3]), [Asked(400.0, 800.0)])
    calls = SimulatedCalls(CALL, [TWO, HALVED], seeds=[2, 3])
    both = play_policies(calls, [Asked(900.0), Asked(400.0, 800.0)])
    bare = [replace(row, decision_ms=0.0) for row in alone.rows(0)]
    assert bare == [replace(row, decision_ms=0.0) for row in both.rows(1)]


def test_a_record_comes_back_and_has_the_outcomes_of_the_call(tmp_path: Path) -> None:
    calls = SimulatedCalls(CALL, [HALVED], CallPath(), seeds=[7])
    made = play_rule(calls, as_steps(700.0))
    seconds, decisions = seconds_of(calls, 0), made.rows(0)
    end = end_of(calls, 0, len(decisions))
    path = tmp_path / "call.jsonl"
    trace = {
        "name": "halved",
        "start_s": 0.0,
        **{name: list(column) for name, column in HALVED.columns.items()},
    }
    with CallWriter(path, CALL, {"trace": trace}) as writer:
        for decision in decisions:
            writer.decision(decision)
        for second in seconds:
            writer.second(second)
        writer.finish(end)
    record = read_call(path)
    assert record.call == CALL
    assert len(record.decisions) == len(decisions) == 159
    assert record.end == end
    ours = call_outcomes(CALL, decisions, seconds, end, scored_mbit(CALL, HALVED, 0.0, 8.0))
    theirs = of_record(record)
    for name, value in vars(ours).items():
        assert getattr(theirs, name) == pytest.approx(value, rel=1e-3), name
    assert ours.rate_change == 0.0
    assert ours.link_share == pytest.approx(
        sum(row.bytes + 42 * row.packets for row in seconds[2:]) * 8e-6 / 6
    )
    assert CallQoE().of(ours) == pytest.approx(
        ours.bitrate_mbps - 12.5 * ours.stall_ratio - (ours.frame_delay_p95_ms or 0) / 1000
    )
    with pytest.raises(RecordError, match=r"call\.jsonl:1: a call's record"):
        read_record(path)


def test_a_record_that_is_cut_off_or_bent_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "call.jsonl"
    with CallWriter(path, CALL, {}) as writer:
        writer.write({"line": "second", "second": 1})
    written = path.with_name("call.jsonl.partial")
    with pytest.raises(RecordError, match="no end line; the call was cut off"):
        read_call(written)
    manifest = written.read_text().splitlines()[0]
    path.write_text(manifest.replace('"duration_s":8.0', '"duration_s":-8.0') + '\n{"line": "end"}\n')
    with pytest.raises(RecordError, match=r"call\.jsonl:1: call: duration -8 s; expected 1 to 3600"):
        read_call(path)
    path.write_text(manifest + '\n{"line": "end", "outcome": 3}\n')
    with pytest.raises(RecordError, match=r"call\.jsonl:2: outcome is 3; expected str"):
        read_call(path)


def test_means_of_seconds_by_hand() -> None:
    """300 until 0.5 s, then 700, from 1.25 s on 100: means 500, and 700 x 0.25 + 100 x 0.75 = 250."""
    call = CallSettings(start_kbps=300.0)
    rows = [DecisionRow(0.5, 700.0, "policy"), DecisionRow(1.25, 100.0, "guard")]
    assert second_means_kbps(call, rows, 3.0).tolist() == [500.0, 250.0, 100.0]


def test_scores_by_hand() -> None:
    calls = SimulatedCalls(CALL, [TWO])
    made = play_rule(calls, as_steps(700.0))
    plain = call_outcomes(CALL, made.rows(0), seconds_of(calls, 0), end_of(calls, 0, 1), 12.0)
    one = replace(
        plain,
        bitrate_mbps=1.5,
        stall_ratio=0.02,
        frame_delay_p50_ms=150.0,
        frame_delay_p95_ms=300.0,
        delay_least_ms=40.0,
        delay_p95_ms=220.0,
        link_share=0.8,
        loss_ratio=0.1,
    )
    assert CallQoE("linear").of(one) == pytest.approx(1.5 - 0.25 - 0.3)
    assert CallQoE("opennetlab").of(one) == pytest.approx(100 * (0.2 * 180 / 360 + 0.2 * 0.8 + 0.3 * 0.9))
    assert CallQoE("pandia").of(one) == pytest.approx(3.0 - 2.25)
    nothing = replace(one, frame_delay_p50_ms=None, frame_delay_p95_ms=None, delay_p95_ms=None)
    assert CallQoE("pandia").of(nothing) == -10.0
    assert CallQoE("linear").of(nothing) == pytest.approx(1.5 - 0.25 - nothing.scored_s)
