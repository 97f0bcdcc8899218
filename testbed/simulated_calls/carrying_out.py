"""Compute the calls of a plan, some of one policy at a time, and record each."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from itertools import groupby
from typing import Any, cast

from player.call.compiled_rule import HasCompiledRule
from player.call.policy import CallPolicy, DecidesRatesTogether
from player.call.record import CallRecord, CallWriter, is_call, read_call
from player.call.scored.outcomes import CallOutcomes, of_record
from player.call.simulated.batch import SimulatedCalls
from player.call.simulated.playing import Decisions, play_policies, play_rule
from player.call.simulated.told import end_of, seconds_of
from player.faults import PolicyFault
from player.manifest import Manifest
from player.provenance import code_section, decided_by
from player.record import RecordError
from player.registry import CALL, is_foreign, load_policy
from player.sections import link_section, policy_section, trace_section
from testbed.process.errors import StrictStop, TestbedError
from testbed.simulated.jobs import policy_workers
from testbed.simulated.kept_records import OF_A_RUN, as_written, first_difference
from testbed.simulated.record_names import whose
from testbed.simulated_calls.plan import CallsPlan, CallToSimulate
from traces.files import DAMAGED, put_aside

TOGETHER = 32
"""Calls of one policy that are computed at a time: progress is seen, and little is lost when stopped."""


@dataclasses.dataclass(frozen=True)
class SimulatedCall:
    """What came of a call."""

    call: CallToSimulate
    outcomes: CallOutcomes
    decided_by: dict[str, int]
    because: str
    """Why GCC decided the first time that it stood in; empty if it never did."""


def kept(plan: CallsPlan) -> tuple[dict[CallToSimulate, SimulatedCall], list[str]]:
    """The calls whose whole records are there, and a line for each record that was put aside.

    Raises:
        TestbedError: a record of the same name by other options.
        OSError: a damaged one cannot be put aside.
    """
    found: dict[CallToSimulate, SimulatedCall] = {}
    damaged: list[str] = []
    for call in plan.calls:
        if not os.path.lexists(call.record):
            continue
        try:
            record = read_call(call.record)
        except RecordError as error:
            damaged.append(f"{error}; it is {put_aside(call.record, DAMAGED).name} now")
            continue
        if not is_call(record.manifest) or whose(call.record.name, record.manifest):
            damaged.append(f"{call.record}: another's; it is {put_aside(call.record, DAMAGED).name} now")
            continue
        _refuse_other(plan, call, record)
        found[call] = _outcome(call, record)
    return found, damaged


def _refuse_other(plan: CallsPlan, call: CallToSimulate, record: CallRecord) -> None:
    """Raises TestbedError where the record is of other options."""
    wanted = as_written(manifest_of(plan, call) | {"call": dataclasses.asdict(plan.call)})
    left_out = {*OF_A_RUN, "line", "schema", "task"}
    there, asked = (
        {name: value for name, value in one.items() if name not in left_out}
        for one in (record.manifest, wanted)
    )
    for both in (there, asked):
        both["trace"] = {name: value for name, value in both.get("trace", {}).items() if name != "spec"}
    if (difference := first_difference(there, asked)) is not None:
        raise TestbedError(
            f"{call.record} is of another call: {difference}; remove it, or name another --out"
        )


@dataclasses.dataclass(frozen=True)
class LostCall:
    """A call whose policy ended the process in which it was asked."""

    call: CallToSimulate

    @property
    def why(self) -> str:
        """In words."""
        return f"policy {self.call.policy} ended its process, and the call with it"


def compute(plan: CallsPlan, left: Sequence[CallToSimulate]) -> Iterator[SimulatedCall | LostCall]:
    """Compute and record calls, in order; each is given out once its record is written.

    Somebody's own policy decides in a process of its own: one that it ends costs the call in which it did.

    Raises:
        StrictStop: a policy's first fault, where it is to stop everything.
        OSError: a record cannot be written.
    """
    for policy, mine in groupby(left, lambda call: call.policy):
        of_policy = list(mine)
        for first in range(0, len(of_policy), TOGETHER):
            part = of_policy[first : first + TOGETHER]
            if is_foreign(policy, CALL):
                yield from _apart(plan, policy, part)
            else:
                yield from _batch(plan, policy, part)


def _batch(plan: CallsPlan, policy: str, part: Sequence[CallToSimulate]) -> Iterator[SimulatedCall]:
    """Calls of one policy, computed at a time, here."""
    calls = SimulatedCalls(
        plan.call,
        [call.start.trace for call in part],
        plan.path,
        [call.seed for call in part],
        [call.start.at_s for call in part],
        plan.threads,
    )
    try:
        made = _played(plan, policy, calls)
    except PolicyFault as fault:
        raise StrictStop(f"{policy}: {fault}", fault.shown) from None
    for n, call in enumerate(part):
        yield _recorded(plan, call, calls, made, n)


def _apart(
    plan: CallsPlan, policy: str, part: Sequence[CallToSimulate]
) -> Iterator[SimulatedCall | LostCall]:
    """The same in another process. Where that dies, each call is made again in one of its own."""
    asked = dataclasses.replace(plan, calls=tuple(part), policies={})
    try:
        with policy_workers(1) as workers:
            made = workers.submit(_of_another, asked, policy).result()
    except BrokenProcessPool:
        if len(part) == 1:
            yield LostCall(part[0])
            return
        for call in part:
            yield from _apart(plan, policy, [call])
        return
    yield from made


def _of_another(asked: CallsPlan, policy: str) -> list[SimulatedCall]:
    """What that process does: all calls of the plan, which are of one policy."""
    plan = dataclasses.replace(asked, policies={policy: load_policy(policy, kind=CALL)})
    return list(_batch(plan, policy, plan.calls))


def _played(plan: CallsPlan, spec: str, calls: SimulatedCalls) -> Decisions:
    policy = plan.policies[spec].policy
    if isinstance(policy, HasCompiledRule):
        return play_rule(calls, policy.compiled_rule(), getattr(policy, "may_probe", True))
    if isinstance(policy, DecidesRatesTogether):
        made = [policy.another() for _ in range(len(calls))]
    else:
        made = [cast("CallPolicy", load_policy(spec, kind=CALL).policy) for _ in range(len(calls))]
    delay_s = plan.decision_delay_s + plan.policies[spec].delay_ms / 1000.0
    return play_policies(calls, made, plan.qoe, delay_s, one_spec=True, strict=plan.strict)


def _recorded(
    plan: CallsPlan, call: CallToSimulate, calls: SimulatedCalls, made: Decisions, n: int
) -> SimulatedCall:
    decisions = made.rows(n)
    with CallWriter(call.record, plan.call, manifest_of(plan, call)) as writer:
        try:
            for decision in decisions:
                writer.decision(decision)
            for second in seconds_of(calls, n):
                writer.second(second)
            writer.finish(end_of(calls, n, len(decisions)))
        except BaseException:
            writer.abandon()
            raise
    return _outcome(call, read_call(call.record))


def _outcome(call: CallToSimulate, record: CallRecord) -> SimulatedCall:
    counts: dict[str, int] = {}
    for row in record.decisions:
        counts[row.by] = counts.get(row.by, 0) + 1
    because = next((row.reason for row in record.decisions if row.by == "fallback"), "")
    return SimulatedCall(call, of_record(record), counts, because)


def manifest_of(plan: CallsPlan, call: CallToSimulate) -> dict[str, Any]:
    """A record's first line, with an emulated call's fields where they make sense."""
    policy = plan.policies[call.policy]
    decided = decided_by(policy.spec, policy.policy)
    start = call.start
    whole = Manifest(
        run_id=plan.facts.run_id,
        started_at=plan.facts.started_at,
        simulated=True,
        policy=policy_section(policy, decided),
        told_qoe=dataclasses.asdict(plan.qoe),
        seed=call.seed,
        run_seed=call.run_seed,
        trace=trace_section(start.trace, call.trace_spec, start.at_s, start_index=start.index),
        link=link_section({"model": "call", **dataclasses.asdict(plan.path)}),
        command_line=tuple(plan.facts.command_line),
        directory=plan.facts.directory,
        host=platform.platform(),
        versions=decided.versions,
        code=code_section(plan.facts.code),
    )
    return {**whole.to_json(), "decision_delay_s": plan.decision_delay_s, **call.facts}
