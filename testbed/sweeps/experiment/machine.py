"""Can this machine emulate a sweep? Asked before anything is made."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.aqm.managed import refuse_aqm
from testbed.browser.able import refuse_machine
from testbed.link.lane import check_congestion_control, delay_backend, require_tools
from testbed.link.settings import check_carried
from testbed.process.errors import TestbedError
from testbed.session.transports import able_transport
from testbed.sweeps.experiment.plan import SweepPlan
from testbed.sweeps.experiment.players import has_browsers
from testbed.sweeps.experiment.schema import SettingEntry


def check_machine(plan: SweepPlan, asked_backend: str) -> str:
    """Refuse what this machine cannot carry; else who delays and loses frames here.

    Raises:
        TestbedError: what is missing, or the line of the file that asks for too much.
    """
    require_tools()
    if has_browsers(plan.units):
        refuse_machine()
    grants = any(setting.link.grant_ms for setting in plan.settings)
    backend = delay_backend("relay" if grants and asked_backend == "auto" else asked_backend)
    entries = {entry.label: entry for entry in plan.file.settings}
    for setting in plan.settings:
        try:
            check_congestion_control(setting.link.congestion_control)
        except TestbedError as error:
            raise plan.file.fault(entries[setting.group].where["cc"], str(error)) from None
        try:
            refuse_aqm(setting.link.aqm)
        except TestbedError as error:
            raise plan.file.fault(entries[setting.group].where["aqm"], str(error)[2:]) from None
        for flow in setting.others.flows:
            try:
                check_congestion_control(flow.congestion_control)
            except TestbedError as error:
                raise plan.file.fault(entries[setting.group].where["cross"], str(error)) from None
    _check_transports(plan, entries)
    pairs = {(unit.setting.label, unit.swept.trace.name): unit for unit in plan.units}
    for unit in pairs.values():
        try:
            check_carried(unit.swept.trace, unit.setting.link, backend)
        except TestbedError as error:
            place = entries[unit.setting.group].where["traces"]
            way_out = str(error).replace("--cap-mbps ", "cap_mbps = ")
            raise plan.file.fault(place, way_out, unit.swept.spec) from None
    return backend


def _check_transports(plan: SweepPlan, entries: Mapping[str, SettingEntry]) -> None:
    """Raises TestbedError for a protocol that can't be had, or not over a trace."""
    pairs = {(unit.setting.label, unit.swept.trace.name): unit for unit in plan.units}
    for unit in pairs.values():
        try:
            part_s = None if unit.live is None else unit.live.part_s
            able_transport(unit.setting.transport, unit.swept.trace, unit.setting.link, part_s)
        except TestbedError as error:
            said = str(error).removeprefix("--").replace("--cap-mbps ", "cap_mbps = ").replace("--cc", "cc")
            raise plan.file.fault(entries[unit.setting.group].where["transport"], said) from None
