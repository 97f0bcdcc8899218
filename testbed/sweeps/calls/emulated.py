"""A unit's call as the emulator knows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from player.policy import Served
from player.registry import CALL
from testbed.calling.plan import CallPlan
from testbed.sweeps.experiment.deciders import loaded
from testbed.sweeps.experiment.plan import SweepPlan
from testbed.sweeps.experiment.units import Unit
from testbed.sweeps.state import manifest_facts


def call_plans(
    plan: SweepPlan, unit: Unit, out: Path, attempt: int, backend: str, command_line: Sequence[str]
) -> list[CallPlan]:
    """The one call of a unit."""
    setting, policy = unit.setting, loaded(unit.policy.spec, CALL).policy
    assert setting.call is not None
    return [
        CallPlan(
            policy=unit.policy.spec,
            trace=unit.swept.trace,
            trace_spec=unit.swept.spec,
            start_s=unit.start.at_s,
            settings=setting.link,
            backend=backend,
            seed=unit.seed,
            record=(out / unit.records[0]).absolute(),
            command_line=tuple(command_line),
            cap_mbps=setting.cap_mbps,
            facts={"run_id": out.name, **manifest_facts(plan, unit, 0, attempt)},
            server=policy.server() if isinstance(policy, Served) else None,
            strict=plan.strict,
            call=setting.call,
        )
    ]
