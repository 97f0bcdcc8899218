"""What holds for every rule of calls: `decide` is the compiled rule, batches are calls, rates numbers."""

from __future__ import annotations

import numpy as np
import pytest

from player.call.compiled_rule import CompiledRule, HasCompiledRule
from player.call.observation import CallObservation, Interval, ReportedPacket
from player.call.path import CallPath
from player.call.policy import as_rate
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from player.registry import CALL, PolicyError, load_policy
from policies.call.oracle import MARGIN, PAYLOAD_SHARE, Oracle, safe_kbps
from traces.trace import Trace

COMPILED = ("gcc", "gcc:probe=false", "copa", "nada", "fixed:700")


def rule_of(spec: str) -> CompiledRule:
    policy = load_policy(spec, kind=CALL).policy
    assert isinstance(policy, HasCompiledRule)
    return policy.compiled_rule()


def played(spec: str, traces: list[Trace], duration_s: float = 12.0) -> tuple[np.ndarray, SimulatedCalls]:
    """(intervals, calls) targets of a batch."""
    call = CallSettings(duration_s=duration_s)
    calls, rule = SimulatedCalls(call, traces, CallPath(), seeds=7), rule_of(spec)
    count = len(traces)
    state, kbps, probes, rows = rule.new_state(count), np.zeros(count), np.zeros(count), []
    for each in range(count):
        rule.begin(state, each, call.start_kbps, call.min_kbps, call.max_kbps, spec == "gcc")
        probes[each] = rule.take_probe_kbps(state, each)
    calls.set_rates(call.start_kbps, probes)
    while not calls.finished.all():
        feedback = calls.to_next_feedback()
        rule.step_all(state, feedback, kbps, probes)
        calls.set_rates(kbps, probes)
        rows.append(kbps.copy())
    return np.array(rows), calls


CONSTANT = Trace("constant", (0.0, 100.0), (2.0, 2.0))
STEPS = Trace("steps", (0.0, 3.0, 6.0, 9.0, 100.0), (2.0, 2.0, 0.5, 3.0, 1.0))
DARK = Trace("dark", (0.0, 4.0, 8.0, 100.0), (2.0, 2.0, 0.0, 2.0))


@pytest.mark.parametrize("spec", COMPILED)
def test_a_call_of_a_batch_is_the_call_alone(spec: str) -> None:
    together, _ = played(spec, [CONSTANT, STEPS, DARK])
    for place, trace in enumerate((CONSTANT, STEPS, DARK)):
        alone, _ = played(spec, [trace])
        assert np.array_equal(alone[:, 0], together[:, place])


@pytest.mark.parametrize("spec", COMPILED)
def test_rates_are_numbers_whatever_the_link_does(spec: str) -> None:
    rates, _ = played(spec, [DARK, Trace("gone", (0.0, 1.0, 100.0), (2.0, 2.0, 0.001))])
    assert np.isfinite(rates).all() and (rates >= 0).all()


def test_gcc_in_the_simulated_call_fills_two_mbit_and_leaves_the_queue_empty() -> None:
    rates, calls = played("gcc", [CONSTANT], 60.0)
    assert 0.80 <= rates[400:].mean() / (2000 * PAYLOAD_SHARE) <= 0.98
    assert calls.paths.record["dropped_packets"][0] == 0


def observation(feedback: object, interval_s: float = 0.05) -> CallObservation:
    """What a policy is shown of a feedback row, as far as rules read it."""
    count = int(feedback.packets[0])  # type: ignore[attr-defined]
    packets = tuple(
        ReportedPacket(
            int(feedback.seq[0, n]),  # type: ignore[attr-defined]
            int(feedback.size_bytes[0, n]),  # type: ignore[attr-defined]
            float(feedback.sent_s[0, n]),  # type: ignore[attr-defined]
            None if np.isnan(feedback.arrived_s[0, n]) else float(feedback.arrived_s[0, n]),  # type: ignore[attr-defined]
        )
        for n in range(count)
    )
    facts = dict.fromkeys(Interval._fields, 0.0) | {
        "interval": int(feedback.interval[0]),  # type: ignore[attr-defined]
        "elapsed_s": float(feedback.now_s[0]),  # type: ignore[attr-defined]
        "interval_s": interval_s,
        "sent_mbps": float(feedback.sent_bytes[0]) * 8e-6 / interval_s,  # type: ignore[attr-defined]
        "target_mbps": float(feedback.target_kbps[0]) / 1000,  # type: ignore[attr-defined]
        "rtt_ms": float(np.nan_to_num(feedback.rtt_s[0])) * 1000,  # type: ignore[attr-defined]
        "heard": bool(feedback.heard[0]),  # type: ignore[attr-defined]
    }
    return CallObservation(Interval(**facts), packets, ())


@pytest.mark.parametrize("spec", ["gcc:probe=false", "copa", "fixed:700"])
def test_decide_does_what_the_compiled_rule_does(spec: str) -> None:
    """On the same feedback; NADA also looks at what waits in the pacer, which an observation rounds."""
    call = CallSettings(duration_s=6.0)
    calls, rule, policy = (
        SimulatedCalls(call, [STEPS], CallPath()),
        rule_of(spec),
        load_policy(spec, kind=CALL).policy,
    )
    state = rule.new_state(1)
    rule.begin(state, 0, call.start_kbps, call.min_kbps, call.max_kbps, False)
    policy.reset(call, 0, None)  # type: ignore[arg-type]
    while not calls.finished.all():
        feedback = calls.to_next_feedback()
        kbps = float(rule.step(state, 0, feedback))
        answer = policy.decide(observation(feedback))  # type: ignore[attr-defined]
        assert as_rate(answer, call).kbps == pytest.approx(min(max(kbps, 80.0), 2500.0), rel=1e-9)
        calls.set_rates(kbps)


def test_a_fixed_rate_is_kept_within_the_call_s_bounds() -> None:
    for asked, got in ((700.0, 700.0), (20.0, 80.0), (9000.0, 2500.0)):
        rates, _ = played(f"fixed:{asked:g}", [CONSTANT], 6.0)
        assert (rates == got).all()
    with pytest.raises(PolicyError, match="kbps -1; must be over 0"):
        load_policy("fixed:-1", kind=CALL)


def test_the_oracle_s_rate_is_the_least_over_its_windows_by_hand() -> None:
    trace = Trace("hole", (0.0, 0.5, 0.7, 10.0), (2.0, 2.0, 0.0, 2.0))
    # from 0 on, the window of 0.7 s carries the least: 1 Mbit in 0.7 s
    assert safe_kbps(trace, 0.0) == pytest.approx(1.0 / 0.7 * 1000 * MARGIN * PAYLOAD_SHARE)
    # from 0.4 on it is that of 0.3 s: 0.2 Mbit
    assert safe_kbps(trace, 0.4) == pytest.approx(0.2 / 0.3 * 1000 * MARGIN * PAYLOAD_SHARE)
    assert safe_kbps(trace, 2.0) == pytest.approx(2000 * MARGIN * PAYLOAD_SHARE)
    # 0.1 Mbit that wait come first: the shortest window has the least left
    assert safe_kbps(trace, 2.0, 0.1) == pytest.approx((0.4 - 0.1) / 0.2 * 1000 * MARGIN * PAYLOAD_SHARE)
    assert safe_kbps(trace, 2.0, 10.0) == 0.0


def test_the_oracle_gives_way_before_the_link_does_and_drains_what_waits() -> None:
    oracle, call = Oracle(), CallSettings()
    trace = Trace("drop", (0.0, 10.0, 100.0), (2.0, 2.0, 0.5))
    oracle.reset(call, 0, None)
    oracle.tell(trace, 0.0, CallPath())
    base = dict.fromkeys(Interval._fields, 0.0) | {"interval_s": 0.05, "heard": True}

    def asked(elapsed_s: float, sent_mbps: float) -> float:
        now = Interval(**(base | {"elapsed_s": elapsed_s, "sent_mbps": sent_mbps, "interval": 0}))
        return oracle.decide(CallObservation(now, (), ())).kbps

    for interval in range(1, 170):
        asked(interval * 0.05, 1.7)
    before, warned = asked(8.5, 1.7), asked(9.5, 1.7)
    assert before == pytest.approx(2000 * MARGIN * PAYLOAD_SHARE)
    assert warned == pytest.approx((2.0 * 0.46 + 0.5 * 0.54) * 1000 * MARGIN * PAYLOAD_SHARE)
    asked(10.5, 2.0)
    flooded, after = asked(10.55, 30.0), asked(10.6, 0.0)
    assert flooded == 0.0 and after == 0.0  # 1.5 Mbit wait, less than the queue's limit lets in
