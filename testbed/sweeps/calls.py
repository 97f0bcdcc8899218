"""A sweep's calls: a unit as the emulator knows it, and calls computed as one batch over all threads."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from player.call.path import CallPath, PathLoss
from player.call.scored.qoe import CallQoE
from player.policy import Served
from player.registry import CALL
from testbed.calling.plan import CallPlan
from testbed.calling.seeds import seed_at
from testbed.link.settings import LinkSettings
from testbed.process.errors import StrictStop, TestbedError
from testbed.simulated.simulation import RunFacts
from testbed.simulated_calls.carrying_out import TOGETHER, LostCall, compute
from testbed.simulated_calls.plan import CallsPlan, CallToSimulate
from testbed.sweeps.experiment.deciders import loaded
from testbed.sweeps.experiment.plan import SweepPlan
from testbed.sweeps.experiment.units import Unit
from testbed.sweeps.folder import Attempt, judged_calls
from testbed.sweeps.state import FAILED, manifest_facts
from testbed.sweeps.work import SweepWork


def call_plans(
    plan: SweepPlan, unit: Unit, out: Path, attempt: int, backend: str, command_line: Sequence[str]
) -> list[CallPlan]:
    """A unit's calls, one a player: all of them have the unit's own seed, so that their frames are alike."""
    setting, policy = unit.setting, loaded(unit.policy.spec, CALL).policy
    assert setting.call is not None
    return [
        CallPlan(
            policy=unit.policy.spec,
            trace=unit.swept.trace,
            trace_spec=unit.swept.spec,
            start_s=unit.start.at_s + index * setting.stagger_s,
            settings=setting.link,
            backend=backend,
            seed=seed_at(unit.seed, unit.swept.trace, unit.start.index),
            run_seed=unit.seed,
            record=(out / record).absolute(),
            command_line=tuple(command_line),
            cap_mbps=setting.cap_mbps,
            facts={"run_id": out.name, **manifest_facts(plan, unit, index, attempt)},
            server=policy.server() if isinstance(policy, Served) else None,
            strict=plan.strict,
            call=setting.call,
        )
        for index, record in enumerate(unit.records)
    ]


def path_of(link: LinkSettings) -> CallPath:
    """A link of the emulator's as the simulated call knows it."""
    loss = link.loss
    return CallPath(
        rtt_ms=link.rtt_ms,
        media_delay_ms=link.media_delay_ms,
        queue_ms=link.queue_ms,
        queue_bytes=link.queue_bytes,
        media_jitter_ms=link.media_jitter_ms,
        grant_ms=link.grant_ms,
        loss=PathLoss(loss.kind, loss.p, loss.r, loss.bad, loss.good),
        jitter_ms=link.jitter_ms,
    )


def calls_plan(
    plan: SweepPlan, units: Sequence[tuple[Unit, int]], out: Path, threads: int, facts: RunFacts
) -> CallsPlan:
    """Units of one policy and setting, each with the number of its attempt, as the simulator knows them."""
    first = units[0][0]
    assert first.setting.call is not None
    calls = tuple(
        CallToSimulate(
            unit.policy.spec,
            unit.start,
            unit.swept.spec,
            unit.seed,
            out / unit.records[0],
            manifest_facts(plan, unit, 0, attempt),
        )
        for unit, attempt in units
    )
    policies = {first.policy.spec: loaded(first.policy.spec, CALL)}
    path = path_of(first.setting.link)
    return CallsPlan(
        calls, policies, first.setting.call, path, CallQoE(), 0.0, facts, out, threads, (), plan.strict
    )


def run_computed_calls(work: SweepWork, threads: int, facts: RunFacts) -> None:
    """Compute all that is left.

    Raises:
        OSError: a record cannot be written.
    """
    while (taken := work.take()) is not None:
        alike = [taken, *work.take_alike(taken[0], TOGETHER - 1)]
        left = [unit for unit, _ in alike]
        asked = calls_plan(work.folder.plan, alike, work.out, threads, facts)
        try:
            with contextlib.redirect_stdout(sys.stderr):  # a user's policy may print
                for made in compute(asked, asked.calls):
                    lost = Attempt(FAILED, (made.why,), for_good=True) if isinstance(made, LostCall) else None
                    work.end(left.pop(0), lost or judged_calls([made.call.record]))
        except StrictStop:
            raise
        except TestbedError as error:
            for unit in left:
                work.end(unit, Attempt(FAILED, (str(error),), for_good=True))
