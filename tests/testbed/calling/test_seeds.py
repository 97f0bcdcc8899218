"""The seed of a call: one for a start, whoever decides and whether it is emulated or simulated."""

from __future__ import annotations

from pathlib import Path

from testbed.calling.seeds import call_seed, seed_at
from testbed.simulated.starts import Start
from testbed.simulated_calls.plan import CallToSimulate
from traces.trace import Trace

TRACE = Trace("t", (0.0, 2.0, 5.0), (1.0, 1.0, 2.0))


def test_an_emulated_call_has_the_simulated_ones_seed() -> None:
    start = Start(TRACE, 2)
    simulated = CallToSimulate("gcc", start, "t", 3, Path("a.jsonl"))
    assert simulated.seed == call_seed(3, TRACE, start.at_s) == seed_at(3, TRACE, 2)


def test_between_two_points_it_is_the_earlier_ones() -> None:
    assert call_seed(0, TRACE, 3.0) == call_seed(0, TRACE, 2.0) != call_seed(0, TRACE, 1.9)
    assert call_seed(0, TRACE, 7.0) == call_seed(0, TRACE, 2.0)  # the trace wraps


def test_another_run_seed_and_another_trace_are_other_draws() -> None:
    other = Trace("t", (0.0, 2.0, 5.0), (1.0, 1.5, 2.0))
    assert len({call_seed(seed, trace, 0.0) for seed in (0, 1) for trace in (TRACE, other)}) == 4
