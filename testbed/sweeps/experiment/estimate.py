"""What a sweep will take: wall time and disk."""

from __future__ import annotations

import time
from collections.abc import Sequence

from player.fallback import load_fallback
from player.simulated.session import simulate
from testbed.sweeps.experiment.plan import SweepPlan, Unit, loaded, simulated_link

SETUP_S = 6.0
"""To make a lane, probe it, start its processes, and take it down again (a guess for a busy small
machine; it is the smaller part of a session)."""

COMPUTED_S = 0.02
"""A computed session, where it is not worth while to try one."""
COMPILED_S = 0.3
"""A session that takes longer is tried twice."""
WORTH_TRYING = 200
"""Sessions from which on one of each policy is computed to know better."""

CHUNK_BYTES = 620
"""A chunk's line in a record …"""
LEVEL_BYTES = 8
"""… a chunk's size at a level in its manifest …"""
POINT_BYTES = 18
"""… a point of the trace there …"""
RECORD_BYTES = 4_000
"""… and the rest."""
STEP_BYTES = 300
"""A line of a link log, at least one a second …"""
REQUEST_BYTES = 700
"""… and of an origin log."""


def disk_bytes(unit: Unit, simulated: bool) -> int:
    """What a unit's records and logs take."""
    record = (
        RECORD_BYTES
        + unit.chunks * (CHUNK_BYTES + unit.whole.levels * LEVEL_BYTES)
        + len(unit.swept.trace.time_s) * POINT_BYTES
    )
    logs = 0 if simulated else round(unit.length_s * STEP_BYTES) + unit.chunks * unit.players * REQUEST_BYTES
    return unit.players * record + logs


def emulated_s(units: Sequence[Unit], lanes: int) -> float:
    """Wall time of units on so many lanes."""
    return sum(unit.length_s + SETUP_S for unit in units) / max(lanes, 1)


def computed_s(plan: SweepPlan, units: Sequence[Unit], processes: int) -> float:
    """Wall time of computed units in so many processes; of many, one of each policy is tried."""
    if len(units) < WORTH_TRYING:
        return len(units) * COMPUTED_S / processes
    first = {unit.policy.label: unit for unit in reversed(units)}
    took_s = {label: _tried_s(plan, unit) for label, unit in first.items()}
    return sum(took_s[unit.policy.label] + COMPUTED_S for unit in units) / processes


def _tried_s(plan: SweepPlan, unit: Unit) -> float:
    """Of one session; what it took to compile something for the first one is not counted."""
    took_s = _one_s(plan, unit)
    return min(took_s, _one_s(plan, unit)) if took_s > COMPILED_S else took_s


def _one_s(plan: SweepPlan, unit: Unit) -> float:
    begun = time.perf_counter()
    policy = loaded(unit.policy.spec)
    try:
        simulate(
            unit.whole,
            unit.start.trace,
            policy.policy,
            seed=0,
            qoe=plan.qoe,
            link=simulated_link(plan.link_model or "", unit.setting),
            start_index=unit.start.index,
            chunks=unit.chunks,
            first_level=None,
            fallback=load_fallback(unit.policy.fallback).policy,
        )
    except Exception:  # the session itself will say what is wrong
        return COMPUTED_S
    return time.perf_counter() - begun
